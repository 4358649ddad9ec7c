"""`mlstac convert`, as people run it."""

import json

import numpy as np
import pytest
import webdataset

import mlstac
from mlstac.storage import Store
from tests.conversion.sources import array, npy, write_tif
from tests.loading.original.old import write_dataset


def test_a_folder_becomes_a_dataset(run, tmp_path):
    for number in range(4):
        write_tif(tmp_path / "in" / "ab"[number % 2] / f"{number}.tif", array(number))
    done = run("convert", "in", "out", "--bands", "B02,B03,B04", "--license", "MIT")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out\n"
    assert done.stderr.splitlines() == [
        "wrote 4 samples: train 4",
        "  input: uint16 3 × 16 × 16",
        "  target: int64 scalar, a label of 2 classes: a, b",
    ]
    collection = mlstac.open(tmp_path / "out")
    assert [band.name for band in collection.tensors["input"].bands] == ["B02", "B03", "B04"]
    assert collection.license == "MIT"


def test_classes_number_the_folders_of_their_names(run, tmp_path):
    for number, name in enumerate(("Forest", "River", "Sea Lake")):
        write_tif(tmp_path / "in" / name / f"{number}.tif", array(number))
    done = run("convert", "in", "out", "--classes", "River, Forest,Sea Lake", "--license", "MIT")
    assert done.returncode == 0, done.stderr
    assert [int(sample["target"]) for sample in mlstac.load(tmp_path / "out", framework="numpy")] == [1, 0, 2]
    classes = mlstac.open(tmp_path / "out").tensors["target"].classes
    assert [item.label for item in classes] == ["River", "Forest", "Sea Lake"]
    done = run("convert", "in", "other", "--classes", "x,y")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "the folders are 'Forest', 'River', 'Sea Lake'" in done.stderr


@pytest.mark.parametrize("bands", ["B02, B03 ,B04", " B02,B03,B04 "])
def test_lists_may_have_blanks(run, tmp_path, bands):
    for number in range(10):
        write_tif(tmp_path / "in" / "ab"[number % 2] / f"{number}.tif", array(number), x=40_000 * number)
    shares = ["--block-size", "1000", "--fractions", "train = 0.5, test = 0.5"]
    done = run("convert", "in", "out", "--bands", bands, "--classes", " b , a ", *shares)
    assert done.returncode == 0, done.stderr
    tensors = mlstac.open(tmp_path / "out").tensors
    assert [band.name for band in tensors["input"].bands] == ["B02", "B03", "B04"]
    assert [item.name for item in tensors["target"].classes] == ["b", "a"]


def test_a_sensor_may_have_blanks(run, tmp_path):
    write_tif(tmp_path / "in" / "a.tif", array(0, bands=13))
    assert run("convert", "in", "out", "--bands", " sentinel-2-l1c ").returncode == 0
    assert mlstac.open(tmp_path / "out").tensors["input"].bands[0].name == "B01"
    write_tif(tmp_path / "two" / "a.tif", array(0, bands=2))
    assert run("convert", "two", "some", "--bands", "sentinel-2-l2a: B08, B04").returncode == 0
    assert [band.common_name for band in mlstac.open(tmp_path / "some").tensors["input"].bands] == ["nir", "red"]


def test_help_names_the_kinds_that_a_path_can_be(run_with):
    said = " ".join(run_with({"COLUMNS": "200"}, "convert", "--help").stdout.split())
    assert "original, classes, pairs, images, webdataset, mds or huggingface (a folder" in said
    assert "torchgeo's are, go to mlstac.convert" in said


def test_a_warning_is_one_line(run, tmp_path):
    with webdataset.TarWriter(str(tmp_path / "in.tar")) as writer:
        writer.write({"__key__": "a", "npy": npy(np.zeros((64, 64, 3), np.uint8))})
    done = run("convert", "in.tar", "out")
    first, *rest = done.stderr.splitlines()
    assert first.startswith("warning: tensor 'input' is channel-last (64, 64, 3): it is stored as given")
    assert rest == ["wrote 1 sample: train 1", "  input: uint8 64 × 64 × 3"]


def test_json_is_for_programs(run, tmp_path):
    write_dataset(tmp_path / "in")
    done = run("convert", "in/main.json", "out", "--json")
    said = json.loads(done.stdout)
    assert said["splits"] == {"train": 11, "validation": 2, "test": 3}
    assert said["tensors"]["input"] == {"dtype": "U16", "shape": [4, 16, 16]}
    assert done.stderr == ""


def test_what_cannot_be_converted_is_one_line(run, tmp_path):
    (tmp_path / "in").mkdir()
    done = run("convert", "in", "out")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Known are: original" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_typed_is_shown_as_it_is_typed(run, tmp_path):
    done = run("convert", "no kind=Foo, overwrite=True", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing is at 'no kind=Foo, overwrite=True'" in done.stderr


def test_a_dataset_is_converted_straight_to_a_store(run, tmp_path, moto_s3):
    for number in range(4):
        write_tif(tmp_path / "in" / "ab"[number % 2] / f"{number}.tif", array(number))
    url = "s3://bucket/converted"
    options = [f"{name}={moto_s3[name]}" for name in ("key", "secret", "endpoint_url")]
    done = run("convert", "in", url, *(word for option in options for word in ("-O", option)))
    assert done.returncode == 0, done.stderr
    assert done.stdout == url + "\n"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    with Store(url, storage_options=moto_s3) as store:
        assert "collection.json" in store.list()
    ds = mlstac.load(url, framework="numpy", storage_options=moto_s3)
    assert (ds.collection.id, len(ds)) == ("converted", 4)
    ds.close()


def test_options_of_the_store_do_not_go_to_the_host_of_the_source(tmp_path, moto_s3, range_server):
    served = range_server(tmp_path).url
    write_dataset(tmp_path, links=served + "{}/")
    url = "s3://bucket/original"
    mlstac.convert(served + "main.json", url, storage_options=lambda: moto_s3)
    ds = mlstac.load(url, framework="numpy", storage_options=moto_s3)
    assert len(ds) == 11
    ds.close()


def test_a_token_opens_both_where_both_are_of_one_hub_in_two_spellings(run_with, hub, tmp_path):
    root = write_dataset(tmp_path / "old", version="beta", links=f"{hub.url}/datasets/me/old/resolve/main/{{}}/")
    hub.put("me/old", {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")}, private=True)
    out = {**hub.environment, "HF_TOKEN": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for source in ("me/old", f"{hub.url}/datasets/me/old/tree/main"):
        refused = run_with(out, "convert", source, "hf://datasets/me/new", "-O", "token=hf_wrong")
        assert refused.returncode == 1
        assert "hf_wrong" not in refused.stdout + refused.stderr
        hub.repositories.pop("me/new", None)
        done = run_with(out, "convert", source, "hf://datasets/me/new", "-O", f"token={hub.token}")
        assert done.returncode == 0, done.stderr
        assert hub.token not in done.stdout + done.stderr
        assert "wrote 16 samples" in done.stderr
    assert {asked.token for asked in hub.asked if asked.host == "localhost"} == {None}


def ids(folder):
    """Ids of the samples of each split."""
    collection = mlstac.open(folder)
    filled = [name for name, split in collection.splits.items() if split.n_items]
    return {
        name: list(mlstac.load(folder, split=name, framework="numpy").metadata.to_table(["id"])["id"].to_pylist())
        for name in filled
    }


def test_what_lies_together_stays_together(run, tmp_path):
    for number in range(24):  # pairs of chips, 40 km from the next
        write_tif(tmp_path / "in" / f"{number:02}.tif", array(number), x=40_000 * (number // 2) + 160 * (number % 2))
    more = ["--fractions", "train=0.5,test=0.5", "--seed", "3"]
    done = run("convert", "in", "out", "--block-size", "20000", *more, "--shard-size", "2kB", "--layout", "keyed")
    assert done.returncode == 0, done.stderr
    split_by = {"block_size_m": 20_000, "fractions": {"train": 0.5, "test": 0.5}, "seed": 3}
    collection = mlstac.convert(tmp_path / "in", tmp_path / "python", split_by=split_by)
    assert mlstac.open(tmp_path / "out").split_strategy == collection.split_strategy == {"by": "location", **split_by}
    found = ids(tmp_path / "out")
    assert found == ids(tmp_path / "python")
    assert set(found) == {"train", "test"}
    assert {tuple(int(name) // 2 for name in names).count(pair) for names in found.values() for pair in range(12)} == {
        0,
        2,
    }
    assert mlstac.open(tmp_path / "out").tensors["input"].layout == "keyed"
    assert len(list((tmp_path / "out" / "train").glob("*.safetensors"))) > 1


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--split-by", "part"], {"train": ["a", "b"], "test": ["c", "d"]}),
        (["--split-by", "scene", "--fractions", "train=0,validation=1"], {"validation": ["a", "b", "c", "d"]}),
    ],
)
def test_a_column_names_the_split_or_groups_of_samples(run, tmp_path, arguments, wanted):
    parts = {"a": "train", "b": "train", "c": "test", "d": "test"}
    with webdataset.TarWriter(str(tmp_path / "in.tar")) as writer:
        for key, part in parts.items():
            writer.write(
                {"__key__": key, "npy": npy(array(1)), "json": json.dumps({"part": part, "scene": 7}).encode()}
            )
    done = run("convert", "in.tar", "out", *arguments, "--description", "Made for a test.")
    assert done.returncode == 0, done.stderr
    assert ids(tmp_path / "out") == wanted
    assert mlstac.open(tmp_path / "out").description == "Made for a test."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--split-by", "a", "--block-size", "9"], "--split-by and --block-size are given"),
        (["--fractions", "train=1"], "--fractions is of blocks or groups; give --block-size METRES or --split-by"),
        (["--seed", "1"], "--seed is of blocks or groups"),
        (["--split-by", "part", "--seed", "1"], "--split-by part alone takes the splits' names from the column"),
        (["--block-size", "0"], "is 0.0; give metres, from 1 to 10,000,000"),
        (["--block-size", "nan"], "is nan; give metres"),
        (["--block-size", "9", "--fractions", "0.8,0.2"], "has '0.8'; write shares by split"),
        (["--block-size", "9", "--fractions", "train=0.8,train=0.2"], "gives train twice"),
        (["--block-size", "9", "--fractions", "train=0.8,test=0.1"], "do not add up to 1"),
        (["--block-size", "9", "--fractions", "train=nan,test=1"], "give the share of each split"),
        (["--shard-size", "big"], "'big' is not a size"),
        (["--layout", "round"], "layout 'round' is not known; choose one of auto, stacked"),
        (["--bands", "B02,,B04"], "--bands 'B02,,B04' has no word beside a comma"),
        (["--bands", " "], "--bands ' ' has no word in it"),
        (["--classes", "a,b,"], "--classes 'a,b,' has no word beside a comma"),
        (["--block-size", "9", "--fractions", "train=1,"], "--fractions 'train=1,' has no word beside a comma"),
        (["--kind", "torchgeo"], "--kind torchgeo is of datasets in Python, and the source is a path"),
    ],
)
def test_what_nobody_can_read_is_misuse_and_makes_nothing(run, tmp_path, arguments, said):
    write_tif(tmp_path / "in" / "a.tif", array(0))
    done = run("convert", "in", "out", *arguments)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()


def test_a_source_that_has_splits_is_not_divided_again(run, tmp_path):
    for split in ("train", "test"):
        write_tif(tmp_path / "in" / split / f"{split}.tif", array(0))
    done = run("convert", "in", "out", "--block-size", "1000")
    assert done.returncode == 1
    assert "divides one split, and the source has" in done.stderr
