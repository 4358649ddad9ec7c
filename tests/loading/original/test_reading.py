"""Samples of the original ML-STAC, from disk and over HTTP."""

import gzip
import json
import pickle
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
import torch

import mlstac
from mlstac.errors import AccessError, InvalidArgumentError, MissingFileError, ShardError
from mlstac.loading import _copying
from mlstac.storage import open_server
from tests.loading.original.old import (
    UNPLACED,
    VERSIONS,
    base61,
    chip,
    chips,
    main_json,
    sample_bytes,
    words,
    write_dataset,
    write_split,
)


@pytest.fixture
def server(tmp_path):
    with open_server(tmp_path) as found:
        yield found


def hub(tmp_path, server, *, version="beta", gz=True, counts=None):
    """A dataset as it lies on the Hub: main.json under /raw/main, samples under /resolve/main of the same host."""
    counts = counts or {"train": 70, "validation": 2, "test": 3}
    write_dataset(
        tmp_path / "resolve" / "main",
        version=version,
        gz=gz,
        links=f"{server.url}resolve/main/{{}}/",
        counts=counts,
    )
    (tmp_path / "raw" / "main").mkdir(parents=True)
    (tmp_path / "resolve" / "main" / "main.json").rename(tmp_path / "raw" / "main" / "main.json")
    return f"{server.url}raw/main/main.json"


@pytest.mark.parametrize("gz", [True, False], ids=["gz", "plain"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_read_in_the_order_of_its_ids(version, gz, tmp_path):
    root = write_dataset(tmp_path / "data", version=version, gz=gz, counts={"train": 65, "validation": 2, "test": 3})
    ds = mlstac.load(root, framework="numpy")
    assert len(ds) == 65
    for number, sample in enumerate(ds):  # by directory order 000000a comes before 0000021, or after it
        np.testing.assert_equal(sample, chip(number))
    path = root / "train" / f"{base61(9)}.safetensors"
    raw = gzip.decompress(path.with_name(path.name + ".gz").read_bytes()) if gz else path.read_bytes()
    np.testing.assert_equal(ds[9], safetensors.numpy.load(raw))
    with pytest.raises(IndexError):
        ds[65]
    np.testing.assert_equal(mlstac.load(root, split="val", framework="numpy")[1], chip(66))


@pytest.mark.parametrize("gz", [True, False], ids=["gz", "plain"])
@pytest.mark.parametrize("version", ["beta", "0.0.23"])
def test_it_streams_from_another_folder_of_the_same_host(version, gz, tmp_path, server):
    ds = mlstac.load(hub(tmp_path, server, version=version, gz=gz), framework="numpy")
    before = server.requests
    np.testing.assert_equal(ds[64], chip(64))
    assert server.requests == before + 1  # one sample, one file
    batch = np.concatenate([batch["input"] for batch in ds.batches(16)])
    np.testing.assert_array_equal(batch, [chip(number)["input"] for number in range(70)])


def test_an_epoch_reads_each_file_once(tmp_path, server):
    """Though a label of eight bytes would elsewhere be read ahead for many samples."""
    (tmp_path / "data").mkdir()
    samples = [({"input": chip(number)["input"], "target": np.array(number)}, UNPLACED) for number in range(70)]
    write_split(tmp_path / "data" / "train", samples)
    said = main_json("0.0.23", {"train": f"{server.url}data/train"}, {"train": 70}) | {"ml:dimensions": None}
    (tmp_path / "data" / "main.json").write_text(json.dumps(said))
    ds = mlstac.load(f"{server.url}data", framework="numpy")
    before = server.requests
    labels = np.concatenate([batch["target"] for batch in ds.batches(4, shuffle=True)])
    assert sorted(labels.tolist()) == list(range(70))
    assert server.requests == before + 70


def test_a_file_unpacks_no_further_than_its_header_says(tmp_path):
    root = write_dataset(tmp_path / "data")
    ds = mlstac.load(root)
    path = root / "train" / f"{base61(3)}.safetensors.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(200_000_000), 1))
    tracemalloc.start()
    with pytest.raises(ShardError, match="unpacks to more than"):
        ds[3]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_load_looks_at_few_samples(tmp_path, server):
    url = hub(tmp_path, server)
    mlstac.load(url)
    assert server.requests <= 10


@pytest.mark.parametrize("gz", [True, False], ids=["gz", "plain"])
def test_it_downloads_and_is_then_a_local_dataset(gz, tmp_path, server):
    url = hub(tmp_path, server, gz=gz)
    ds = mlstac.load(url, split="train+test", stream=False, data_dir=tmp_path / "here", framework="numpy")
    server.close()
    assert len(ds) == 73
    np.testing.assert_equal(ds[72], chip(74))
    again = mlstac.load(tmp_path / "here", split="test", framework="numpy")
    np.testing.assert_equal(again[0], chip(72))
    with pytest.raises(AccessError, match="allow_hosts"):  # which was not asked for, and is elsewhere still
        mlstac.load(tmp_path / "here", split="validation")


def test_mlstac_download_takes_it_too(tmp_path, server):
    url = hub(tmp_path, server)
    assert mlstac.download(url, tmp_path / "here") == tmp_path / "here"
    server.close()
    np.testing.assert_equal(mlstac.load(tmp_path / "here", split="val", framework="numpy")[1], chip(71))


def test_a_download_goes_on_where_it_stopped(tmp_path, server):
    url = hub(tmp_path, server)
    mlstac.load(url, stream=False, data_dir=tmp_path / "here")
    lost = tmp_path / "here" / "train" / f"{base61(3)}.safetensors.gz"
    lost.unlink()
    before = server.bytes_sent
    ds = mlstac.load(url, stream=False, data_dir=tmp_path / "here", framework="numpy")
    np.testing.assert_equal(ds[3], chip(3))
    assert server.bytes_sent - before < 10 * lost.stat().st_size  # the sizes of all, and one file


@pytest.mark.parametrize("gz", [True, False], ids=["gz", "plain"])
def test_a_repository_of_the_hub_is_a_source(gz, hub, tmp_path):
    """Links name the Hub as the author knew it; here it has another address, and files of LFS lie on a second host."""
    links = "https://huggingface.co/datasets/jane/demo/resolve/main/{}/"
    root = write_dataset(tmp_path / "data", version="beta", gz=gz, links=links)
    hub.put("jane/demo", {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")})
    for source in ("jane/demo", "hf://datasets/jane/demo", f"{hub.url}/datasets/jane/demo/raw/main/main.json"):
        ds = mlstac.load(source, framework="numpy")
        assert len(ds) == 11
        np.testing.assert_equal(ds[9], chip(9))
        batch = next(iter(ds.batches(11)))
        np.testing.assert_array_equal(batch["input"], [chip(number)["input"] for number in range(11)])


def test_another_host_is_refused_unless_allowed(tmp_path, server):
    root = tmp_path / "data"
    with open_server(write_dataset(tmp_path / "files")) as other:
        (root).mkdir()
        host = other.url.split("/")[2]
        links = {"train": f"{other.url}train/"}
        (root / "main.json").write_text(json.dumps(main_json("0.0.23", links, {"train": 11})))
        for source in (f"{server.url}data/main.json", root / "main.json"):
            with pytest.raises(AccessError, match=f"allow_hosts=\\('{host}',\\)"):
                mlstac.load(source)
            ds = mlstac.load(source, allow_hosts=(host,), framework="numpy")
            np.testing.assert_equal(ds[10], chip(10))


@pytest.mark.parametrize("href", ["file:///etc/", "../../etc", "/etc/"])
def test_an_href_never_leads_to_other_files_of_this_machine(href, tmp_path, server):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "main.json").write_text(json.dumps(main_json("0.0.23", {"train": href}, {"train": 1})))
    with pytest.raises(AccessError):
        mlstac.load(tmp_path / "data")
    with pytest.raises((AccessError, MissingFileError)):  # a path of the same host is another of its folders
        mlstac.load(f"{server.url}data/main.json")


def test_the_old_names_and_forms_of_a_source_are_taken(tmp_path, server):
    url = hub(tmp_path, server)
    said = json.loads((tmp_path / "raw" / "main" / "main.json").read_text())
    folder = url.removesuffix("main.json")
    for options in ({"secret": url}, {"snippet": url}, {"source": said}, {"source": folder}, {"source": folder[:-1]}):
        ds = mlstac.load(**options, framework="numpy")
        np.testing.assert_equal(ds[1], chip(1))
    np.testing.assert_equal(mlstac.load(mlstac.open(url), framework="numpy")[1], chip(1))


def test_place_and_time_are_those_of_the_headers(tmp_path):
    ds = mlstac.load(write_dataset(tmp_path / "data"), split="all")
    frame = ds.metadata.to_pandas()
    assert frame["id"].is_unique
    assert frame["id"][11] == "validation-0000001"
    assert frame["proj:code"].tolist() == ["EPSG:32720"] * 16
    assert list(frame["proj:transform"][3]) == [10, 0, 300480, 0, -10, 8300000]
    assert frame["datetime"][2].isoformat() == "2020-06-03T10:30:00+00:00"
    import pyproj
    import shapely

    corner = pyproj.Transformer.from_crs("EPSG:32720", "OGC:CRS84", always_xy=True).transform(300480, 8300000)
    assert shapely.from_wkb(frame["geometry"][3]).distance(shapely.Point(corner)) < 1e-9


def test_what_the_headers_say_is_filtered_and_listed_over_http(tmp_path, server):
    """Rows are made of the beginnings of files, and of no more: with large samples that is little."""
    (tmp_path / "data").mkdir()
    large = [(chip(number, side=256), words(number)) for number in range(9)]
    write_split(tmp_path / "data" / "train", large)
    said = main_json("0.0.23", {"train": f"{server.url}data/train"}, {"train": 9}) | {"ml:dimensions": None}
    (tmp_path / "data" / "main.json").write_text(json.dumps(said))
    ds = mlstac.load(f"{server.url}data", framework="numpy")
    before = server.bytes_sent
    found = ds.filter(datetime="2020-06-03/2020-06-05")
    assert server.bytes_sent - before < 9 * 20_000
    assert found.metadata.to_pandas()["id"].tolist() == ["train-0000003", "train-0000004", "train-0000005"]
    np.testing.assert_equal(pickle.loads(pickle.dumps(found))[1], chip(3, side=256))
    item = next(iter(ds.items()))
    assert item.assets["input"].href == f"{server.url}data/train/0000001.safetensors.gz"
    assert item.properties["proj:code"] == "EPSG:32720"


def test_no_place_or_time_is_made_up(tmp_path):
    said = {"cloud": "3"} | UNPLACED
    guessed = {key: value for key, value in UNPLACED.items() if key not in ("isSTAC", "isText")}  # as of 0.0.15
    half = words(2) | {"isSTAC": "0", "crs": "EPSG:4326", "cloud": "5"}  # of which the writer made the CRS up
    write_split(tmp_path / "train", [(chip(0), said), (chip(1), guessed | {"cloud": "4"}), (chip(2), half)])
    (tmp_path / "main.json").write_text(json.dumps(main_json("0.0.23", {"train": "./train"}, {"train": 3})))
    ds = mlstac.load(tmp_path)
    assert ds.metadata.columns == ["id", "cloud"]
    assert ds.metadata[0] == {"id": "train-0000001", "cloud": "3"}


def test_a_geotransform_is_not_run(tmp_path):
    marker = tmp_path / "ran"
    code = f"[__import__('pathlib').Path({str(marker)!r}).touch(), 1, 2, 3, 4, 5]"
    write_split(tmp_path / "train", [(chip(0), words(0, geotransform=code))])
    (tmp_path / "main.json").write_text(json.dumps(main_json("0.0.23", {"train": "./train"}, {"train": 1})))
    ds = mlstac.load(tmp_path, framework="numpy")
    np.testing.assert_equal(ds[0], chip(0))
    with pytest.raises(ShardError, match=r"geotransform.*expected six numbers"):
        ds.metadata.to_table()
    assert not marker.exists()


def write_texts(root, *, task):
    """Images with a caption each, or the other way round."""
    samples = []
    for number in range(12):
        image = {"input" if task == "TensorToText" else "target": chip(number)["input"]}
        key = "target" if task == "TensorToText" else "input"
        samples.append((image, words(number) | {"isText": "1", key: "río " * number or "nada"}))
    write_split(root / "train", samples)
    said = main_json("0.0.23", {"train": "./train"}, {"train": 12}) | {"ml:task": [task], "ml:dimensions": None}
    (root / "main.json").write_text(json.dumps(said))


@pytest.mark.parametrize("task", ["TensorToText", "TextToTensor"])
@pytest.mark.parametrize("remote", [False, True])
def test_texts_are_fields(task, remote, tmp_path, server):
    (tmp_path / "data").mkdir()
    write_texts(tmp_path / "data", task=task)
    ds = mlstac.load(f"{server.url}data" if remote else tmp_path / "data", framework="numpy")
    image, text = ("input", "target") if task == "TensorToText" else ("target", "input")
    assert ds[3][text] == "río río río "
    assert ds.tensors[text].role == ("label" if text == "target" else "data")
    batch = next(iter(ds.batches(12)))
    assert batch[text][:3] == ["nada", "río ", "río río "]
    np.testing.assert_array_equal(batch[image][7], chip(7)["input"])


def test_a_text_beside_a_tensor_of_its_name_has_a_name_of_its_own(tmp_path):
    write_split(tmp_path / "train", [(chip(0), words(0) | {"isText": "1", "target": "half water"})])
    (tmp_path / "main.json").write_text(json.dumps(main_json("0.0.23", {"train": "./train"}, {"train": 1})))
    sample = mlstac.load(tmp_path, framework="numpy")[0]
    assert sample.pop("target_text") == "half water"
    np.testing.assert_equal(sample, chip(0))


def boxes(number):
    return np.arange(number * 4, dtype=np.float32).reshape(number, 4)


def write_boxes(root, counts, *, task="ObjectDetection"):
    write_split(
        root / "train",
        [({"input": chip(n)["input"], "target": boxes(count)}, UNPLACED) for n, count in enumerate(counts)],
    )
    said = main_json("0.0.23", {"train": "./train"}, {"train": len(counts)}) | {
        "ml:task": [task],
        "ml:dimensions": None,
    }
    (root / "main.json").write_text(json.dumps(said))


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("counts", [[n % 5 for n in range(30)], [2] * 30], ids=["varying", "alike"])
def test_samples_may_vary_in_shape(counts, remote, tmp_path, server):
    counts = [*counts[:13], 7, *counts[14:]]  # which no look at the first, the last and a few between sees
    (tmp_path / "data").mkdir()
    write_boxes(tmp_path / "data", counts)
    ds = mlstac.load(f"{server.url}data/" if remote else tmp_path / "data", framework="numpy")
    assert ds.tensors["target"].shape == (None, 4)
    np.testing.assert_array_equal(ds[13]["target"], boxes(7))
    got = [row for batch in ds.batches(4) for row in batch["target"]]
    assert [len(row) for row in got] == counts
    np.testing.assert_array_equal(got[3], boxes(counts[3]))
    padded = next(iter(ds.batches(30, pad={"target": -1})))
    assert padded["target"].shape == (30, 7, 4)
    assert padded["target_mask"].sum() == sum(counts)


def test_a_sample_unlike_those_looked_at_is_named(tmp_path, server):
    (tmp_path / "data").mkdir()
    write_boxes(tmp_path / "data", [2] * 13 + [7] + [2] * 26, task="TensorRegression")
    ds = mlstac.load(f"{server.url}data/", framework="numpy")
    assert ds.tensors["target"].shape == (2, 4)
    with pytest.raises(ShardError, match=r"000000E.*shape \[7, 4\].*stream=False.*sample 13 \('train-000000E'\)"):
        list(ds.batches(8))
    whole = mlstac.load(f"{server.url}data/", framework="numpy", stream=False, data_dir=tmp_path / "here")
    assert len(whole[13]["target"]) == 7


def test_a_sample_may_lack_a_tensor(tmp_path):
    samples = [(chip(number) if number % 2 else {"input": chip(number)["input"]}, UNPLACED) for number in range(6)]
    write_split(tmp_path / "train", samples)
    (tmp_path / "main.json").write_text(json.dumps(main_json("0.0.23", {"train": "./train"}, {"train": 6})))
    ds = mlstac.load(tmp_path, framework="numpy")
    assert not ds.tensors["target"].required
    assert [sorted(sample) for sample in ds] == [["input"], ["input", "target"]] * 3
    batch = next(iter(ds.batches(6, pad={"target": 9})))
    assert batch["target_present"].tolist() == [False, True] * 3
    assert (batch["target"][0] == 9).all()
    np.testing.assert_array_equal(batch["target"][5], chip(5)["target"])


def test_a_large_batch_has_the_places_that_only_the_files_tell(tmp_path):
    whole = [chip(number, side=200) for number in range(12)]
    varying = [({"input": whole[n]["input"], "target": boxes(n % 5)}, UNPLACED) for n in range(12)]
    lacking = [(whole[n] if n % 2 else {"input": whole[n]["input"]}, UNPLACED) for n in range(12)]
    for name, samples in (("varying", varying), ("lacking", lacking)):
        write_split(tmp_path / name / "train", samples)
        said = main_json("0.0.23", {"train": "./train"}, {"train": 12}) | {"ml:dimensions": None}
        (tmp_path / name / "main.json").write_text(json.dumps(said))
    batch = mlstac.load(tmp_path / "varying", framework="numpy")[:]
    assert batch["input"].nbytes > _copying.SHARED_BYTES
    np.testing.assert_array_equal(batch["input"], [sample["input"] for sample in whole])
    for number, found in enumerate(batch["target"]):
        np.testing.assert_array_equal(found, boxes(number % 5))
    with pytest.raises(InvalidArgumentError, match="sample 0 of the batch lacks tensor 'target'"):
        mlstac.load(tmp_path / "lacking", framework="numpy")[:]


@pytest.mark.parametrize("remote", [False, True])
def test_it_is_a_dataset_with_every_guarantee_of_one(remote, tmp_path, server):
    url = hub(tmp_path, server) if remote else write_dataset(tmp_path / "data", counts={"train": 70})
    ds = mlstac.load(url)
    image = torch.from_numpy(np.stack([chip(number)["input"] for number in range(70)]))
    batches = ds.batches(8, shuffle=True, seed=3)
    found = [next(iter(batches)) for _ in range(1)]
    state = pickle.loads(pickle.dumps(batches.state_dict()))
    resumed = pickle.loads(pickle.dumps(ds)).batches(8, shuffle=True, seed=3)
    resumed.load_state_dict(state)
    rows = torch.cat([batch["input"] for batch in [*found, *resumed]])
    assert len(rows) == 70
    assert sorted(map(bytes, rows.numpy())) == sorted(map(bytes, image.numpy()))
    assert not torch.equal(rows, image)
    loader = torch.utils.data.DataLoader(ds, batch_size=7, num_workers=2)
    assert torch.equal(torch.cat([batch["input"] for batch in loader]), image)
    chosen = ds.select(tensors=["input"]).window(y=slice(2, 5), x=slice(4, 12))
    assert torch.equal(chosen[[3, 60]]["input"], image[[3, 60], :, 2:5, 4:12])
    assert torch.equal(ds.subset([5, 1])[1]["input"], image[1])
    first, second = ds[[4, 4]]["input"]
    assert torch.equal(first, second)


def test_bands_are_chosen_by_name(tmp_path):
    ds = mlstac.load(write_dataset(tmp_path / "data"), framework="numpy").select(bands=["nir", "B02"])
    np.testing.assert_array_equal(ds[2]["input"], chip(2)["input"][[3, 0]])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:40] + bytes([data[40] ^ 255]) + data[41:],
        lambda data: gzip.compress(gzip.decompress(data)[:-5]),
        lambda data: gzip.compress(gzip.decompress(data) + b"more"),
        lambda data: gzip.compress(b"\xff" * 8 + bytes(100)),
        lambda data: gzip.compress(bytes(50_000_000)),
        lambda data: b"",
        lambda data: data[:-8] + bytes(4) + data[-4:],  # its CRC
    ],
    ids=["cut", "flipped", "short", "long", "10 GB header", "bomb", "empty", "crc"],
)
def test_a_damaged_file_is_named_with_its_sample(damage, tmp_path):
    root = write_dataset(tmp_path / "data", counts={"train": 40})
    with open_server(root) as found:
        said = json.loads((root / "main.json").read_text()) | {"ml:train": {"n_items": 40, "link": f"{found.url}train"}}
        (root / "main.json").write_text(json.dumps(said))
        ds = mlstac.load(found.url, framework="numpy")
        path = root / "train" / f"{base61(13)}.safetensors.gz"
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(ShardError, match=r"000000E\.safetensors\.gz.*sample 13"):
            ds[13]
        with pytest.raises(ShardError, match=r"000000E\.safetensors\.gz.*sample 13"):
            list(ds.batches(40))
        np.testing.assert_equal(ds[14], chip(14))


def test_a_sample_that_is_not_there_is_named(tmp_path):
    root = write_dataset(tmp_path / "data")
    ds = mlstac.load(root)
    (root / "train" / f"{base61(4)}.safetensors.gz").unlink()
    with pytest.raises(MissingFileError, match=r"0000005.*sample 4"):
        ds[4]
    with pytest.raises(MissingFileError, match="0000005"):
        mlstac.load(root)


def test_what_such_a_dataset_cannot_do_is_said(tmp_path, server):
    url = hub(tmp_path, server)
    with pytest.raises(InvalidArgumentError, match="no checksums"):
        mlstac.load(url, verify=True)
    with pytest.raises(InvalidArgumentError, match="stream=False"):
        mlstac.load(url, cache_dir=tmp_path / "cache")


def test_the_id_is_no_path(tmp_path, server, monkeypatch):
    """The original made a folder of it, wherever it led."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = hub(tmp_path, server)
    path = tmp_path / "raw" / "main" / "main.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id": "../../../outside"}))
    mlstac.load(url, stream=False, split="test")
    assert next(entry.name for entry in (tmp_path / "cache" / "mlstac").iterdir()).startswith("_________outside-")
    assert not (tmp_path.parent / "outside").exists()


def test_a_crs_that_nobody_knows_is_kept_in_words(tmp_path):
    write_split(tmp_path / "train", [(chip(0), words(0, crs="SR-ORG:6974"))])
    (tmp_path / "main.json").write_text(json.dumps(main_json("0.0.23", {"train": "./train"}, {"train": 1})))
    row = mlstac.load(tmp_path).metadata[0]
    assert row["original_crs"] == "SR-ORG:6974"
    assert "geometry" not in row
    assert row["datetime"].year == 2020


def test_words_of_the_author_are_columns(tmp_path):
    write_split(tmp_path / "train", chips(3, cloud="5", datetime="noon"))
    (tmp_path / "main.json").write_text(json.dumps(main_json("0.0.23", {"train": "./train"}, {"train": 3})))
    frame = mlstac.load(tmp_path).metadata.to_pandas()
    assert frame["cloud"].tolist() == ["5"] * 3
    assert frame["original_datetime"].tolist() == ["noon"] * 3
    assert frame["datetime"][0].hour == 10


def test_files_alone_are_safetensors(tmp_path):
    """The bytes of these tests are those of the format: the stock reader takes them."""
    (tmp_path / "one").write_bytes(sample_bytes(chip(0), words(0)))
    np.testing.assert_equal(safetensors.numpy.load_file(tmp_path / "one"), chip(0))
