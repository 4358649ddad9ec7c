"""How long it takes to validate a million rows: ``python -m benchmarks.validation [--rows 1000000] [--rounds 3]``.

One part of placed and dated rows of two tensors, 20,000 a shard. The shards have true headers, and holes for data: only
``deep`` would read it, and that is a matter of the disk. Each round is a fresh process; time and the peak of memory are
above the imports. The answer is checked: the report must have seen all rows, and must find one that is then broken.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

ROWS_A_SHARD = 20_000
SIDE, LABEL_BYTES = 16, 8


def write_dataset(folder: Path, rows: int) -> None:
    """A dataset of that many rows, all of it valid."""
    import mlstac
    from mlstac.sample import build_header, parquet_options

    step = 0.001
    sample = {"image": np.zeros((SIDE, SIDE), "u1"), "label": np.zeros((), "i8")}
    place = {"bbox": (0, 0, step, step), "datetime": "2020-01-01T00:00:00Z"}
    tensors = {"image": mlstac.Tensor(dims="y x"), "label": mlstac.Tensor(dims="", role="label")}
    mlstac.write([mlstac.Sample(tensors=sample, **place)], folder, id="million", license="CC0-1.0", tensors=tensors)
    schema = pq.read_schema(folder / "train" / "catalog-00000.parquet")
    (folder / "train" / "00000.safetensors").unlink()
    image_bytes = SIDE * SIDE
    parts = []
    for number, first in enumerate(range(0, rows, ROWS_A_SHARD)):
        n = min(ROWS_A_SHARD, rows - first)
        header = build_header([("label", "I64", (n,)), ("image", "U8", (n, SIDE, SIDE))])
        size = len(header) + n * (image_bytes + LABEL_BYTES)
        name = f"{number:05d}.safetensors"
        with (folder / "train" / name).open("wb") as file:
            file.write(header)
            file.truncate(size)
        at = np.arange(first, first + n)
        x, y = (at % 10_000) * step, (at // 10_000) * step
        box = np.stack([x, y, x + step, y + step], axis=1)
        boxes = pa.StructArray.from_arrays([pa.array(side) for side in box.T], fields=list(schema.field("bbox").type))
        columns = {
            "id": pa.array([f"train-{i:07d}" for i in at.tolist()]),
            "geometry": pa.array(shapely.to_wkb(shapely.box(*box.T))),
            "bbox": boxes,
            "datetime": pa.array(1_577_836_800_000_000 + at, pa.timestamp("us", tz="UTC")),
        }
        starts = {"label": len(header) + np.arange(n) * LABEL_BYTES}
        starts["image"] = len(header) + n * LABEL_BYTES + np.arange(n) * image_bytes
        assets = []
        for field in schema.field("assets").type:
            values = {
                "href": f"./{name}",
                "file:size": size,
                "file:checksum": "1220" + "0" * 64,
                "ml:length": LABEL_BYTES if field.name == "label" else image_bytes,
                "ml:checksum": 0,
                "type": "application/vnd.safetensors",
                "roles": ["label" if field.name == "label" else "data"],
            }
            leaves = [
                pa.array(starts[field.name])
                if leaf.name == "ml:offset"
                else pa.repeat(pa.scalar(values[leaf.name], leaf.type), n)
                for leaf in field.type
            ]
            assets.append(pa.StructArray.from_arrays(leaves, fields=list(field.type)))
        columns["assets"] = pa.StructArray.from_arrays(assets, fields=list(schema.field("assets").type))
        constant = {"type": "Feature", "stac_version": "1.1.0", "collection": "million"}
        constant["stac_extensions"] = ["https://stac-extensions.github.io/file/v2.1.0/schema.json"]
        constant["links"] = [{"rel": "collection", "href": "../collection.json", "type": "application/json"}]
        for key, value in constant.items():
            columns[key] = pa.repeat(pa.scalar(value, schema.field(key).type), n)
        parts.append(pa.table([columns[field.name] for field in schema], schema=schema))
    part = folder / "train" / "catalog-00000.parquet"
    pq.write_table(pa.concat_tables(parts), part, **parquet_options(schema))
    path = folder / "collection.json"
    document = json.loads(path.read_text())
    document["ml:train"]["n_items"] = rows
    document["assets"]["train-00000"] |= {"file:size": part.stat().st_size, "table:row_count": rows}
    document["extent"]["spatial"]["bbox"] = [[0, 0, 11, 11]]
    document["extent"]["temporal"]["interval"] = [["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"]]
    path.write_text(json.dumps(document))


def peak_kib() -> int:
    """Most memory that this process has held so far; Linux alone says it so."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


def measure(folder: Path) -> dict[str, float]:
    """Validate once, in this process."""
    import jsonschema  # noqa: F401
    import pyproj  # noqa: F401

    import mlstac

    with tempfile.TemporaryDirectory() as empty:
        before = peak_kib()
        begun = time.perf_counter()
        report = mlstac.validate(folder, schemas=empty)
        took = time.perf_counter() - begun
        peak = peak_kib() - before
    assert report.ok, report
    return {"seconds": took, "megabytes": peak / 1024, "rows": report.looked_at["rows"]}


def check_answer(folder: Path, rows: int) -> None:
    """One row of all is broken: it alone is found."""
    import mlstac

    part = folder / "train" / "catalog-00000.parquet"
    raw, table = part.read_bytes(), pq.read_table(part)
    row = rows // 3
    ids = table.column("id").to_pylist()
    ids[row] = ids[0]
    pq.write_table(table.set_column(0, table.schema.field("id"), pa.array(ids)), part, row_group_size=131_072)
    path = folder / "collection.json"
    text = path.read_text()
    document = json.loads(text)
    document["assets"]["train-00000"]["file:size"] = part.stat().st_size
    path.write_text(json.dumps(document))
    errors = [finding for finding in mlstac.validate(folder).findings if finding.level == "error"]
    assert [(finding.row, finding.path) for finding in errors] == [(row, "id")], errors
    part.write_bytes(raw)
    path.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "million"
        write_dataset(folder, options.rows)
        check_answer(folder, options.rows)
        found = []
        for _ in range(options.rounds):
            command = [sys.executable, "-m", "benchmarks.validation", "--measure", str(folder)]
            found.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert all(one["rows"] == options.rows for one in found)
    seconds, megabytes = (statistics.median(one[key] for one in found) for key in ("seconds", "megabytes"))
    print(f"{options.rows:,} rows: {seconds:.1f} s, {megabytes:.0f} MB above the imports (median of {options.rounds})")


if __name__ == "__main__":
    main()
