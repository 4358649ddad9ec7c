"""The card at the end of an authoring: written before the collection, over nothing of somebody else's."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import mlstac
from mlstac.errors import ExistsError, MissingFileError
from mlstac.sample import Sample
from tests.cards.conftest import chips, describe

CARD = ["README.md", "samples.png", "footprints.png", "croissant.json"]


def have(folder):
    return [name for name in CARD if (folder / name).exists()]


def contents(folder):
    return {name: (folder / name).read_bytes() for name in have(folder)}


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_an_authoring_ends_with_a_card(tmp_path):
    mlstac.write({"train": chips(6), "test": chips(3, start=6)}, tmp_path, describe())
    assert have(tmp_path) == CARD
    samples, footprints = (picture(tmp_path / name) for name in CARD[1:3])
    assert samples.shape[0] > 300
    assert samples.shape[1] > 300
    assert len(np.unique(samples.reshape(-1, 3), axis=0)) > 1000  # noise in true colour
    assert len(np.unique(footprints.reshape(-1, 3), axis=0)) > 20


def test_the_card_can_be_left_out(tmp_path):
    mlstac.write(chips(2), tmp_path, describe(), card=False)
    assert have(tmp_path) == []
    assert mlstac.card(tmp_path) == CARD


def test_the_collection_is_still_the_last_thing_written(tmp_path, monkeypatch):
    from mlstac.authoring._target import Target

    put, order = Target.put, []
    monkeypatch.setattr(Target, "put", lambda self, name, data: (order.append(name), put(self, name, data))[1])
    mlstac.write(chips(2), tmp_path, describe())
    assert [name for name in order if not name.startswith(".mlstac/")][-1] == "collection.json"
    assert set(CARD) < set(order)
    assert order.index("README.md") > order.index("croissant.json")


@pytest.mark.parametrize("text", ["# Mine\n", ""])
def test_a_readme_of_somebody_elses_stays_and_that_is_said(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    (tmp_path / "samples.png").write_bytes(b"theirs")
    with pytest.warns(UserWarning, match="not made by mlstac, or was edited since"):
        mlstac.write(chips(2), tmp_path, describe())
    assert contents(tmp_path) == {"README.md": text.encode(), "samples.png": b"theirs"}
    assert len(mlstac.load(tmp_path, framework="numpy")) == 2
    with pytest.raises(ExistsError, match="overwrite=True"):
        mlstac.card(tmp_path)
    assert mlstac.card(tmp_path, overwrite=True) == CARD
    assert (tmp_path / "samples.png").read_bytes() != b"theirs"


def test_a_card_that_was_edited_is_somebodys_own_and_one_that_was_not_is_made_again(tmp_path):
    mlstac.write(chips(2), tmp_path, describe())
    before = contents(tmp_path)
    mlstac.write(chips(5), tmp_path, describe(), overwrite=True)
    after = contents(tmp_path)
    assert all(before[name] != after[name] for name in CARD)
    assert "5 (train 5" in after["README.md"].decode()
    (tmp_path / "README.md").write_bytes(after["README.md"].replace(b"Floods", b"Flood"))
    edited = contents(tmp_path)
    with pytest.warns(UserWarning, match="README.md"):
        mlstac.write(chips(3), tmp_path, describe(), overwrite=True)
    assert contents(tmp_path) == edited


def test_a_picture_of_somebody_elses_beside_our_card_stays_and_is_not_shown(tmp_path):
    (tmp_path / "footprints.png").write_bytes(b"theirs")
    mlstac.write(chips(2), tmp_path, describe())
    assert (tmp_path / "footprints.png").read_bytes() == b"theirs"
    assert "footprints.png" not in (tmp_path / "README.md").read_text("utf-8")


def test_a_picture_that_is_no_more_goes_with_the_next_card(tmp_path):
    mlstac.write(chips(2), tmp_path, describe())
    mlstac.card(tmp_path, pictures=False)
    assert have(tmp_path) == ["README.md", "croissant.json"]


@pytest.mark.parametrize("written", [1, 2, 3])
def test_a_card_that_was_broken_off_is_written_whole_by_the_next_run(tmp_path, monkeypatch, written):
    from mlstac.authoring._target import Target

    mlstac.write(chips(4), tmp_path / "whole", describe())
    put = Target.put

    def die(self, name, data):
        if name in CARD and len(have(tmp_path / "broken")) == written:
            raise KeyboardInterrupt
        put(self, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(Target, "put", die)
        with pytest.raises(KeyboardInterrupt):
            mlstac.write(chips(4), tmp_path / "broken", describe())
    assert not (tmp_path / "broken" / "collection.json").exists()
    mlstac.write(chips(4), tmp_path / "broken", describe())
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")


def test_the_same_dataset_has_the_same_card(tmp_path):
    for name in ("one", "two"):
        mlstac.write(chips(4), tmp_path / name, describe(), shard_size=3_000 if name == "one" else "1MB")
    one, two = (contents(tmp_path / name) for name in ("one", "two"))
    assert {name: one[name] for name in CARD[1:3]} == {name: two[name] for name in CARD[1:3]}


def test_compressed_samples_look_as_plain_ones_do(tmp_path):
    mlstac.write(chips(4), tmp_path / "plain", describe())
    mlstac.write(chips(4), tmp_path / "zstd", describe(), compression="zstd")
    assert next((tmp_path / "zstd" / "train").glob("*.safetensors.zst"))
    assert (tmp_path / "zstd" / "samples.png").read_bytes() == (tmp_path / "plain" / "samples.png").read_bytes()


def test_more_samples_make_the_card_anew(tmp_path):
    mlstac.write(chips(4), tmp_path, describe())
    before = contents(tmp_path)
    mlstac.append(tmp_path, chips(3, start=4))
    after = contents(tmp_path)
    assert "7 (train 7" in after["README.md"].decode()
    assert "train/catalog-00001.parquet" in after["README.md"].decode()
    assert before["footprints.png"] != after["footprints.png"]


def png(colour):
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("samples", "shown"),
    [
        ([{"x": np.zeros((3, 16, 16), "u1")}], ["samples.png"]),
        ([{"image": png("red"), "text": "a red square"}], ["samples.png"]),
        ([{"points": np.zeros((n, 2), np.float32)} for n in range(3)], ["samples.png"]),
        ([{"x": np.full((4,), np.nan, np.float32)}], ["samples.png"]),
        ([{"x": np.zeros((2, 8, 8), np.complex64)}], []),
        ([Sample(tensors={"x": np.zeros(3, np.complex64)}, bbox=(1, 2, 3, 4))], ["footprints.png"]),
        ([{"image": b"\x89PNG\r\n\x1a\n broken"}], []),
    ],
    ids=["image", "encoded", "jagged", "nan", "complex", "placed", "broken"],
)
def test_whatever_the_samples_are_there_is_a_card(tmp_path, samples, shown):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mlstac.write(samples, tmp_path, id="x")
    assert have(tmp_path) == [name for name in CARD if name in {"README.md", "croissant.json", *shown}]


def test_a_picture_that_cannot_be_drawn_costs_a_warning_and_no_dataset(tmp_path, monkeypatch):
    import mlstac.pictures

    def fail(*_arguments, **_options):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(mlstac.pictures, "draw_samples", fail)
    with pytest.warns(UserWarning, match=r"the card has no samples\.png: ZeroDivisionError: oh"):
        mlstac.write(chips(2), tmp_path, describe())
    assert have(tmp_path) == ["README.md", "footprints.png", "croissant.json"]
    assert len(mlstac.load(tmp_path, framework="numpy")) == 2


def test_without_matplotlib_the_card_says_how_to_get_pictures(tmp_path):
    program = (
        "import sys\nsys.modules['matplotlib'] = None\n"
        "import mlstac\nfrom tests.cards.conftest import chips, describe\n"
        f"mlstac.write(chips(2), {str(tmp_path)!r}, describe())"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert have(tmp_path) == ["README.md", "croissant.json"]
    assert "pip install matplotlib" in (tmp_path / "README.md").read_text("utf-8")
    assert mlstac.card(tmp_path) == CARD


def test_a_folder_without_a_dataset_has_no_card(tmp_path):
    with pytest.raises(MissingFileError, match=r"collection\.json"):
        mlstac.card(tmp_path)
    assert not list(tmp_path.iterdir())


def test_class_and_band_counts_are_exact_over_many_shards(tmp_path):
    random = np.random.default_rng(3)
    images = random.integers(0, 9, (60, 2, 8, 8), dtype=np.uint16)
    masks = random.integers(0, 5, (60, 8, 8), dtype=np.uint8)
    kinds = random.integers(0, 3, 60)
    tensors = {
        "image": mlstac.Tensor(dims="band y x", bands=["a", "b"], nodata=0),
        "mask": mlstac.Tensor(dims="y x", role="label", classes=["a", "b", "c", "d", "e"], nodata=4),
        "kind": mlstac.Tensor(dims="", role="label", classes=["u", "v", "w"]),
    }
    samples = [
        {"image": image, "mask": mask, "kind": kind} for image, mask, kind in zip(images, masks, kinds, strict=True)
    ]
    written = mlstac.write(
        {"train": samples[:50], "test": samples[50:]}, tmp_path, id="x", tensors=tensors, shard_size=900
    )
    assert len(list((tmp_path / "train").glob("*.safetensors"))) > 5
    for name, values in (("mask", masks[:50]), ("kind", kinds[:50])):
        counts = {item.value: item.count for item in written.tensors[name].classes}
        assert counts == {value: int((values == value).sum()) for value in counts}
    shares = [item.percentage for item in written.tensors["mask"].classes]
    assert sum(shares[:4]) == pytest.approx(100)
    assert shares[4] is None
    for at, band in enumerate(written.tensors["image"].bands):
        valid = images[:50, at][images[:50, at] != 0].astype(np.float64)
        assert band.statistics.count == valid.size
        assert band.statistics.mean == pytest.approx(valid.mean(), rel=1e-12)
        assert band.statistics.stddev == pytest.approx(valid.std(), rel=1e-12)
        assert band.statistics.valid_percent == 100 * valid.size / images[:50, at].size


def test_a_card_shows_nobody_what_opens_the_store(tmp_path):
    mlstac.write(chips(2), tmp_path, describe())
    mlstac.card(tmp_path, source="sftp://me:hidden@host/data/chips")
    text = (tmp_path / "README.md").read_text("utf-8")
    assert 'mlstac.load("sftp://***@host/data/chips"' in text
    assert "hidden" not in text
