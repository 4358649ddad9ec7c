"""The demo: author, host, load, train and look, told in steps."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console

import mlstac
from mlstac.cli.demo._chips import cut_chips, describe_demo
from mlstac.cli.demo._network import BATCH, Score, train_network
from mlstac.cli.demo._picture import draw_demo
from mlstac.cli.demo._scene import Scene, find_scene, read_scene
from mlstac.errors import ExistsError
from mlstac.frameworks import get_adapter
from mlstac.storage import Server, open_server

DATASET = "clay"
"""Folder of the dataset under the demo's own."""

_SHOWN_COLUMNS = ("id", "bbox", "row", "column", "clay_percent")


def run_demo(out: Path, *, echo: Console | None = None, epochs: int = 30, seed: int = 0) -> Score:
    """Author a dataset of a real Sentinel-2 scene, host it, load it over HTTP, train on it and draw it.

    Parameters
    ----------
    out : Path
        Folder of the demo: the dataset goes to ``clay/`` in it, the picture to ``preview.png``. What an earlier run
        left is replaced.
    echo : rich.console.Console, optional
        Where the story is told; by default standard output.
    epochs, seed : int, optional
        Of the small network.

    Returns
    -------
    Score
        Of the network on the validation split.

    Raises
    ------
    MissingPackageError, MissingFrameworkError
        If the scene, scipy, matplotlib or torch is not installed; before anything is written.
    ExistsError
        If ``out/clay`` holds something else than an earlier demo.
    """
    echo = echo or Console(highlight=False)
    _require_everything()
    out = Path(out)
    echo.print("[bold]mlstac demo[/] · author, host, load and look at a real Sentinel-2 dataset")
    scene = _tell_scene(echo)
    _tell_authoring(echo, scene, out)
    with open_server(out) as server:
        _tell_hosting(echo, server)
        train, validation = _tell_loading(echo, server)
        network, score = _tell_training(echo, train, validation, epochs=epochs, seed=seed)
        picture = draw_demo(validation, network, server.url + f"{DATASET}/", out / "preview.png")
    _tell_end(echo, out, picture)
    return score


def author_scene(folder: Path, scene: Scene | None = None) -> Counter[str]:
    """Write the demo's dataset into a folder, in place of what an earlier demo wrote there.

    Returns
    -------
    collections.Counter
        Samples a split.

    Raises
    ------
    ExistsError
        If the folder holds something else.
    """
    scene = read_scene(find_scene()) if scene is None else scene
    collection = describe_demo(scene)
    _clear(folder, collection.id)
    counts: Counter[str] = Counter()
    with mlstac.Writer(folder, collection) as writer:
        for chip in cut_chips(scene):
            writer.add(chip.sample, split=chip.split)
            counts[chip.split] += 1
    return counts


_OWN = {
    ".mlstac",
    "README.md",
    "collection.json",
    "croissant.json",
    "footprints.png",
    "samples.png",
    "test",
    "train",
    "validation",
}
"""What an authoring leaves in its folder, whole or broken off."""


def _clear(folder: Path, collection_id: str) -> None:
    """Remove a dataset that an earlier demo wrote, or began to write, and nothing else."""
    names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if not names:
        return
    try:
        found = json.loads((folder / "collection.json").read_text(encoding="utf-8")).get("id")
    except FileNotFoundError:
        found = collection_id if ".mlstac" in names else None  # broken off before the collection was written
    except (OSError, ValueError, AttributeError):
        found = None
    if found != collection_id or not names <= _OWN:
        raise ExistsError(
            f"{folder} holds something else than an earlier demo; choose another folder, or remove it yourself"
        )
    shutil.rmtree(folder)


def _require_everything() -> None:
    """Look for all that the demo needs before it writes anything, so that it fails at once or not at all."""
    find_scene()
    get_adapter("torch")
    import mlstac.pictures  # noqa: F401  says which package is missing


def _tell_step(echo: Console, number: int, words: str) -> None:
    echo.print(f"\n[bold cyan]{number}[/]  [bold]{words}[/]")


def _tell(echo: Console, words: str, *, style: str = "") -> None:
    for line in words.splitlines():
        echo.print(f"   {line}".rstrip(), style=style, markup=False, soft_wrap=True)


def _tell_scene(echo: Console) -> Scene:
    _tell_step(echo, 1, "Read a scene")
    scene = read_scene(find_scene())
    bands, height, width = scene.image.shape
    names = " ".join(band.name or "" for band in scene.bands)
    _tell(echo, f"Sentinel-2 over Santa Cruz, Argentina: {bands} bands ({names}),")
    _tell(
        echo,
        f"{height} × {width} pixels of {scene.transform[0]:g} m, {scene.crs}. No date in its files: none is claimed.",
    )
    _tell(echo, "B11 and B12 come at 20 m: each of their pixels is repeated over four of 10 m.", style="dim")
    return scene


def _tell_authoring(echo: Console, scene: Scene, out: Path) -> None:
    _tell_step(echo, 2, "Author a dataset")
    folder = out / DATASET
    _tell(echo, f'with mlstac.Writer("{folder.as_posix()}", collection) as writer:', style="green")
    _tell(echo, "    for chip in cut_chips(scene):", style="green")
    _tell(echo, "        writer.add(chip.sample, split=chip.split)", style="green")
    start = time.perf_counter()
    counts = author_scene(folder, scene)
    seconds = time.perf_counter() - start
    splits = ", ".join(f"{split} {count}" for split, count in counts.items())
    _tell(echo, f"{counts.total()} samples in {seconds:.1f} s, split by location from west to east: {splits}.")
    _tell(echo, "The target: where SWIR1 / SWIR2 is above its median over the train area (clay absorbs at 2.2 µm).")
    files = [path for path in folder.rglob("[!.]*") if path.is_file() and path.relative_to(folder).parts[0][0] != "."]
    files.sort(key=lambda path: (len(path.relative_to(folder).parts), path))
    _tell_rows(echo, [(path.relative_to(folder).as_posix(), f"{path.stat().st_size:,} bytes") for path in files])


def _tell_hosting(echo: Console, server: Server) -> None:
    _tell_step(echo, 3, "Host it")
    _tell(echo, f"Any web server of plain files will do. This one, of mlstac serve, is at {server.url}")


def _tell_loading(echo: Console, server: Server) -> tuple[Any, Any]:
    _tell_step(echo, 4, "Load it over HTTP")
    url = f"{server.url}{DATASET}/"
    traffic = _Traffic(server)
    _tell(echo, f'train = mlstac.load("{url}", split="train", framework="torch")', style="green")
    train = mlstac.load(url, split="train", framework="torch")
    _tell(echo, repr(train))
    traffic.note("the collection")

    _tell(echo, "\ntrain.metadata  # the catalog: one row a sample", style="green")
    columns = [name for name in _SHOWN_COLUMNS if name in train.metadata.columns]
    rows = train.metadata.to_table(columns).slice(0, 5).to_pylist()
    _tell_rows(echo, [tuple(columns), *(tuple(_said(row[name]) for name in columns) for row in rows)])
    traffic.note(f"the catalog of {len(train)} rows")

    _tell(echo, "\nsample = train[4]", style="green")
    sample = train[4]
    for name, tensor in sample.items():
        _tell(echo, f'sample["{name}"]: {tensor.dtype}, shape {tuple(tensor.shape)}, on {tensor.device}')
    _tell(echo, 'sample["input"][:, 10, 10]  # six bands of the middle pixel', style="green")
    _tell(echo, repr(sample["input"][:, 10, 10]))
    _tell(echo, 'sample["target"][::4, ::2]  # 1 is clay', style="green")
    _tell(echo, repr(sample["target"][::4, ::2]))
    traffic.note("sample 4")

    whole = len(train) * sum(tensor.nbytes for tensor in sample.values())
    _tell(echo, f"\nWhat went over the network (all samples of train are {whole:,} bytes):")
    _tell_rows(echo, traffic.rows())
    return train, mlstac.load(url, split="validation", framework="torch")


class _Traffic:
    """What a server was asked for, and what it sent, step by step."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._steps = [("", server.requests, server.bytes_sent)]

    def note(self, step: str) -> None:
        """Put down what was fetched since the last step."""
        self._steps.append((step, self._server.requests, self._server.bytes_sent))

    def rows(self) -> list[tuple[str, ...]]:
        """Step, requests and bytes, in words."""
        pairs = [*pairwise(self._steps), (self._steps[0], ("together", *self._steps[-1][1:]))]
        return [_count(name, asked - before[1], sent - before[2]) for before, (name, asked, sent) in pairs]


def _count(step: str, requests: int, sent: int) -> tuple[str, ...]:
    return step, f"{requests} request{'' if requests == 1 else 's'}", f"{sent:,} bytes"


def _tell_training(echo: Console, train: Any, validation: Any, *, epochs: int, seed: int) -> tuple[Any, Score]:
    _tell_step(echo, 5, "Train a small network")
    loop = f"for batch in train.normalized().batches({BATCH}, shuffle=True, seed={seed}, epoch=epoch): ..."
    _tell(echo, loop, style="green")
    scores: list[Score] = []

    def report(epoch: int, loss: float, score: Score) -> None:
        scores.append(score)
        if epoch == 1 or epoch % 5 == 0 or epoch == epochs:
            _tell(echo, f"epoch {epoch:2d}   loss {loss:.3f}   validation accuracy {score.accuracy:.3f}")

    network = train_network(train.normalized(), validation.normalized(), epochs=epochs, seed=seed, report=report)
    score = scores[-1]
    echo.print(
        f"   validation accuracy [bold]{score.accuracy:.3f}[/]; always answering the larger class: {score.majority:.3f}"
    )
    return network, score


def _tell_end(echo: Console, out: Path, picture: Path) -> None:
    _tell_step(echo, 6, "Look")
    _tell(echo, f"{picture.as_posix()}: chips with their targets and the network's answers, and a map of the splits.")
    echo.print("\n[bold]What next[/]")
    folder = (out / DATASET).as_posix()
    _tell_rows(
        echo,
        [
            (f"mlstac info {folder}", "what the dataset says of itself"),
            (f"mlstac serve {out.as_posix()}", "host it, to load it from elsewhere"),
            ("tutorials/01_load_and_look.py", "bands, batches, metadata, pictures"),
            ("tutorials/02_your_own_images.py", "a dataset of your own images"),
        ],
    )


def _tell_rows(echo: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Tell rows in columns; what looks like a number stands at the right of its column."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if any(_is_number(other[place]) for other in rows) else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        _tell(echo, "   ".join(cells).rstrip())


def _is_number(cell: str) -> bool:
    return cell.removesuffix(" bytes").replace(",", "").replace(".", "").isdigit()


def _said(value: Any) -> str:
    return "(" + ", ".join(f"{edge:.4f}" for edge in value.values()) + ")" if isinstance(value, dict) else str(value)
