"""Shards: what the stock library finds in them, and whether every address names its sample's bytes."""

import tracemalloc

import numpy as np
import pytest
import safetensors
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from mlstac.errors import InvalidArgumentError
from mlstac.sample import (
    MAX_KEYED_TENSORS,
    Column,
    PackedSample,
    alignment,
    checksum,
    checksum_rows,
    keyed_name,
    max_samples,
    pack_columns,
    pack_shard,
    read_header,
    split_keyed_name,
)
from tests.spending import at_most

DTYPES = {"U8": "u1", "I16": "<i2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "BOOL": "?"}


def encode(array):
    array = np.asarray(array)
    dtype = next(name for name, numpy_name in DTYPES.items() if np.dtype(numpy_name) == array.dtype)
    return dtype, array.shape, np.frombuffer(array.tobytes(), np.uint8)


def sample(sample_id, **arrays):
    return PackedSample(sample_id, {name: encode(array) for name, array in arrays.items()})


def file_of(plan):
    file = plan.header + b"".join(buffer.tobytes() for buffer in plan.buffers)
    assert len(file) == plan.size
    return file


def bytes_at(plan, file, name, row):
    address = plan.addresses[name]
    return file[address.offset[row] : address.offset[row] + address.length[row]]


@st.composite
def shards(draw):
    """Samples of any tensors that fit their layouts, some lacking some tensors."""
    n = draw(st.integers(0, 7))
    layouts, arrays = {}, {}
    for name in draw(st.lists(st.sampled_from(["a", "b", "c", "input", "é"]), unique=True, max_size=4)):
        layouts[name] = draw(st.sampled_from(["stacked", "jagged", "keyed"]))
        dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        arrays[name] = []
        for row in range(n):
            if layouts[name] == "keyed":
                shape = draw(st.lists(st.integers(0, 3), max_size=3))
            own = [draw(st.integers(0, 4)), *shape] if layouts[name] == "jagged" else shape
            values = (np.arange(np.prod(own, dtype=int)) + row).astype(dtype).reshape(own)
            arrays[name].append(values if draw(st.integers(0, 4)) else None)
    samples = [
        PackedSample(f"id {row}/é", {name: encode(rows[row]) for name, rows in arrays.items() if rows[row] is not None})
        for row in range(n)
    ]
    return samples, layouts


@given(shards())
def test_every_address_names_the_bytes_of_its_sample(case):
    samples, layouts = case
    plan = pack_shard(samples, layouts)
    file = file_of(plan)
    for row, packed in enumerate(samples):
        for name, (_, _, data) in packed.tensors.items():
            assert bytes_at(plan, file, name, row) == data.tobytes()
    for name, address in plan.addresses.items():
        has = [name in packed.tensors for packed in samples]
        assert has == ([True] * len(samples) if address.present is None else address.present.tolist())
        if address.shapes is not None:
            assert list(address.shapes) == [packed.tensors[name][1] for packed in samples if name in packed.tensors]


@given(shards())
def test_the_stock_library_finds_every_sample_by_the_rules_of_its_layout(case):
    samples, layouts = case
    found = load(file_of(pack_shard(samples, layouts)))
    for name, layout in layouts.items():
        rows = [row for row, packed in enumerate(samples) if name in packed.tensors]
        if not rows:
            assert name not in found
        for position, row in enumerate(rows):
            if layout == "stacked":
                listed = found[f"{name}.rows"].tolist() if len(rows) < len(samples) else list(range(len(samples)))
                assert listed[position] == row
                array = found[name][position]
            elif layout == "jagged":
                splits = found[f"{name}.splits"]
                assert len(splits) == len(samples) + 1
                array = found[name][splits[row] : splits[row + 1]]
            else:
                array = found[keyed_name(samples[row].id, name)]
            assert encode(array)[:2] == samples[row].tensors[name][:2]
            assert array.tobytes() == samples[row].tensors[name][2].tobytes()


@given(shards())
def test_every_tensor_of_a_shard_is_aligned_to_its_itemsize(case):
    file = file_of(pack_shard(*case))
    header = read_header(file, file_size=len(file), name="x")
    assert header.data_start % 64 == 0
    assert all(entry.start % alignment(entry.dtype) == 0 for entry in header.entries.values())


@given(shards())
def test_checksums_are_of_the_row_or_of_the_block_that_the_format_says(case):
    samples, layouts = case
    plan = pack_shard(samples, layouts)
    for name, layout in layouts.items():
        rows = [row for row, packed in enumerate(samples) if name in packed.tensors]
        stored = [samples[row].tensors[name][2].tobytes() for row in rows]
        share = max(1, 4096 // len(stored[0])) if layout == "stacked" and rows and stored[0] else 1
        for position, row in enumerate(rows):
            first = position // share * share
            block = b"".join(stored[first : first + share])
            assert plan.addresses[name].checksum[row] == xxhash.xxh3_64(block).intdigest() % 2**32


@given(st.integers(1, 600), st.lists(st.integers(1, 4000), min_size=1, max_size=20))
def test_blocks_of_checksums_do_not_depend_on_how_the_bytes_were_handed_over(row_bytes, counts):
    n = sum(counts)
    data = np.random.default_rng(0).integers(0, 256, n * row_bytes, dtype=np.uint8)
    ends = np.cumsum(counts) * row_bytes
    sums = []
    for chunks in ([data], np.split(data, ends[:-1])):
        column = Column("U8", chunks, np.full(n, row_bytes), [(row_bytes,)] * n)
        plan = pack_columns({"x": column}, layouts={"x": "stacked"}, ids=["s"] * n)
        sums.append(plan.addresses["x"].checksum)
    np.testing.assert_array_equal(*sums)
    step = checksum_rows(row_bytes)
    assert all(len(set(sums[0][at : at + step].tolist())) == 1 for at in range(0, n, step))
    assert sums[0][0] == checksum(data[: step * row_bytes])


def test_a_stacked_sample_is_a_row_of_the_stock_librarys_tensor():
    chips = np.random.default_rng(0).integers(0, 10_000, (9, 13, 8, 8)).astype("<i2")
    plan = pack_shard([sample(f"chip-{i}", input=chip) for i, chip in enumerate(chips)], {"input": "stacked"})
    np.testing.assert_array_equal(load(file_of(plan))["input"], chips, strict=True)


def test_a_band_of_a_stacked_sample_is_one_range():
    chips = np.arange(2 * 3 * 4 * 4, dtype="<i2").reshape(2, 3, 4, 4)
    plan = pack_shard([sample(str(i), input=chip) for i, chip in enumerate(chips)], {"input": "stacked"})
    band = bytes_at(plan, file_of(plan), "input", 1)[32:64]
    assert band == chips[1, 1].tobytes()


def test_a_keyed_shard_has_whole_samples_one_after_another_in_order():
    samples = [
        sample(f"s{i}", mask=np.full((i + 1, 3), i, "u1"), image=np.full((2, i + 2), i, "<f4")) for i in range(5)
    ]
    plan = pack_shard(samples, {"mask": "keyed", "image": "keyed"})
    names = [tensor.name for tensor in plan.tensors if "/.pad" not in tensor.name]
    assert names == [f"s{i}/{name}" for i in range(5) for name in ("image", "mask")]
    pads = [tensor for tensor in plan.tensors if "/.pad" in tensor.name]
    assert pads
    assert all(tensor.dtype == "U8" and tensor.nbytes < 4 for tensor in pads)


def test_a_single_sample_is_the_original_ml_stac_file():
    plan = pack_shard(
        [sample("a", image=np.ones((2, 2), "<f4"), mask=np.ones(2, "u1"))], {"image": "single", "mask": "single"}
    )
    assert {name: array.shape for name, array in load(file_of(plan)).items()} == {"image": (2, 2), "mask": (2,)}


def test_scalars_and_tensors_without_elements_have_addresses():
    samples = [sample(str(i), label=np.array(i, "<f8"), boxes=np.ones((0, 4), "<f4")) for i in range(3)]
    plan = pack_shard(samples, {"label": "stacked", "boxes": "stacked"})
    found = load(file_of(plan))
    assert (found["label"].shape, found["boxes"].shape) == ((3,), (3, 0, 4))
    assert plan.addresses["boxes"].length.tolist() == [0, 0, 0]
    assert set(plan.addresses["boxes"].checksum.tolist()) == {checksum(b"")}
    assert all(64 <= offset <= plan.size for offset in plan.addresses["boxes"].offset.tolist())


def test_no_samples_make_a_file_that_opens():
    plan = pack_shard([], {})
    assert load(file_of(plan)) == {}
    column = Column("F32", [], np.empty(0, np.int64), [])
    assert load(file_of(pack_columns({"x": column}, layouts={"x": "jagged"}, ids=[]))) == {}


def test_a_shard_says_what_is_in_it():
    plan = pack_shard([sample("a", x=np.ones(2, "u1"))], {"x": "jagged"}, metadata={"title": "é"})
    with_metadata = read_header(file_of(plan), file_size=plan.size, name="x").metadata
    assert with_metadata == {"ml:version": "1.0.0", "ml:n_items": "1", "ml:layouts": '{"x":"jagged"}', "title": "é"}


def test_large_buffers_are_handed_on_without_a_copy():
    chunks = [np.zeros(4 * 2**20, np.uint8) for _ in range(8)]
    column = Column("U8", chunks, np.full(8 * 4, 2**20), [(2**20,)] * 32)
    tracemalloc.start()
    plan = pack_columns({"x": column}, layouts={"x": "stacked"}, ids=[str(i) for i in range(32)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [np.shares_memory(*pair) for pair in zip(plan.buffers, chunks, strict=True)] == [True] * 8
    assert peak < 2**20


def test_a_hundred_thousand_tiny_samples_pack_in_a_blink():
    block = np.zeros((100_000, 100), np.uint8)
    column = Column("U8", [block.reshape(-1)], np.full(100_000, 100), [(100,)] * 100_000)
    with at_most(0.5):  # 0.04 s where this was written
        plan = pack_columns({"x": column}, layouts={"x": "stacked"}, ids=[str(i) for i in range(100_000)])
    assert plan.addresses["x"].offset[-1] == plan.size - 100


@pytest.mark.parametrize("sample_id", ["..", ".hidden", "../../etc/passwd", "a b/c", "ü%2F", "a.b", "C:\\x", "~"])
def test_an_id_is_never_a_path_and_comes_back(sample_id):
    key = keyed_name(sample_id, "input")
    assert split_keyed_name(key) == (sample_id, "input")
    assert key.count("/") == 1
    assert not key.startswith(".")
    assert key.isascii()


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_two_ids_never_share_a_key(some, more):
    assert (keyed_name(some, "x") == keyed_name(more, "x")) == (some == more)


@pytest.mark.parametrize(
    ("samples", "layouts", "words"),
    [
        (
            [sample("a", x=np.ones(2, "u1")), sample("b", x=np.ones(3, "u1"))],
            {"x": "stacked"},
            "shapes .2,. and .3,.; use 'jagged'",
        ),
        ([sample("a", x=np.ones((1, 2), "u1")), sample("b", x=np.ones((1, 3), "u1"))], {"x": "jagged"}, "use 'keyed'"),
        ([sample("a", x=np.ones(2, "u1")), sample("b", x=np.ones((2, 2), "u1"))], {"x": "jagged"}, "use 'keyed'"),
        ([sample("a", x=np.array(1, "u1"))], {"x": "jagged"}, "a sample is a scalar"),
        ([sample("a", x=np.ones(2, "u1"))], {"x": "chunked"}, "choose one of stacked, jagged, keyed, single"),
        ([sample("a", x=np.ones(2, "u1"))], {}, "choose one of"),
        ([sample("a", x=np.ones(2, "u1"))] * 2, {"x": "single"}, "one sample a shard, but there are 2"),
        ([sample("a", x=np.ones(2, "u1"), y=np.ones(2, "u1"))], {"x": "single", "y": "keyed"}, "for all tensors"),
        (
            [sample("a", x=np.ones(2, "u1")), sample("b", x=np.ones(2, "<f4"))],
            {"x": "stacked"},
            "dtypes F32, U8; give it one",
        ),
        ([sample("a", x=np.ones(2, "u1"))] * 2, {"x": "keyed"}, "'a/x' is given twice"),
    ],
)
def test_samples_that_do_not_fit_the_layout_are_refused(samples, layouts, words):
    with pytest.raises(InvalidArgumentError, match=words):
        pack_shard(samples, layouts)


def test_a_keyed_shard_holds_twenty_thousand_tensors_and_no_more():
    assert max_samples({"x": ("U8", "keyed"), "y": ("U8", "stacked")}) == MAX_KEYED_TENSORS
    assert max_samples({"x": ("U8", "stacked")}) is None
    assert max_samples({"x": ("U8", "single")}) == 1
    most = max_samples({"x": ("F32", "keyed"), "y": ("U8", "keyed")})  # a pad may go before each sample
    samples = [sample(str(i), x=np.ones(1, "<f4"), y=np.ones(1, "u1")) for i in range(most)]
    assert len(safetensors.deserialize(file_of(pack_shard(samples, {"x": "keyed", "y": "keyed"})))) <= 20_000
    more = [sample(str(i), x=np.ones(1, "u1")) for i in range(20_001)]
    with pytest.raises(InvalidArgumentError, match="20,001 keyed tensors; a shard holds 20,000: close it earlier"):
        pack_shard(more, {"x": "keyed"})


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (Column("U8", [np.zeros(3, np.uint8)], np.array([4]), [(4,)]), "do not end where samples end"),
        (Column("U8", [np.zeros(4, np.uint8)], np.array([4]), [(5,)]), "takes 5 bytes"),
        (Column("U8", [np.zeros(4, np.uint8)], np.array([4]), [(4,), (4,)]), "2 shapes for 1 samples"),
        (Column("U8", [], np.array([4]), [(4,)]), "not as many bytes"),
        (Column("U8", [np.zeros(4, np.uint8)], np.array([4]), [(4,)], np.array([True, False])), "2 samples of 1"),
    ],
)
def test_a_column_whose_parts_do_not_fit_is_refused(column, words):
    with pytest.raises(InvalidArgumentError, match=words):
        pack_columns({"x": column}, layouts={"x": "stacked"}, ids=["a"])
