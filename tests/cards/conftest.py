"""A placed and dated dataset of two splits with bands, a mask, a class a sample, and people."""

import numpy as np
import pytest

import mlstac


def describe(**fields):
    return mlstac.Collection(
        **{
            "id": "flood",
            "title": "Floods of Bolivia",
            "description": "Chips of Sentinel-2 with hand drawn water masks.",
            "license": "CC-BY-4.0",
            "version": "1.2.0",
            "tasks": ["semantic-segmentation", "x-flood"],
            "keywords": ["water", "flood"],
            "doi": "10.5281/zenodo.123",
            "citation": "Pérez, A. (2018). Floods of Bolivia.",
            "split_strategy": "by location",
            "contacts": [
                {"name": "Ana Pérez", "organization": "Universidad", "roles": ["author"], "emails": ["ana@example.org"]}
            ],
            "providers": [{"name": "ESA", "roles": ["producer"], "url": "https://esa.int"}],
            "tensors": {
                "image": mlstac.Tensor(dims="band y x", bands="sentinel-2-l2a: B04 B03 B02", nodata=0, scale=1e-4),
                "water": mlstac.Tensor(dims="y x", role="label", classes={0: "land", 1: "open water"}, nodata=255),
                "kind": mlstac.Tensor(dims="", role="label", classes=["dry", "wet"]),
            },
        }
        | fields
    )


def chips(count, *, start=0):
    random = np.random.default_rng(start)
    for number in range(start, start + count):
        image = random.integers(1, 4000, (3, 16, 16), dtype=np.uint16)
        yield mlstac.Sample(
            tensors={"image": image, "water": (image[0] > 2000).astype(np.uint8), "kind": np.uint8(number % 2)},
            id=f"chip-{number:02}",
            crs="EPSG:32720",
            transform=(10.0, 0.0, 300_000.0 + 160 * number, 0.0, -10.0, 8_300_000.0),
            datetime=f"2018-02-{number + 1:02}T10:00:00Z",
            properties={"cloud": number / 2},
        )


@pytest.fixture(scope="session")
def flood(tmp_path_factory):
    """Read it, do not change it."""
    folder = tmp_path_factory.mktemp("cards") / "flood"
    mlstac.write({"train": chips(9), "test": chips(4, start=9)}, folder, describe())
    return folder
