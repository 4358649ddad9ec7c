"""The command line: one command a thing to do, thin over the face; data to stdout, talk to stderr."""

from mlstac.cli._app import main

__all__ = ["main"]
