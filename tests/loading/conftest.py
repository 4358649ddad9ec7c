import numpy as np
import pytest

from tests.loading.datasets import write_stacked


@pytest.fixture(scope="session")
def arrays():
    """17 samples: three bands of 32 x 32 pixels, and a number."""
    rng = np.random.default_rng(7)
    return {
        "input": rng.integers(0, 60_000, (17, 3, 32, 32)).astype(np.uint16),
        "target": np.arange(17, dtype=np.int64) * 10,
    }


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, arrays):
    """Those samples as a dataset of four shards in two catalog parts, with a test split of four of them."""
    folder = tmp_path_factory.mktemp("tiny")
    few = {name: array[:4] for name, array in arrays.items()}
    return write_stacked(
        folder,
        {"train": arrays, "test": few},
        part_shards=2,
        input={"dims": "band y x", "bands": ["B02", "B03", "B04"]},
        target={"role": "label"},
    )
