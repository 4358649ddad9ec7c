"""Parts of a dataset as functions at the top of a module, which any process can import."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mlstac.sample import Sample

SAMPLES_A_SCENE = 16


def values_of(scene):
    """What the samples of a scene hold, in order."""
    return [100 * scene + number for number in range(SAMPLES_A_SCENE)]


def read_scene(scene, *, plus=0):
    """One part."""
    for value in values_of(scene):
        image = np.full((2, 8, 8), value + plus, np.int32)
        yield Sample(tensors={"x": image}, id=f"s{value}", properties={"scene": scene})


def read_scene_and_die_once(scene, *, marker):
    """One part, whose first attempt ends by SIGKILL, of its own process and no other.

    Thirteen samples of four a shard: the first shard is whole by then, for the third was handed over after it.
    """
    for number, sample in enumerate(read_scene(scene)):
        if number == 13 and not Path(marker).exists():
            Path(marker).write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        yield sample


def read_scene_and_note(scene, *, folder):
    """One part that leaves a file for each time it is asked."""
    (Path(folder) / f"{scene}-{len(list(Path(folder).iterdir()))}").touch()
    yield from read_scene(scene)


def read_scene_together(scene, *, barrier):
    """One part that begins when as many others do as the barrier waits for."""
    barrier.wait()
    yield from read_scene(scene)


def read_nameless(scene):
    """One part whose samples have no ids."""
    for value in values_of(scene):
        yield {"x": np.full((2, 8, 8), value, np.int32)}


@contextmanager
def dask_client(folder):
    """A client of two worker processes on this machine, which listens at no port of its own choice.

    Without an address for its pages Dask takes port 8787 for them.
    """
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            local_directory=folder,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert (cluster.scheduler.http_server.address, cluster.scheduler.http_server.port != 8787) == (
            "127.0.0.1",
            True,
        )
        yield client
