"""Imports go one way: a room may know those below it, and knows another room by its front door alone."""

import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.imports import imports_of, read_imports, room_of_import, room_of_path

PACKAGE = Path(__file__).resolve().parents[2] / "mlstac"

_BELOW_THE_FACE = {"errors", "collection", "sample", "storage", "frameworks", "pictures", "cards"} | {
    *("search", "loading", "authoring", "validation", "conversion")
}
MAY_IMPORT = {
    "errors": set(),
    "collection": {"errors"},
    "sample": {"errors", "collection"},
    "frameworks": {"errors", "collection"},
    "pictures": {"errors", "collection"},
    "cards": {"errors", "collection"},
    "storage": {"errors", "collection", "sample"},
    "search": {"errors", "sample"},
    "loading": {"errors", "collection", "sample", "storage", "frameworks", "pictures", "cards", "search"},
    "authoring": {"errors", "collection", "sample", "storage", "frameworks", "pictures", "cards", "search"},
    "validation": {"errors", "collection", "sample", "storage", "loading"},
    "conversion": {"errors", "collection", "sample", "storage", "loading", "authoring"},
    "mlstac": _BELOW_THE_FACE,
    "cli": _BELOW_THE_FACE | {"mlstac"},
}


def broken_rules(imports):
    """Say of each import that breaks a rule which one it breaks."""
    for found in imports:
        here, there = room_of_path(found.path), room_of_import(found, set(MAY_IMPORT))
        if found.module.startswith("."):
            yield f"{found}: relative; write the whole name"
        elif there is None or there == here:
            continue
        elif there not in MAY_IMPORT[here]:
            yield f"{found}: {here} may import {', '.join(sorted(MAY_IMPORT[here])) or 'nothing of ours'}"
        elif found.module.count(".") > 1 or (found.name or "").startswith("_"):
            yield f"{found}: another room is known by its front door; import from mlstac.{there}"


def test_every_room_has_a_place_in_the_order():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == set(MAY_IMPORT) - {"mlstac"}


def test_the_order_has_no_cycle():
    def above(room, seen=()):
        assert room not in seen, f"{' imports '.join((*seen, room))}"
        for other in MAY_IMPORT[room]:
            above(other, (*seen, room))

    for room in MAY_IMPORT:
        above(room)


def test_imports_go_one_way():
    assert not list(broken_rules(imports_of(PACKAGE)))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("mlstac/collection/_band.py", "import mlstac.storage"),
        ("mlstac/collection/_band.py", "def f():\n    from mlstac import storage"),
        ("mlstac/sample/_rows.py", "from mlstac import load"),
        ("mlstac/sample/_rows.py", "from mlstac.frameworks import encode"),
        ("mlstac/loading/_load.py", "from mlstac.authoring import Writer"),
        ("mlstac/loading/_load.py", "from mlstac.sample._header import read_header"),
        ("mlstac/loading/_load.py", "from mlstac.sample import _header"),
        ("mlstac/loading/_load.py", "from ..sample import read_header"),
        ("mlstac/authoring/_write.py", "importlib.import_module('mlstac.loading')"),
        ("mlstac/__init__.py", "from mlstac.cli import main"),
        ("mlstac/cards/_card.py", "from mlstac.loading import load"),
        ("mlstac/errors.py", "from mlstac.collection import Collection"),
    ],
)
def test_an_import_that_goes_up_or_sideways_is_seen(path, source):
    assert len(list(broken_rules(read_imports(source, Path(path))))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("mlstac/loading/_load.py", "from mlstac.sample import read_header\nfrom mlstac.errors import FormatError"),
        ("mlstac/loading/_load.py", "from mlstac.loading._order import permute\nimport numpy as np"),
        ("mlstac/cli/_info.py", "import mlstac\nfrom mlstac import errors"),
    ],
)
def test_an_import_that_goes_down_is_let_be(path, source):
    assert not list(broken_rules(read_imports(source, Path(path))))


def third_party(imports):
    """Top-level names that are neither ours nor the standard library's."""
    tops = {found.module.split(".")[0] for found in imports}
    return tops - {"mlstac", "__future__", ""} - set(sys.stdlib_module_names)


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements):
    return {canonicalize_name(Requirement(text).name) for text in requirements}


# Import names that no installed distribution tells of, because it is an extra that the tests do without
ELSEWHERE = {"gcsfs": ["gcsfs"], "adlfs": ["adlfs"], "xrspatial": ["xarray-spatial"], "tensorflow": ["tensorflow"]}


def test_every_import_is_declared(project):
    extras = (text for group in project["optional-dependencies"].values() for text in group)
    declared = names(project["dependencies"]) | names(extras) | {"xarray-spatial"}  # the demo's data, put in by make
    provided = packages_distributions() | ELSEWHERE
    used = third_party(imports_of(PACKAGE))
    undeclared = {top for top in used if not declared & {canonicalize_name(name) for name in provided.get(top, ())}}
    assert not undeclared


def gather(extras, wanted):
    """Requirements of some extras, and of the extras that these name."""
    for text in (text for name in wanted for text in extras[name]):
        requirement = Requirement(text)
        if requirement.name == "mlstac":
            yield from gather(extras, requirement.extras)
        else:
            yield text


@pytest.mark.parametrize(("extra", "folder"), [("test", "tests"), ("test", "tutorials"), ("demo", "tutorials")])
def test_make_installs_what_the_code_that_it_is_for_imports(project, extra, folder):
    installed = names(project["dependencies"]) | names(gather(project["optional-dependencies"], [extra]))
    provided = packages_distributions()
    used = third_party(imports_of(PACKAGE.parent / folder)) - {"tests", "tutorials", "benchmarks"}
    missing = {top for top in used if not installed & {canonicalize_name(name) for name in provided.get(top, ())}}
    assert missing == set()


def test_every_core_dependency_is_imported(project):
    provided = packages_distributions()
    used = {canonicalize_name(name) for top in third_party(imports_of(PACKAGE)) for name in provided.get(top, ())}
    unused = names(project["dependencies"]) - used
    assert unused == set()
