"""Errors of reading name the sample, once."""

import re
import shutil

import numpy as np
import pytest
from torch.utils.data import DataLoader

import mlstac
from mlstac.errors import MlstacError


@pytest.fixture
def broken(tiny, tmp_path):
    """A dataset in a folder whose name has the word sample in it, and whose second shard is cut short."""
    folder = shutil.copytree(tiny, tmp_path / "samples" / "tiny")
    path = folder / "train" / "00001.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    return folder


@pytest.mark.parametrize("place", ["local", "remote"])
def test_an_error_names_its_sample_whatever_the_folder_is_called(broken, place, request):
    source = broken if place == "local" else request.getfixturevalue("range_server")(broken.parents[1]).url
    source = source if place == "local" else f"{source.rstrip('/')}/samples/tiny/"
    ds = mlstac.load(source, framework="numpy")
    for read in (lambda: ds[7], lambda: ds[[7]], lambda: list(ds.batches(17))):
        with pytest.raises(MlstacError, match=r"sample \d+ \('train-000000\d'\)") as caught:
            read()
        assert len(re.findall(r"sample \d+", str(caught.value))) == 1


def write_uneven(folder):
    """Twelve samples, of which the eighth lacks its mask, and the sixth has a text that is none."""
    samples = [
        mlstac.Sample(
            tensors={"image": np.full((3, 2), index, "u2"), "note": f"note {index}"}
            | ({} if index == 7 else {"mask": np.ones(4, "u1")}),
            id=f"{folder.name}-{index}",
        )
        for index in range(12)
    ]
    tensors = {
        "image": mlstac.Tensor(),
        "note": mlstac.Tensor(media_type="text/plain"),
        "mask": mlstac.Tensor(required=False),
    }
    mlstac.write(samples, folder, id=folder.name, license="CC0-1.0", tensors=tensors)
    for shard in (folder / "train").glob("*.safetensors"):
        data = shard.read_bytes()
        shard.write_bytes(data.replace(b"note 5", b"note \xff"))
    return folder


@pytest.mark.parametrize(("tensor", "said"), [("mask", r"lacks tensor 'mask'.*'pond-7'"), ("note", r"note.*'pond-5'")])
@pytest.mark.parametrize("batch_size", [3, 5, 12])
@pytest.mark.parametrize("how", ["batches", "loader", "indices", "mix"])
def test_a_sample_that_fits_no_batch_is_named_by_its_id(tmp_path, tensor, said, batch_size, how):
    pond = mlstac.load(write_uneven(tmp_path / "pond"), framework="numpy").select(tensors=["image", tensor])
    whole = mlstac.load(write_uneven(tmp_path / "lake"), framework="numpy").select(tensors=["image", tensor])
    made = {
        "batches": lambda: pond.batches(batch_size),
        "loader": lambda: DataLoader(pond, batch_size=batch_size),
        "indices": lambda: (pond[first : first + batch_size] for first in range(0, 12, batch_size)),
        "mix": lambda: mlstac.mix([whole.subset(slice(0, 5)), pond], [1, 3], seed=0).batches(batch_size),
    }[how]
    with pytest.raises(MlstacError, match=said) as caught:
        list(made())
    assert str(caught.value).count("pond-") == 1


def test_batches_whose_samples_all_have_a_tensor_come_though_others_lack_it(tmp_path):
    pond = mlstac.load(write_uneven(tmp_path / "pond"), framework="numpy").select(tensors=["image", "mask"])
    made = [batch["mask"].shape for batch in pond.subset(slice(0, 7)).batches(2)]
    assert made == [(2, 4), (2, 4), (2, 4), (1, 4)]
    seen = [batch["mask"].sum(1).tolist() for batch in pond.batches(3, pad={"mask": 0})]
    assert seen == [[4] * 3, [4] * 3, [4, 0, 4], [4] * 3]
    mixed = mlstac.mix([pond.subset([0, 1, 2]), pond.subset([7])], [0.5, 0.5], seed=1).batches(2, pad={"mask": 9})
    assert {int(mask) for batch in mixed for mask in batch["mask"].sum(1)} == {4, 36}
