"""PyTorch Lightning's Trainer over datasets: every epoch has its order, and a checkpoint the place in it."""

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

import mlstac

# Lightning's own advice about workers and logging, and what it does with torch's newer names
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
]


def make_trainer(folder, **options):
    """A trainer of Lightning's that shows nothing, and keeps nothing unless asked to."""
    return lightning.Trainer(
        **{"enable_checkpointing": False, **options},
        accelerator="cpu",
        logger=False,
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


class Watcher(Classifier):
    """Learns nothing, and notes which samples come in which epoch."""

    def __init__(self):
        super().__init__()
        self.seen, self.looked_at = [], []

    def training_step(self, batch, _):
        self.seen.append((self.current_epoch, batch["number"].tolist()))
        return self.net(torch.ones(3)).sum()

    def validation_step(self, batch, _):
        self.looked_at += batch["number"].tolist()


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A dataset of the numbers 0 … 13."""
    folder = tmp_path_factory.mktemp("lightning") / "numbers"
    mlstac.write([{"number": torch.tensor(number)} for number in range(14)], folder, id="numbers", license="CC0-1.0")
    return mlstac.load(folder, framework="torch")


def expected(ds, epochs, *, first=0):
    """What epochs are by themselves; of the first those batches alone that are left after some."""
    seen = [(epoch, batch["number"].tolist()) for epoch in epochs for batch in ds.batches(4, shuffle=True, epoch=epoch)]
    return seen[first:]


def test_lightning_trains_on_a_dataloader(bands, tmp_path):
    ds = mlstac.load(bands, framework="torch")
    model = Classifier()
    make_trainer(tmp_path, max_epochs=8).fit(model, DataLoader(ds, batch_size=20, shuffle=True))
    assert model.losses[-1] < model.losses[0] / 2


def test_lightning_trains_on_our_own_batches(bands, tmp_path):
    ds = mlstac.load(bands, framework="torch")
    model = Classifier()
    make_trainer(tmp_path, max_epochs=8).fit(model, ds.batches(20, shuffle=True, seed=3))
    assert len(model.losses) == 24
    assert model.losses[-1] < model.losses[0] / 2


MADE = {
    "batches": lambda ds: ds.batches(4, shuffle=True),
    "batches without a thread": lambda ds: ds.batches(4, shuffle=True, prefetch=0),
    "a stream": lambda ds: ds.iterable(4, shuffle=True),
}
made = pytest.mark.parametrize("make", MADE.values(), ids=MADE)


@made
def test_every_epoch_has_its_own_order(numbered, tmp_path, make):
    model = Watcher()
    make_trainer(tmp_path, max_epochs=3).fit(model, make(numbered), numbered.batches(5))
    assert model.seen == expected(numbered, range(3))
    assert model.looked_at == [*range(10), *list(range(14)) * 3]  # the first two batches to see that it runs at all


def test_batches_that_are_made_anew_for_each_epoch_are_as_they_were_made(numbered, tmp_path):
    class Maker(Watcher):
        def train_dataloader(self):
            return numbered.batches(4, shuffle=True, epoch=self.current_epoch)

    model = Maker()
    make_trainer(tmp_path, max_epochs=3, reload_dataloaders_every_n_epochs=1).fit(model)
    assert model.seen == expected(numbered, range(3))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_callback_tells_a_stream_in_a_dataloader_of_the_epoch(numbered, tmp_path, workers):
    stream = numbered.iterable(4, shuffle=True)

    class Epochs(lightning.Callback):
        def on_train_epoch_start(self, trainer, module):
            del module
            stream.set_epoch(trainer.current_epoch)

    model = Watcher()
    # Spawned: a process with every framework's threads in it is not to be forked
    options = {"num_workers": 1, "persistent_workers": True, "multiprocessing_context": "spawn"} if workers else {}
    loader = DataLoader(stream, batch_size=None, **options)
    make_trainer(tmp_path, max_epochs=3, callbacks=[Epochs()]).fit(model, loader)
    assert model.seen == expected(numbered, range(3))


@made
@pytest.mark.parametrize(
    "when", [{"every_n_train_steps": 6}, {"every_n_epochs": 1}], ids=["amid an epoch", "at its end"]
)
def test_a_checkpoint_goes_on_at_the_next_sample(numbered, tmp_path, make, when):
    keep = ModelCheckpoint(tmp_path / "kept", save_top_k=-1, filename="{step}", **when)
    make_trainer(tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=[keep]).fit(Watcher(), make(numbered))
    steps = 6 if "every_n_train_steps" in when else 8
    model = Watcher()
    trainer = make_trainer(tmp_path, max_epochs=4)
    trainer.fit(model, make(numbered), ckpt_path=tmp_path / "kept" / f"step={steps}.ckpt")
    assert model.seen == expected(numbered, range(4), first=steps)
