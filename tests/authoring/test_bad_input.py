"""What cannot be written is refused by name, and nothing half-written is left."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import mlstac.authoring as authoring
from mlstac.collection import Collection, Tensor
from mlstac.errors import (
    ExistsError,
    InvalidArgumentError,
    InvalidSampleError,
    StateError,
)
from mlstac.sample import Sample


def image(n=0):
    return np.full((2, 8, 8), n, np.uint16)


@pytest.mark.parametrize(
    ("samples", "collection", "message"),
    [
        ([{"x": image()}, {"x": image().astype(np.float32)}], {}, "F32.*U16"),
        ([{"x": image()}], {"tensors": {"x": Tensor(dtype="F32")}}, "U16.*F32"),
        ([{"x": image()}], {"tensors": {"x": Tensor(shape=(3, 8, 8))}}, r"\(2, 8, 8\).*\(3, 8, 8\)"),
        ([{"x": image()}, {"y": image()}], {}, "'y'.*not described"),
        ([{"x": image(), "y": 1}, {"x": image()}], {}, "lacks the tensor 'y'"),
        ([{"x": image()}], {"tensors": {"y": Tensor()}}, "'x'.*not described"),
        ([{"x": np.array([1, None])}], {}, "object"),
        ([{"x": np.zeros(3, np.longdouble)}], {}, "float128|longdouble"),
        ([{"x": np.zeros(3, np.complex256 if hasattr(np, "complex256") else np.complex128)}], {}, "complex"),
        ([{"x": np.array(["2020"], "datetime64[D]")}], {}, "datetime64"),
        ([{"x": {1, 2}}], {}, "'x'"),
        ([{"x": image()}, {"x": "text"}], {}, "U8.*U16|text"),
        ([{"x": np.ones(3)}, {"x": np.ones((2, 2))}], {}, r"'x' of sample 'train-0000001' has shape \(2, 2\).*1 axes"),
        (
            [{"x": image()}],
            {"tensors": {"x": Tensor(dims="band y x", bands=["a", "b", "c"])}},
            "'x'.* 2 bands.*a, b, c",
        ),
        ([{"x": image()[0]}], {"tensors": {"x": Tensor(dims="band y x")}}, r"'x'.*\(8, 8\).*'band y x' name 3 axes"),
        ([{"a/b": image()}], {}, "slash"),
        ([{}], {}, "no tensors"),
        ([{"x": 1}, {"x": None}], {"tensors": {"x": Tensor(required=False)}}, "'train-0000001' has no tensors"),
        ([image()], {}, "dict of arrays"),
        ([None], {}, "dict of arrays"),
        ([Sample(tensors={"x": image()}, id="a"), Sample(tensors={"x": image()}, id="a")], {}, "'a' is used twice"),
        ([{"x": 300}], {"tensors": {"x": Tensor(dtype="U8")}}, "300.*U8"),
        ([{"x": [1, 2.5]}], {"tensors": {"x": Tensor(dtype="I32")}}, "2.5.*I32"),
        (
            [
                Sample(tensors={"x": image()}, properties={"p": 1}),
                Sample(tensors={"x": image()}, properties={"p": "1"}),
            ],
            {},
            "'p'.*text.*int",
        ),
        (
            [Sample(tensors={"x": image()}, datetimes=["2020-01-01", "2020-01-02", "2020-01-03"])],
            {"tensors": {"x": Tensor(dims="time y x")}},
            "3 datetimes.*2 steps",
        ),
    ],
)
def test_a_bad_sample_is_refused_by_name_and_leaves_nothing(tmp_path, samples, collection, message):
    path = tmp_path / "out"
    with pytest.raises((InvalidSampleError, InvalidArgumentError), match=message):
        authoring.write(samples, path, Collection(id="x", **collection))
    assert not path.exists()


@pytest.mark.parametrize("split", ["a/b", "..", "", "all", "train+test", ".hidden", "val"])
def test_a_split_name_that_is_no_plain_folder_is_refused(tmp_path, split):
    with pytest.raises(InvalidArgumentError, match="split name"):
        authoring.write({split: [{"x": 1}]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_id_is_unique_over_splits_and_shards(tmp_path):
    def samples():
        for number in range(20):
            yield Sample(tensors={"x": image(number)}, id=f"s{number}")

    with pytest.raises(InvalidSampleError, match="'s7' is used twice"):
        authoring.write(
            {"train": samples(), "test": [Sample(tensors={"x": image()}, id="s7")]}, tmp_path, shard_size=1000
        )
    assert not (tmp_path / "collection.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        {"compression": "lz4"},
        {"compression": "zstd:0"},
        {"layout": "sideways"},
        {"shard_size": "a lot"},
        {"shard_size": 0},
        {"storage_options": {"key": "secret"}},
        {"split_by": {"block_size": 100}},
        {"split_by": {"block_size_m": 0.5}},
        {"split_by": {"block_size_m": 100, "column": "scene"}},
        {"split_by": {"column": 3}},
        {"split_by": {"column": "scene", "fractions": {"train": 0.5}}},
        {"split_by": {"column": "scene", "fractions": {"train": 1.5, "test": -0.5}}},
        {"split_by": {"column": "scene", "fractions": {"../x": 1.0}}},
        {"split_by": {"column": "scene", "seed": 0.5}},
        {"collection": Collection(id="x"), "license": "MIT"},
        {"tasks": ["nonsense"]},
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused_before_anything_is_made(tmp_path, arguments):
    with pytest.raises(InvalidArgumentError) as caught:
        authoring.write([{"x": 1}], tmp_path / "out", **arguments)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_task_whose_label_is_missing_is_refused_with_the_first_sample(tmp_path):
    with pytest.raises(InvalidArgumentError, match="segmentation"):
        authoring.write([{"input": image()}], tmp_path / "out", tasks=["semantic-segmentation"])
    assert not (tmp_path / "out").exists()


def test_a_remote_url_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(InvalidArgumentError, match="web servers take no uploads"):
        authoring.write([{"x": 1}], "https://example.org/x")


def test_leaving_by_an_exception_keeps_whole_shards_and_shows_nothing(tmp_path):
    writer = authoring.Writer(tmp_path, Collection(id="x"), shard_size=1000)

    def break_off():
        with writer:
            for number in range(20):
                writer.add({"x": image(number)})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert not (tmp_path / "collection.json").exists()
    assert not list(tmp_path.rglob("*.mlstac-tmp"))
    assert list(tmp_path.rglob("*.safetensors"))
    with pytest.raises(StateError, match="not open"):
        writer.add({"x": image()})


def test_an_iterator_that_raises_gives_its_own_error_and_can_be_gone_on_with(tmp_path):
    def samples(*, stop):
        for number in range(20):
            if number == stop:
                raise RuntimeError("the disk of the camera is gone")
            yield {"x": image(number)}

    with pytest.raises(RuntimeError, match="camera"):
        authoring.write(samples(stop=17), tmp_path, shard_size=1000, id="x")
    collection = authoring.write(samples(stop=None), tmp_path, shard_size=1000, id="x")
    assert collection.train.n_items == 20


def test_a_second_writer_on_one_path_is_refused(tmp_path):
    with authoring.Writer(tmp_path, Collection(id="x")) as writer:
        writer.add({"x": 1})
        with pytest.raises(ExistsError, match=str(os.getpid())):
            authoring.write([{"x": 1}], tmp_path)
        program = f"import mlstac.authoring as a; a.write([{{'x': 1}}], {str(tmp_path)!r})"
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "another writer is at work" in other.stderr
    assert (tmp_path / "collection.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_a_forked_child_that_outlives_its_killed_parent_holds_no_lock(tmp_path):
    program = f"""
import os, signal, mlstac.authoring as a
from mlstac.collection import Collection
with a.Writer({str(tmp_path)!r}, Collection(id="x")) as writer:
    if os.fork() == 0:
        print(os.getpid(), flush=True)
    signal.pause()
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())  # it lives, and has done what is done after a fork
        try:
            parent.kill()
            assert parent.wait(timeout=60) == -signal.SIGKILL
            assert authoring.write([{"x": 1}], tmp_path, id="x").train.n_items == 1
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="needs users and modes")
def test_a_read_only_folder_is_refused_by_name(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    program = f"""
import os, mlstac.authoring as authoring
from mlstac.errors import AccessError
if os.geteuid() == 0:
    os.setuid(65534)  # the superuser may write anywhere
try:
    authoring.write([{{"x": 1}}], {str(folder / "out")!r})
except AccessError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "choose a folder that this user may write to" in said
    assert list(folder.iterdir()) == []


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path):
    (tmp_path / "out").write_text("here already")
    with pytest.raises(ExistsError, match="in the way"):
        authoring.write([{"x": 1}], tmp_path / "out")
    assert (tmp_path / "out").read_text() == "here already"


def _write_under_a_limit(path, limit, *, n=40):
    """Author in a process whose files may not grow past ``limit`` bytes: what a full disk does, without filling one."""
    program = f"""
import resource, sys, numpy as np
import mlstac.authoring as authoring
from mlstac.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    samples = ({{"x": np.full((2, 8, 8), n, np.uint16)}} for n in range({n}))
    authoring.write(samples, {str(path)!r}, shard_size=2000, id="x")
except StorageError as error:
    print(type(error).__name__, error)
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_a_full_disk_is_a_named_error_and_the_same_call_goes_on(tmp_path):
    said = _write_under_a_limit(tmp_path, 1500)
    assert said.startswith("StorageError")
    assert "make the same call again" in said
    assert not (tmp_path / "collection.json").exists()
    assert not list(tmp_path.rglob("*.mlstac-tmp"))
    assert _write_under_a_limit(tmp_path, 10**8) == ""
    assert Collection.from_file(tmp_path).train.n_items == 40


def test_bands_that_do_not_fit_are_refused_at_the_first_sample(tmp_path):
    declared = Collection(id="x", tensors={"x": Tensor(dims="band y x", bands="sentinel-2-l1c")})
    with authoring.Writer(tmp_path / "out", declared) as writer:
        with pytest.raises(InvalidSampleError, match=r"12 bands .* 13 are described"):
            writer.add({"x": np.ones((12, 8, 8), np.uint16)})
        writer.add({"x": np.ones((13, 8, 8), np.uint16)})


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_float64_is_not_taken_for_what_numpy_has_no_dtype_of(tmp_path, split):
    import torch

    first = {"x": torch.ones(4, dtype=torch.bfloat16)}
    with pytest.raises(InvalidSampleError, match=r"'x' of sample '.*-0000001' is of dtype F64, but 'x' is of BF16"):
        authoring.write({split: [first, {"x": np.ones(4)}]}, tmp_path / "out", id="x", license="MIT")
