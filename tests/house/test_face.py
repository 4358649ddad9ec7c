"""The face: every name that it offers is there, is what type checkers are told, and comes from below."""

import ast
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest

import mlstac


@pytest.mark.parametrize("name", mlstac.__all__)
def test_every_name_that_the_face_offers_is_there(name):
    assert getattr(mlstac, name) is not None
    assert name in dir(mlstac)


def test_a_name_that_the_face_lacks_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="'mlstac' has no attribute 'laod'"):
        mlstac.laod  # noqa: B018


def test_type_checkers_see_the_names_that_run_time_gives():
    tree = ast.parse(Path(mlstac.__file__).read_text(encoding="utf-8"))
    [guarded] = [node for node in tree.body if isinstance(node, ast.If)]
    told = {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in guarded.body for alias in node.names}
    assert told == mlstac._HOMES


def test_what_the_face_offers_has_a_docstring():
    assert not [name for name in mlstac.__all__ if not inspect.getdoc(getattr(mlstac, name))]


def test_the_version_is_the_installed_one_and_past_that_of_the_other_mlstac():
    assert mlstac.__version__ == version("mlstac")
    assert int(re.match(r"\d+", mlstac.__version__)[0]) >= 1
