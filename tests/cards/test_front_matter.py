"""What the Hugging Face Hub reads of a card: YAML that says what the collection says, and finds its rows."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import mlstac
from mlstac.cards import HUB_LICENSES, front_matter, license_fields, make_card, size_category
from mlstac.collection import Link, Split
from tests.cards.conftest import chips, describe


def read(text):
    head = re.match(r"---\n(.*?)^---\n", text, re.DOTALL | re.MULTILINE)
    return yaml.safe_load(head[1])


@pytest.mark.parametrize(
    ("spdx", "name"),
    [
        ("CC-BY-4.0", "cc-by-4.0"),
        ("CC0-1.0", "cc0-1.0"),
        ("MIT", "mit"),
        ("ODbL-1.0", "odbl"),
        ("ODC-By-1.0", "odc-by"),
        ("PDDL-1.0", "pddl"),
        ("etalab-2.0", "etalab-2.0"),
        ("GPL-3.0-or-later", "gpl-3.0"),
        ("AGPL-3.0-only", "agpl-3.0"),
        ("LGPL-2.1+", "lgpl-2.1"),
    ],
)
def test_a_licence_that_the_hub_knows_has_its_name(spdx, name):
    assert license_fields(describe(license=spdx)) == {"license": name}
    assert name in HUB_LICENSES


@pytest.mark.parametrize(
    ("spdx", "fields"),
    [
        (
            "OGL-UK-3.0",
            {
                "license": "other",
                "license_name": "ogl-uk-3.0",
                "license_link": "https://spdx.org/licenses/OGL-UK-3.0.html",
            },
        ),
        ("CC-BY-IGO-3.0", None),
        ("other", {"license": "other"}),
    ],
)
def test_a_licence_that_the_hub_lacks_is_other_with_its_name_and_text(spdx, fields):
    found = license_fields(describe(license=spdx))
    assert found["license"] == "other"
    assert fields is None or found == fields
    assert ("license_link" in found) == (spdx != "other")


def test_a_licence_of_the_authors_own_is_linked():
    link = Link(rel="license", href="https://example.org/terms", type="text/html")
    found = license_fields(describe(license="other", links=[link]))
    assert found == {"license": "other", "license_name": "flood-license", "license_link": "https://example.org/terms"}


@pytest.mark.parametrize(
    ("count", "word"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (10**6, "1M<n<10M"),
        (10**8, "100M<n<1B"),
        (10**9, "1B<n<10B"),
        (10**12, "n>1T"),
    ],
)
def test_a_size_has_the_hubs_word(count, word):
    assert size_category(count) == word


def test_it_says_what_the_collection_says(flood):
    found = read((flood / "README.md").read_text("utf-8"))
    assert found == {
        "license": "cc-by-4.0",
        "pretty_name": "Floods of Bolivia",
        "task_categories": ["image-segmentation"],
        "tags": ["mlstac", "stac", "safetensors", "geospatial", "semantic-segmentation", "x-flood", "water", "flood"],
        "size_categories": ["n<1K"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": "train", "path": "train/catalog-00000.parquet"},
                    {"split": "test", "path": "test/catalog-00000.parquet"},
                ],
            }
        ],
    }


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.lists(st.text(st.characters(codec="utf-8")), max_size=3))
def test_no_title_and_no_keyword_breaks_the_yaml(title, keywords):
    found = read(front_matter(describe(title=title, keywords=keywords)))
    assert found["pretty_name"] == (" ".join(title.split()) if title else "flood")
    assert found["license"] == "cc-by-4.0"
    assert set(found["tags"]) >= {" ".join(word.split()) for word in keywords if word.strip()}


@pytest.fixture
def load_rows(tmp_path, monkeypatch):
    """Load a folder as the Hub's viewer does: the library ``datasets``, by the card alone, without a network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()

    def load_rows(folder):
        return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))

    return load_rows


def test_datasets_finds_the_rows_of_every_split(flood, load_rows):
    found = load_rows(flood)
    assert {split: rows.num_rows for split, rows in found.items()} == {"train": 9, "test": 4}
    assert found["train"]["id"] == [f"chip-{number:02}" for number in range(9)]
    ours = mlstac.load(flood, split="test", framework="numpy").metadata.to_table(["cloud"])["cloud"].to_pylist()
    assert list(found["test"]["cloud"]) == ours
    assert found["train"][0]["assets"]["image"]["ml:length"] == 3 * 16 * 16 * 2


def test_datasets_finds_every_part_of_a_split_whose_name_it_would_refuse(tmp_path, monkeypatch, load_rows):
    monkeypatch.setattr("mlstac.authoring._commit.ROWS_A_PART", 4)
    folder = tmp_path / "parts"
    mlstac.write({"train": chips(9), "hold-out": chips(2, start=9)}, folder, describe(), shard_size=4_000)
    assert len(list((folder / "train").glob("*.parquet"))) > 1
    found = load_rows(folder)
    assert {split: rows.num_rows for split, rows in found.items()} == {"train": 9, "hold_out": 2}
    assert found["train"]["id"] == [f"chip-{number:02}" for number in range(9)]


def test_an_older_catalog_beside_the_new_one_gives_no_rows(tmp_path, load_rows):
    mlstac.write(chips(9), tmp_path / "flood", describe())
    mlstac.write(chips(3), tmp_path / "flood", describe(), overwrite=True)
    assert load_rows(tmp_path / "flood")["train"].num_rows == 3


def test_splits_without_samples_stand_in_no_config():
    collection = describe(splits={"train": Split(n_items=0, assets=[])})
    assert "configs" not in read(make_card(collection))
