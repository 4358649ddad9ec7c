"""Which rank of how many this process is, if a framework that is in use already says so."""

import sys

from mlstac.errors import InvalidArgumentError
from mlstac.loading._whole import whole


def find_world(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Rank and world size: as given, else those of torch.distributed or jax.distributed where initialised, else 0 of 1.

    Raises
    ------
    InvalidArgumentError
        If one is given without the other, one is no whole number, or the rank is not in the world.
    """
    if (rank is None) != (world_size is None):
        raise InvalidArgumentError("rank and world_size belong together; give both or neither")
    if rank is None or world_size is None:
        rank, world_size = _torch() or _jax() or (0, 1)
    rank, world_size = whole("rank", rank), whole("world_size", world_size)
    if world_size < 1 or not 0 <= rank < world_size:
        raise InvalidArgumentError(f"rank {rank} is not in a world of {world_size}; ranks are 0 … world_size - 1")
    return rank, world_size


def _torch() -> tuple[int, int] | None:
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed.get_rank(), distributed.get_world_size()


def _jax() -> tuple[int, int] | None:
    # Asking jax itself would start its backends, which is not ours to do; TensorFlow imports jax where it is installed
    distributed = getattr(sys.modules.get("jax"), "distributed", None)
    initialized = getattr(distributed, "is_initialized", None)
    if initialized is None or not initialized():
        return None
    jax = sys.modules["jax"]
    return jax.process_index(), jax.process_count()
