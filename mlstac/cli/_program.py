"""The program, and what many of its commands take."""

from typing import Annotated

import typer

app = typer.Typer(
    name="mlstac",
    help="Look at, make and host machine-learning datasets of Earth observation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # an unknown error is shown as Python shows it
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[str, typer.Argument(metavar="URL", help="A dataset's URL or folder, or its collection.json.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-O", metavar="NAME=VALUE", help="For the store, e.g. endpoint_url=https://…; repeatable."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
