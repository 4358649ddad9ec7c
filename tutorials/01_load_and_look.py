# %% [markdown]
# # Load a dataset, and look at it
#
# You have the address of a dataset. This tutorial gets samples out of it: one, a batch, a few bands, a window,
# normalised for a network; asks its catalog where and what they are; and draws them.
#
# Run it from the folder of the repository: `python tutorials/01_load_and_look.py`, or cell by cell in an editor that
# knows `# %%`. It needs torch, matplotlib, scipy and the demo's scene; `make demo` installs them into `.venv-demo`.
# Everything it writes goes to the folder `demo`.

# %%
from pathlib import Path

import mlstac
from mlstac.cli.demo import author_scene
from mlstac.storage import open_server

out = Path("demo")
# The dataset of `mlstac demo`: 150 chips of a Sentinel-2 scene of Patagonia, with masks of clay
author_scene(out / "clay")

# %% [markdown]
# ## Open it
#
# A dataset is a folder of plain files, so any web server can host it. Here a small server of our own plays the host:
# it counts requests and bytes, which shows what each step costs. For a dataset on the internet only the address
# differs.

# %%
server = open_server(out)
url = server.url + "clay/"

train = mlstac.load(url, split="train", framework="torch")
print(train)
print("opened with", server.requests, "request of", server.bytes_sent, "bytes")

# %% [markdown]
# Opening reads `collection.json` and no sample. It says what the dataset is about: bands, classes, people, licence.

# %%
collection = train.collection
print(collection.title)
print(collection.description)
for band in collection.tensors["input"].bands:
    print(f"  {band.name}: {band.common_name}, {band.center_wavelength} µm")
print("  classes:", {entry.value: entry.name for entry in collection.tensors["target"].classes})
print("  samples:", {name: split.n_items for name, split in collection.splits.items()})

# %% [markdown]
# ## Samples
#
# A dataset is a sequence. A number gives one sample: a dict of tensors. A slice or a list gives a batch, with one
# more axis in front. Only the bytes of the samples that you ask for are fetched.

# %%
sample = train[4]
print({name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in sample.items()})

batch = train[10:20]
print("train[10:20]      ", tuple(batch["input"].shape))
print("train[[3, 5, -1]] ", tuple(train[[3, 5, -1]]["input"].shape))

# %% [markdown]
# ## Some bands, a window
#
# `select` and `window` give a dataset that reads less: bands and rows of pixels that are not asked for stay on the
# server. Bands are called by the sensor's names or by common names.

# %%
colours = train.select(tensors=["input"], bands=["red", "green", "blue"])
print("three bands ", tuple(colours[4]["input"].shape))

corner = train.window(y=slice(0, 10), x=slice(0, 10))
print("a window    ", {name: tuple(tensor.shape) for name, tensor in corner[4].items()})

# %% [markdown]
# ## Where the samples are: the catalog
#
# Each split has a catalog with one row a sample: its id, its footprint, what the author noted of it. Columns are read
# when they are asked for, and become pandas with `train.metadata.to_pandas()`. The scene's files have no date, so
# there is no column `datetime`: nothing is made up.

# %%
print(train.metadata.columns)
table = train.metadata.to_table(["id", "row", "column", "clay_percent"])
for row in table.slice(0, 3).to_pylist():
    print(row)
clay_percent = table["clay_percent"].to_numpy()
even = abs(clay_percent - 50).argsort()[:6].tolist()
print("nearest to half clay, half other:", table["id"].take(even).to_pylist())

# %% [markdown]
# ## Ready for a network
#
# The collection carries exact statistics of every band, of the training split alone. `normalized()` uses them: mean 0
# and standard deviation 1, float32. It leaves the labels as they are. Mean 0 is that of the whole
# split: one sample, darker or brighter than most, lies below or above it.

# %%
statistics = train.statistics("input")
for name, mean, std in zip(statistics.bands, statistics.mean, statistics.std, strict=True):
    print(f"  {name}: mean {mean:7.1f}, standard deviation {std:6.1f}")

normal = train.normalized()
print("sample 4 now:", normal[4]["input"].dtype, "mean", round(normal[4]["input"].mean().item(), 3))

# %% [markdown]
# `batches` reads ahead while your model computes. The order depends on the seed and the epoch alone: the same on
# every machine, and an interrupted epoch can go on where it stopped.

# %%
seen = 0
for batch in normal.batches(32, shuffle=True, seed=0, epoch=0):
    seen += len(batch["input"])  # here stands your training step
print(seen, "samples in", len(normal.batches(32)), "batches")

# %% [markdown]
# A dataset is also what torch's own loader expects. Over a network give it `iterable`, which reads ahead just the same;
# `DataLoader(normal, shuffle=True)` works too, but waits for the network at every batch, and a notice says so.

# %%
from torch.utils.data import DataLoader  # noqa: E402  imported where it is shown

first = next(iter(DataLoader(normal.iterable(16, shuffle=True), batch_size=None)))
print("from a DataLoader:", tuple(first["input"].shape), tuple(first["target"].shape))

# %% [markdown]
# ## Look
#
# `plot` draws samples by number: red, green and blue are found by the bands' common names, masks get the colours and
# names of their classes. In a notebook the picture shows by itself. These are the six chips that are nearest to half
# and half:

# %%
from mlstac.pictures import save  # noqa: E402  imported where it is shown

picture = train.plot(even, title="Clay and other ground, half and half")
print("wrote", save(picture, out / "tutorial-01.png"))
print("all of this took", server.requests, "requests and", f"{server.bytes_sent:,} bytes")
server.close()
