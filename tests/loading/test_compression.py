"""Compressed shards, read through every door, locally and over HTTP; and everything that can be wrong with them."""

import gzip
import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import xxhash
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import mlstac
from mlstac.errors import CatalogError, ChecksumError, CollectionError, FormatError, MlstacError, ShardError
from mlstac.loading import _frames
from tests.loading.broken import PART, edit_collection, edit_rows, write_part
from tests.loading.datasets import describe, write_collection, write_stacked

pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork.*:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]

COUNT = 24
BANDS = ["B02", "B03", "B04"]


def make_samples():
    rng = np.random.default_rng(11)
    return [
        {
            "image": np.cumsum(rng.integers(-2, 3, (3, 48, 48)), axis=2).astype(np.int16),
            "points": rng.normal(size=(100 * (number % 7), 3)).astype(np.float32),
            "caption": "word " * (number % 5),
            "number": np.int64(number),
        }
        for number in range(COUNT)
    ]


SAMPLES = make_samples()


def write(path, **options):
    tensors = {
        "image": mlstac.Tensor(dims="band y x", bands=BANDS),
        "points": mlstac.Tensor(shape=(None, 3)),
        "caption": mlstac.Tensor(),
        "number": mlstac.Tensor(role="label"),
    }
    mlstac.write(SAMPLES, path, id="pressed", license="MIT", tensors=tensors, shard_size="100KB", **options)
    return path


@pytest.fixture(scope="module")
def pressed(tmp_path_factory):
    """24 samples of large, varying, empty and tiny tensors in several compressed shards."""
    return write(tmp_path_factory.mktemp("pressed") / "set", compression="zstd")


OPEN = []


@pytest.fixture(autouse=True)
def _close(fault_server):
    """Close what a test opened while its server still runs."""
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture(params=["local", "remote"])
def opened(request, pressed, fault_server):
    """Opens the dataset from its folder, or over HTTP."""
    source = str(pressed) if request.param == "local" else fault_server(pressed).url

    def load(**options):
        OPEN.append(mlstac.load(source, **{"framework": "numpy", **options}))
        return OPEN[-1]

    return load


def check(found, number):
    wanted = SAMPLES[number]
    assert np.array_equal(found["image"], wanted["image"])
    assert np.array_equal(found["points"], wanted["points"])
    assert found["caption"] == wanted["caption"]
    assert int(found["number"]) == number


def check_batch(batch):
    for at, number in enumerate(np.asarray(batch["number"]).tolist()):
        check({name: batch[name][at] for name in batch}, number)
    return np.asarray(batch["number"]).tolist()


@pytest.mark.parametrize("verify", [None, True, False])
def test_samples_slices_and_lists(opened, verify):
    ds = opened(verify=verify)
    for number in (0, 7, COUNT - 1):
        check(ds[number], number)
    assert check_batch(ds[5:19]) == list(range(5, 19))
    assert check_batch(ds[[9, 2, 9, 9, 23]]) == [9, 2, 9, 9, 23]  # one that is asked for twice is undone once
    assert len(ds[3:3]["image"]) == 0


@pytest.mark.parametrize("shuffle", [False, True, "block"])
def test_an_epoch(opened, shuffle):
    seen = [number for batch in opened().batches(5, shuffle=shuffle, seed=3) for number in check_batch(batch)]
    assert sorted(seen) == list(range(COUNT))


def test_bands_and_windows_are_cut_out_of_the_frame(opened):
    ds = opened().select(tensors=["image", "number"], bands=["B04", "B02"]).window(y=slice(3, 20), x=slice(40, 47))
    wanted = [sample["image"][[2, 0], 3:20, 40:47] for sample in SAMPLES]
    assert np.array_equal(ds[13]["image"], wanted[13])
    assert np.array_equal(ds[[4, 20, 4]]["image"], np.stack([wanted[4], wanted[20], wanted[4]]))
    assert all(
        np.array_equal(image, wanted[number])
        for batch in ds.batches(7, shuffle=True)
        for image, number in zip(batch["image"], batch["number"].tolist(), strict=True)
    )


def test_threads_give_what_one_gives(opened, monkeypatch):
    monkeypatch.setattr(_frames, "ALONE_BYTES", 1)
    monkeypatch.setattr(_frames, "_cores", lambda: 4)
    assert check_batch(opened()[0:COUNT]) == list(range(COUNT))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_torch_dataloader_of_worker_processes(opened, workers):
    ds = opened(framework="torch").select(tensors=["image", "number"])
    ds[0]
    loader = DataLoader(ds, batch_size=4, num_workers=workers, multiprocessing_context="fork" if workers else None)
    seen = []
    for batch in loader:
        for image, number in zip(batch["image"], batch["number"].tolist(), strict=True):
            assert np.array_equal(image.numpy(), SAMPLES[number]["image"])
            seen.append(number)
    assert seen == list(range(COUNT))


def test_a_download_keeps_the_compressed_shards_and_reads_them(pressed, fault_server, tmp_path):
    ds = mlstac.load(fault_server(pressed).url, framework="numpy", stream=False, data_dir=tmp_path / "here")
    assert check_batch(ds[0:COUNT]) == list(range(COUNT))
    shards = {file.name: file.read_bytes() for file in (pressed / "train").glob("*.zst")}
    assert shards
    assert {file.name: file.read_bytes() for file in (tmp_path / "here" / "train").glob("*.zst")} == shards


def test_what_the_cache_kept_is_not_asked_for_again(pressed, fault_server, tmp_path):
    server = fault_server(pressed)
    for _ in range(2):
        OPEN.append(mlstac.load(server.url, framework="numpy", cache_dir=tmp_path / "cache"))
        check(OPEN[-1][3], 3)
        asked = [request for request in server.requests if request.path.endswith(".zst")]
    assert len(asked) == len({(request.path, request.range) for request in asked})


def test_one_sample_over_http_costs_its_frames_and_no_more(pressed, fault_server):
    server = fault_server(pressed)
    ds = mlstac.load(server.url, framework="numpy")
    OPEN.append(ds)
    ds[0]
    rows = pq.read_table(pressed / PART)["assets"].to_pylist()
    before = len(server.requests)
    check(ds[9], 9)
    asked = [request for request in server.requests[before:] if request.method == "GET"]
    frames = {(asset["ml:offset"], asset["ml:length"]) for asset in rows[9].values() if asset["ml:length"]}
    assert all(request.path.endswith(".safetensors.zst") for request in asked)
    assert len(asked) <= len(frames) <= 4  # one frame the image, one the points, one what is small beside each
    stored = sum(length for _, length in frames)
    assert sum(stop - start for start, stop in (request.range for request in asked)) <= stored * 1.02 + 64 * 1024
    # the image alone costs its own frame, to the byte
    before = len(server.requests)
    ds.select(tensors=["image"])[9]
    (request,) = server.requests[before:]
    asset = rows[9]["image"]
    assert request.range == (asset["ml:offset"], asset["ml:offset"] + asset["ml:length"])
    assert asset["ml:length"] < SAMPLES[9]["image"].nbytes / 1.5


def test_an_epoch_in_order_asks_for_neighbours_together(pressed, fault_server):
    server = fault_server(pressed)
    ds = mlstac.load(server.url, framework="numpy")
    OPEN.append(ds)
    list(ds.batches(4))
    asked = [request for request in server.requests if request.path.endswith(".zst")]
    size = sum(file.stat().st_size for file in (pressed / "train").glob("*.zst"))
    assert len(asked) <= COUNT
    assert sum(stop - start for start, stop in (request.range for request in asked)) <= 1.5 * size


def test_a_mixture_reads_plain_and_compressed_together(pressed, tmp_path):
    plain = mlstac.load(write(tmp_path / "plain"), framework="numpy")
    mixed = mlstac.mix([plain, mlstac.load(pressed, framework="numpy")], weights=[1, 1], seed=1)
    seen = [number for batch in mixed.batches(6) for number in check_batch(batch)]
    assert len(seen) == len(mixed)
    assert sorted(set(seen)) == list(range(COUNT))


# ---------------------------------------------------------------- one dataset of plain, zstd and gzip files

ROW = pa.struct([
    ("href", pa.string()), ("file:size", pa.int64()), ("ml:offset", pa.int64()), ("ml:length", pa.int64()),
    ("ml:frame_offset", pa.int64()), ("ml:checksum", pa.uint32()),
])  # fmt: skip


def total(data):
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


def store(chunk, suffix):
    """A shard written by hand, and of each tensor of each sample: offset, length, frame_offset, checksum."""
    data = safetensors.numpy.save(chunk)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    pieces = {}
    for name, array in chunk.items():
        first = start + header[name]["data_offsets"][0]
        pieces[name] = [(first + row * array[0].nbytes, array[0].nbytes) for row in range(len(array))]
    if suffix == "":
        return data, {k: [(at, n, None, total(data[at : at + n])) for at, n in rows] for k, rows in pieces.items()}
    if suffix == ".gz":
        stored = gzip.compress(data)
        return stored, {k: [(0, len(stored), at, total(stored)) for at, _ in rows] for k, rows in pieces.items()}
    # numbers, which are small, share one frame; stock safetensors puts them first
    edges = [0, start, *(at for at, _ in pieces["image"]), len(data)]
    frames = [zstandard.compress(data[a:b]) for a, b in itertools.pairwise(edges)]
    begins = np.cumsum([0, *map(len, frames)]).tolist()
    places = {"number": [(begins[1], len(frames[1]), at - start, total(frames[1])) for at, _ in pieces["number"]]}
    places["image"] = [(begins[2 + row], len(frames[2 + row]), None, total(frames[2 + row])) for row in range(4)]
    return b"".join(frames), places


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Twelve samples: four in a plain shard, four in a zstd one, four in gzip files of one sample each."""
    folder = tmp_path_factory.mktemp("three") / "set"
    (folder / "train").mkdir(parents=True)
    rng = np.random.default_rng(2)
    arrays = {
        "image": rng.integers(0, 9, (12, 2, 40, 40)).astype(np.uint16),
        "number": np.arange(12, dtype=np.int64),
    }
    rows = []
    for part, (suffix, first) in enumerate([("", 0), (".zst", 4), *((".gz", number) for number in range(8, 12))]):
        chunk = {
            name: np.ascontiguousarray(array[first:][: 1 if suffix == ".gz" else 4]) for name, array in arrays.items()
        }
        stored, places = store(chunk, suffix)
        href = f"./{part:05d}.safetensors{suffix}"
        (folder / "train" / href).write_bytes(stored)
        leaves = {
            name: [dict(zip(ROW.names, (href, len(stored), *place), strict=True)) for place in found]
            for name, found in places.items()
        }
        rows += [{name: found[row] for name, found in leaves.items()} for row in range(len(chunk["number"]))]
    kind = pa.struct([(name, ROW) for name in arrays])
    table = pa.table({"id": [f"s{row}" for row in range(12)], "assets": pa.array(rows, kind)})
    pq.write_table(table, folder / PART)
    facts = describe(arrays, image={"dims": "band y x"}, number={"checksum_rows": 1})
    write_collection(folder, {"train": (12, [folder / PART])}, facts)
    return folder, arrays


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("verify", [None, True, False])
def test_plain_zstd_and_gzip_files_are_one_dataset(three, fault_server, remote, verify):
    folder, arrays = three
    ds = mlstac.load(fault_server(folder).url if remote else folder, framework="numpy", verify=verify)
    OPEN.append(ds)
    assert [int(ds[row]["number"]) for row in range(12)] == list(range(12))
    batch = ds[[11, 3, 5, 0, 8, 5]]
    assert batch["number"].tolist() == [11, 3, 5, 0, 8, 5]
    assert np.array_equal(batch["image"], arrays["image"][[11, 3, 5, 0, 8, 5]])
    for batch in ds.batches(5, shuffle=True):
        assert np.array_equal(batch["image"], arrays["image"][batch["number"]])
    cut = ds.window(y=slice(1, 5), x=slice(30, 40))[2:11]["image"]
    assert np.array_equal(cut, arrays["image"][2:11, :, 1:5, 30:40])


# ---------------------------------------------------------------- what can be wrong


@pytest.fixture
def copy(pressed, tmp_path):
    """A copy of the compressed dataset, to break."""
    return shutil.copytree(pressed, tmp_path / "copy")


@pytest.fixture(params=["local", "remote"])
def source(request, copy):
    """The copy as a path and as a URL: called after it was broken."""
    if request.param == "local":
        return lambda: str(copy)
    return lambda: request.getfixturevalue("fault_server")(copy).url


def load(url, **options):
    OPEN.append(mlstac.load(url, framework="numpy", **options))
    return OPEN[-1]


def image_frame(folder, row):
    asset = pq.read_table(folder / PART)["assets"][row].as_py()["image"]
    return folder / "train" / asset["href"], asset["ml:offset"], asset["ml:length"]


def overwrite(path, start, data):
    whole = bytearray(path.read_bytes())
    whole[start : start + len(data)] = data
    path.write_bytes(whole)


@pytest.mark.parametrize("verify", [None, True, False])
def test_a_damaged_frame_is_named_with_its_sample(copy, source, verify):
    path, start, length = image_frame(copy, 6)
    overwrite(path, start + length // 2, b"\x55\xaa\x55\xaa")
    ds = load(source(), verify=verify)
    check(ds[5], 5)
    with pytest.raises(ShardError, match=r"tensor 'image' of sample 6 \('train-0000006'\) in .*again") as caught:
        ds[6]
    assert isinstance(caught.value, ChecksumError) == (
        verify is True or (verify is None and "http" in str(caught.value))
    )
    with pytest.raises(ShardError, match="sample 6"):
        ds[2:9]
    with pytest.raises(ShardError, match="sample 6"):
        list(ds.batches(4, shuffle=True))
    with pytest.raises(ShardError, match="sample 6"):
        ds.select(tensors=["image"]).window(y=slice(0, 2), x=slice(0, 2))[6]


def test_a_shard_that_is_cut_short_is_named(copy, source):
    path, _, _ = image_frame(copy, 0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(MlstacError, match=r"00000.safetensors.zst"):
        load(source())[0]


def set_rows(folder, change):
    def apply(rows):
        for row in rows:
            change(row["assets"])

    edit_rows(folder, apply)


@pytest.mark.parametrize("cut", [1, 20, 5000])
def test_a_frame_that_is_broken_off_is_named(copy, source, cut):
    def change(assets):
        assets["image"]["ml:length"] = max(1, assets["image"]["ml:length"] - cut)

    set_rows(copy, change)
    with pytest.raises(ShardError, match=r"tensor 'image' of sample 3 .*(broken off|no zstd frame|damaged)"):
        load(source(), verify=False)[3]
    with pytest.raises(ShardError, match="sample 3"):
        load(source())[3]


def test_a_frame_of_another_tensor_is_not_taken(copy, source):
    def change(assets):  # the points' bytes for the image's
        for leaf in () if not assets["points"]["ml:length"] else ("ml:offset", "ml:length", "ml:checksum"):
            assets["image"][leaf] = assets["points"][leaf]

    set_rows(copy, change)
    with pytest.raises(ShardError, match=r"tensor 'image' of sample 2 .*holds [\d,]+ bytes; expected"):
        load(source())[2]


def test_a_bomb_is_refused_before_it_takes_memory(copy, source, tmp_path):
    import tracemalloc

    path, _, _ = image_frame(copy, 0)
    bomb = zstandard.compress(bytes(500_000_000), 3)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + bomb)

    def change(assets):
        for asset in assets.values():
            if asset["href"].endswith("00000.safetensors.zst"):
                asset["file:size"] = size + len(bomb)
        if assets["image"]["href"].endswith("00000.safetensors.zst"):
            for name in ("image", "number"):
                assets[name] |= {"ml:offset": size, "ml:length": len(bomb), "ml:checksum": total(bomb)}
            # one that says the bomb's true length
            assets["caption"] |= assets["number"] | {"ml:shape": [1000], "ml:frame_offset": 499_999_000}

    set_rows(copy, change)
    ds = load(source())
    tracemalloc.start()
    for name in ("image", "number", "caption"):
        with pytest.raises(ShardError, match="holds 500,000,000 bytes; expected"):
            ds.select(tensors=[name])[0]
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda asset: asset.update({"ml:length": 0}), "no frame of that length"),
        (lambda asset: asset.update({"ml:length": 1 << 40}), "of a file of"),
        (lambda asset: asset.update({"ml:offset": -1}), "ml:offset is -1"),
        (lambda asset: asset.update({"ml:shape": [1 << 40, 3]}), "no frame of that length|is another"),
        (lambda asset: asset.update({"ml:shape": [-2, 3]}), "ml:shape"),
        (lambda asset: asset.update({"ml:frame_offset": -7}), "ml:frame_offset is -7"),
        (lambda asset: asset.update({"ml:frame_offset": 1 << 60}), "no frame of that length"),
        (lambda asset: asset.update({"ml:frame_offset": 200_000}), "expected at least|beyond"),
        (lambda asset: asset.update({"ml:shape": [90_000, 3]}), "expected|no frame"),
    ],
)
def test_an_address_that_cannot_be_is_refused(copy, source, change, message):
    set_rows(copy, lambda assets: change(assets["points"]))
    with pytest.raises(FormatError, match=message):
        load(source(), verify=False)[1]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_in_the_place_of_a_shard_are_refused_or_right(pressed, tmp_path_factory, data):
    folder = shutil.copytree(pressed, tmp_path_factory.mktemp("any") / "copy")
    path, start, length = image_frame(folder, 0)
    at = data.draw(st.integers(start, start + length - 1))
    overwrite(path, at, data.draw(st.binary(min_size=1, max_size=8))[: start + length - at])
    ds = mlstac.load(folder, framework="numpy", verify=data.draw(st.booleans()))
    try:
        found = ds[0]
    except ShardError:
        return
    check(found, 0)


def test_shapes_that_vary_must_be_said(copy, source):
    table = pq.read_table(copy / PART)
    kind = table.schema.field("assets").type
    kept = pa.struct([
        (field.name, pa.struct([leaf for leaf in field.type if leaf.name != "ml:shape"])) for field in kind
    ])  # fmt: skip
    rows = table["assets"].to_pylist()
    for row in rows:
        for asset in row.values():
            asset.pop("ml:shape", None)
    write_part(copy, pa.table({"id": table["id"], "assets": pa.array(rows, kept)}))
    with pytest.raises(CatalogError, match="points needs ml:shape"):
        load(source()).select(tensors=["points"])[0]


def test_a_compression_of_the_future_is_refused_at_load(copy):
    edit_collection(copy, lambda document: document.update({"ml:compression": "brotli"}))
    with pytest.raises(CollectionError, match=r"'brotli'.*newer mlstac"):
        mlstac.load(copy)


@pytest.mark.parametrize("said", [True, False])
def test_a_missing_package_is_told_at_load_where_the_collection_says_so(pressed, tmp_path, said):
    folder = shutil.copytree(pressed, tmp_path / "copy")
    if not said:  # as another writer may leave it: the catalog's first row tells then
        edit_collection(folder, lambda document: document.pop("ml:compression"))
    program = (
        "import sys; sys.modules['zstandard'] = None\n"
        "import mlstac\n"
        "try:\n    step = 'load'; ds = mlstac.load(sys.argv[1], framework='numpy'); step = 'read'; ds[0]\n"
        "except mlstac.errors.MissingPackageError as error:\n    print(step, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("load collection 'pressed'" if said else "read the shard ")
    assert "run: pip install zstandard" in done.stdout


def test_a_plain_dataset_needs_no_package(tmp_path):
    write_stacked(tmp_path, {"train": {"x": np.zeros((3, 4), np.uint8)}})
    program = (
        "import sys; sys.modules['zstandard'] = None; import mlstac; mlstac.load(sys.argv[1], framework='numpy')[0]"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
