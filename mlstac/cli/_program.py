"""The program, what many of its commands take, and how each shows its options and its errors."""

import re
import warnings
from typing import Annotated, Any, TextIO

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
    """A command that tells errors of ours and warnings in a line each, as the command line spells them.

    The status is 1 after an error, and 2 where it is misuse.
    """

    def invoke(self, ctx: Any) -> Any:
        as_python_does = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, UserWarning):  # of a deprecation the place in the code is what matters
                as_python_does(message, category, filename, lineno, file, line)
                return
            from mlstac.cli._console import print_warning

            print_warning(self._spell(message, ctx))

        try:
            warnings.showwarning = show
            return super().invoke(ctx)
        except MlstacError as error:
            from mlstac.cli._console import print_error
            from mlstac.cli._misuse import MisuseError

            print_error(self._spell(error, ctx))
            raise typer.Exit(2 if isinstance(error, MisuseError) else 1) from None
        finally:
            warnings.showwarning = as_python_does

    def _spell(self, message: Exception | str, ctx: Any) -> str:
        """A message as the command line says it; what was typed stays as it was typed."""
        from mlstac.cli._spelling import spell

        typed = [str(word) for given in ctx.params.values() for word in (given if isinstance(given, list) else [given])]
        return spell(str(message), {param.name for param in self.params}, typed)


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
