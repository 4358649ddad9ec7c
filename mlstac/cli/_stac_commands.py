"""The commands that speak STAC's languages to others: Items in and out, and TrainingDML-AI."""

from pathlib import Path
from typing import Annotated

import typer

from mlstac.cli._program import AsJson, Options, Source, app


@app.command("export-items", rich_help_panel="STAC")
def export_items(
    source: Source,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE.ndjson|FOLDER", help="Where Items go; without it lines to stdout."),
    ] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="Split, several joined by +, or all.")] = "all",
    bbox: Annotated[str | None, typer.Option(metavar="W,S,E,N", help="Samples that meet a box, in degrees.")] = None,
    datetime: Annotated[str | None, typer.Option(metavar="FROM/TO", help="Samples of a time: 2020-06/..")] = None,
    where: Annotated[str | None, typer.Option(metavar="CQL2", help="Samples by a condition: cloud_cover < 10.")] = None,
    option: Options = None,
) -> None:
    """Write the samples as STAC Items that stand alone."""
    from mlstac.cli._export_items import export_items as export
    from mlstac.cli._export_items import read_bbox

    query = {"bbox": read_bbox(bbox), "datetime": datetime, "where": where}
    export(source, out, split=split, query=query, options=option or [])


@app.command("list-items", rich_help_panel="STAC")
def list_items(
    source: Annotated[str, typer.Argument(metavar="URL", help="A STAC API, a static catalog, or a file of Items.")],
    *,
    collection: Annotated[list[str] | None, typer.Option(metavar="ID", help="Id of a collection; repeatable.")] = None,
    bbox: Annotated[str | None, typer.Option(metavar="W,S,E,N", help="Items that meet a box, in degrees.")] = None,
    datetime: Annotated[str | None, typer.Option(metavar="FROM/TO", help="Items of a time: 2020-06/..")] = None,
    where: Annotated[str | None, typer.Option(metavar="CQL2", help="A condition, for an API that takes one.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", metavar="N", min=0, help="At most so many.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-O", metavar="NAME=VALUE", help="A header: headers.X-Key=…; repeatable."),
    ] = None,
) -> None:
    """List STAC Items to make samples of."""
    from mlstac.cli._export_items import list_lines, read_bbox

    query = {"bbox": read_bbox(bbox), "datetime": datetime, "where": where, "limit": limit}
    list_lines(source, collections=collection or None, query=query, options=option or [])


@app.command("export-tdml", rich_help_panel="STAC")
def export_tdml(
    source: Source,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.json", help="Document to write.")] = Path(
        "tdml.json"
    ),
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Describe a dataset in TrainingDML-AI JSON."""
    from mlstac.cli._card import write_tdml

    write_tdml(source, out, options=option or [], as_json=as_json)
