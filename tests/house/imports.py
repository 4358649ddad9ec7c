"""What the package's files import, read from their source: imports inside functions count too."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Import(NamedTuple):
    """One imported name: `from mlstac.sample import read_header` of file, line."""

    path: Path
    line: int
    module: str  # mlstac.sample
    name: str | None  # read_header; None for a plain `import mlstac.sample`

    def __str__(self) -> str:
        said = f"from {self.module} import {self.name}" if self.name else f"import {self.module}"
        return f"{self.path}:{self.line}: {said}"


def read_imports(source: str, path: Path) -> Iterator[Import]:
    """Every import of a file, wherever it stands, and `import_module` or `importorskip` of a literal name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, None)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(path, node.lineno, "." * node.level + (node.module or ""), alias.name)
        elif (
            isinstance(node, ast.Call)
            and _called(node) in ("import_module", "__import__", "importorskip")
            and node.args
        ):
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(path, node.lineno, name.value, None)


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", None) or getattr(node.func, "attr", "")


def imports_of(folder: Path) -> Iterator[Import]:
    """The imports of every Python file below a folder."""
    for path in sorted(folder.rglob("*.py")):
        yield from read_imports(path.read_text(encoding="utf-8"), path.relative_to(folder.parent))


def room_of_path(path: Path) -> str:
    """Room of a file, as `mlstac/sample/_header.py` is of sample; the face is the room `mlstac`."""
    parts = path.with_suffix("").parts
    return "mlstac" if parts[1] == "__init__" else parts[1]


def room_of_import(found: Import, rooms: set[str]) -> str | None:
    """Room that an import names; None where it is not ours."""
    parts = found.module.split(".")
    if parts[0] != "mlstac":
        return None
    if len(parts) > 1:
        return parts[1]
    return found.name if found.name in rooms else "mlstac"
