"""JSON Schemas: from a folder, from their hosts, or not at all, which is said."""

import json
import re
import subprocess
import sys

import pytest

import mlstac
from mlstac.errors import InvalidArgumentError, MissingPackageError
from tests.validation.conftest import PART, edit_collection, edit_rows

FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"


def unchecked(report):
    return [f.what for f in report.findings if f.level == "unchecked" and "not held against" in f.what]


def errors_of(folder, **options):
    return [f for f in mlstac.validate(folder, **options).findings if f.level == "error"]


def test_a_schema_that_cannot_be_had_is_unchecked_and_never_valid(made, tmp_path):
    report = mlstac.validate(made, schemas=tmp_path)  # an empty folder, and no network
    assert report.ok
    [what] = unchecked(report)  # one line, whatever the number of extensions
    declared = json.loads((made / "collection.json").read_bytes())["stac_extensions"]
    assert len(declared) > 1
    for uri in declared:
        assert " ".join(uri.split("/")[-3:-1]) in what  # such as "file v2.1.0"
    assert re.match(r"not held against [3-9] schemas \(.*file v2\.1\.0.*\): it cannot be fetched: ", what)
    assert "STAC" not in what  # pystac brings those


def test_what_breaks_an_extension_is_found_by_its_schema(copy, schemas):
    edit_collection(copy, lambda c: c["assets"]["test-00000"].update({"ml-aoi:split": "testing"}))
    found = errors_of(copy, schemas=schemas)
    assert [f.path for f in found] == ["assets.test-00000.ml-aoi:split"]
    assert found
    assert all(f.file == "collection.json" for f in found)
    assert "testing" in found[0].what


def test_what_breaks_stac_itself_is_found(copy):
    edit_collection(copy, lambda c: c.update(keywords="flood"))
    assert "keywords" in {f.path for f in errors_of(copy)}


def test_what_breaks_our_own_schema_is_found(copy):
    edit_collection(copy, lambda c: c["ml:tensors"]["image"].update(layout="spiral"))
    assert [f for f in errors_of(copy) if (f.path or "").startswith("ml:tensors.image")]


def test_rows_are_held_against_the_schema_of_items(copy, schemas):
    def change(rows):
        for row in rows:
            for asset in row["assets"].values():
                asset["file:checksum"] = "no multihash"

    edit_rows(copy, change)
    found = errors_of(copy, schemas=schemas)
    assert any(f.path.endswith("file:checksum") for f in found if f.file == PART and f.row == 0)


def own_extension(folder, host):
    uri = f"http://{host}/mine/v1.0.0/schema.json"
    edit_collection(folder, lambda c: c["stac_extensions"].append(uri))
    edit_collection(folder, lambda c: c.update({"mine:word": 5}))
    return uri


RULES = {"type": "object", "properties": {"mine:word": {"$ref": "./word.json"}}}


def test_a_schema_is_fetched_from_a_host_that_is_allowed_and_from_no_other(copy, fault_server):
    files = {"mine/v1.0.0/schema.json": json.dumps(RULES).encode(), "mine/v1.0.0/word.json": b'{"type": "string"}'}
    server = fault_server(files)
    host = server.url.split("/")[2]
    uri = own_extension(copy, host)
    refused = [what for what in unchecked(mlstac.validate(copy)) if uri in what]
    assert ["is not among the hosts" in what for what in refused] == [True]
    [found] = [f for f in errors_of(copy, allow_hosts=[host]) if f.path == "mine:word"]
    assert "5 is not of type 'string'" in found.what


def test_a_schema_that_refers_to_one_that_is_not_there_is_unchecked(copy, fault_server):
    server = fault_server({"mine/v1.0.0/schema.json": json.dumps(RULES).encode()})
    host = server.url.split("/")[2]
    own_extension(copy, host)
    assert any("refers to a schema" in what for what in unchecked(mlstac.validate(copy, allow_hosts=[host])))


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "http://127.0.0.1:9/../../x", "nonsense", "https://"])
def test_a_document_cannot_have_any_address_asked(copy, uri, tmp_path):
    edit_collection(copy, lambda c: c["stac_extensions"].append(uri))
    report = mlstac.validate(copy, schemas=tmp_path)
    assert any(uri in what for what in unchecked(report))


def test_a_name_does_not_lead_out_of_the_folder_of_schemas(copy, tmp_path):
    (tmp_path / "schemas" / "stac-extensions.github.io").mkdir(parents=True)
    (tmp_path / "secret.json").write_text('{"not": {}}')
    edit_collection(copy, lambda c: c["stac_extensions"].append("https://stac-extensions.github.io/../../secret.json"))
    assert errors_of(copy, schemas=tmp_path / "schemas") == []


def test_a_folder_that_is_none_is_refused(made, tmp_path):
    with pytest.raises(InvalidArgumentError, match="is no folder"):
        mlstac.validate(made, schemas=tmp_path / "nothing")


def test_without_jsonschema_the_rest_is_looked_at(made, monkeypatch, tmp_path):
    from mlstac.validation import _schemas

    real = _schemas.find_spec
    monkeypatch.setattr(_schemas, "find_spec", lambda name: None if name == "jsonschema" else real(name))
    report = mlstac.validate(made)
    assert report.ok
    assert report.looked_at["rows"] == 23
    [what] = unchecked(report)
    assert what.endswith("the package jsonschema is not installed")
    assert "(STAC collection v1.1.0, " in what
    with pytest.raises(MissingPackageError, match="pip install jsonschema pystac"):
        mlstac.validate(made, schemas=tmp_path)


def run(*words):
    command = [sys.executable, "-c", "import sys; from mlstac.cli import main; sys.exit(main())", "validate", *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_the_command_exits_as_the_dataset_is(copy, schemas):
    done = run(copy, "--schemas", schemas, "--deep")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("valid: 1 unchecked (23 rows, 3 parts,")
    edit_collection(copy, lambda c: c["ml:train"].update(n_items=7))
    done = run(copy, "--schemas", schemas)
    assert done.returncode == 1
    assert "error: collection.json: ml:train.n_items: n_items is 7; the parts" in done.stdout
    told = json.loads(run(copy, "--schemas", schemas, "--json").stdout)
    assert told["ok"] is False
    [error] = [f for f in told["findings"] if f["level"] == "error"]
    assert (error["file"], error["path"], error["row"]) == ("collection.json", "ml:train.n_items", None)
    assert error["mend"] == "write the collection again"


def test_the_command_is_misused_with_a_folder_that_is_not_there(made, tmp_path):
    assert run(made, "--schemas", tmp_path / "nothing").returncode == 2
    assert run(tmp_path / "nothing").returncode == 1
