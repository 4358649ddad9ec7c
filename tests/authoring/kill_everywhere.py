"""Author one small dataset again and again, killed by SIGKILL at each of its dealings with the file system, then rerun.

A program and not a test module: it forks, and a process that forks should have started no thread. Prints one JSON
object.

Usage: ``python kill_everywhere.py FOLDER new|overwrite|parts|append|widen|adopt STRIDE [COMPRESSION]``
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pyproj
import yaml

import mlstac.authoring
import mlstac.cards
from mlstac.collection import Collection, Tensor
from mlstac.frameworks import get_adapter
from mlstac.sample import Sample, catalog_table, rows_table

EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}

# Loaded on first use: here, before the forks, so that not every child has to.
_ = (rows_table, catalog_table, get_adapter("numpy"), mlstac.cards, yaml, pyproj)

# The card goes without pictures: each of the hundreds of files that matplotlib reads would be a dealing. Pictures that
# were broken off have a test of their own.
sys.modules["matplotlib"] = None


def samples(*, offset):
    """Interleaved splits; stacked, jagged and encoded tensors; floats with NaN; place and time."""
    rng = np.random.default_rng(7)
    for number in range(12):
        image = (rng.normal(offset, 3, (2, 16, 16))).astype(np.float32)
        image[0, 0, 0] = np.nan
        sample = Sample(
            tensors={
                "image": image,
                "mask": rng.integers(0, 3, (16, 16), dtype=np.uint8),
                "boxes": rng.normal(size=(number % 4, 4)),
                "caption": "word " * (number % 5),
                "class": np.uint8(number % 3),
            },
            id=f"s{number}",
            bbox=(number, 10, number + 1, 11),
            datetime=f"2020-01-{number + 1:02d}",
            properties={"cloud": number / 7, "name": f"n{number}"},
        )
        yield sample, "train" if number % 5 else "validation"


def describe():
    """The collection that is written."""
    return Collection(
        id="killed",
        license="MIT",
        tensors={
            "image": Tensor(dims="band y x", bands=["a", "b"]),
            "mask": Tensor(dims="y x", role="label", classes=["x", "y", "z"]),
            "boxes": Tensor(shape=(None, 4)),
            "caption": Tensor(),
            "class": Tensor(role="label"),
        },
    )


def author(path, *, overwrite, offset, in_parts=False):
    """The call that is killed and made again."""
    compression = sys.argv[4] if len(sys.argv) > 4 else None
    options = {"shard_size": 9000, "compression": compression}
    if in_parts:
        parts = [partial(part, start) for start in (0, 7, 8)]
        mlstac.authoring.write_parts({"train": parts, "test": []}, path, describe(), **options)
        return
    with mlstac.authoring.Writer(path, describe(), overwrite=overwrite, **options) as writer:
        for sample, split in samples(offset=offset):
            writer.add(sample, split=split)


def part(start):
    """Some of the samples."""
    stop = {0: 7, 7: 8, 8: 12}[start]
    return [sample for sample, _ in samples(offset=100)][start:stop]


def grow(path, *, widen):
    """The append that is killed and made again; a new column has every catalog written anew."""
    with mlstac.authoring.Writer(path, append=True, shard_size=9000) as writer:
        for sample, split in samples(offset=50):
            properties = sample.properties | ({"new": "column"} if widen else {})
            more = Sample(sample.tensors, id=f"{sample.id}-b", bbox=sample.bbox, datetime="2021", properties=properties)
            writer.add(more, split=split)


def digest(path):
    """Every file that readers may see, by its sha256."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and ".mlstac" not in file.relative_to(path).parts
    }


def watch(path, *, kill_at):
    """Count what is done to the files under ``path``; at number ``kill_at``, before it is done, the process dies."""
    counted, lock = [0], threading.Lock()

    def hook(event, arguments):
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return  # reading changes nothing
        if event in EVENTS and str(arguments[0]).startswith(str(path)):
            with lock:  # else one thread counts on before another has looked, and nobody dies
                counted[0] += 1
                if counted[0] == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return counted


def in_child(work):
    """Run a function in a forked process; its wait status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitpid(child, 0)[1]


def visible_state(path):
    """What a reader sees: None, or the digest of every file that the collection names, checked against it."""
    if not (path / "collection.json").exists():
        return None
    document = json.loads((path / "collection.json").read_text())
    for asset in document["assets"].values():
        data = (path / asset["href"]).read_bytes()
        assert len(data) == asset["file:size"]
        assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
    return hashlib.sha256((path / "collection.json").read_bytes()).hexdigest()


def is_finished(path):
    """Whether the collection that readers see is the one that the last run in the journal was to write."""
    runs = sorted((path / ".mlstac" / "journal").glob("*/run.json"))
    return bool(runs) and json.loads(runs[-1].read_text()).get("commits") == visible_state(path)


def says_so(path):
    """Whether the last run knows that it is finished: else the same call must find out, and do nothing twice."""
    runs = sorted((path / ".mlstac" / "journal").glob("*/run.json"))
    return bool(json.loads(runs[-1].read_text()).get("finished"))


def main(folder, *, mode, stride):
    """Kill at every point, or at every so many."""
    folder = Path(folder)
    grows = mode in ("append", "widen", "adopt")

    if mode not in ("new", "parts"):
        assert in_child(lambda: author(folder / "old", overwrite=False, offset=1)) == 0
    if mode == "adopt":
        shutil.rmtree(folder / "old" / ".mlstac")

    def prepare(path):
        if mode not in ("new", "parts"):
            shutil.copytree(folder / "old", path)
        return visible_state(path)

    def call(path):
        if grows:
            grow(path, widen=mode == "widen")
        else:
            author(path, overwrite=mode == "overwrite", offset=100, in_parts=mode == "parts")

    whole = folder / "whole"
    prepare(whole)
    report = folder / "count"

    def count():
        counted = watch(whole, kill_at=None)
        call(whole)
        report.write_text(str(counted[0]))

    assert in_child(count) == 0
    wanted, new = digest(whole), visible_state(whole)
    killed, wrong, half, done = 0, [], [], []
    points = range(1, int(report.read_text()) + 1, stride)
    for point in points:
        path = folder / f"killed-{point}"
        old = prepare(path)

        def doomed(path=path, point=point):
            watch(path, kill_at=point)
            call(path)

        status = in_child(doomed)
        killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if visible_state(path) not in (old, new):
            half.append(point)
        if is_finished(path) and digest(path) == wanted and (not grows or says_so(path)):
            done.append(point)  # nothing was left to do but to let go of the lock
        else:
            rerun = in_child(lambda path=path: call(path))
            if rerun != 0 or digest(path) != wanted:
                wrong.append(point)
        shutil.rmtree(path)  # a memory that files are kept in may be small
    print(json.dumps({"points": len(points), "killed": killed, "wrong": wrong, "half": half, "done": done}))


if __name__ == "__main__":
    main(sys.argv[1], mode=sys.argv[2], stride=int(sys.argv[3]))
