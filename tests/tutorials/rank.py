"""One of the processes that train, which then says what its process group left: rank.py SCRIPT URL --folder FOLDER."""

import contextlib
import gc
import json
import os
import runpy
import sys
from pathlib import Path

import torch.distributed

from tests.waiting import wait_until


def gloo_threads():
    """The names of the native threads that gloo has in this process now."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            names.append((task / "comm").read_text().strip())
    return sorted(name for name in names if "gloo" in name)


def main():
    alive = []
    destroy = torch.distributed.destroy_process_group

    def note_and_destroy():
        alive.append(gloo_threads())
        destroy()

    torch.distributed.destroy_process_group = note_and_destroy
    del sys.argv[0]  # this file's own name
    train = runpy.run_path(sys.argv[0])["main"]
    train.__globals__["EPOCHS"] = 1
    gc.disable()  # it might come by chance, and do what the script has to
    train()
    Path(sys.argv[-1], f"threads-{os.environ['RANK']}.json").write_text(json.dumps(*alive))
    # Joined they are, but the system may list a thread a moment longer
    wait_until(lambda: not gloo_threads(), "gloo has no threads where its group was destroyed")


if __name__ == "__main__":
    main()
