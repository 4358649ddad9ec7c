"""The program, what many of its commands take, and how each shows its options and its errors."""

import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mlstac.errors import MlstacError


class _Plain:
    """Help without the types of flags and arguments, which say nothing that their names do not."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # of the command that this is mixed into
        for param in params:
            if param.param_type_name == "argument":
                param.display_type_rich = lambda **_: None
            elif getattr(param, "is_flag", False):
                param.metavar = ""
        return params

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [re.sub(r"^\{(.*)\}$", r"\1", piece) for piece in pieces]


class Command(_Plain, TyperCommand):
    """A command that tells an error of ours in one line, as the command line spells it: status 1, or 2 for misuse."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MlstacError as error:
            from mlstac.cli._console import print_error
            from mlstac.cli._misuse import MisuseError
            from mlstac.cli._spelling import spell

            typed = [
                str(word) for given in ctx.params.values() for word in (given if isinstance(given, list) else [given])
            ]
            print_error(spell(str(error), {param.name for param in self.params}, typed))
            raise typer.Exit(2 if isinstance(error, MisuseError) else 1) from None


class _Program(_Plain, TyperGroup):
    """All commands."""


app = typer.Typer(
    name="mlstac",
    cls=_Program,
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
