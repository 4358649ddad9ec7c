"""Train a small segmentation network from the address of a dataset. Kill it at any moment, start it again: it goes on.

One process, or two that share every step:

    python tutorials/train.py URL --folder demo/run
    python -m torch.distributed.run --standalone --nproc-per-node 2 tutorials/train.py URL --folder demo/run

The folder gets ``checkpoint.pt`` and ``log.jsonl``, one line a step. Tutorial 3 tells what happens here, and why.
"""

import argparse
import gc
import itertools
import json
import os
import zlib
from pathlib import Path

import torch

# Not left to DistributedDataParallel: imported when there is a process group, its functions hold that group for ever
import torch.distributed.nn
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import mlstac

EPOCHS = 8
BATCH = 6  # samples of a step, over all processes together
SEED = 0
SAVE_EVERY = 10  # steps


def main():
    parser = argparse.ArgumentParser(description="Train a small segmentation network.")
    parser.add_argument("url", help="of the dataset")
    parser.add_argument("--folder", type=Path, required=True, help="of the checkpoint and the log")
    parser.add_argument("--crash-after", type=int, metavar="STEP", help="end without a word, as a power cut would")
    options = parser.parse_args()

    torch.set_num_threads(1)  # so small a network waits for threads longer than it computes
    # Under torch.distributed.run this process is one of several; alone, it is the first of one.
    if "WORLD_SIZE" not in os.environ:
        train_network(options, world=1, first=True)
        return
    torch.distributed.init_process_group("gloo")
    train_network(options, world=torch.distributed.get_world_size(), first=torch.distributed.get_rank() == 0)
    # The network is in cycles of references, and holds the group until it is collected. A group that is held when
    # Python ends still has threads, and those may abort the process
    gc.collect()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def train_network(options, *, world, first):
    # Which process it is, `batches` asks torch itself. Each then gets its own share of every step.
    train = mlstac.load(options.url, split="train", framework="torch").normalized()
    batches = train.batches(BATCH // world, shuffle=True, seed=SEED)

    torch.manual_seed(SEED)
    network = make_network(len(train.tensors["input"].bands))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    step = 0

    checkpoint = options.folder / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        batches.load_state_dict(saved["batches"])
        step = saved["step"]

    model = DistributedDataParallel(network) if world > 1 else network
    epoch = batches.state_dict()["epoch"]
    while epoch < EPOCHS:
        for batch in batches:
            loss = nn.functional.cross_entropy(model(batch["input"]), batch["target"].long())
            optimizer.zero_grad()
            loss.backward()  # between processes, DistributedDataParallel averages the gradients here
            optimizer.step()
            step += 1

            line = {"step": step, "epoch": epoch, **gather(loss.detach(), batch["input"], world)}
            if first:
                with open(options.folder / "log.jsonl", "a") as log:
                    log.write(json.dumps(line) + "\n")
                if step % SAVE_EVERY == 0:
                    save(checkpoint, network=network, optimizer=optimizer, batches=batches, step=step)
            if step == options.crash_after:
                os._exit(1)
        epoch += 1
        batches.set_epoch(epoch)

    if first:
        validation = mlstac.load(options.url, split="validation", framework="torch").normalized()
        print(f"{step} steps; pixels of the validation split that are right: {score(network, validation):.1%}")


def make_network(bands):
    return nn.Sequential(
        nn.Conv2d(bands, 32, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(32, 2, kernel_size=3, padding=1),
    )


def save(path, *, network, optimizer, batches, step):
    """Write a checkpoint beside the old one, then put it in its place: a crash leaves one of the two, whole."""
    state = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "batches": batches.state_dict(),
        "step": step,
    }
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def gather(loss, images, world):
    """The loss of a whole step and its samples, each by a checksum of its pixels, in the order of the processes."""
    mine = (float(loss), [zlib.crc32(image.numpy().tobytes()) for image in images])
    everyone = [mine]
    if world > 1:
        everyone = [None] * world
        torch.distributed.all_gather_object(everyone, mine)
    losses, samples = zip(*everyone, strict=True)
    return {"loss": sum(losses) / world, "samples": [*itertools.chain(*samples)]}


def score(network, dataset):
    right = pixels = 0
    with torch.no_grad():
        for batch in dataset.batches(10):
            answer = network(batch["input"]).argmax(dim=1)
            right += int((answer == batch["target"]).sum())
            pixels += answer.numel()
    return right / pixels


if __name__ == "__main__":
    main()
