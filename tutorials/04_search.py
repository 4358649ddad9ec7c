# %% [markdown]
# # Search before reading
#
# A dataset of the whole Earth, and you want the cloudless chips of one sea in one summer. This tutorial makes such a
# dataset, asks it questions by place, time and attribute, counts the bytes that the answers cost over a network, and
# draws what was found.
#
# Run it from the folder of the repository: `python tutorials/04_search.py`, or cell by cell in an editor that knows
# `# %%`. It needs matplotlib. Everything it writes goes to the folder `demo`.

# %%
from pathlib import Path

import numpy as np

import mlstac
from mlstac.storage import open_server

out = Path("demo")

# %% [markdown]
# ## A dataset to search
#
# 2,000 chips of an invented sea temperature, all over the Earth, over two years: warm near the equator, warmer in each
# hemisphere's summer, with clouds as no-data. Each sample has a place, a time, and two columns of its own. Nothing
# here is an observation.

# %%
rng = np.random.default_rng(4)
DEGREES, SIDE = 2.0, 32


def invent_chip(number):
    west, south = rng.uniform(-180, 180), rng.uniform(-60, 58)
    day = int(rng.integers(0, 730))
    date = np.datetime64("2020-01-01T10:00") + np.timedelta64(day, "D")
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    latitude = south + DEGREES * (1 - y)
    season = 6 * np.cos((day - 200) / 365 * 2 * np.pi) * np.tanh(latitude / 15)
    eddies = sum(np.sin(rng.uniform(5, 20) * (x * np.cos(a) + y * np.sin(a)) + a) for a in rng.uniform(0, 6, 4))
    celsius = 28 - 0.45 * np.abs(latitude) + season + 0.6 * eddies
    cloudy = rng.random() * (1 + np.sin(9 * x + rng.uniform(0, 6)) * np.sin(7 * y + rng.uniform(0, 6))) / 2
    hidden = cloudy > 0.4
    east = west + DEGREES
    return mlstac.Sample(
        {"celsius": np.where(hidden, np.nan, celsius).astype(np.float32)},
        id=f"chip-{number:04}",
        bbox=(west, south, east if east <= 180 else east - 360, south + DEGREES),
        datetime=date,
        properties={"cloud_percent": round(float(100 * hidden.mean()), 1), "fold": number % 5},
    )


collection = mlstac.Collection(
    id="invented-sea",
    title="An invented sea",
    license="CC0-1.0",
    tensors={"celsius": mlstac.Tensor(dims="y x", nodata=float("nan"), unit="°C")},
)
mlstac.write((invent_chip(number) for number in range(2000)), out / "sea", collection, overwrite=True)

# %% [markdown]
# ## Ask
#
# Over HTTP, as from a host far away; the server counts what it sends.

# %%
server = open_server(out)
sea = mlstac.load(server.url + "sea/", framework="numpy")
before = server.bytes_sent

mediterranean = sea.filter(bbox=(-6, 30, 36, 46))
summer = mediterranean.filter(datetime="2020-06/2020-08")
clear = summer.filter(where="cloud_percent < 10")
print(
    len(sea), "chips,", len(mediterranean), "in the box,", len(summer), "of them in summer 2020,", len(clear), "clear"
)
print(f"asked with {server.bytes_sent - before:,} bytes of the catalog, and none of a chip")

# %% [markdown]
# A filter gives a dataset: it has a length, an order and batches, and can be filtered again. All at once is the same:

# %%
again = sea.filter(bbox=(-6, 30, 36, 46), datetime="2020-06/2020-08", where="cloud_percent < 10")
assert again.fingerprint == clear.fingerprint
before = server.bytes_sent
chips = [clear[row]["celsius"] for row in range(len(clear))]
whole = 4 * SIDE * SIDE * len(sea)
print(f"{len(chips)} chips took {server.bytes_sent - before:,} bytes, of {whole:,} in all")

# %% [markdown]
# ## A shape, and the antimeridian
#
# `intersects` takes GeoJSON or a shapely geometry. Fiji lies on both sides of 180 degrees; a box whose west is greater
# than its east, or a polygon that runs on past 180, finds both.

# %%
fiji = {"type": "Polygon", "coordinates": [[[170, -25], [190, -25], [195, -15], [180, -8], [165, -15], [170, -25]]]}
around_fiji = sea.filter(intersects=fiji)
west = [row["bbox"]["xmin"] for row in around_fiji.metadata.to_table(["bbox"]).to_pylist()]
print("around Fiji:", sum(x > 0 for x in west), "west of 180 degrees,", sum(x < 0 for x in west), "east of it")

# %% [markdown]
# ## Folds
#
# A column is enough for cross-validation: what a fold trains on and what it is tested on are two filters.

# %%
for fold in range(5):
    train, held_out = sea.filter(where=f"fold <> {fold}"), sea.filter(where=f"fold = {fold}")
    print(f"fold {fold}: train on {len(train)}, test on {len(held_out)}")

# %% [markdown]
# A name that is not there, or a question that makes no sense, says so before anything is read:

# %%
for where in ("clouds < 10", "cloud_percent < 'few'"):
    try:
        sea.filter(where=where)
    except mlstac.errors.MlstacError as error:
        print(f"{where!r}: {error}")

# %% [markdown]
# ## Look
#
# Where all chips are, which are clear in each month of that summer, and some of them.

# %%
import matplotlib.pyplot as plt  # noqa: E402  imported where it is shown


def middles(dataset):
    boxes = dataset.metadata.to_table(["bbox"])["bbox"].to_pylist()
    return np.array([[box["xmin"] + DEGREES / 2, box["ymin"] + DEGREES / 2] for box in boxes]).T


clear_summer = sea.filter(datetime="2020-06/2020-08", where="cloud_percent < 10")
means = [float(np.nanmean(clear_summer[row]["celsius"])) for row in range(len(clear_summer))]
warmest = np.argsort(means)[-6:][::-1]

figure = plt.figure(figsize=(11, 8.5), dpi=100, layout="constrained", facecolor="#f4f6f8")
grid = figure.add_gridspec(2, 6, height_ratios=[2.4, 1])
world = figure.add_subplot(grid[0, :], facecolor="#e3e8ee")
world.scatter(*middles(sea), s=5, color="#aab4c0", label=f"all {len(sea)} chips")
coloured = {"c": means, "cmap": "turbo", "vmin": 0, "vmax": 34, "edgecolors": "black", "linewidths": 0.4}
found = world.scatter(*middles(clear_summer), s=34, **coloured)
for dataset, colour, words in (
    (around_fiji, "#0072b2", "around Fiji, on both sides of 180°"),
    (mediterranean, "#d55e00", "in the box of the Mediterranean"),
):
    world.scatter(*middles(dataset), s=70, facecolors="none", edgecolors=colour, label=words)
world.set(xlim=(-180, 180), ylim=(-62, 62), xlabel="longitude", ylabel="latitude")
world.set_title(
    f"{len(clear_summer)} chips of June to August 2020 with less than 10 % cloud, by their mean temperature"
)
world.legend(loc="lower left", ncols=3, fontsize=8)
figure.colorbar(found, ax=world, label="°C", pad=0.01)
for place, row in enumerate(warmest.tolist()):
    axes = figure.add_subplot(grid[1, place], xticks=[], yticks=[])
    axes.imshow(clear_summer[row]["celsius"], cmap="turbo", vmin=means[row] - 3, vmax=means[row] + 3)
    axes.set_title(f"{clear_summer.metadata[row]['id']}\n{means[row]:.1f} °C", fontsize=9)
figure.savefig(out / "tutorial-04.png")
plt.close(figure)
print("wrote", out / "tutorial-04.png")
server.close()
