"""Messages of the face, as the command line spells their arguments."""

import json

import pytest

from mlstac.cli._spelling import spell

OPTIONS = (
    "overwrite",
    "older_than",
    "kind",
    "schemas",
    "allow_host",
    "split",
    "split_by",
    "where",
    "revision",
    "option",
)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("give overwrite=True to replace it", "give --overwrite to replace it"),
        ("give overwrite=True (mlstac card --overwrite) to do so", "give --overwrite to do so"),
        ("older_than='0s' (--older-than 0s) takes them", "--older-than 0s takes them"),
        ("give schemas=FOLDER with a copy", "give --schemas FOLDER with a copy"),
        ("kind='foo' is not known", "--kind foo is not known"),
        ("Name one with kind=, or", "Name one with --kind, or"),
        ("load with allow_hosts=('cdn.example',)", "load with --allow-host cdn.example"),
        ("where= compares with NULL; leave where= out", "--where compares with NULL; leave --where out"),
        ("split_by divides one split", "--split-by divides one split"),
        ("unfinished=True removes it", "unfinished=True removes it"),  # no option of this command
        (
            "remove it with mlstac.gc(path, unfinished=True), before",
            "remove it with mlstac gc PATH --unfinished, before",
        ),
        ("mlstac.rebuild(path) may make it anew", "mlstac rebuild PATH may make it anew"),
        ("bring it here with mlstac.download", "bring it here with mlstac download"),
        ("give storage_options={'ssl': 'ca.pem'} or set", "give -O ssl=ca.pem or set"),
        ("storage_options={'anon': True})", "-O anon=true)"),
        (
            "storage_options={'headers': {'Authorization': 'Bearer …'}}, or",
            '-O headers.Authorization="Bearer …", or',
        ),
        ("s3://b/split=train/kind=x.tif?revision=3 is lost", "s3://b/split=train/kind=x.tif?revision=3 is lost"),
        ("give credentials in storage_options, or", "give credentials with -O, or"),
        ("storage_options are not those of s3://", "options (-O) are not those of s3://"),
        ("or ds.filter(where='a < 1') and Tensor(kind='x')", "or ds.filter(where='a < 1') and Tensor(kind='x')"),
        ("(where='a < 1')", "(--where 'a < 1')"),
        (
            "older_than='x' is not an age; write '7d', or give a datetime.timedelta",
            "--older-than x is not an age; write '7d'",
        ),
        ("my_split_by and overwrite_x=1", "my_split_by and overwrite_x=1"),
        *(
            (said, said)
            for said in (  # of people's own folders and columns
                "my split=train/x.tif and /data/storage_options/mlstac.convert/x.tif are lost",
                "column 'split_by' is not there, nor 'kind=A' or 'split=x'",
            )
        ),
    ],
)
def test_what_python_calls_an_argument_is_an_option_here(said, shown):
    assert spell(said, OPTIONS) == shown


def test_a_finding_speaks_of_options(run, flood, tmp_path):
    path = tmp_path / "flood"
    path.symlink_to(flood)
    document = json.loads((flood / "collection.json").read_text())
    document["stac_extensions"] = [*document.get("stac_extensions", []), "https://127.0.0.1:1/mine/v1/schema.json"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for entry in flood.iterdir():
        if entry.name != "collection.json":
            (copy / entry.name).symlink_to(entry)
    (copy / "collection.json").write_text(json.dumps(document))
    said = run("validate", "copy").stdout
    assert "--schemas FOLDER" in said
    assert "schemas=" not in said


def test_an_error_speaks_of_options(run, flood):
    assert run("convert", "a", "b", "--kind", "foo").stderr.startswith("error: --kind foo is not known")
    done = run("append", flood, flood, "--split", "a b")
    assert done.returncode == 1
    assert "split=" not in done.stderr
