"""What tutorial 3 claims: a run that is cut off, or shared by two processes, is the run that nothing disturbs."""

import json
import zlib

import numpy as np
import pytest
from matplotlib.image import imread

import mlstac

# Half a minute where nothing else runs, most of it imports of torch in ten processes
pytestmark = pytest.mark.timeout(600)

PER_EPOCH, EPOCHS, CRASH = 15, 8, 43
RUNS = ("unbroken", "interrupted", "two", "one-then-two")


@pytest.fixture(scope="module")
def told(run_tutorial, tmp_path_factory):
    """The tutorial, run where an earlier one left logs and checkpoints that it must not go on from: (folder, words)."""
    folder = tmp_path_factory.mktemp("here")
    for name in RUNS:
        (folder / "demo" / "runs" / name).mkdir(parents=True)
        (folder / "demo" / "runs" / name / "log.jsonl").write_text("left by an earlier run\n")
        (folder / "demo" / "runs" / name / "checkpoint.pt").write_text("no checkpoint")
    words = run_tutorial("03_stream_and_resume.py", folder)
    return folder / "demo", words


@pytest.fixture(scope="module")
def logs(told):
    """The steps of every run."""
    folder, _ = told
    texts = {name: (folder / "runs" / name / "log.jsonl").read_text() for name in RUNS}
    return {name: [json.loads(line) for line in text.splitlines()] for name, text in texts.items()}


def losses(steps):
    return np.array([step["loss"] for step in steps])


def test_an_undisturbed_run_sees_every_sample_once_an_epoch_in_an_order_of_its_own(told, logs):
    folder, _ = told
    train = mlstac.load(folder / "clay", split="train", framework="numpy").normalized()
    everything = sorted(zlib.crc32(sample["input"].tobytes()) for sample in train)
    assert len(set(everything)) == len(train) == 90
    orders = set()
    for epoch in range(EPOCHS):
        steps = [step for step in logs["unbroken"] if step["epoch"] == epoch]
        seen = [sample for step in steps for sample in step["samples"]]
        assert len(steps) == PER_EPOCH
        assert sorted(seen) == everything
        orders.add(tuple(seen))
    assert len(orders) == EPOCHS


def test_the_network_learns(logs):
    curve = losses(logs["unbroken"])
    assert curve[-PER_EPOCH:].mean() < 0.5 * curve[:PER_EPOCH].mean()


@pytest.mark.parametrize("name", ["interrupted", "one-then-two"])
def test_the_power_cut_falls_into_an_epoch_and_behind_the_checkpoint(logs, name):
    """So that the resumed run begins with what a loader that skips epochs, or counts what it read ahead, gets wrong."""
    steps = [step["step"] for step in logs[name]]
    assert steps == [*range(1, CRASH + 1), *range(41, PER_EPOCH * EPOCHS + 1)]
    assert 40 % PER_EPOCH
    assert CRASH % PER_EPOCH


def test_a_resumed_run_has_the_losses_of_the_undisturbed_one_to_the_bit(logs):
    by_step = {step["step"]: step for step in logs["unbroken"]}
    assert all(step == by_step[step["step"]] for step in logs["interrupted"])


@pytest.mark.parametrize("name", ["two", "one-then-two"])
def test_two_processes_share_the_samples_of_each_step_and_have_its_loss_up_to_rounding(logs, name):
    shared = logs[name][-(PER_EPOCH * EPOCHS - 40) :]
    same = logs["unbroken"][40:]
    assert [step["samples"] for step in shared] == [step["samples"] for step in same]
    assert [step["epoch"] for step in shared] == [step["epoch"] for step in same]
    np.testing.assert_allclose(losses(shared), losses(same), rtol=0, atol=1e-5)


def test_two_processes_do_not_compute_what_one_does(logs):
    """The rounding of two means of three differs from that of one mean of six: else one process did it all."""
    assert (losses(logs["two"]) != losses(logs["unbroken"])).any()
    assert len(logs["two"]) == PER_EPOCH * EPOCHS


def test_it_says_so(told):
    _, words = told
    assert "interrupted:  largest difference of a loss 0.0e+00; the same samples in every step: True" in words
    assert words.count("the same samples in every step: True") == 3
    assert "epoch 2 had 90 samples, 90 of them distinct, of 90" in words
    assert "39 40 41 42 43 41 42 43 44 45 ..." in words


def test_the_picture_has_the_curves(told):
    folder, words = told
    assert "wrote demo/tutorial-03.png" in words
    shown = imread(folder / "tutorial-03.png")[..., :3]
    assert min(shown.shape[:2]) > 1000
    for colour in ("#c6ccd6", "#0072b2", "#f2a100", "#35c99b"):
        wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
        assert (np.abs(shown - wanted).max(axis=-1) < 0.01).sum() > 100, f"nothing is drawn in {colour}"
