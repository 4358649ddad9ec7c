"""`mlstac validate`: what is wrong with a dataset, where, and how to mend it."""

import sys
from pathlib import Path

from rich.text import Text

import mlstac
from mlstac.cli._console import OUT, print_json
from mlstac.cli._options import read_options
from mlstac.cli._spelling import spell

_STYLES = {"error": "wrong", "warning": "heading", "unchecked": "quiet"}


def show_report(
    source: str,
    *,
    deep: bool,
    as_json: bool,
    schemas: Path | None,
    allow_hosts: tuple[str, ...],
    revision: str | None,
    options: list[str],
) -> None:
    """Print the findings, one a line, and the verdict; exit 1 if there is an error."""
    report = mlstac.validate(
        source,
        deep=deep,
        schemas=schemas,
        revision=revision,
        storage_options=read_options(options) or None,
        allow_hosts=allow_hosts,
    )
    if as_json:
        print_json(report.to_dict())
    else:
        for finding in report.findings:
            line = Text(finding.level, style=_STYLES[finding.level])
            mend = spell(finding.mend, ("deep", "schemas", "option", "allow_host"))
            line.append(f": {finding.where}: {finding.what}; {mend}", style="default")
            OUT.print(line, soft_wrap=True)
        OUT.print(report.summary(), markup=False, soft_wrap=True)
    if not report.ok:
        sys.exit(1)
