"""The command that makes a dataset of what people have, which has the most options."""

from typing import Annotated, Final

import typer

from mlstac.cli._program import AsJson, Options, app

_DESCRIPTION: Final = "What it is said to be"
_DIVISION: Final = "Train, validation and test"
_FILES: Final = "Files"


@app.command(rich_help_panel="Make")
def convert(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A folder, a file, a pattern, or a URL of a main.json.")
    ],
    path: Annotated[str, typer.Argument(metavar="PLACE", help="Folder of the new dataset, or its URL.")],
    *,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="original, classes, pairs, images, webdataset, mds or huggingface (a folder that one was saved to); "
            "by default told by what is there. Datasets in Python, as torchgeo's are, go to mlstac.convert.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Host that a main.json may lead to; repeatable."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the dataset that is there.")] = False,
    option: Options = None,
    as_json: AsJson = False,
    id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Id; by default the folder's name.", rich_help_panel=_DESCRIPTION),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it is, in a few words.", rich_help_panel=_DESCRIPTION)
    ] = None,
    description: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What it is, at length; Markdown.", rich_help_panel=_DESCRIPTION),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(metavar="SPDX", help="SPDX identifier, such as CC-BY-4.0.", rich_help_panel=_DESCRIPTION),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="BANDS",
            help="Bands of the image: a sensor such as sentinel-2-l1c, or names with commas.",
            rich_help_panel=_DESCRIPTION,
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Classes of the label from 0, with commas: of class folders their names in the order of numbers that "
            "you want, or new names for all, in the order of theirs.",
            rich_help_panel=_DESCRIPTION,
        ),
    ] = None,
    block_size: Annotated[
        float | None,
        typer.Option(
            metavar="METRES",
            help="Divide by place: what lies in one block of the Earth's surface, so wide, stays together.",
            rich_help_panel=_DIVISION,
        ),
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Divide by a column: it names each sample's split, or with --fractions a group that stays together.",
            rich_help_panel=_DIVISION,
        ),
    ] = None,
    fractions: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=SHARE,…",
            help="Shares of the blocks or groups that add up to 1; for blocks train=0.8,validation=0.1,test=0.1 by "
            "default.",
            rich_help_panel=_DIVISION,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Another number draws other blocks or groups.", rich_help_panel=_DIVISION),
    ] = None,
    shard_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of a file of samples: 64MB, 1GB; 256MB by default.", rich_help_panel=_FILES),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT", help="auto, stacked, jagged, keyed or single; auto by default.", rich_help_panel=_FILES
        ),
    ] = None,
    compression: Annotated[
        str | None,
        typer.Option(metavar="zstd", help="Pack samples: zstd, or zstd:9 for level 9.", rich_help_panel=_FILES),
    ] = None,
) -> None:
    """Make a dataset of images or of another format."""
    from mlstac.cli._convert import convert_source, read_bands, read_division
    from mlstac.cli._lists import read_list

    convert_source(
        source,
        path,
        store=option or [],
        as_json=as_json,
        kind=kind,
        id=id,
        title=title,
        description=description,
        license=license,
        bands=read_bands(bands),
        classes=read_list(classes, option="--classes"),
        split_by=read_division(column=split_by, block_size_m=block_size, fractions=fractions, seed=seed),
        shard_size=shard_size,
        layout=layout,
        compression=compression,
        allow_hosts=tuple(allow_host or ()),
        overwrite=overwrite,
    )
