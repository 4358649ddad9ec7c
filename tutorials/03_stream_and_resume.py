# %% [markdown]
# # Train from an address, stop, go on: on one process or two
#
# Training takes days, and machines are taken away in the middle of an epoch. What then? Most loaders begin the epoch
# again: some samples are seen twice, others not at all, and the run can never be repeated. This tutorial trains a small
# segmentation network straight from a web address, cuts the power in the middle of an epoch, goes on in a fresh process
# at the very same sample, and then does the same on two processes. In the end the loss curves of all runs lie over
# each other.
#
# Run it from the folder of the repository: `python tutorials/03_stream_and_resume.py`, or cell by cell in an editor
# that knows `# %%`. It needs what `make demo` installs into `.venv-demo`, takes half a minute and no graphics card.
# Everything it writes goes to the folder `demo`.

# %%
import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import torch

import mlstac
from mlstac.cli.demo import author_scene
from mlstac.storage import open_server

out = Path("demo")
# The dataset of `mlstac demo`: 150 chips of a Sentinel-2 scene of Patagonia, with masks of clay
author_scene(out / "clay")
server = open_server(out)
url = server.url + "clay/"
print(mlstac.load(url, split="train", framework="torch"))

# %% [markdown]
# ## The training script
#
# It lies beside this file: [train.py](train.py), an ordinary torch loop. What concerns the data are four lines:
#
# ```python
# batches = train.batches(BATCH // world, shuffle=True, seed=SEED)      # the order follows from the seed and the epoch
# saved["batches"] = batches.state_dict()                               # how far we are
# batches.load_state_dict(saved["batches"])                             # go on from there
# batches.set_epoch(epoch)                                              # another order for every epoch
# ```
#
# The script logs the loss of every step, and which samples were in it. Samples have no numbers in a batch, so it notes
# a checksum of each chip's pixels; here is what number each checksum stands for.

# %%
script = Path(__file__).with_name("train.py") if "__file__" in globals() else Path("tutorials/train.py")
runs = out / "runs"
shutil.rmtree(runs, ignore_errors=True)  # so that this cell can be run again

train = mlstac.load(url, split="train", framework="torch").normalized()
numbers = {zlib.crc32(sample["input"].numpy().tobytes()): number for number, sample in enumerate(train)}
loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)


def run(name, *options, processes=1):
    """Run the script in a process of its own, or in several that share every step."""
    (runs / name).mkdir(parents=True, exist_ok=True)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    launcher += ["--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), script, url, "--folder", runs / name, *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"GLOO_SOCKET_IFNAME": loopback} if loopback else {})
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print(f"{name}: {ended.stdout.strip() or f'ended with exit status {ended.returncode}'}")
    if ended.returncode and "--crash-after" not in options:
        raise RuntimeError(ended.stderr)


def read(name):
    """The steps of a run, as its log has them: what was done twice is there twice."""
    lines = (runs / name / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    return [step | {"samples": [numbers[checksum] for checksum in step["samples"]]} for step in steps]


# %% [markdown]
# ## A run that nothing disturbs
#
# 90 chips in steps of 6, so 15 steps an epoch; 8 epochs. It is what the other runs are held against.

# %%
run("unbroken")
unbroken = read("unbroken")
print("the first step of epoch 0 has the samples", unbroken[0]["samples"])
print("the first step of epoch 1 has the samples", unbroken[15]["samples"])

# %% [markdown]
# ## A power cut
#
# The script writes a checkpoint every 10 steps. After step 43 this run ends without a word: nothing is closed, nothing
# is saved. Step 43 is in the middle of the third epoch, and 3 steps past the last checkpoint.

# %%
run("interrupted", "--crash-after", "43")
shutil.copytree(runs / "interrupted", runs / "one-then-two")  # for later

saved = torch.load(runs / "interrupted" / "checkpoint.pt", weights_only=True)
print("in the checkpoint:", ", ".join(saved), "after step", saved["step"])
print("of the samples:   ", saved["batches"])

# %% [markdown]
# The state of the batches is a few numbers, for the order needs no memory: it is a function of the seed and the epoch.
# 60 samples of epoch 2 are consumed, counted where *you* take them; those that were read ahead do not count. The
# fingerprint says of which dataset: a checkpoint is refused when the data is no longer the same.
#
# Now the same command again, in a fresh process. It finds the checkpoint and goes on with sample 60 of that epoch;
# the samples before it are not read again.

# %%
run("interrupted")
interrupted = read("interrupted")
print("the steps in its log:", *[step["step"] for step in interrupted[38:48]], "...")

# %% [markdown]
# Steps 41 to 43 are there twice: they were lost with the power, and done again. Is it the same run? Not about the same:
# every loss is compared with that of the unbroken run bit by bit, and every step's samples too.

# %%
by_step = {step["step"]: step for step in unbroken}


def compare(steps):
    """The largest difference of a loss from the unbroken run, and whether all steps had the same samples."""
    apart = max(abs(step["loss"] - by_step[step["step"]]["loss"]) for step in steps)
    same = all(step["samples"] == by_step[step["step"]]["samples"] for step in steps)
    return f"largest difference of a loss {apart:.1e}; the same samples in every step: {same}"


print("interrupted: ", compare(interrupted))
third = [number for step in by_step.values() if step["epoch"] == 2 for number in step["samples"]]
print("epoch 2 had", len(third), "samples,", len(set(third)), "of them distinct, of", len(train))

# %% [markdown]
# ## Two processes
#
# `torch.distributed.run` starts the script twice. On a cluster these would be two machines; here they share one, and
# talk over gloo, torch's way for processors. Each asks `batches` for half as many samples, and gets its own: step k has
# the same 6 samples as before, 3 here and 3 there. The gradients are averaged, so the network takes the same step.

# %%
run("two", processes=2)
two = read("two")
print("two:         ", compare(two))

# %% [markdown]
# The samples are the same; the losses are the same up to rounding. They cannot be the same to the bit: the mean of 6
# numbers and the mean of two means of 3 add in another order, and float32 keeps 7 digits.
#
# ## From one process to two
#
# The checkpoint of the power cut was written by one process. Two can go on from it: the state says how far the *epoch*
# is, not how far each process was.

# %%
run("one-then-two", processes=2)
one_then_two = read("one-then-two")
print("one, then two:", compare(one_then_two))
server.close()

# %% [markdown]
# ## Look
#
# Above, the loss of every step, of all four runs; each line is drawn thinner than the one below it, for they lie on
# each other. In the middle, how far each is from the unbroken run; an exact zero has a line of its own. Below, which
# samples the interrupted run had when: every epoch has another order, and each sample once.

# %%
from mlstac.pictures import Picture, save  # noqa: E402  imported where it is shown

INK, FAINT, BEFORE, AFTER = "#1f2328", "#6a737d", "#8A4B12", "#0072B2"
saved_step, last_step, per_epoch = saved["step"], 43, 15

picture = Picture(figsize=(10, 9), dpi=150, facecolor="white")
losses, apart, samples = picture.subplots(3, 1, sharex=True, height_ratios=[3.2, 1.3, 2.6])
picture.subplots_adjust(left=0.115, right=0.975, top=0.87, bottom=0.065, hspace=0.13)
for axes in (losses, apart, samples):
    axes.set_facecolor("#f6f7f9")
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    for epoch in range(1, 8):
        axes.axvline(epoch * per_epoch + 0.5, color="white", linewidth=2.5, zorder=0)
    axes.axvspan(saved_step + 0.5, last_step + 0.5, color="#F0C75E", alpha=0.5, linewidth=0, zorder=0)


def draw_run(steps, label, **style):
    """The losses of a run, and how far they are from those of the unbroken one."""
    places = [step["step"] for step in steps]
    losses.plot(places, [step["loss"] for step in steps], label=label, solid_capstyle="round", **style)
    if steps is not unbroken:
        differences = [abs(step["loss"] - by_step[step["step"]]["loss"]) for step in steps]
        # 0 has no place on a logarithmic axis: it gets one below the others
        heights = [difference or 1e-9 for difference in differences]
        apart.plot(places, heights, color=style["color"], linewidth=0, marker="o", markersize=2.8, zorder=3)


draw_run(unbroken, "unbroken", color="#c6ccd6", linewidth=7)
draw_run(interrupted[:last_step], "interrupted, resumed on one process", color="#0072B2", linewidth=3.2)
draw_run(interrupted[last_step:], None, color="#0072B2", linewidth=3.2)
draw_run(two, "two processes", color="#F2A100", linewidth=1.5, linestyle=(0, (3, 5)))
resumed = one_then_two[last_step:]  # before it in the log: the process that crashed
draw_run(resumed, "interrupted, resumed on two processes", color="#35C99B", linewidth=1.5, linestyle=(4, (3, 5)))

losses.set_ylim(bottom=0)
losses.legend(loc="lower left", fontsize=8, frameon=False, labelcolor=INK, handlelength=3.5)
losses.annotate(
    "power cut after step 43;\nthe checkpoint is of step 40,\nso 3 steps are done again",
    (last_step + 0.5, losses.get_ylim()[1] * 0.94),
    (8, 0),
    textcoords="offset points",
    fontsize=8.5,
    color=INK,
    verticalalignment="top",
)
apart.set_yscale("log")
apart.set_ylim(2.2e-10, 2e-6)
apart.set_yticks([1e-9, 1e-8, 1e-7, 1e-6], ["0", "1e-8", "1e-7", "1e-6"])
apart.axhline(3e-9, color="white", linewidth=2.5, zorder=0)
apart.text(0.994, 0.06, "0: the same bits", transform=apart.transAxes, fontsize=7.5, color=FAINT, ha="right")


def draw_samples(steps, label, **style):
    """A mark for each sample in each step."""
    marks = [(step["step"], number) for step in steps for number in step["samples"]]
    samples.scatter(*zip(*marks, strict=True), label=label, **style)


draw_samples(interrupted[:saved_step], "before the power cut", s=7, color=BEFORE, linewidth=0)
draw_samples(interrupted[saved_step:last_step], "lost with it", s=30, facecolor="none", edgecolor=BEFORE, linewidth=0.8)
draw_samples(interrupted[last_step:], "after it, in a fresh process", s=7, color=AFTER, linewidth=0)
samples.set_ylim(-3, 104)
samples.set_yticks([0, 30, 60, 89])
samples.set_xlim(0, len(unbroken) + 1)
samples.legend(loc="upper left", ncols=3, fontsize=8.5, frameon=False, labelcolor=INK, handletextpad=0.2)

for axes, label in ((losses, "loss of the step"), (apart, "difference from\nthe unbroken run"), (samples, "sample")):
    axes.set_ylabel(label, fontsize=9, color=INK)
    axes.yaxis.set_label_coords(-0.085, 0.5)
    axes.tick_params(which="both", colors=FAINT, labelsize=8, length=0)
samples.set_xlabel("step; between two white lines lies an epoch", fontsize=9, color=INK)
picture.text(0.115, 0.958, "One training run, told four times", fontsize=15, fontweight="bold", color=INK)
picture.text(
    0.115,
    0.893,
    "A network learns to find clay in chips that come over HTTP: undisturbed; cut off in the middle of an epoch and\n"
    "resumed, on one process and on two; on two from the start. Every step has the same samples in all of them, and\n"
    "the same loss: to the bit on one process, up to the rounding of float32 on two.",
    fontsize=8.8,
    color=FAINT,
    linespacing=1.45,
)
print("wrote", save(picture, out / "tutorial-03.png"))
