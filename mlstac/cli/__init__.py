"""The command line: `mlstac info`, `serve`, `preview`, `demo`. Thin over the face; data to stdout, talk to stderr."""

from mlstac.cli._app import main

__all__ = ["main"]
