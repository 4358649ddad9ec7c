"""WebDataset tars, written by the webdataset library."""

import io
import tarfile

import numpy as np
import pytest
import webdataset
from webdataset import tariterators

import mlstac
from mlstac.errors import FormatError, MissingFileError
from tests.conversion.sources import BANDS, array, npy, write_tif


def write_tar(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(sample)
    return path


def judged(folder):
    """Samples as webdataset reads and decodes them; of open files, for its own reader leaves the last one open."""
    decode = webdataset.autodecode.Decoder([])
    for path in sorted(folder.glob("*.tar")):
        with path.open("rb") as stream:
            files = tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
            yield from map(decode, list(tariterators.group_by_keys(files)))


@pytest.fixture
def tars(tmp_path):
    """Three tars of two splits: an array, a class, and what is known of each."""
    number = 0
    for name, count in (("train-000000", 3), ("train-000001", 2), ("val-000000", 2)):
        samples = []
        for _ in range(count):
            words = {
                "crs": "EPSG:32630",
                "transform": [10, 0, 500_000 + 160 * number, 0, -10, 4_600_000],
                "datetime": f"2020-06-{number + 1:02}T10:00:00Z",
                "cloud": number * 1.5,
                "tags": ["a", "b"],
                "id": f"x{number}",
                "history": {"by": "hand"},
            }
            samples.append({"__key__": f"scene/{number:04}", "npy": array(number), "cls": number % 3, "json": words})
            number += 1
        write_tar(tmp_path / "in" / f"{name}.tar", samples)
    return tmp_path / "in"


def test_tars_become_a_dataset(tars, tmp_path):
    collection = mlstac.convert(tars, tmp_path / "out", classes=["a", "b", "c"])
    assert (collection.train.n_items, collection.validation.n_items) == (5, 2)
    ds = mlstac.load(tmp_path / "out", split="all", framework="numpy")
    for sample, wanted, row in zip(ds, judged(tars), ds.metadata.to_table().to_pylist(), strict=True):
        np.testing.assert_array_equal(sample["input"], wanted["npy"])
        assert int(sample["target"]) == wanted["cls"]
        assert row["id"] == wanted["__key__"].replace("/", "-")
        assert (row["cloud"], row["tags"]) == (wanted["json"]["cloud"], ["a", "b"])
        assert row["proj:transform"] == wanted["json"]["transform"]
        assert row["source_id"] == wanted["json"]["id"]
        assert sample["history"] == {"by": "hand"}
    assert collection.tensors["target"].role == "label"
    assert collection.placed
    assert ds.metadata[3]["datetime"].day == 4


def test_images_in_tars_keep_their_places(tmp_path):
    samples = []
    for number in range(3):
        image = write_tif(tmp_path / "tif" / f"{number}.tif", array(number), x=160 * number, names=BANDS, nodata=0)
        mask = write_tif(tmp_path / "tif" / f"{number}m.tif", array(number, bands=1, dtype="uint8"), x=160 * number)
        samples.append({"__key__": str(number), "tif": image.read_bytes(), "mask.tif": mask.read_bytes()})
    mlstac.convert(write_tar(tmp_path / "chips.tar", samples), tmp_path / "out")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    image = ds.collection.tensors["input"]
    assert ([band.name for band in image.bands], image.nodata) == (list(BANDS), 0)
    np.testing.assert_array_equal(ds[2]["input"], array(2))
    np.testing.assert_array_equal(ds[2]["mask"], array(2, bands=1, dtype="uint8")[0])
    assert ds.metadata[1]["proj:code"] == "EPSG:32630"
    assert ds.collection.tensors["mask"].role == "label"


def test_texts_pictures_and_several_arrays(tmp_path):
    from PIL import Image

    picture = io.BytesIO()
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(picture, "png")
    arrays = io.BytesIO()
    np.savez(arrays, before=array(0), after=array(1))
    sample = {
        "__key__": "a",
        "txt": "río",
        "png": picture.getvalue(),
        "npz": arrays.getvalue(),
        "boxes.npy": npy(np.eye(4)),
    }
    mlstac.convert(write_tar(tmp_path / "x.tar", [sample]), tmp_path / "out")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert ds[0]["text"] == "río"
    assert ds[0]["image"] == picture.getvalue()
    np.testing.assert_array_equal(ds[0]["after"], array(1))
    np.testing.assert_array_equal(ds[0]["boxes"], np.eye(4))


def test_a_pattern_and_a_list_mean_their_files(tars, tmp_path):
    pattern = mlstac.convert(str(tars / "train-{000000..000001}.tar"), tmp_path / "a")
    listed = mlstac.convert([tars / "train-000001.tar", tars / "val-000000.tar"], tmp_path / "b")
    starred = mlstac.convert(str(tars / "*.tar"), tmp_path / "c")
    assert [collection.train.n_items for collection in (pattern, listed, starred)] == [5, 2, 5]
    with pytest.raises(MissingFileError, match=r"train-000002\.tar"):
        mlstac.convert(str(tars / "train-{000000..000002}.tar"), tmp_path / "d")


def test_packed_tars_are_read_and_keys_that_come_again_are_told_apart(tmp_path):
    write_tar(tmp_path / "in" / "a.tar.gz", [{"__key__": "0", "npy": array(0)}])
    write_tar(tmp_path / "in" / "b.tar.gz", [{"__key__": "0", "npy": array(1)}])
    mlstac.convert(tmp_path / "in", tmp_path / "out")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert ds.metadata.to_pandas()["id"].tolist() == ["0", "0-2"]
    np.testing.assert_array_equal(ds[1]["input"], array(1))


@pytest.mark.parametrize(
    ("member", "data", "words"),
    [
        ("pkl", b"", "pickled"),
        ("pth", b"x", "pickled"),
        ("npy", npy(np.array([1, None], object)), "pickled"),
        ("npy", b"not an array", "no numpy array"),
        ("npz", b"not a zip", "no file of numpy arrays"),
        ("cls", b"forest", "whole number"),
        ("json", b"{", "not JSON"),
        ("json", b"[" * 100_000, "not JSON"),
        ("xyz", b"", r"unknown kind; known are \.npy"),
        ("txt", b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_member_that_cannot_be_read_is_named(member, data, words, tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for name, body in (("0001.a.npy", npy(array(0))), (f"0001.{member}", data)):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    with pytest.raises(FormatError, match=rf"0001.*x\.tar.*{words}"):
        mlstac.convert(path, tmp_path / "out")


def test_a_tar_that_is_none_or_is_cut_is_named(tmp_path, tars):
    whole = (tars / "train-000000.tar").read_bytes()
    for data in (b"no tar" * 200, whole[: whole.index(b"NUMPY") + 900]):
        (tmp_path / "bad.tar").write_bytes(data)
        with pytest.raises(FormatError, match=r"bad\.tar cannot be read as a tar"):
            mlstac.convert(tmp_path / "bad.tar", tmp_path / "out")


def test_nothing_is_unpacked_onto_the_disk(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("../../outside.npy", "/abs/outside.npy"):
            info = tarfile.TarInfo(name)
            info.size = len(npy(array(0)))
            tar.addfile(info, io.BytesIO(npy(array(0))))
        link = tarfile.TarInfo("passwd.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    mlstac.convert(tmp_path / "x.tar", tmp_path / "out")
    rows = mlstac.load(tmp_path / "out").metadata.to_pandas()
    assert len(rows) == 2
    assert not any("/" in id_ or ".." in id_ for id_ in rows["id"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.tar"]
