"""Compressed shards as bytes: any zstd undoes them to the plain file, and every address finds its sample's bytes."""

import gzip
import shutil
import subprocess

import numpy as np
import pyarrow as pa
import pytest
import xxhash
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from mlstac.errors import InvalidArgumentError, MissingPackageError, ShardError
from mlstac.sample import (
    GZIP,
    SHARED_FRAME_BYTES,
    ZSTD,
    PackedSample,
    address_frames,
    codec_of,
    compress_frame,
    cut_frames,
    decompress_frame,
    frame_contents,
    media_type_of,
    pack_shard,
    parse_compression,
    read_header,
    slice_frames,
    undo_header,
    undo_shared,
    walk_frames,
)
from tests.sample.test_layout import bytes_at, encode, file_of, shards


def compress(plan):
    """The compressed file of a plan, its edges in the plain one, and its addresses."""
    edges = cut_frames(plan)
    frames = [compress_frame(data, 3) for data in slice_frames(plan, edges)]
    addresses = address_frames(
        plan.addresses,
        edges,
        lengths=np.array([len(frame) for frame in frames], np.int64),
        checksums=np.array([xxhash.xxh3_64_intdigest(frame) & 0xFFFFFFFF for frame in frames], np.uint32),
    )
    return b"".join(frames), edges, addresses


@st.composite
def mixed(draw):
    """Samples whose tensors are large, small or empty, of any layout."""
    n = draw(st.integers(0, 6))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    layouts = draw(
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["stacked", "jagged", "keyed"]), max_size=4)
    )
    dtypes = {name: draw(st.sampled_from(["u1", "<i2", "<f4", "<f8"])) for name in layouts}
    sizes = {name: draw(st.sampled_from([0, 1, 700, 4095, 4096, 70_000])) for name in layouts}
    samples = []
    for number in range(n):
        tensors = {}
        for name, layout in layouts.items():
            size = sizes[name] if layout == "stacked" else draw(st.sampled_from([0, 1, 513, 5000]))
            values = rng.integers(0, 5, size).astype(dtypes[name])
            if draw(st.booleans()) or layout == "stacked":
                tensors[name] = encode(values)
        samples.append(PackedSample(f"s{number}", tensors))
    return samples, layouts


@given(st.one_of(mixed(), shards().map(lambda made: made[:2])))
def test_frames_make_the_plain_file_and_hold_every_sample(made):
    samples, layouts = made
    plan = pack_shard(samples, {name: layouts[name] for name in {n for s in samples for n in s.tensors}})
    plain = file_of(plan)
    stored, edges, addresses = compress(plan)
    # outside judges: python-zstandard over all frames, and the stock reader
    with zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True) as reader:
        assert reader.read() == plain
    load(plain)
    assert zstandard.ZstdDecompressor().decompress(stored) == plan.header  # the first frame
    frames = list(walk_frames(np.frombuffer(stored, np.uint8), name="x"))
    assert np.array_equal(edges, np.cumsum([0, *(frame.contents for frame in frames)]))
    assert [frame.start for frame in frames] == np.cumsum([0, *(frame.length for frame in frames)])[:-1].tolist()
    large = {
        int(offset)
        for address in plan.addresses.values()
        for offset, length in zip(address.offset, address.length, strict=True)
        if length >= 4096
    }
    for begin, frame in zip(edges.tolist(), frames, strict=False):
        assert begin == 0 or begin in large or frame.contents <= max(SHARED_FRAME_BYTES, 8 * (len(samples) + 1))
    for name, address in addresses.items():
        for row in range(len(samples)):
            wanted = bytes_at(plan, plain, name, row)
            start, length = int(address.offset[row]), int(address.length[row])
            if not wanted:
                assert length == 0
                continue
            frame = stored[start : start + length]
            assert address.checksum[row] == xxhash.xxh3_64_intdigest(frame) & 0xFFFFFFFF
            inside = 0 if address.frame_offset is None else int(address.frame_offset[row])
            contents = zstandard.ZstdDecompressor().decompress(frame)
            assert contents[inside : inside + len(wanted)] == wanted
            if len(wanted) >= 4096:
                assert (inside, len(contents)) == (0, len(wanted))


def test_small_tensors_share_frames_of_a_bounded_size():
    samples = [PackedSample(f"s{n}", {"a": encode(np.full(3000, n, np.uint8))}) for n in range(200)]
    plan = pack_shard(samples, {"a": "stacked"})
    sizes = np.diff(cut_frames(plan))[1:]
    assert sizes.sum() == 600_000
    assert sizes.tolist() == [261_000, 261_000, 78_000]  # whole samples, as many as 262,144 bytes hold


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs the zstd command")
def test_the_zstd_command_tests_and_undoes_a_shard(tmp_path):
    samples = [
        PackedSample(f"s{n}", {"a": encode(np.arange(5000, dtype=np.int16)), "n": encode(np.float64(n))})
        for n in range(5)
    ]
    plan = pack_shard(samples, {"a": "stacked", "n": "stacked"})
    file = tmp_path / "x.safetensors.zst"
    file.write_bytes(compress(plan)[0])
    subprocess.run(["zstd", "-q", "-t", file], check=True)
    subprocess.run(["zstd", "-q", "-d", file], check=True)
    assert (tmp_path / "x.safetensors").read_bytes() == file_of(plan)
    assert load((tmp_path / "x.safetensors").read_bytes())["n"].tolist() == [0, 1, 2, 3, 4]


@given(st.binary(max_size=9000), st.sampled_from([1, 3, 19]))
def test_a_frame_says_its_length_and_comes_back(data, level):
    array = np.frombuffer(data, np.uint8)
    frame = np.frombuffer(compress_frame(array, level), np.uint8)
    assert frame_contents(frame) == len(data)
    out = np.empty(len(data), np.uint8)
    decompress_frame(frame, out)
    assert out.tobytes() == data
    if data:
        assert pa.Codec("zstd").decompress(frame.tobytes(), len(data)).to_pybytes() == data
    assert [tuple(found) for found in walk_frames(frame, name="x")] == [(0, len(frame), len(data))]


NOISE = np.random.default_rng(3).integers(0, 50, 300_000).astype(np.uint8)


@given(st.integers(0, 1 << 30), st.integers(0, 7))
def test_a_flipped_bit_is_never_taken_for_data(at, bit):
    frame = np.frombuffer(compress_frame(NOISE[:20_000], 3), np.uint8).copy()
    frame[at % len(frame)] ^= 1 << bit
    out = np.empty(20_000, np.uint8)
    try:
        decompress_frame(frame, out)
    except ShardError:
        return
    assert np.array_equal(out, NOISE[:20_000])  # a bit of the header that says the same otherwise


def test_what_follows_a_frame_is_left_alone():
    frame = compress_frame(NOISE, 3)
    out = np.empty(len(NOISE), np.uint8)
    decompress_frame(np.frombuffer(frame + b"more", np.uint8), out)
    assert np.array_equal(out, NOISE)


@given(st.integers(0, 1 << 30))
def test_a_frame_that_is_broken_off_is_refused(keep):
    frame = np.frombuffer(compress_frame(NOISE, 3), np.uint8)
    with pytest.raises(ShardError, match=r"broken off|no zstd frame"):
        decompress_frame(frame[: keep % len(frame)], np.empty(len(NOISE), np.uint8))


def test_a_frame_of_another_length_is_refused_before_anything_is_undone():
    bomb = np.frombuffer(compress_frame(np.zeros(101_000_000, np.uint8), 3), np.uint8)
    assert len(bomb) < 10_000
    with pytest.raises(ShardError, match="holds 101,000,000 bytes; expected 100"):
        decompress_frame(bomb, np.empty(100, np.uint8))
    with pytest.raises(ShardError, match="at most 262,144"):
        undo_shared(bomb, ZSTD, at_least=100)
    with pytest.raises(ShardError, match="expected at least 102,000,000"):
        undo_shared(bomb, ZSTD, at_least=102_000_000, at_most=200_000_000)
    with pytest.raises(ShardError, match="more than any safetensors header"):
        undo_header(bomb, ZSTD)


def test_a_frame_that_does_not_say_its_length_is_refused():
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 5000)
    with pytest.raises(ShardError, match="does not say"):
        decompress_frame(np.frombuffer(silent, np.uint8), np.empty(5000, np.uint8))


def test_a_gzip_bomb_is_undone_no_further_than_asked(tmp_path):
    import tracemalloc

    bomb = np.frombuffer(gzip.compress(b"a" * 100_000_000), np.uint8)
    tracemalloc.start()
    assert undo_shared(bomb, GZIP, at_least=10).tobytes() == b"a" * 10
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    with pytest.raises(ShardError, match="broken off"):
        undo_shared(bomb[:50], GZIP, at_least=100_000_000)
    with pytest.raises(ShardError, match="damaged"):
        undo_shared(NOISE, GZIP, at_least=10)


@pytest.mark.parametrize("codec", [ZSTD, GZIP])
def test_the_header_is_read_from_the_first_frame(codec):
    samples = [PackedSample(f"s{n}", {"a": encode(np.arange(5000, dtype=np.int16))}) for n in range(3)]
    plan = pack_shard(samples, {"a": "stacked"})
    stored = compress(plan)[0] if codec == ZSTD else gzip.compress(file_of(plan))
    data = np.frombuffer(stored, np.uint8)
    assert undo_header(data, codec) == plan.header
    assert undo_header(data, codec, limit=10) is None
    found = read_header(plan.header, file_size=None, name="x")
    assert found == read_header(plan.header, file_size=plan.size, name="x")


def test_what_is_no_file_of_frames_is_told_with_its_place():
    good = compress_frame(NOISE[:500], 3)
    with pytest.raises(ShardError, match=rf"x.zst, byte {len(good):,}: there is no zstd frame"):
        list(walk_frames(np.frombuffer(good + b"garbage that follows", np.uint8), name="x.zst"))
    with pytest.raises(ShardError, match="broken off"):
        list(walk_frames(np.frombuffer(good[:-3], np.uint8), name="x.zst"))


def test_names_say_what_is_compressed():
    assert codec_of("./00/00001.safetensors.zst") == ZSTD
    assert codec_of("https://host/a.safetensors.gz?sig=x#y") == GZIP
    assert codec_of("a?b/00001.safetensors.zst") == ZSTD
    assert codec_of("./00000.safetensors") is None
    assert codec_of("notes.zst") is None
    assert media_type_of("x.safetensors.zst") == "application/vnd.safetensors+zstd"
    assert media_type_of("x.safetensors") == "application/vnd.safetensors"


@pytest.mark.parametrize("text", ["lz4", "zstd:0", "zstd:23", "zstd:", "zstd:-1", "zstd:x", "zstd:³", "", 3, True])
def test_a_compression_that_cannot_be_meant_is_refused(text):
    with pytest.raises(InvalidArgumentError, match="give None, 'zstd'"):
        parse_compression(text)


def test_levels(monkeypatch):
    assert parse_compression(None) is None
    assert parse_compression("zstd").level == 3
    assert parse_compression("zstd:19").level == 19
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(MissingPackageError, match="pip install zstandard"):
        parse_compression("zstd")
