"""Memory that is lent again: only when nobody can see it any more, and never more of it than was agreed."""

import gc
import threading

import numpy as np
import pytest

from mlstac.frameworks import get_adapter
from mlstac.frameworks._pool import LARGE, Pool
from tests.frameworks.patterns import FRAMEWORKS, raw_bytes
from tests.waiting import wait_until


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_memory_under_a_tensor_is_not_lent_again_until_the_tensor_is_gone(framework):
    adapter = get_adapter(framework)
    nbytes = 3 * LARGE + 64  # a size of this test alone
    buffer = adapter.allocate(nbytes)
    address = buffer.ctypes.data
    buffer[:] = 5
    tensor = adapter.decode(buffer, "U8", (nbytes,), owned=True)
    view = tensor[: nbytes // 2]
    del buffer
    others = []
    for _ in range(4):
        others.append(adapter.allocate(nbytes))
        others[-1][:] = 7
    assert address not in [other.ctypes.data for other in others]
    assert raw_bytes(tensor) == b"\x05" * nbytes
    del tensor
    gc.collect()
    assert raw_bytes(view) == b"\x05" * (nbytes // 2)
    del view

    def is_lent_again():
        gc.collect()
        others.append(adapter.allocate(nbytes))  # kept, so that what is lent next is what came back
        return others[-1].ctypes.data == address

    wait_until(is_lent_again, "its memory came back, from the framework's own threads too")


def test_what_came_back_last_is_lent_first():
    pool = Pool()
    first, second = pool.lend(LARGE), pool.lend(LARGE)
    place = second.ctypes.data
    del first, second
    assert pool.lend(LARGE).ctypes.data == place


def test_batches_of_nearly_the_same_length_share_memory_and_others_do_not():
    pool = Pool()
    block = pool.lend(1_000_000)
    place = block.ctypes.data
    del block
    smaller = pool.lend(990_000)
    assert (smaller.ctypes.data, smaller.nbytes) == (place, 990_000)
    assert pool.lend(500_000).ctypes.data != place


@pytest.mark.parametrize("sizes", [[LARGE] * 40, [LARGE, 5 * LARGE, 9 * LARGE] * 4, [30 * LARGE]])
def test_what_waits_is_bounded(sizes):
    pool = Pool(kept_bytes=16 * LARGE)
    blocks = [pool.lend(size) for size in sizes]
    assert pool.waiting_bytes == 0
    while blocks:
        blocks.pop()
        assert pool.waiting_bytes <= 16 * LARGE


def test_a_block_is_lent_to_one_thread_alone():
    pool = Pool(kept_bytes=8 * LARGE)
    wrong = []

    def work(mark):
        for _ in range(300):
            block = pool.lend(LARGE)
            block[::4096] = mark
            if (block[::4096] != mark).any():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(np.uint8(mark),)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert pool.waiting_bytes <= 8 * LARGE
