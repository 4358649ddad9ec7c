# %% [markdown]
# # Make a dataset of your own images
#
# You have arrays, and want a dataset that others can load from any web server. First the short way, in three lines.
# Then with what makes it worth sharing: where and when each image was taken, what its bands are, what its classes
# mean.
#
# Run it from the folder of the repository: `python tutorials/02_your_own_images.py`, or cell by cell in an editor
# that knows `# %%`. Everything it writes goes to the folder `demo`.

# %%
import datetime
import shutil
from pathlib import Path

import numpy as np

import mlstac
from mlstac.cli.demo import find_scene, read_scene
from mlstac.pictures import draw_preview, save
from mlstac.storage import open_server

out = Path("demo")

# %% [markdown]
# ## Some images
#
# Any arrays will do. These are real: a Sentinel-2 scene of bare land in Patagonia, 6 bands of 200 × 300 pixels, cut
# into squares of 50. With each goes a label, made here with one line of arithmetic: where red is brighter than the
# scene's median. Put your own images and labels in their place.

# %%
scene = read_scene(find_scene())
red = scene.image[2]

squares = []
for top in range(0, 200, 50):
    for left in range(0, 300, 50):
        image = scene.image[:, top : top + 50, left : left + 50]
        mask = (image[2] > np.median(red)).astype("uint8")
        squares.append({"top": top, "left": left, "image": image, "mask": mask})
print(len(squares), "squares of", squares[0]["image"].shape, squares[0]["image"].dtype)

# %% [markdown]
# ## Three lines
#
# A sample is a dict of arrays; a dataset is any iterable of them, a generator for instance, so that it need not fit
# into memory. What is not described is inferred: types, shapes, and statistics.

# %%
shutil.rmtree(out / "plain", ignore_errors=True)  # so that this cell can be run again

samples = ({"image": square["image"], "mask": square["mask"]} for square in squares)
mlstac.write(samples, out / "plain", license="other")
plain = mlstac.load(out / "plain", framework="numpy")

# %%
print(plain)
print("sample 0:", {name: (str(array.dtype), array.shape) for name, array in plain[0].items()})

# %% [markdown]
# Copy the folder to a web server, and it is published. But a stranger who loads it learns little: which band is red?
# Where is this? What does 1 mean in the mask? Nothing was said of it, so nothing is claimed: there is no place and no
# date.
#
# ## Place, time, bands, classes
#
# A `Collection` describes the dataset once. Bands of the usual sensors have presets, such as
# `bands="sentinel-2-l2a"`; this scene has six of the thirteen, so they are named. Units, scale, no-data values and
# people have their places too.

# %%
collection = mlstac.Collection(
    id="bright-ground",
    title="Bright ground in Patagonia",
    description="24 squares of a Sentinel-2 scene; the mask marks where red is above the scene's median.",
    license="other",
    tasks=["semantic-segmentation"],
    keywords=["sentinel-2", "tutorial"],
    split_strategy="columns of squares from west to east: 0-3 train, 4 validation, 5 test",
    tensors={
        "image": mlstac.Tensor(dims="band y x", bands=scene.bands, description="Sentinel-2, digital numbers"),
        "mask": mlstac.Tensor(
            dims="y x",
            role="label",
            # {0: "dark", 1: "bright"} would do; so each class brings the colour that it is drawn with
            classes=[
                {"value": 0, "name": "dark", "color_hint": "5B4636"},
                {"value": 1, "name": "bright", "color_hint": "F0C75E"},
            ],
        ),
    },
)

# %% [markdown]
# Each sample then says where it is: a coordinate reference system and a transform (a, b, c, d, e, f as in rasterio's
# `Affine`: pixel size and the corner of the upper left pixel). The footprint on the globe is computed from them.
#
# It also says when. **The scene's files have no date, so this one is invented**, to show where yours goes. Do not do
# that with real data: a sample without a date is a good sample.

# %%
pretended = datetime.datetime(2020, 1, 15, 14, 30, tzinfo=datetime.UTC)
a, b, c, d, e, f = scene.transform


def make_sample(square):
    return mlstac.Sample(
        tensors={"image": square["image"], "mask": square["mask"]},
        id=f"y{square['top']:03d}x{square['left']:03d}",
        crs=scene.crs,
        transform=(a, b, c + a * square["left"], d, e, f + e * square["top"]),
        datetime=pretended,
        properties={"bright_percent": float(square["mask"].mean() * 100)},
    )


def choose_split(square):
    column = square["left"] // 50
    return "train" if column < 4 else "validation" if column == 4 else "test"


# %% [markdown]
# Squares that touch look alike. A split by location (here: by columns) keeps near copies of training samples out of
# the test. The writer puts the collection down last: if the loop fails, no half dataset appears.

# %%
shutil.rmtree(out / "bright", ignore_errors=True)  # so that this cell can be run again

with mlstac.Writer(out / "bright", collection) as writer:
    for square in squares:
        writer.add(make_sample(square), split=choose_split(square))

for path in sorted((out / "bright").rglob("[!.]*")):
    if path.is_file() and ".mlstac" not in path.parts:
        print(f"{path.stat().st_size:10,} bytes  {path.as_posix()}")

# %% [markdown]
# ## What it is made of
#
# Nothing in this folder needs mlstac. The samples are safetensors files, the catalogs Parquet files that DuckDB,
# geopandas and QGIS open, the collection is STAC.

# %%
import pyarrow.parquet  # noqa: E402  imported where it is shown
import safetensors.numpy  # noqa: E402

shard = safetensors.numpy.load_file(out / "bright/train/00000.safetensors")
print("safetensors:", {name: array.shape for name, array in shard.items()})
rows = pyarrow.parquet.read_table(out / "bright/train/catalog-00000.parquet")
print("parquet:", rows.num_rows, "rows;", ", ".join(rows.column_names))

# %% [markdown]
# ## Serve, load, look
#
# `mlstac serve demo` does on the command line what `open_server` does here. Whoever has the address loads the dataset
# with all that you said of it.

# %%
with open_server(out) as server:
    dataset = mlstac.load(server.url + "bright/", split="all", framework="numpy")
    print(dataset)
    print("the first row:", {key: dataset.metadata[0][key] for key in ("id", "datetime", "bright_percent")})
    footprints = {
        split: mlstac.load(server.url + "bright/", split=split).metadata.to_table(["geometry"])["geometry"].to_pylist()
        for split in ("train", "validation", "test")
    }
    numbers = [0, 5, 10, 15, 17, 21]
    picture = draw_preview(
        [dataset[number] for number in numbers],
        dataset.tensors,
        footprints,
        ids=[dataset.metadata[number]["id"] for number in numbers],
        title=dataset.collection.title,
    )
print("wrote", save(picture, out / "tutorial-02.png"))

# %% [markdown]
# `mlstac preview demo/bright` draws the same from the command line, and `mlstac info demo/bright` says what is in it.
