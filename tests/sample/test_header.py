"""Headers against the stock safetensors library, and against hostile files."""

import json
import tracemalloc

import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from mlstac.collection import DTYPES
from mlstac.errors import InvalidArgumentError, ShardError
from mlstac.sample import build_header, count_bytes, header_length, read_header
from tests.spending import at_most

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda name: name != "__metadata__")
SHAPES = st.lists(st.integers(0, 3), max_size=4).map(tuple)
# numpy holds these; the stock numpy reader gives the others as raw bytes or not at all
NUMPY_DTYPES = {"BOOL": "bool", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4"}
NUMPY_DTYPES |= {"U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8"}


def file_of(text, data=b""):
    header = text if isinstance(text, bytes) else text.encode()
    return len(header).to_bytes(8, "little") + header + data


def read(file):
    return read_header(file, file_size=len(file), name="s3://bucket/train/00000.safetensors")


def entry(dtype="U8", shape=(4,), offsets=(0, 4)):
    return json.dumps({"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)})


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from(sorted(NUMPY_DTYPES)), SHAPES), max_size=5), st.data())
def test_what_we_build_the_stock_library_reads(tensors, data):
    metadata = data.draw(st.dictionaries(NAMES, NAMES, max_size=3))
    header = build_header([(name, dtype, shape) for name, (dtype, shape) in tensors.items()], metadata)
    assert len(header) % 64 == 0
    assert header[8:9] == b"{"
    arrays = {name: np.ones(shape, NUMPY_DTYPES[dtype]) for name, (dtype, shape) in tensors.items()}
    file = header + b"".join(array.tobytes() for array in arrays.values())
    found = load(file)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    ours = read(file)
    assert ours.metadata == metadata
    for name, array in arrays.items():
        one = ours.entries[name]
        assert (one.dtype, one.shape) == tensors[name]
        assert file[one.start : one.stop] == array.tobytes()


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from(sorted(NUMPY_DTYPES)), SHAPES), max_size=5), st.data())
def test_what_the_stock_library_writes_we_read(tensors, data):
    # of no tensors and empty metadata the stock library makes `{},"__metadata__":{}}`, which it cannot read itself
    metadata = data.draw(st.none() | st.dictionaries(NAMES, NAMES, min_size=1, max_size=3))
    arrays = {name: np.ones(shape, NUMPY_DTYPES[dtype]) for name, (dtype, shape) in tensors.items()}
    file = save(arrays, metadata=metadata)
    header = read(file)
    assert header.metadata == (metadata or {})
    assert header.entries.keys() == arrays.keys()
    for name, array in arrays.items():
        one = header.entries[name]
        assert NUMPY_DTYPES[one.dtype] == NUMPY_DTYPES[tensors[name][0]]
        assert one.shape == array.shape
        assert file[one.start : one.stop] == array.tobytes()


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_every_dtype_is_built_as_the_stock_library_wants_it(dtype):
    shape = (2, 8)  # whole bytes for 4- and 6-bit values too
    file = build_header([("x", dtype, shape)]) + bytes(count_bytes(dtype, shape))
    [(name, stock)] = safetensors.deserialize(file)
    assert (name, stock["dtype"], tuple(stock["shape"])) == ("x", dtype, shape)
    assert read(file).entries["x"].dtype == dtype


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_read_or_refused_by_name(junk, size):
    file = file_of(junk)
    for candidate in (junk, file):
        try:
            header = read_header(candidate, file_size=max(size, len(candidate)), name="x")
        except (ShardError, InvalidArgumentError):
            continue
        assert header.data_start <= header.file_size


@given(st.data())
def test_what_we_accept_the_stock_library_accepts(data):
    """Damage one byte of an honest file: whatever of it we still read, the stock library reads alike."""
    file = bytearray(save({"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.ones(2, np.float32)}, {"k": "v"}))
    length = int.from_bytes(file[:8], "little")
    file[data.draw(st.integers(8, 7 + length))] = data.draw(st.integers(32, 126))
    try:
        header = read(bytes(file))
    except ShardError:
        return
    stock = {name: (info["dtype"], tuple(info["shape"])) for name, info in safetensors.deserialize(bytes(file))}
    assert stock == {name: (one.dtype, one.shape) for name, one in header.entries.items()}


HOSTILE = {
    "empty file": (b"", "8 bytes are the length|no safetensors file"),
    "seven bytes": (b"\x02\0\0\0\0\0\0", "7 bytes are no safetensors file"),
    "length past the file": ((100).to_bytes(8, "little") + b"{}", "100 bytes, but the file has 2"),
    "length of 2**64 - 1": (b"\xff" * 8 + b"{}", "truncated"),
    "not JSON": (file_of("hello"), "expected '{'"),
    "not UTF-8": (file_of(b'{"\xff":1}'), "byte 2 is not UTF-8"),
    "a list": (file_of("[]"), "expected '{'"),
    "unclosed": (file_of('{"a":' + entry(), bytes(4)), "expected ',' or '}'"),
    "trailing comma": (file_of('{"a":' + entry() + ",}", bytes(4)), "expected a string"),
    "something after": (file_of("{} {}"), "something follows its end"),
    "leading space": (file_of(" {}"), "expected '{'"),
    "duplicate tensors": (file_of(f'{{"a":{entry()},"a":{entry()}}}', bytes(4)), "tensor 'a' stands in it twice"),
    "duplicate, spelt otherwise": (
        file_of(f'{{"a":{entry()},"\\u0061":{entry()}}}', bytes(4)),
        "'a' stands in it twice",
    ),
    "duplicate fields": (
        file_of('{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
        "fields 'dtype', 'dtype', 'shape', 'data_offsets'",
    ),
    "duplicate metadata": (file_of('{"__metadata__":{},"__metadata__":{}}'), "'__metadata__' stands in it twice"),
    "duplicate keys in metadata": (file_of('{"__metadata__":{"a":"1","a":"2"}}'), "'a' stands in '__metadata__' twice"),
    "metadata of numbers": (file_of('{"__metadata__":{"a":1}}'), "expected a string"),
    "metadata like a tensor": (file_of(f'{{"__metadata__":{entry()}}}', bytes(4)), "expected a string"),
    "unknown dtype": (file_of(f'{{"a":{entry("I128")}}}', bytes(4)), "dtype 'I128'; safetensors has BOOL"),
    "missing field": (file_of('{"a":{"dtype":"U8","shape":[4]}}', bytes(4)), "expected dtype, shape and data_offsets"),
    "an entry that is a number": (file_of('{"a":7}'), "tensor 'a' is '7}'"),
    "negative length": (file_of('{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}', bytes(4)), "at least 0"),
    "length that is a float": (
        file_of('{"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}', bytes(4)),
        "integers",
    ),
    "length that is true": (file_of('{"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}}', bytes(1)), "integers"),
    "leading zero": (file_of('{"a":{"dtype":"U8","shape":[04],"data_offsets":[0,4]}}', bytes(4)), "is not JSON"),
    "three offsets": (file_of(f'{{"a":{entry(offsets=(0, 4, 4))}}}', bytes(4)), "3 data_offsets"),
    "end before begin": (
        file_of(f'{{"a":{entry(offsets=(4, 0))}}}', bytes(4)),
        "ends at byte 0, before it begins at 4",
    ),
    "wrong length": (file_of(f'{{"a":{entry(offsets=(0, 3))}}}', bytes(3)), "takes 4 bytes, but is given 3"),
    "product past 64 bits": (
        file_of(f'{{"a":{entry(shape=(2**62, 2**62), offsets=(0, 4))}}}', bytes(4)),
        "larger than any file",
    ),
    "product that wraps to 0": (
        file_of(f'{{"a":{entry(shape=(2**33, 2**33), offsets=(0, 4))}}}', bytes(4)),
        "larger than any file",
    ),
    "half a byte": (file_of(f'{{"a":{entry("F4", (3,), (0, 2))}}}', bytes(2)), "12 bits, which are not whole bytes"),
    "overlap": (
        file_of(f'{{"a":{entry()},"b":{entry(offsets=(2, 6))}}}', bytes(6)),
        "tensor 'b' overlaps 'a': it starts at byte 127, expected 129",
    ),
    "hole": (
        file_of(f'{{"a":{entry()},"b":{entry(offsets=(6, 10))}}}', bytes(10)),
        "leaves a hole of 2 bytes after 'a'",
    ),
    "hole at the start": (file_of(f'{{"a":{entry(offsets=(1, 5))}}}', bytes(5)), "a hole of 1 bytes after the header"),
    "leaves the file": (file_of(f'{{"a":{entry()}}}', bytes(3)), "ends at byte 71, but the file has 70"),
    "trailing bytes": (file_of(f'{{"a":{entry()}}}', bytes(9)), "5 bytes follow the last tensor"),
    "half a surrogate pair": (file_of(f'{{"\\ud800":{entry()}}}', bytes(4)), "is not JSON"),
}


@pytest.mark.parametrize("case", HOSTILE, ids=str)
def test_a_broken_file_is_refused_with_its_name_and_the_mend(case):
    file, words = HOSTILE[case]
    with pytest.raises(ShardError, match=words) as caught:
        read(file)
    assert str(caught.value).startswith("s3://bucket/train/00000.safetensors: ")
    assert "fetch the file again" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_header_said_to_take_ten_gigabytes_is_refused_before_it_is_read():
    first8 = (10 * 2**30).to_bytes(8, "little")
    with pytest.raises(ShardError, match="10,737,418,240 bytes; safetensors allows 100,000,000"):
        header_length(first8, file_size=2**40, name="x")


def bombs():
    yield b'{"a":' + b"[" * 5_000_000
    yield b'{"a":{"dtype":' + b"[" * 19_000 + b"]" * 5_000_000
    yield b'{"a":{"shape":[' + b"[]," * 2_000_000
    yield b'{"a":' + b'{"a":' * 1_000_000
    yield b'{"' + b"a" * 10_000_000
    yield b'{"' + b"\\u0061" * 1_000_000 + b'":1}'
    yield b"{" + b" " * 10_000_000
    yield b'{"a":{"dtype":"U8","shape":[' + b"9" * 5_000_000 + b'],"data_offsets":[0,0]}}'
    yield b'{"a":{"dtype":"U8","data_offsets":[0,0],"shape":[' + b"9" * 19_000 + b"]}}"
    yield b'{"a":{"dtype":"U8","data_offsets":[0,0],"shape":[' + b"0," * 5_000 + b"0]}}" + b"x"


@pytest.mark.parametrize("number", range(10))
def test_hostile_json_costs_no_more_than_it_weighs(number):
    bomb = list(bombs())[number]
    file = file_of(bomb)
    tracemalloc.start()
    with at_most(2), pytest.raises(ShardError) as caught:
        read(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(str(caught.value)) < 500
    assert peak < 8 * len(bomb) + 2**22


def test_a_header_of_spaces_between_is_read():
    """Other writers spell the same JSON otherwise; the stock library reads it, and so do we."""
    text = ' {"shape" : [ 2,\n2 ],"dtype":"U8" , "data_offsets":[0, 4]} '
    file = file_of('{ "a b" :' + text + ', "__metadata__" : { "x" : "{[" } }  \n', bytes(4))
    assert read(file).entries["a b"].shape == (2, 2)
    assert read(file).metadata == {"x": "{["}
    assert [name for name, _ in safetensors.deserialize(file)] == ["a b"]


def test_entries_come_in_the_order_of_their_data():
    file = file_of(f'{{"late":{entry(offsets=(4, 8))},"early":{entry()}}}', bytes(8))
    assert list(read(file).entries) == ["early", "late"]


def test_a_prefix_shorter_than_the_header_says_how_much_is_needed():
    file = build_header([("a", "U8", (4,))]) + bytes(4)
    with pytest.raises(InvalidArgumentError, match="pass the first 64 bytes"):
        read_header(file[:20], file_size=len(file), name="x")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("a", "U8", (1,)), ("a", "U8", (1,))], "given twice"),
        ([("__metadata__", "U8", (1,))], "reserved"),
        ([("a", "uint8", (1,))], "safetensors has BOOL"),
        ([("a", "F4", (1,))], "4 bits, not whole bytes"),
    ],
)
def test_a_header_that_could_not_be_read_is_not_built(entries, words):
    with pytest.raises(InvalidArgumentError, match=words):
        build_header(entries)


@settings(max_examples=20)
@given(st.integers(1, 200))
def test_the_order_of_entries_is_the_order_of_the_data(n):
    names = [f"{i:05d}" for i in reversed(range(n))]
    file = build_header([(name, "U16", (i,)) for i, name in enumerate(names)]) + bytes(n * (n - 1))
    header = read(file)
    assert {name: one.stop - one.start for name, one in header.entries.items()} == {
        name: 2 * i for i, name in enumerate(names)
    }


def test_twenty_thousand_tensors_are_read_in_well_under_a_second():
    file = build_header([(f"train-{i:07d}/input", "U16", (13, 64, 64)) for i in range(20_000)])
    size = len(file) + 20_000 * 13 * 64 * 64 * 2
    with at_most(1):
        assert len(read_header(file, file_size=size, name="x").entries) == 20_000
