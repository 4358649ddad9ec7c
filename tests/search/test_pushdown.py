"""A filter reads the columns that it speaks of, in the row groups that may hold what it asks for, and no more."""

import datetime as dt

import numpy as np
import pytest
import shapely

import mlstac
from mlstac.loading import _open, _ranged
from tests.search.datasets import cut_parts, ids_of

COUNT, GROUP = 4000, 400


@pytest.fixture(scope="module")
def ordered(tmp_path_factory):
    """Samples from west to east, a day each, with a long text that no filter should fetch; in ten row groups."""
    folder = tmp_path_factory.mktemp("ordered") / "ordered"
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz0123456789"))
    samples = [
        mlstac.Sample(
            {"x": np.full(1, number, np.uint16)},
            id=f"s{number:05d}",
            bbox=(west := number * 0.08 - 170, 0, west + 0.05, 0.05),
            datetime=dt.datetime(2010, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number),
            properties={
                "level": number // 100,
                "note": "".join(rng.choice(letters, 200)),
                "noise": float(rng.random()),
            },
        )
        for number in range(COUNT)
    ]
    mlstac.write(samples, folder, id="ordered", license="CC0-1.0")
    return cut_parts(folder, group_rows=GROUP)


@pytest.fixture
def fetched(ordered, range_server, monkeypatch):
    """Bytes of the catalog that a filter fetches over HTTP, its footer left out, and ids that it finds."""
    monkeypatch.setattr(_open, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(_ranged, "FOOTER_BYTES", 64 * 1024)
    server = range_server(ordered)

    def ask(**arguments):
        dataset = mlstac.load(server.url, framework="numpy")
        assert dataset.metadata.columns  # opens the file, which reads its footer
        before = server.bytes_sent
        found = dataset.filter(**arguments)
        sent = server.bytes_sent - before
        return sent, ids_of(found)

    return ask


def whole_bytes(ordered):
    return (ordered / "train" / "catalog-00000.parquet").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "first", "last"),
    [
        ({"bbox": (-170, -1, -165.03, 1)}, 0, 63),
        ({"bbox": (149, -1, -169, 1)}, None, None),
        ({"intersects": shapely.box(-170, -1, -165.03, 1)}, 0, 63),
        ({"datetime": "2020-01-01/2020-01-10"}, 3652, 3662),
        ({"where": "level = 7"}, 700, 800),
        ({"where": "level BETWEEN 7 AND 8 AND noise < 2"}, 700, 900),
        ({"ids": ["s00005", "s00006"]}, 5, 7),
        ({"where": "S_INTERSECTS(geometry, BBOX(-170, -1, -165.03, 1)) AND noise < 2"}, 0, 63),
        ({"where": "T_DURING(datetime, INTERVAL('2020-01-01T00:00:00Z', '2020-01-10T12:00:00Z'))"}, 3653, 3662),
    ],
)
def test_only_the_columns_and_row_groups_that_matter_are_fetched(fetched, ordered, arguments, first, last):
    sent, found = fetched(**arguments)
    if first is not None:
        assert found == [f"s{number:05d}" for number in range(first, last)]
    assert found
    assert 0 < sent < whole_bytes(ordered) * 0.12


def test_what_the_statistics_rule_out_costs_nothing(fetched):
    sent, found = fetched(where="level > 1000", bbox=(-170, -1, 170, 1))
    assert (sent, found) == (0, [])


def test_polygons_are_fetched_for_row_groups_with_candidates_alone(fetched, ordered):
    one, found = fetched(intersects=shapely.Point(-169.99, 0.01).buffer(0.01))
    assert found == ["s00000"]
    every, found = fetched(intersects=shapely.box(-171, -1, 171, 1))
    assert len(found) == COUNT
    assert one < every / 5


def test_a_slice_searches_the_parts_that_it_is_in(scattered, monkeypatch):
    from mlstac.loading._part import Part

    searched = []
    real = Part.search
    monkeypatch.setattr(Part, "search", lambda part, plan: searched.append(part.url) or real(part, plan))
    dataset = mlstac.load(scattered, split="train+test", framework="numpy")
    dataset.subset(slice(0, 50)).filter(where="fold = 1")
    assert len(searched) == 1
