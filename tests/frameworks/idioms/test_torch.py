"""torch.utils.data.DataLoader, as its users know it."""

import pytest
import torch

import mlstac


@pytest.mark.parametrize(("start", "workers"), [("fork", 0), ("fork", 2), ("spawn", 2)])
def test_a_dataset_goes_into_the_dataloader(bands, truth_file, start, workers, run):
    script = """
        import sys
        import numpy as np
        import torch
        import mlstac
        if __name__ == "__main__":
            ds = mlstac.load(sys.argv[1], framework="torch")
            truth = np.load(sys.argv[2])
            ds[0]  # used here before there are workers
            workers = int(sys.argv[4])
            context = sys.argv[3] if workers else None
            options = {"num_workers": workers, "multiprocessing_context": context}
            got = list(torch.utils.data.DataLoader(ds, batch_size=16, **options))
            assert [len(batch["input"]) for batch in got] == [16, 16, 16, 12]
            assert {batch["input"].dtype for batch in got} == {torch.uint16}
            for name in truth:
                assert np.array_equal(torch.cat([batch[name] for batch in got]).numpy(), truth[name]), name
            print("ok")
    """
    assert run(script, bands, truth_file, start, workers) == "ok\n"


def test_a_shuffled_dataloader_gives_every_sample_once(bands, truth):
    ds = mlstac.load(bands, framework="torch")
    loader = torch.utils.data.DataLoader(ds, batch_size=7, shuffle=True, generator=torch.Generator().manual_seed(1))
    sums = sorted(int(image.to(torch.int64).sum()) for batch in loader for image in batch["input"])
    assert sums == sorted(truth["input"].astype(int).sum((1, 2, 3)).tolist())
