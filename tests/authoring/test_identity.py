"""Ids in bounded memory, and the bar that is silent where nobody looks."""

from hypothesis import given
from hypothesis import strategies as st

import mlstac.authoring as authoring
from mlstac.authoring._identity import Ids


@given(st.lists(st.text(max_size=3)))
def test_an_id_is_new_once(names):
    ids = Ids()
    seen = set()
    for name in names:
        assert ids.add(name) == (name not in seen)
        seen.add(name)
    assert len(ids) == len(seen)


def test_a_hundred_thousand_ids_cost_no_more_than_32_bytes_each():
    ids = Ids()
    assert all(ids.add(f"train-{number:07d}") for number in range(100_000))
    assert not any(ids.add(f"train-{number:07d}") for number in range(0, 100_000, 997))
    assert len(ids._table) * ids._table.itemsize <= 32 * 100_000


def test_nothing_is_said_without_a_terminal(tmp_path, capfd):
    authoring.write([{"x": 1}], tmp_path)
    assert capfd.readouterr() == ("", "")


def test_progress_shows_split_and_rate_where_it_is_asked_for(tmp_path, capfd):
    with authoring.Writer(tmp_path, {"id": "x"}, progress=True) as writer:
        writer.add({"x": 1}, split="test")
    said = capfd.readouterr().err
    assert "test" in said
    assert "samples/s" in said
