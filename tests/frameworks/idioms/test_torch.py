"""torch.utils.data.DataLoader and Lightning, as their users know them."""

import lightning
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


def make_trainer(folder, **options):
    """A trainer of Lightning's that shows and keeps nothing."""
    return lightning.Trainer(
        **options,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(3, 3)
        self.losses = []

    def training_step(self, batch, _):
        features = batch["input"].to(torch.float32).mean((2, 3)) / 4000
        loss = torch.nn.functional.cross_entropy(self.net(features), batch["label"].long())
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.2)


# Lightning's own advice about workers and logging, and what it does with torch's newer names
@pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
def test_lightning_trains_on_a_dataloader(bands, tmp_path):
    ds = mlstac.load(bands, framework="torch")
    model = Classifier()
    make_trainer(tmp_path, max_epochs=8).fit(model, torch.utils.data.DataLoader(ds, batch_size=20, shuffle=True))
    assert model.losses[-1] < model.losses[0] / 2


@pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_lightning_trains_on_our_own_batches(bands, tmp_path):
    ds = mlstac.load(bands, framework="torch")
    model = Classifier()
    make_trainer(tmp_path, max_epochs=8).fit(model, ds.batches(20, shuffle=True, seed=3))
    assert len(model.losses) == 24
    assert model.losses[-1] < model.losses[0] / 2


@pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_lightning_gives_every_epoch_its_own_order(bands, tmp_path):
    ds = mlstac.load(bands, framework="torch").select(tensors=["label"])
    seen = []

    class Watcher(Classifier):
        def train_dataloader(self):
            return ds.batches(20, shuffle=True, epoch=self.current_epoch)

        def training_step(self, batch, _):
            seen.append(batch["label"].tolist())
            return self.net(torch.ones(3)).sum()

    make_trainer(tmp_path, max_epochs=3, reload_dataloaders_every_n_epochs=1).fit(Watcher())
    expected = [ds.batches(20, shuffle=True, epoch=epoch) for epoch in range(3)]
    assert seen == [batch["label"].tolist() for batches in expected for batch in batches]
