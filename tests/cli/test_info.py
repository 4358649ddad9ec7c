"""`mlstac info`: what it says is what was written."""

import json

from rich.console import Console

import mlstac
from mlstac.cli._console import THEME
from mlstac.cli._info_page import draw_page


def render(collection, *, width):
    """The page as plain text, in a terminal of some width."""
    console = Console(width=width, theme=THEME, highlight=False)
    with console.capture() as captured:
        console.print(draw_page(collection))
    return captured.get()


def test_json_says_what_was_written(run, flood):
    done = run("info", flood, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["source"] == str(flood)
    assert (said["id"], said["title"], said["license"]) == ("flood", "Floods of Bolivia", "CC-BY-4.0")
    assert said["tasks"] == ["semantic-segmentation"]
    assert said["samples"] == 12
    assert said["splits"]["train"] == {"samples": 8, "bytes": 8 * (3 * 32 * 32 * 2 + 32 * 32)}
    assert said["splits"]["validation"] == {"samples": 0, "bytes": 0}
    image = said["tensors"]["image"]
    assert (image["dtype"], image["shape"], image["dims"]) == ("U16", [3, 32, 32], ["band", "y", "x"])
    assert image["bytes"] == 3 * 32 * 32 * 2
    assert [band["name"] for band in image["bands"]] == ["B04", "B03", "B02"]
    assert [item["name"] for item in said["tensors"]["water"]["classes"]] == ["land", "water"]
    west, south, east, north = said["bbox"]
    assert -66 < west < east < -64
    assert -16 < south < north < -15
    assert said["interval"] == ["2018-02-01T10:00:00+00:00", "2018-02-12T10:00:00+00:00"]
    assert said["people"] == [{"name": "Ana Pérez", "organization": "Universidad", "roles": ["author"]}]


def test_json_has_null_for_what_the_dataset_does_not_say(run, texts):
    said = json.loads(run("info", texts, "--json").stdout)
    assert said["bytes"] is None
    assert said["bbox"] is None
    assert said["interval"] is None
    assert said["tensors"]["points"]["shape"] == [None, 2]
    assert said["tensors"]["note"]["media_type"] == "text/plain"


def test_the_page_has_every_fact_a_person_looks_for(run, flood):
    page = run("info", flood).stdout
    for words in [
        "Floods of Bolivia", "flood · CC-BY-4.0", "12  (train 8 · validation 0 · test 4)", "86.0 kB, 7.17 kB a sample",
        "semantic-segmentation", "2018-02-01 to 2018-02-12", "Ana Pérez (Universidad, author)", "uint16", "3 × 32 × 32",
        "image: 3 bands", "B04", "water: 2 classes", "land", f'mlstac.load("{flood}", split="train")',
    ]:  # fmt: skip
        assert words in " ".join(page.split()) or words in page, words


def test_a_page_in_a_pipe_has_no_colours(run, flood):
    assert "\x1b" not in run("info", flood).stdout


def test_the_load_line_of_the_page_can_be_copied(run, flood):
    [line] = [line.strip() for line in run("info", flood).stdout.splitlines() if "mlstac.load" in line]
    scope = {"mlstac": mlstac}
    exec("ds = " + line.replace("split=", "framework='numpy', split="), scope)
    assert len(scope["ds"]) == 8


def test_words_in_brackets_are_words_and_not_markup(texts):
    collection = mlstac.open(texts)
    collection.title = "[red]Red[/red] chips [v2]"
    collection.citation = "Pérez [2021]"
    page = render(collection, width=100)
    assert "[red]Red[/red] chips [v2]" in page
    assert "Pérez [2021]" in page


def test_a_narrow_terminal_cuts_no_name(flood):
    page = render(mlstac.open(flood), width=60)
    assert all(len(line) <= 60 for line in page.splitlines())
    assert all(word in page for word in ["image", "water", "uint16", "B04", "land"])


def test_a_dataset_over_http_is_told_of_as_one_on_disk(run, flood):
    from mlstac.storage import open_server

    with open_server(flood.parent) as server:
        remote = json.loads(run("info", f"{server.url.rstrip('/')}/flood/", "--json").stdout)
    local = json.loads(run("info", flood, "--json").stdout)
    assert {**remote, "source": None} == {**local, "source": None}


def test_a_nodata_of_nan_is_the_word_that_stac_has(run, tmp_path):
    tensors = {"x": {"dtype": "F32", "shape": [2], "nodata": float("nan")}}
    mlstac.Collection(id="nan", description="NaN", license="CC0-1.0", tensors=tensors).save(
        tmp_path / "collection.json"
    )
    done = run("info", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tensors"]["x"]["nodata"] == "nan"
    assert "nodata nan" in run("info", tmp_path).stdout


def test_the_licence_other_is_shown_as_what_the_collection_says():
    page = render(mlstac.Collection(id="a", title="A", description="Terms of its own.", license="other"), width=80)
    assert "licence: other" in page
    assert "not stated" not in page


def test_a_compressed_dataset_is_said_to_be_one(run, tmp_path):
    mlstac.write([{"x": [1, 2, 3]}] * 4, tmp_path / "x", id="x", license="MIT", compression="zstd")
    assert json.loads(run("info", tmp_path / "x", "--json").stdout)["compression"] == "zstd"
    assert "24 bytes a sample; stored compressed (zstd)" in run("info", tmp_path / "x").stdout
