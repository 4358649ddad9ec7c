"""Parts written apart, in threads, in processes and on a Dask cluster, are one dataset in the order of the parts."""

import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

import mlstac
from mlstac.errors import ExistsError, InvalidArgumentError, InvalidSampleError, StorageError
from mlstac.sample import Sample
from tests.authoring._read import read_collection, read_rows, read_tensors
from tests.authoring.scenes import (
    SAMPLES_A_SCENE,
    dask_client,
    read_nameless,
    read_scene,
    read_scene_and_die_once,
    read_scene_and_note,
    read_scene_together,
    values_of,
)

SHARD_BYTES = 2100
"""Four samples of 512 bytes."""

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")


def write(parts, path, **options):
    return mlstac.write_parts(parts, path, **{"id": "scenes", "shard_size": SHARD_BYTES, **options})


def values(path, split="train"):
    return [int(x[0, 0, 0]) for x in read_tensors(path, split, "x", dtype=np.int32)]


def visible(path):
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and ".mlstac" not in file.relative_to(path).parts
    }


def check_scenes(path, n):
    """Complete, each sample once, in the order of the parts; checked against the files alone."""
    wanted = [value for scene in range(n) for value in values_of(scene)]
    assert values(path) == wanted
    assert read_rows(path)["id"].to_pylist() == [f"s{value}" for value in wanted]
    shards = sorted(path.glob("train/*.safetensors"))
    assert [shard.name for shard in shards] == [f"{number:05d}.safetensors" for number in range(len(shards))]
    said = read_collection(path)["item_assets"]["x"]["bands"][0]["statistics"]
    assert said["count"] == len(wanted) * 64
    assert said["mean"] == float(np.mean(wanted))
    assert said["stddev"] == pytest.approx(float(np.std(wanted)), rel=1e-15)
    assert not (path / ".mlstac" / "parts").exists()


def test_parts_without_an_executor_are_written_here(tmp_path):
    collection = write([partial(read_scene, scene) for scene in range(3)], tmp_path)
    assert collection.train.n_items == 3 * SAMPLES_A_SCENE
    check_scenes(tmp_path, 3)


def test_parts_in_threads_keep_their_order_whichever_ends_first(tmp_path):
    last_is_done = threading.Event()

    def scene(number):
        if number == 0:
            assert last_is_done.wait(60)
        yield from read_scene(number)
        if number == 2:
            last_is_done.set()

    with ThreadPoolExecutor(3) as executor:
        write([partial(scene, number) for number in range(3)], tmp_path, executor=executor)
    check_scenes(tmp_path, 3)


def test_parts_in_processes_are_those_of_one_process_byte_for_byte(tmp_path):
    parts = [partial(read_scene, scene) for scene in range(5)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        write(parts, tmp_path / "two", executor=executor)
    check_scenes(tmp_path / "two", 5)
    write(parts, tmp_path / "one")
    assert visible(tmp_path / "one") == visible(tmp_path / "two")


def test_a_whole_dataset_of_parts_loads_and_says_nothing_of_parts(tmp_path):
    write({"train": [partial(read_scene, 0), partial(read_scene, 1)], "test": [partial(read_scene, 2)]}, tmp_path)
    dataset = mlstac.load(tmp_path, split="test", framework="numpy")
    assert [int(dataset[at]["x"][0, 0, 0]) for at in range(len(dataset))] == values_of(2)
    assert "part" not in (tmp_path / "collection.json").read_text()


@needs_signals
def test_a_worker_of_a_pool_that_is_killed_is_named_and_the_same_call_goes_on(tmp_path):
    noted = tmp_path / "noted"
    noted.mkdir()
    parts = [
        partial(read_scene_and_note, 0, folder=noted),
        partial(read_scene_and_die_once, 1, marker=tmp_path / "died"),
        partial(read_scene, 2),
    ]
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
        pytest.raises(StorageError, match=r"worker died.*part 1 of split 'train'.*kept"),
    ):
        write(parts, tmp_path / "out", executor=executor)
    assert not (tmp_path / "out" / "collection.json").exists()
    [part] = [run.parent for run in (tmp_path / "out" / ".mlstac" / "parts").rglob("journal/*/run.json")]
    whole = len(list(part.glob("*.parquet")))  # a shard that is not in the journal yet is not whole
    left = sorted((tmp_path / "out" / ".mlstac" / "parts").rglob("*.safetensors"))
    before = {file.name: file.stat().st_mtime_ns for file in left[:whole]}
    assert before, "it was killed before any shard of its part was whole"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        write(parts, tmp_path / "out", executor=executor)
    check_scenes(tmp_path / "out", 3)
    assert len(list(noted.iterdir())) == 1, "a part that was whole was asked again"
    kept = {file.stat().st_mtime_ns for file in (tmp_path / "out" / "train").glob("*.safetensors")}
    assert set(before.values()) <= kept, "whole shards of the broken part were written again"


@needs_signals
def test_a_dask_worker_killed_while_writing_costs_nothing_but_its_part(tmp_path):
    parts = [
        partial(read_scene_and_die_once, scene, marker=tmp_path / "died") if scene == 2 else partial(read_scene, scene)
        for scene in range(6)
    ]
    with dask_client(tmp_path / "scratch") as client:
        pids = set(client.run(os.getpid).values())
        write(parts, tmp_path / "out", executor=client.get_executor())
    check_scenes(tmp_path / "out", 6)
    assert int((tmp_path / "died").read_text()) in pids - {os.getpid()}


def test_a_part_that_raises_gives_its_own_error_and_the_same_call_goes_on(tmp_path):
    noted = tmp_path / "noted"
    noted.mkdir()

    def failing():
        yield from list(read_scene(1))[:7]
        raise RuntimeError("the disk of the camera is gone")

    first = partial(read_scene_and_note, 0, folder=noted)
    with pytest.raises(RuntimeError, match="camera") as caught:
        write([first, failing, partial(read_scene, 2)], tmp_path / "out")
    assert "while writing part 1 of split 'train'" in caught.value.__notes__
    assert not (tmp_path / "out" / "collection.json").exists()
    write([first, partial(read_scene, 1), partial(read_scene, 2)], tmp_path / "out")
    check_scenes(tmp_path / "out", 3)
    assert len(list(noted.iterdir())) == 1


def test_a_part_that_gives_other_samples_after_a_failure_is_written_afresh(tmp_path):
    def failing():
        yield from list(read_scene(0, plus=5))[:9]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write([failing], tmp_path)
    write([partial(read_scene, 0)], tmp_path)
    check_scenes(tmp_path, 1)


def test_a_part_that_gives_fewer_samples_after_a_failure_is_written_afresh(tmp_path):
    def failing():
        yield from read_scene(0)
        yield from read_scene(1)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write([failing], tmp_path)
    write([partial(read_scene, 0)], tmp_path)
    check_scenes(tmp_path, 1)


def test_ids_that_samples_lack_hold_the_number_of_the_part(tmp_path):
    write([partial(read_nameless, 0), partial(read_nameless, 3)], tmp_path)
    ids = read_rows(tmp_path)["id"].to_pylist()
    assert ids[0] == "train-00000-0000000"
    assert ids[SAMPLES_A_SCENE] == "train-00001-0000000"
    assert len(set(ids)) == len(ids) == 2 * SAMPLES_A_SCENE


@pytest.mark.parametrize(
    ("tensors", "properties", "message"),
    [
        ({"x": np.zeros((2, 8, 8), np.float32)}, {"scene": 1}, "dtype F32.*I32"),
        ({"x": np.zeros((2, 8, 8, 1), np.int32)}, {"scene": 1}, "axes|dims"),
        ({"x": np.zeros((8, 8), np.int32)}, {"scene": 1}, "axes|dims"),
        ({"y": np.zeros((2, 8, 8), np.int32)}, {"scene": 1}, "'y'"),
        ({"x": np.zeros((2, 8, 8), np.int32)}, {"scene": "one"}, "'scene' is text, but was int"),
    ],
    ids=["dtype", "more axes", "fewer axes", "another tensor", "kind of a column"],
)
def test_parts_that_do_not_fit_together_are_named_and_the_mended_call_goes_on(tmp_path, tensors, properties, message):
    def other():
        return [Sample(tensors=tensors, id=f"o{number}", properties=properties) for number in range(6)]

    with pytest.raises(InvalidSampleError, match=rf"part 1 of split 'train'.*({message})"):
        write([partial(read_scene, 0), other], tmp_path)
    assert not (tmp_path / "collection.json").exists()
    write([partial(read_scene, 0), partial(read_scene, 1)], tmp_path)
    check_scenes(tmp_path, 2)


def test_an_id_that_two_parts_use_is_refused_and_the_mended_call_goes_on(tmp_path):
    with pytest.raises(InvalidSampleError, match=r"part 1 .*'s0' is used twice"):
        write([partial(read_scene, 0), partial(read_scene, 0)], tmp_path)
    write([partial(read_scene, 0), partial(read_scene, 1)], tmp_path)
    check_scenes(tmp_path, 2)


def test_shapes_that_vary_between_parts_loosen_the_layout(tmp_path):
    def boxes(n):
        return [{"boxes": np.full((n, 4), n, np.float32)} for _ in range(5)]

    write([partial(boxes, 3), partial(boxes, 2)], tmp_path)
    described = read_collection(tmp_path)["ml:tensors"]["boxes"]
    assert described["layout"] == "jagged"
    assert described["shape"] == [None, 4]
    found = read_tensors(tmp_path, "train", "boxes", dtype=np.float32)
    assert [len(array) for array in found] == [3] * 5 + [2] * 5


def test_other_parts_than_those_of_the_unfinished_run_are_refused_or_start_over(tmp_path):
    def failing():
        raise RuntimeError
        yield

    with pytest.raises(RuntimeError):
        write([partial(read_scene, 0), failing], tmp_path)
    with pytest.raises(InvalidArgumentError, match="differs in parts"):
        write([partial(read_scene, 0)], tmp_path)
    with pytest.raises(InvalidArgumentError, match="differs in parts"):
        mlstac.write(read_scene(0), tmp_path, id="scenes", shard_size=SHARD_BYTES)
    write([partial(read_scene, 0)], tmp_path, overwrite=True)
    check_scenes(tmp_path, 1)


def test_a_dataset_is_replaced_only_when_asked(tmp_path):
    write([partial(read_scene, 1)], tmp_path)
    before = visible(tmp_path)
    with pytest.raises(ExistsError, match="overwrite=True"):
        write([partial(read_scene, 0)], tmp_path)
    assert visible(tmp_path) == before
    write([partial(read_scene, 0), partial(read_scene, 1)], tmp_path, overwrite=True)
    assert values(tmp_path) == values_of(0) + values_of(1)
    assert before.keys() <= visible(tmp_path).keys()  # readers of the old state go on


def test_a_second_writer_is_refused_while_parts_are_being_written(tmp_path):
    with pytest.raises(ExistsError, match="another writer is at work"):
        write([lambda: mlstac.write([{"x": 1}], tmp_path)], tmp_path)


def test_empty_parts_are_none_and_all_of_them_empty_are_an_error(tmp_path):
    write([list, partial(read_scene, 0), list], tmp_path / "a")
    check_scenes(tmp_path / "a", 1)
    with pytest.raises(InvalidArgumentError, match="no sample in any part"):
        write([list, list], tmp_path / "b")
    assert not list((tmp_path / "b").rglob("*.safetensors"))
    collection = write({"train": [partial(read_scene, 0)], "test": [], "holdout": []}, tmp_path / "c")
    assert (collection.test.n_items, collection.splits["holdout"].n_items) == (0, 0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [([], "no parts"), ({}, "no parts"), ([[1, 2]], "part 0.*list.*callable"), (read_scene, "list of callables")],
)
def test_parts_that_are_none_are_refused_before_anything_is_made(tmp_path, parts, message):
    with pytest.raises(InvalidArgumentError, match=message):
        write(parts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (1, "returned an object of type int, where an iterable of samples was expected"),
        (None, r"returned None, .*`yield` or `return` missing"),
        ("scene", "returned an object of type str"),
        ({"x": np.zeros(3)}, "returned an object of type dict, .*put a single sample into a list"),
        (Sample({"x": np.zeros(3)}), "returned an object of type Sample, .*put a single sample into a list"),
    ],
)
def test_a_part_that_returns_no_samples_is_named_and_the_others_stay(tmp_path, returned, message):
    parts = [partial(read_scene, 0), lambda: returned, partial(read_scene, 1)]
    with pytest.raises(InvalidArgumentError, match=f"part 1 of split 'train' {message}"):
        write(parts, tmp_path)
    with (
        ThreadPoolExecutor(2) as executor,
        pytest.raises(InvalidArgumentError, match=f"part 1 of split 'train' {message}"),
    ):
        write(parts, tmp_path, executor=executor)
    write([parts[0], list, parts[2]], tmp_path)
    check_scenes(tmp_path, 2)


def test_a_part_that_no_process_can_be_sent_is_named(tmp_path):
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
        pytest.raises(InvalidArgumentError, match=r"part 0 .*another process.*functools\.partial"),
    ):
        write([lambda: read_scene(0)], tmp_path, executor=executor)


def test_split_by_divides_the_samples_of_each_part(tmp_path):
    parts = [partial(read_scene, scene) for scene in range(4)]
    split_by = {"column": "scene", "fractions": {"train": 0.5, "test": 0.5}, "seed": 1}
    with ThreadPoolExecutor(2) as executor:
        write(parts, tmp_path / "parts", split_by=split_by, executor=executor)
    together = [sample for scene in range(4) for sample in read_scene(scene)]
    mlstac.write(together, tmp_path / "whole", id="scenes", split_by=split_by)
    for split in ("train", "test"):
        assert values(tmp_path / "parts", split) == values(tmp_path / "whole", split) != []


def test_two_processes_are_at_work_at_once(tmp_path):
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(2, mp_context=context) as executor:
        both = manager.Barrier(2, timeout=60)  # one process alone would wait for ever
        write([partial(read_scene_together, scene, barrier=both) for scene in range(2)], tmp_path, executor=executor)
    check_scenes(tmp_path, 2)


def test_compressed_parts_keep_their_suffix_and_can_be_appended_to(tmp_path):
    write([partial(read_scene, scene) for scene in range(2)], tmp_path, compression="zstd")
    assert [file.name for file in sorted(tmp_path.glob("train/0*"))] == [f"{n:05d}.safetensors.zst" for n in range(8)]
    dataset = mlstac.load(tmp_path, framework="numpy")
    assert [int(dataset[at]["x"][0, 0, 0]) for at in range(len(dataset))] == values_of(0) + values_of(1)
    mlstac.append(tmp_path, read_scene(2), split="train")
    dataset = mlstac.load(tmp_path, framework="numpy")
    assert [int(dataset[at]["x"][1, 7, 7]) for at in range(len(dataset))] == [v for n in range(3) for v in values_of(n)]
