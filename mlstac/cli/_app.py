"""The commands and their options. What each does is imported when it is called, so that ``--help`` is quick."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import mlstac
from mlstac.cli import _convert_command as _convert_command  # these commands are the program's once imported
from mlstac.cli import _stac_commands as _stac_commands
from mlstac.cli._program import AsJson, Command, Options, Source, app


def main() -> None:
    """Run the command line."""
    app()


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"{mlstac.__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel="Look")
def info(source: Source, *, option: Options = None, as_json: AsJson = False) -> None:
    """Say what a dataset holds, and where it is from."""
    from mlstac.cli._info import show_info

    show_info(source, options=option or [], as_json=as_json)


@app.command(rich_help_panel="Host")
def serve(
    path: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", exists=True, resolve_path=True, help="A dataset, or a folder of datasets."),
    ],
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen at; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen at; 0 takes a free one.")
    ] = 8000,
    as_json: AsJson = False,
) -> None:
    """Serve a folder over HTTP with byte ranges."""
    from mlstac.cli._serve import serve_folder

    serve_folder(path, host=host, port=port, as_json=as_json)


@app.command(rich_help_panel="Look")
def preview(
    source: Source,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.png", help="Picture to write.")] = Path(
        "preview.png"
    ),
    split: Annotated[str, typer.Option(metavar="SPLIT", help="Split whose samples are drawn.")] = "train",
    samples: Annotated[
        int, typer.Option("--samples", "-n", metavar="N", min=1, max=64, help="How many, evenly over the split.")
    ] = 8,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Draw samples with their labels, and a map."""
    from mlstac.cli._preview import write_preview

    write_preview(source, out, split=split, count=samples, options=option or [], as_json=as_json)


@app.command(rich_help_panel="Look")
def validate(
    source: Source,
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte: checksums and statistics, too.")] = False,
    as_json: AsJson = False,
    schemas: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", exists=True, file_okay=False, help="JSON Schemas of extensions, by host and path."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Host that the dataset may name; repeatable.")
    ] = None,
    revision: Annotated[str | None, typer.Option(metavar="NAME", help="Branch, tag or commit of the Hub.")] = None,
    option: Options = None,
) -> None:
    """Say what is wrong with a dataset; exit 1 if anything is."""
    from mlstac.cli._validate import show_report

    show_report(
        source,
        deep=deep,
        as_json=as_json,
        schemas=schemas,
        allow_hosts=tuple(allow_host or ()),
        revision=revision,
        options=option or [],
    )


@app.command(rich_help_panel="Make")
def append(
    path: Annotated[str, typer.Argument(metavar="PLACE", help="The dataset that grows: its folder, or its URL.")],
    source: Annotated[str, typer.Argument(metavar="URL", help="The dataset whose samples are added.")],
    *,
    split: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Put all samples into this split; by default each split into its own."),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Version of the new state; by default 1.1.0 after 1.0.0."),
    ] = None,
    id_prefix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Text before the ids of the samples that are added.")
    ] = None,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Add the samples of one dataset to another."""
    from mlstac.cli._append import append_samples

    append_samples(
        path, source, split=split, version=version, id_prefix=id_prefix, options=option or [], as_json=as_json
    )


@app.command(rich_help_panel="Make")
def gc(
    path: Annotated[str, typer.Argument(metavar="PLACE", help="A dataset's folder, or its URL.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Give up a broken run that could be gone on with, too.")
    ] = False,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Leave what is younger: 90min, 12h, 7d. By default 1d at a store, else 0s."),
    ] = None,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Remove files that nothing names any more."""
    from mlstac.cli._gc import collect_garbage

    collect_garbage(
        path, dry_run=dry_run, unfinished=unfinished, older_than=older_than, options=option or [], as_json=as_json
    )


@app.command(rich_help_panel="Host")
def publish(
    source: Annotated[str, typer.Argument(metavar="FOLDER", help="A dataset on this machine.")],
    url: Annotated[
        str, typer.Argument(metavar="URL", help="s3://bucket/folder, gs://…, az://…, or hf://datasets/org/name.")
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Upload nothing; say what would go where.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another dataset, or files of this one.")
    ] = False,
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Who sees a repository of the Hub that is made for it.")
    ] = None,
    revision: Annotated[str | None, typer.Option(metavar="NAME", help="Branch of the Hub; main by default.")] = None,
    tag: Annotated[str | None, typer.Option(metavar="NAME", help="Name for the commit on the Hub.")] = None,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Upload a dataset: what changed, and the collection last."""
    from mlstac.cli._publish import publish_folder

    publish_folder(
        source,
        url,
        dry_run=dry_run,
        overwrite=overwrite,
        private=private,
        revision=revision,
        tag=tag,
        options=option or [],
        as_json=as_json,
    )


@app.command(rich_help_panel="Host")
def download(
    source: Source,
    path: Annotated[str, typer.Argument(metavar="FOLDER", help="Where it goes; made if it is not there.")],
    *,
    split: Annotated[
        list[str] | None, typer.Option(metavar="SPLIT", help="A split; repeatable. All by default.")
    ] = None,
    revision: Annotated[str | None, typer.Option(metavar="NAME", help="Branch, tag or commit of the Hub.")] = None,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Download a dataset, verified; a broken run goes on."""
    from mlstac.cli._download import download_dataset

    download_dataset(source, path, splits=split or [], revision=revision, options=option or [], as_json=as_json)


@app.command(rich_help_panel="Look")
def stats(
    source: Source,
    *,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="Split; of another than train the samples are read.")
    ] = "train",
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Take them from the samples, not from the collection.")
    ] = False,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Print the statistics of bands and classes."""
    from mlstac.cli._stats import show_stats

    show_stats(source, split=split, recompute=recompute, options=option or [], as_json=as_json)


@app.command(rich_help_panel="Make")
def card(
    path: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, metavar="FOLDER", help="A dataset's folder on this machine.")
    ],
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a README.md that mlstac did not make, or that was edited.")
    ] = False,
    pictures: Annotated[bool, typer.Option(help="Draw samples and footprints.")] = True,
    source: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the dataset is published, for the lines that load it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the dataset card again: page, pictures, Croissant."""
    from mlstac.cli._card import write_card

    write_card(path, overwrite=overwrite, pictures=pictures, source=source, as_json=as_json)


@app.command(rich_help_panel="Make")
def rebuild(
    path: Annotated[str, typer.Argument(metavar="PLACE", help="A dataset whose catalogs are lost or damaged.")],
    *,
    drop_missing: Annotated[
        bool,
        typer.Option("--drop-missing", help="Leave out the samples of shards that are gone or cut, and name them."),
    ] = False,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Make the catalogs anew, of what is left."""
    from mlstac.cli._rebuild import rebuild_catalogs

    rebuild_catalogs(path, drop_missing=drop_missing, options=option or [], as_json=as_json)


@app.command(rich_help_panel="More")
def demo(
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the dataset and picture go.")
    ] = Path("demo"),
) -> None:
    """Author, host, load and look at real imagery."""
    from mlstac.cli._console import OUT
    from mlstac.cli.demo import run_demo

    run_demo(out, echo=OUT)


@app.command(rich_help_panel="More")
def version(*, as_json: AsJson = False) -> None:
    """Print the version; as JSON, those of packages too."""
    from mlstac.cli._version import show_version

    show_version(as_json=as_json)


_ORDER = (
    *("info", "stats", "preview", "validate"),
    *("convert", "append", "card", "rebuild", "gc"),
    *("serve", "publish", "download"),
    *("list-items", "export-items", "export-tdml"),
    *("demo", "version"),
)
"""Commands as help lists them: those first that come first."""

for _command in app.registered_commands:
    _command.cls = Command
app.registered_commands.sort(
    key=lambda command: _ORDER.index(command.name or getattr(command.callback, "__name__", ""))
)
