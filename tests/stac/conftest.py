"""A placed and dated dataset in the way of a real one, and the judge of Items."""

import importlib.util
import json

import numpy as np
import pytest

import mlstac

V1 = "https://stac-extensions.github.io/classification/v1.1.0/schema.json"
V2 = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
BANDS = ("B04", "B03", "B02")


@pytest.fixture(scope="session")
def flood(tmp_path_factory):
    """Folder of three splits of chips with bands and classes, made of two STAC Items."""
    folder = tmp_path_factory.mktemp("stac") / "flood"
    collection = mlstac.Collection(
        id="flood",
        license="CC-BY-4.0",
        tasks=["semantic-segmentation"],
        tensors={
            "image": mlstac.Tensor(dims="band y x", bands="sentinel-2-l2a", nodata=0, scale=1e-4),
            "water": mlstac.Tensor(dims="y x", role="label", classes={0: "land", 1: "water"}, required=False),
        },
    )

    def sample(number, split):
        tensors = {"image": np.full((12, 8, 8), number + 1, np.uint16), "water": np.zeros((8, 8), np.uint8)}
        return mlstac.Sample(
            tensors if number % 4 else {"image": tensors["image"]},
            id=f"{split}/chip {number}",
            crs="EPSG:32630",
            transform=(10, 0, 500_000 + 80 * number, 0, -10, 4_000_000),
            datetime=f"2020-01-{number + 1:02}T10:00:00Z" if number % 3 else f"2020-01-{number + 1:02}",
            properties={"eo:cloud_cover": 10.0 * number, "fold": number % 2},
            derived_from=f"https://host/items/{number % 2}.json",
        )

    counts = {"train": 9, "validation": 2, "test": 3}
    mlstac.write(
        {split: [sample(n, split) for n in range(count)] for split, count in counts.items()}, folder, collection
    )
    return folder


@pytest.fixture(scope="session")
def judge(shared):
    """Errors of a document by STAC's schemas; classes as version 1.1 of their extension has them, which is at hand."""
    path = shared / "stac-schemas" / "validate.py"
    if not path.is_file():
        pytest.skip("needs ../shared/stac-schemas beside the repository")
    spec = importlib.util.spec_from_file_location("stac_validate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def check(document):
        document = json.loads(json.dumps(document).replace(V2, V1))
        for asset in [*document.get("assets", {}).values(), *document.get("item_assets", {}).values()]:
            for item in asset.get("classification:classes", []):
                item.setdefault("description", item.get("title", item["name"]))
        return module.validate(document)

    return check
