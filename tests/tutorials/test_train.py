"""The training script of tutorial 3 leaves nothing behind that could abort a process at its end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mlstac


@pytest.fixture
def dataset(tmp_path):
    """Two steps of chips to train on, and two to validate with."""
    rng = np.random.default_rng(0)

    def chips(count):
        for _ in range(count):
            yield {"input": rng.integers(0, 999, (2, 8, 8), np.uint16), "target": rng.integers(0, 2, (8, 8), np.uint8)}

    tensors = {"input": mlstac.Tensor(dims="band y x", bands=["B04", "B08"]), "target": mlstac.Tensor(dims="y x")}
    mlstac.write({"train": chips(12), "validation": chips(2)}, tmp_path / "chips", id="chips", tensors=tensors)
    return tmp_path / "chips"


@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not list native threads in /proc")
def test_two_processes_end_with_no_thread_of_their_group_left(dataset, repository, tmp_path):
    """Python does not know of these threads, and does not wait for them: C++ aborts where one runs on."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    script = repository / "tutorials" / "train.py"
    ended = subprocess.run(
        [sys.executable, *launch, "--module", "tests.tutorials.rank", script, dataset, "--folder", tmp_path],
        cwd=repository,
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("2 steps")
    for rank in range(2):
        while_training = json.loads((tmp_path / f"threads-{rank}.json").read_text())
        assert while_training, "gloo's threads have other names now: this test no longer sees them"
