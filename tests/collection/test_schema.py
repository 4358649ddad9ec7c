"""The JSON Schema in the repository is the one that the models make."""

import json
import typing

import pytest

from mlstac.collection import Collection
from mlstac.collection import schema as schema_module
from mlstac.collection.datamodel import Collection as SameCollection
from mlstac.collection.schema import main, make_schema, render_schema


def test_the_schema_in_the_repository_is_current(repository):
    path = repository / "schema" / "ml-stac" / "v1.0.0" / "schema.json"
    assert path.read_text(encoding="utf-8") == render_schema(), "run: make schema"


def test_check_tells_a_stale_schema_and_writing_mends_it(tmp_path, capsys):
    path = tmp_path / "deep" / "schema.json"
    assert main([str(path), "--check"]) == 1
    assert "run: python -m mlstac.collection.schema" in capsys.readouterr().err
    assert main([str(path)]) == 0
    assert main([str(path), "--check"]) == 0
    assert json.loads(path.read_text(encoding="utf-8")) == make_schema()


def models():
    from mlstac.collection import datamodel

    return [getattr(datamodel, name) for name in datamodel.__all__]


@pytest.mark.parametrize("model", models())
def test_every_field_has_its_sentence(model):
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"
        assert field.description.endswith((".", "…")), f"{model.__name__}.{name}"


def test_every_field_of_ours_is_in_the_schema():
    text = json.dumps(make_schema())
    ours = [str(field.validation_alias) for field in Collection.model_fields.values() if field.validation_alias]
    for alias in ours:
        if alias.startswith("ml:") and alias != "ml:splits":
            assert f'"{alias}"' in text


def test_the_old_path_of_the_models_works():
    assert SameCollection is Collection
    assert typing.get_type_hints(schema_module.make_schema)["return"]
