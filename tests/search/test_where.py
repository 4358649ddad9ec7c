"""CQL2 over the columns, beside DuckDB's answers from the same files and plain Python."""

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.errors import InvalidArgumentError, NotFoundError
from tests.search.datasets import CLASSES, ids_of


@pytest.fixture(scope="module")
def ask_duckdb(scattered):
    """Ids for which an SQL condition is true, in the order of the files."""
    parts = [f"'{path}'" for split in ("train", "test") for path in sorted((scattered / split).glob("*.parquet"))]
    connection = duckdb.connect()
    connection.execute(
        f"CREATE TABLE rows AS SELECT *, row_number() OVER () AS n FROM read_parquet([{', '.join(parts)}])"
    )

    def ask(condition):
        return [name for (name,) in connection.execute(f"SELECT id FROM rows WHERE {condition} ORDER BY n").fetchall()]

    yield ask
    connection.close()


def quote(text):
    return "'" + text.replace("'", "''") + "'"


NUMBERS = st.integers(-6, 6).map(str) | st.floats(-30, 110).map(lambda value: f"{value:.2f}")
TEXTS = st.sampled_from([*CLASSES, "", "Desert"]).map(quote)
PATTERNS = st.sampled_from(["F%", "%e%", "_iver", "%", "", "50\\% field\\_", "%r_t", "For__t"])
COMPARISON = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
ARITHMETIC = st.sampled_from(["count", "cloud_cover", "count + 1", "cloud_cover - count * 2", "count / 2"])
LEAVES = st.one_of(
    st.tuples(ARITHMETIC, COMPARISON, NUMBERS).map(" ".join),
    st.tuples(st.sampled_from(["count", "cloud_cover"]), COMPARISON, st.sampled_from(["count", "fold"])).map(" ".join),
    st.tuples(st.just("class"), COMPARISON, TEXTS).map(" ".join),
    st.tuples(st.sampled_from(["good = TRUE", "good <> TRUE", "good", "NOT good", "good = FALSE"])).map(" ".join),
    st.tuples(st.sampled_from(["count", "cloud_cover"]), NUMBERS, NUMBERS).map(
        lambda t: f"{t[0]} BETWEEN {t[1]} AND {t[2]}"
    ),
    st.tuples(st.sampled_from(["class", "good", "cloud_cover"]), st.sampled_from(["IS NULL", "IS NOT NULL"])).map(
        " ".join
    ),
    st.tuples(st.sampled_from(["", "NOT "]), st.lists(TEXTS, min_size=1, max_size=3)).map(
        lambda t: f"class {t[0]}IN ({', '.join(t[1])})"
    ),
    st.tuples(st.sampled_from(["", "NOT "]), st.lists(NUMBERS, min_size=1, max_size=3)).map(
        lambda t: f"count {t[0]}IN ({', '.join(t[1])})"
    ),
    st.tuples(st.sampled_from(["", "NOT "]), PATTERNS.map(quote)).map(lambda t: f"class {t[0]}LIKE {t[1]}"),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        inner.map(lambda condition: f"NOT ({condition})"),
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(condition=CONDITIONS)
def test_conditions_on_plain_columns_find_what_duckdb_finds(everything, ask_duckdb, condition):
    sql = condition.replace("LIKE '50\\% field\\_'", "LIKE '50\\% field\\_' ESCAPE '\\'")
    assert ids_of(everything.filter(where=condition)) == ask_duckdb(sql)


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        (
            "cloud_cover < 10 AND class IN ('Forest','River')",
            lambda row: (
                row["cloud_cover"] is not None and row["cloud_cover"] < 10 and row["class"] in ("Forest", "River")
            ),
        ),
        ("fold <> 2", lambda row: row["fold"] != 2),
        ("properties.fold = 2", lambda row: row["fold"] == 2),
        ("\"class\" = 'River'", lambda row: row["class"] == "River"),
        ("class = 'O''Brien'", lambda row: row["class"] == "O'Brien"),
        ("CASEI(class) = CASEI('FORÊT')", lambda row: row["class"] == "forêt"),
        ("CASEI(class) LIKE CASEI('FO%')", lambda row: row["class"] in ("Forest", "forêt")),
        ("ACCENTI(class) = ACCENTI('foret')", lambda row: row["class"] == "forêt"),
        ("ACCENTI(CASEI(class)) IN ('foret', 'forest')", lambda row: row["class"] in ("Forest", "forêt")),
        ("bbox.xmin > 100", lambda row: row["bbox"] is not None and row["bbox"]["xmin"] > 100),
        ("count % 2 = 1", lambda row: row["count"] > 0 and row["count"] % 2 == 1),
        ("count DIV 2 = -1", lambda row: int(row["count"] / 2) == -1),
        ("count ^ 2 = 9", lambda row: abs(row["count"]) == 3),
        ("-count >= 3", lambda row: row["count"] <= -3),
        ("A_CONTAINS(tags, ('a','b'))", lambda row: row["tags"] is not None and {"a", "b"} <= set(row["tags"])),
        ("A_CONTAINEDBY(tags, ('a','b'))", lambda row: row["tags"] is not None and set(row["tags"]) <= {"a", "b"}),
        ("A_OVERLAPS(tags, ('a','z'))", lambda row: row["tags"] is not None and "a" in row["tags"]),
        ("A_EQUALS(tags, ('a','b'))", lambda row: row["tags"] == ["a", "b"]),
        ("A_CONTAINS(('a','b','d'), tags)", lambda row: row["tags"] is not None and set(row["tags"]) <= {"a", "b"}),
        ("NOT A_OVERLAPS(tags, ('a','z'))", lambda row: row["tags"] is not None and "a" not in row["tags"]),
        ("A_CONTAINS(levels, (3, 1))", lambda row: {1, 3} <= set(row["levels"])),
        (
            "A_EQUALS(levels, (1, 2)) OR fold = 4 AND A_OVERLAPS(levels, (0))",
            lambda row: row["levels"] == [1, 2] or (row["fold"] == 4 and 0 in row["levels"]),
        ),
        ("TRUE", lambda row: True),
        ("FALSE OR fold = 1", lambda row: row["fold"] == 1),
        (
            "S_INTERSECTS(geometry, BBOX(-180,-90,180,90)) OR cloud_cover > 50",
            lambda row: row["geometry"] is not None or (row["cloud_cover"] or 0) > 50,
        ),
    ],
)
def test_a_condition_is_what_it_says(everything, rows, where, holds):
    wanted = [row["id"] for row in rows if holds(row)]
    assert ids_of(everything.filter(where=where)) == wanted
    assert wanted


def test_a_tree_of_cql2_json_is_taken_too(everything):
    tree = {
        "op": "and",
        "args": [
            {"op": "<", "args": [{"property": "cloud_cover"}, 10]},
            {"op": "=", "args": [{"property": "fold"}, 1]},
        ],
    }
    assert ids_of(everything.filter(where=tree)) == ids_of(everything.filter(where="cloud_cover < 10 AND fold = 1"))


def test_integers_are_compared_exactly(tmp_path):

    big = 2**53 - 1
    samples = [mlstac.Sample({"x": np.zeros(1, np.uint8)}, properties={"big": big + step}) for step in (-1, 0, 1, 2, 3)]
    mlstac.write(samples, tmp_path / "big", id="big", license="CC0-1.0")
    dataset = mlstac.load(tmp_path / "big", framework="numpy")
    assert len(dataset.filter(where=f"big = {big}")) == 1
    assert len(dataset.filter(where=f"big > {big}")) == 3
    with pytest.raises(InvalidArgumentError, match="lose digits"):
        dataset.filter(where=f"big = {2**53 + 1}")


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        ("cluod < 3", NotFoundError, r"names 'cluod', which is no column of the catalog; it has id, .*cloud_cover"),
        (
            "clouds < 3",
            NotFoundError,
            r"names 'clouds', which is no column of the catalog; did you mean 'cloud_cover'\?",
        ),
        ("FOLD = 3", NotFoundError, r"did you mean 'fold'\? It has id, geometry"),
        ("bbox.west < 3", NotFoundError, "bbox.west"),
        ("BUFFER(geometry, 3) = 3", InvalidArgumentError, "uses BUFFER, which is not known here; known are and, or"),
        ("upper(class) = 'X'", InvalidArgumentError, "uses upper"),
        ("cloud_cover = 'a'", InvalidArgumentError, r"cloud_cover \(a number\) with 'a' \(text\)"),
        ("class IN ('a', 3)", InvalidArgumentError, "compare like with like"),
        ("class IN (fold)", InvalidArgumentError, "list of values"),
        ("cloud_cover < ", InvalidArgumentError, "1:15"),
        ("cloud_cover", InvalidArgumentError, "a condition is expected"),
        ("'a'", InvalidArgumentError, "a condition is expected"),
        ("cloud_cover = NULL", InvalidArgumentError, "IS NULL"),
        ("cloud_cover LIKE 'a'", InvalidArgumentError, "column of text"),
        ("class + 1 = 2", InvalidArgumentError, "no number"),
        ("CASEI(fold) = 'x'", InvalidArgumentError, "no text"),
        ("good > FALSE", InvalidArgumentError, "use = or <>"),
        ("tags = 'a'", InvalidArgumentError, r"a list"),
        ("bbox = 3", InvalidArgumentError, "struct"),
        ("A_CONTAINS(class, ('a'))", InvalidArgumentError, "holds no lists"),
        ("A_CONTAINS(tags, (1, 2))", InvalidArgumentError, "items are string"),
        ("A_CONTAINS(levels, (1.5, 2))", InvalidArgumentError, "items are int64"),
        ("A_CONTAINS(levels, ('a', 'b'))", InvalidArgumentError, "items are int64"),
        ("", InvalidArgumentError, "empty"),
        (3, InvalidArgumentError, "type int"),
        ({"op": "="}, InvalidArgumentError, "no CQL2 JSON"),
        ({"op": "=", "args": [{"property": "fold"}]}, InvalidArgumentError, "takes 2"),
        ({"op": "=", "args": [{"property": "fold"}, {1, 2}]}, InvalidArgumentError, "no JSON"),
        ("(" * 100_000 + "fold = 1" + ")" * 100_000, InvalidArgumentError, "nested 100,000 deep"),
        ("NOT " * 50_000 + "fold = 1", InvalidArgumentError, "50,000 deep"),
        ("class = '" + "x" * 2_000_000 + "'", InvalidArgumentError, "characters"),
        ("__import__('os').system('true')", InvalidArgumentError, "no CQL2 text"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_says_why(everything, where, error, words):
    with pytest.raises(error, match=words):
        everything.filter(where=where)


def test_nothing_asked_is_refused(everything):
    with pytest.raises(InvalidArgumentError, match="nothing is asked for"):
        everything.filter()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Integers past 2^53, a zero and nulls."""

    rows = [(2**60, 2.0), (-(2**60), 0.0), (5, None), (6, -1.0), (None, 4.0), (0, 0.0)]
    samples = [
        mlstac.Sample({"x": np.zeros(1, np.uint8)}, id=f"s{number}", properties={"big": big, "cloud_cover": cloud})
        for number, (big, cloud) in enumerate(rows)
    ]
    folder = tmp_path_factory.mktemp("large") / "large"
    mlstac.write(samples, folder, id="large", license="CC0-1.0")
    return mlstac.load(folder, framework="numpy")


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("big > 5.5", [0, 3]),
        ("big >= 5.5", [0, 3]),
        ("big < 5.5", [1, 2, 5]),
        ("5.5 >= big", [1, 2, 5]),
        ("big = 5.5", []),
        ("NOT big = 5.5", [0, 1, 2, 3, 5]),
        ("big <> 5.5", [0, 1, 2, 3, 5]),
        ("big BETWEEN -0.5 AND 5.5", [2, 5]),
        ("big + 1 > 5", [0, 2, 3]),
        ("big > cloud_cover", [0, 3]),
        ("cloud_cover >= big", [1, 5]),
    ],
)
def test_integers_that_no_float_holds_are_reckoned_with(large, where, found):
    assert ids_of(large.filter(where=where)) == [f"s{number}" for number in found]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("10 / cloud_cover > 1", [0, 4]),
        ("NOT 10 / cloud_cover > 1", [3]),
        ("10 / cloud_cover > 1 OR big = 0", [0, 4, 5]),
        ("10 div cloud_cover = 2", [4]),
        ("10 % cloud_cover = 0", [0, 3]),
        ("(10 / cloud_cover) IS NULL", [1, 2, 5]),
    ],
)
def test_a_division_by_zero_is_not_known_and_ends_nothing(large, where, found):
    assert ids_of(large.filter(where=where)) == [f"s{number}" for number in found]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"bbox": (np.float64(1.5), 2, 3)}, r"bbox=\(1\.5, 2, 3\); expected four"),
        ({"bbox": np.array([1.5, np.nan, 3, 4])}, r"bbox=\[1\.5, nan, 3\.0, 4\.0\]; expected four"),
        ({"ids": [np.float64(7)]}, r"ids= holds 7\.0; ids are strings"),
        ({"ids": np.int64(7)}, "ids=7 is no list"),
        (
            {"where": {"op": "a_contains", "args": [{"property": "tags"}, [np.float64(7)]]}},
            r"looks for \[7\.0\] in tags",
        ),
    ],
)
def test_numbers_of_numpy_are_shown_as_numbers(everything, query, words):
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        everything.filter(**query)
    assert "np." not in str(caught.value)


def test_an_unplaced_dataset_says_so_once(tmp_path):
    samples = [mlstac.Sample({"x": np.zeros(1, np.uint8)}, properties={"fold": 1})]
    mlstac.write(samples, tmp_path / "set", id="set", license="CC0-1.0")
    with pytest.raises(NotFoundError) as caught:
        mlstac.load(tmp_path / "set", framework="numpy").filter(bbox=(0, 0, 1, 1))
    assert str(caught.value) == (
        "bbox= asks for a place, and the samples of this dataset have none (no column 'bbox'); leave it out, or ask "
        "for id or fold with where="
    )
