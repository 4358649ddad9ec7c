"""Samples that are like the one before go in by a shorter way, and come out the same."""

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

import mlstac.authoring as authoring
from mlstac.authoring._description import Description
from mlstac.authoring._form import Form
from mlstac.authoring._samples import bare_row, prepare, with_row
from mlstac.collection import Collection
from mlstac.errors import InvalidSampleError
from mlstac.sample import Sample
from tests.authoring._read import read_rows, read_tensors

CHIP = np.arange(2 * 8 * 8, dtype=np.uint16).reshape(2, 8, 8)


def prepared(given, description, position=0):
    return prepare(given, split="train", position=position, description=description)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(CHIP.copy(), id="array"),
        pytest.param(np.asfortranarray(CHIP), id="another order in memory"),
        pytest.param(CHIP.astype(">u2"), id="the other byte order"),
        pytest.param(np.repeat(CHIP, 2, axis=2)[..., ::2], id="with gaps"),
    ],
)
def test_the_shorter_way_gives_what_the_longer_one_gives(value):
    long, short = Description(Collection(id="x")), Description(Collection(id="x"))
    prepared({"x": CHIP, "y": np.int64(3)}, short)
    assert short.recognise({"x": value, "y": np.int64(7)}) is not None
    for sample in ({"x": value, "y": np.int64(7)}, Sample({"x": value, "y": np.int64(7)}, id="a")):
        one, other = prepared(sample, long, 1), prepared(sample, short, 1)
        long._changed()  # so that the next one takes the longer way again
        assert (one.id, one.digests, one.content) == (other.id, other.digests, other.content)
        for name, encoded in one.tensors.items():
            assert encoded[:2] == other.tensors[name][:2]
            assert encoded.data.tobytes() == other.tensors[name].data.tobytes()


NUMBERS = (7, np.int64(7), np.array(7), np.int32(7), 2**63, True, 7.0, 7.5, "7", None)


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
def test_a_number_goes_the_shorter_way_with_what_the_longer_one_says(value):
    long, short = Description(Collection(id="x")), Description(Collection(id="x"))
    for description in (long, short):
        prepared({"x": CHIP, "y": np.int64(3)}, description)
    found = []
    for description in (long, short):
        if description is long:
            description._changed()
        try:
            one = prepared({"x": CHIP, "y": value}, description, 1)
        except InvalidSampleError as error:
            found.append(str(error))
        else:
            found.append((one.digests, one.content, one.tensors["y"].data.tobytes()))
    assert found[0] == found[1]
    if value in (7, True) and not isinstance(value, np.int32):
        assert found[0][2] == int(value).to_bytes(8, "little")


@pytest.mark.parametrize(
    "other",
    [
        {"x": CHIP.astype(np.int16)},
        {"x": CHIP[:1]},
        {"y": CHIP},
        {"x": CHIP, "y": CHIP},
        {"x": None},
        {"x": "a text"},
        {"x": CHIP.astype(object)},
    ],
    ids=str,
)
def test_what_is_not_like_the_one_before_goes_the_longer_way(other):
    description = Description(Collection(id="x"))
    prepared({"x": CHIP}, description)
    assert description.recognise({"x": CHIP.copy()}) is not None
    assert description.recognise(other) is None


def test_samples_that_were_refused_leave_no_form_behind(tmp_path):
    with authoring.Writer(tmp_path, Collection(id="x")) as writer:
        writer.add({"x": CHIP})
        with pytest.raises(InvalidSampleError, match="dtype"):
            writer.add({"x": CHIP.astype(np.float32)})
        writer.add({"x": CHIP + 1})
        with pytest.raises(InvalidSampleError, match="used twice"):
            writer.add(Sample({"x": CHIP}, id="train-0000000"))
        writer.add({"x": CHIP + 2})
    assert [int(x[0, 0, 0]) for x in read_tensors(tmp_path, "train", "x", dtype=np.uint16)] == [0, 1, 2]
    assert read_rows(tmp_path, "train")["id"].to_pylist() == [f"train-{number:07d}" for number in range(3)]


@given(
    name=st.text(min_size=1),
    tensors=st.dictionaries(st.text(min_size=1), st.integers(0, 2**64 - 1), min_size=1, max_size=4),
)
def test_contents_are_told_apart_by_the_words_that_journals_hold(name, tensors):
    """Runs that an earlier version left unfinished are gone on with."""
    form = Form(tuple((key, "U8", (3, 4), None) for key in tensors), grids={})
    said = repr((name, [(key, "U8", (3, 4), digest) for key, digest in sorted(tensors.items())]))
    content = form.content(name, tensors)
    assert content == xxhash.xxh3_64_intdigest(said.encode(errors="surrogatepass"))
    row = bare_row(name)
    plain = row._replace(id="", grids={}, properties={})
    said = repr((content, [], tuple(plain), []))
    assert with_row(content, row) == xxhash.xxh3_64_intdigest(said.encode())
    assert with_row(content, row._replace(bbox=(0, 0, 1, 1))) != with_row(content, row)
