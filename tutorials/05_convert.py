# %% [markdown]
# # Convert a folder of GeoTIFFs
#
# You have a folder of images, sorted into folders by class, as EuroSAT and many others come. Training reads them one
# small file at a time, and whoever gets the folder must write a reader first. One call makes a dataset of it: places,
# band names and classes come along, and it loads from any web server.
#
# Run it from the folder of the repository: `python tutorials/05_convert.py`, or cell by cell in an editor that knows
# `# %%`. It needs `rasterio`. Everything it writes goes to the folder `demo`.

# %%
import shutil
from pathlib import Path

import numpy as np
import rasterio

import mlstac
from mlstac.cli.demo import find_scene, read_scene
from mlstac.pictures import draw_preview, save

out = Path("demo")
folder = out / "folder"

# %% [markdown]
# ## A folder as people have them
#
# Squares of a real Sentinel-2 scene, each a GeoTIFF that knows its place, its bands and what stands for no data. The
# class of a square is made here, with one line of arithmetic: is it brighter in red than the scene's median?

# %%
shutil.rmtree(folder, ignore_errors=True)  # so that this cell can be run again

scene = read_scene(find_scene())
median = np.median(scene.image[2])
a, b, c, d, e, f = scene.transform
for top in range(0, 200, 40):
    for left in range(0, 300, 50):
        image = scene.image[:, top : top + 40, left : left + 50]
        name = "bright" if np.median(image[2]) > median else "dark"
        path = folder / name / f"square_{top:03d}_{left:03d}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        place = rasterio.Affine(a, b, c + a * left, d, e, f + e * top)
        with rasterio.open(
            path, "w", "GTiff", width=50, height=40, count=6, dtype="uint16", nodata=0, crs=scene.crs, transform=place
        ) as file:
            file.write(image)
            for number, band in enumerate(scene.bands, start=1):
                file.set_band_description(number, band.name)

for path in sorted(folder.iterdir()):
    print(f"{len(list(path.iterdir())):3} images in {path.as_posix()}")

# %% [markdown]
# ## One call
#
# `mlstac convert demo/folder demo/converted` does the same on the command line. What kind of source it is, is told by
# what it holds: a folder a class, here. Squares that touch look alike, so the split is drawn by blocks of ground: all
# squares of a block of one kilometre go to the same side. The files name their bands, but do not say what they see;
# `bands=` adds common names and wavelengths, by which pictures find their red, green and blue.

# %%
shutil.rmtree(out / "converted", ignore_errors=True)  # so that this cell can be run again

collection = mlstac.convert(
    folder,
    out / "converted",
    title="Bright and dark ground",
    license="other",
    bands=scene.bands,
    split_by={"block_size_m": 1000, "fractions": {"train": 0.7, "test": 0.3}},
)
print(collection)

# %% [markdown]
# ## It is all there
#
# Every value is that of the file, and so is every place. The catalog says which file a sample came from.

# %%
dataset = mlstac.load(out / "converted", split="all", framework="numpy")
rows = dataset.metadata.to_table(["id", "file", "class", "proj:transform"]).to_pylist()
for sample, row in zip(dataset, rows, strict=True):
    with rasterio.open(folder / row["file"]) as file:
        assert np.array_equal(sample["input"], file.read())
        assert row["proj:transform"] == list(file.transform[:6])
print(len(rows), "samples are their files, to the bit; the first is", rows[0]["file"])

# %% [markdown]
# ## Look
#
# One picture: some squares in their true colours with their classes, and a map of where they are.

# %%
footprints = {
    split: mlstac.load(out / "converted", split=split).metadata.to_table(["geometry"])["geometry"].to_pylist()
    for split in ("train", "test")
}
numbers = [0, 5, 10, 15, 20, 25]
picture = draw_preview(
    [dataset[number] for number in numbers],
    dataset.tensors,
    footprints,
    ids=[rows[number]["id"] for number in numbers],
    title=collection.title,
)
print("wrote", save(picture, out / "tutorial-05.png"))

# %% [markdown]
# Images with masks, WebDataset tars, MDS shards, Hugging Face datasets and datasets of the original ML-STAC convert by
# the same call: see docs/convert.md.
