"""The card as a reader sees it: rendered, with code that runs, and nothing of an author's text out of place."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import mlstac
from mlstac.cards import is_same, make_card, read_signature, sign
from tests.cards.conftest import describe


def render(text):
    """The card's HTML, as a git host makes it."""
    body = re.sub(r"\A---\n.*?^---\n", "", text, count=1, flags=re.DOTALL | re.MULTILINE)
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(body)


def tables(html):
    return [
        [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)]
        for table in re.findall(r"<table>(.*?)</table>", html, re.DOTALL)
    ]


def test_it_has_tables_of_tensors_bands_classes_splits_and_people(flood):
    html = render((flood / "README.md").read_text("utf-8"))
    first = {table[0][0]: table for table in tables(html)}
    assert [row[0] for row in first["tensor"][1:]] == ["<code>image</code>", "<code>water</code>", "<code>kind</code>"]
    assert [row[1] for row in first["#"][1:]] == ["<code>B04</code>", "<code>B03</code>", "<code>B02</code>"]
    assert [row[:2] for row in first["split"][1:]] == [
        ["<code>train</code>", "9"],
        ["<code>validation</code>", "0"],
        ["<code>test</code>", "4"],
    ]
    assert first["name"][1] == [
        "Ana Pérez",
        "Universidad",
        "author",
        '<a href="mailto:ana@example.org">ana@example.org</a>',
    ]
    for heading in ("Samples", "Where", "Load it", "Tensors", "Splits", "People", "Cite it", "Files"):
        assert f"<h2>{heading}</h2>" in html


def test_classes_are_counted_as_numpy_counts_them(flood):
    html = render((flood / "README.md").read_text("utf-8"))
    ds = mlstac.load(flood, framework="numpy")
    [water, kind] = [table for table in tables(html) if table[0][0] == "value"]
    for table, name in ((water, "water"), (kind, "kind")):
        found = {int(row[0]): int(row[2].replace(",", "")) for row in table[1:]}
        values = ds[:][name]
        assert found == {value: int((values == value).sum()) for value in (0, 1)}
    assert kind[1][:3] == ["0", "dry", "5"]


def test_pictures_that_it_shows_lie_beside_it(flood):
    shown = re.findall(r'<img src="([^"]+)"', render((flood / "README.md").read_text("utf-8")))
    assert shown == ["samples.png", "footprints.png"]
    assert all((flood / name).is_file() for name in shown)


def test_its_code_runs(flood, monkeypatch):
    monkeypatch.chdir(flood)
    blocks = re.findall(r"^```python\n(.*?)^```", (flood / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    load, rows = blocks
    scope = {}
    exec(load.replace("PATH-OR-URL", str(flood)), scope)
    assert len(scope["ds"]) == 9
    assert set(scope["batch"]) == {"image", "water", "kind"}
    exec(rows, scope)
    assert scope["rows"].geometry.notna().all()
    assert len(scope["rows"]) == 9


def test_the_place_where_it_is_published_stands_in_its_code():
    assert 'mlstac.load("hf://datasets/me/flood", split="train"' in make_card(
        describe(), source="hf://datasets/me/flood"
    )


def test_what_an_author_writes_ends_no_cell_and_starts_no_tag():
    hostile = 'a | b <script>alert("x")</script> **bold** [x](y)\n# heading'
    collection = describe(
        title=hostile,
        citation=hostile,
        contacts=[{"name": hostile, "roles": ["author"]}],
        tensors={"x": mlstac.Tensor(description=hostile, classes=[{"value": 0, "name": "a", "title": hostile}])},
    )
    html = render(make_card(collection))
    assert "<script>" not in html
    assert "<strong>bold" not in html
    shown = "a | b &lt;script&gt;"
    assert html.count("<h1>") == 1
    assert any(row[0].startswith(shown) for table in tables(html) for row in table)
    assert all(len(row) == len(table[0]) for table in tables(html) for row in table)


def test_a_card_of_a_collection_that_says_almost_nothing_can_be_made():
    html = render(make_card(mlstac.Collection(id="x")))
    assert "<h1>x</h1>" in html


def test_the_signature_fits_the_card_and_nothing_else():
    signed = sign("# x\n", {"samples.png": b"picture"})
    known = read_signature(signed.encode())
    assert known is not None
    assert is_same(b"picture", known["samples.png"])
    assert not is_same(b"another", known["samples.png"])


@given(st.text(st.characters(codec="utf-8")), st.integers(0), st.binary(min_size=1, max_size=2))
def test_a_card_with_one_byte_changed_is_somebodys_own(text, at, put):
    data = sign(text, {}).encode()
    assert read_signature(data) is not None
    at %= len(data)
    changed = data[:at] + put + data[at + 1 :]
    assert changed == data or read_signature(changed) is None


@pytest.mark.parametrize("data", [b"", b"# Mine\n", b"\xff\xfe", b"<!-- mlstac -->"])
def test_a_page_without_signature_is_somebodys_own(data):
    assert read_signature(data) is None
