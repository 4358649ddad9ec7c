"""Who owns the bytes of a tensor: shared where nobody else will write, copied everywhere else."""

import gc
import mmap
import subprocess
import sys
import textwrap
import weakref

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstac.frameworks import get_adapter
from tests.frameworks.patterns import FRAMEWORKS, WIDTHS, raw_bytes
from tests.waiting import wait_until

HELD = {
    "numpy": tuple(WIDTHS),
    "torch": tuple(WIDTHS),
    "tensorflow": tuple(set(WIDTHS) - {"F8_E8M0"}),
    "jax": tuple(set(WIDTHS) - {"I64", "U64", "F64"}),
    "paddle": tuple(set(WIDTHS) - {"F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}),
}
CASES = [(framework, dtype) for framework in FRAMEWORKS for dtype in sorted(HELD[framework])]


def filled(adapter, nbytes=64, value=1):
    buffer = adapter.allocate(nbytes)
    buffer[:] = value
    return buffer


@pytest.mark.parametrize(("framework", "dtype"), CASES)
def test_a_fresh_buffer_is_shared_just_where_the_adapter_says_so(framework, dtype):
    adapter = get_adapter(framework)
    buffer = filled(adapter)
    tensor = adapter.decode(buffer, dtype, (64 // WIDTHS[dtype],), owned=True)
    before = raw_bytes(tensor)

    buffer[:] = 0  # what no owner of a buffer may do; here it shows whether the tensor lives on it

    assert (raw_bytes(tensor) != before) == adapter.shares_memory(dtype)


@pytest.mark.parametrize(("framework", "dtype"), CASES)
def test_a_buffer_that_will_be_written_again_is_copied(framework, dtype):
    adapter = get_adapter(framework)
    buffer = filled(adapter)
    tensor = adapter.decode(buffer, dtype, (64 // WIDTHS[dtype],), owned=False)
    before = raw_bytes(tensor)

    buffer[:] = 0

    assert raw_bytes(tensor) == before


@pytest.mark.parametrize("framework", ["numpy", "torch", "paddle"])
@pytest.mark.parametrize("owned", [True, False])
def test_writing_to_a_tensor_over_a_read_only_map_leaves_the_file_alone(framework, owned, tmp_path):
    (tmp_path / "shard").write_bytes(bytes(range(64)))
    with (tmp_path / "shard").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = np.frombuffer(mapped, np.uint8)
        tensor = get_adapter(framework).decode(view, "U8", (64,), owned=owned)
        tensor[:] = 7  # over the map itself this is a segmentation fault
        assert raw_bytes(tensor) == bytes([7]) * 64
        assert view.tobytes() == bytes(range(64))
        del view  # a map cannot be closed under an array


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_tensor_keeps_its_buffer_alive_and_lets_it_go(framework):
    adapter = get_adapter(framework)
    buffer = filled(adapter, 4096)
    memory = weakref.ref(buffer.base)
    tensor = adapter.decode(buffer, "U8", (4096,), owned=True)
    del buffer
    gc.collect()
    assert memory() is not None
    assert raw_bytes(tensor) == b"\x01" * 4096
    del tensor

    def is_gone():
        gc.collect()
        return memory() is None

    wait_until(is_gone, "the framework's own threads have let go of it too")


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax", "paddle"])
def test_a_shared_tensor_lies_at_the_address_of_its_buffer(framework):
    adapter = get_adapter(framework)
    buffer = filled(adapter)
    tensor = adapter.decode(buffer, "F32", (4, 4), owned=True)
    address = {
        "numpy": lambda: tensor.ctypes.data,
        "torch": lambda: tensor.data_ptr(),
        "jax": lambda: tensor.unsafe_buffer_pointer(),
        "paddle": lambda: tensor.data_ptr(),
    }[framework]
    assert address() == buffer.ctypes.data


@given(st.integers(0, 300))
def test_own_buffers_are_whole_writable_and_aligned(nbytes):
    for framework in FRAMEWORKS:
        buffer = get_adapter(framework).allocate(nbytes)
        assert (buffer.shape, buffer.dtype, buffer.flags.writeable) == ((nbytes,), np.uint8, True)
        assert nbytes == 0 or buffer.ctypes.data % 64 == 0  # no bytes have no address


def test_no_address_of_a_buffer_ends_the_process():
    # TensorFlow aborts in the first operation on a tensor that does not lie at a multiple of 64
    script = """
        import numpy as np
        from mlstac.frameworks import get_adapter
        whole = get_adapter("numpy").allocate(4096)
        for framework in ("torch", "tensorflow", "jax", "paddle"):
            adapter = get_adapter(framework)
            for offset in range(65):
                buffer = whole[offset : offset + 256]
                buffer.view(np.float32)[:] = 1.5
                tensor = adapter.decode(buffer, "F32", (4, 16), owned=True)
                assert np.asarray(tensor + tensor).sum() == 192, (framework, offset)
        print("lived")
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert ran.stdout.endswith("lived\n"), ran.stderr


def test_a_jax_array_of_narrowed_values_shares_nothing():
    assert not jax.config.jax_enable_x64
    adapter = get_adapter("jax")
    buffer = filled(adapter, value=0)
    array = adapter.decode(buffer, "I64", (8,), owned=True, narrow=True)
    buffer[:] = 1
    assert np.asarray(array).tolist() == [0] * 8
    assert not adapter.shares_memory("I64")
