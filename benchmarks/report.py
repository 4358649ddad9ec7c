"""Write what was measured as Markdown tables."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NAMES = {
    "memmap": ("numpy memmap (limit)", "numpy"),
    "raw": ("plain sockets (limit)", ""),
    "mlstac_": ("**mlstac**", ""),
    "mlstac_block": ('**mlstac**, `shuffle="block"`', ""),
    "mosaicml": ("MosaicML Streaming", "mosaicml-streaming"),
    "litdata_": ("LitData", "litdata"),
    "webdataset_": ("WebDataset", "webdataset"),
    "files": ("safetensors, a file a sample", "safetensors"),
}
MARK = "<!-- tables: written by benchmarks.run -->"
SCALE_MARK = "<!-- scale: written by benchmarks.scale -->"


def write_report(results: dict[str, Any], path: Path) -> None:
    """Replace the tables of the report, and keep the words above them and the section of `benchmarks.scale` below.

    Parameters
    ----------
    results : dict
        By cell name: what `benchmarks.run.measure` found.
    path : Path
        ``RESULTS.md``; everything above its mark stays as it is.
    """
    above, _, scale = path.read_text().partition(SCALE_MARK) if path.exists() else ("# Results", "", "")
    head = above.split(MARK)[0].rstrip()
    body = [head, "", MARK, "", f"Peers: {_versions()}.", ""]
    for name, cell in results.items():
        body += [f"## {name[0].upper()}{name[1:]}", "", *_table(cell), ""]
    path.write_text("\n".join(body) + (f"\n{SCALE_MARK}{scale}" if scale else ""))


def replace_scale(path: Path, section: str) -> None:
    """Replace the section of `benchmarks.scale`, the last of the report, and keep everything above it."""
    above = path.read_text().split(SCALE_MARK)[0].rstrip() if path.exists() else "# Results"
    path.write_text(f"{above}\n\n{SCALE_MARK}\n\n{section}")


def _versions() -> str:
    found = []
    for title, package in NAMES.values():
        if package:
            try:
                found.append(f"{re.sub(r' .limit.', '', title)} {version(package)}")
            except PackageNotFoundError:
                found.append(f"{title} (not installed)")
    return ", ".join(dict.fromkeys(found))


def _table(cell: dict[str, Any]) -> list[str]:
    remote = any("requests" in row for row in cell["contenders"].values())
    columns = ["reader" if cell["mode"] != "write" else "writer", "samples/s", "MB/s", "of the limit"]
    if cell["mode"] != "write":
        columns += ["first batch s", "anonymous MB", "shuffle spread"]
    if remote:
        columns += ["after it, of the cap", "requests", "fetched / needed", "connections"]
    rows = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for name, row in cell["contenders"].items():
        title = NAMES[name][0]
        if "error" in row:
            rows.append(f"| {title} | {row['error']} |" + " |" * (len(columns) - 2))
            continue
        rate = row["rate"]
        line = [title, f"{rate:,.0f}", f"{rate * _sample_bytes(cell) / 1e6:,.0f}", _number(row["ratio"], 2)]
        if cell["mode"] != "write":
            line += [_number(row.get("first_s"), 3), _number(row.get("anon_mb"), 0), _number(row.get("spread"), 2)]
        if remote:
            after = row.get("after_first")
            line += [
                _number(after and after * _sample_bytes(cell) / cell["cap"], 2),
                _number(row.get("requests"), 0),
                _number(row.get("fetched_per_needed"), 3),
                _number(row.get("connections"), 0),
            ]
        if row["failed"]:
            line[0] += f" ({row['failed']} of {row['failed'] + row['runs']} runs failed)"
        rows.append("| " + " | ".join(line) + " |")
    return [*rows, "", f"Measured {cell['when']} UTC on {cell['machine']}."]


def _sample_bytes(cell: dict[str, Any]) -> int:
    from benchmarks.samples import KINDS

    return KINDS[cell["kind"]].sample_bytes


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
