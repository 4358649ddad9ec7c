"""All frameworks in one process, in any order, and the process as it was before."""

import itertools
import json
import os
import subprocess
import sys
import textwrap

import pytest

OTHERS = ("torch", "tensorflow", "jax", "paddle")


def run(script: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=250
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


WORK = """
    import numpy as np
    from mlstac.frameworks import get_adapter
    buffer = np.arange(16, dtype=np.float32).view(np.uint8)
    for name in {order}:
        adapter = get_adapter(name)
        tensor = adapter.decode(buffer, "F32", (4, 4), owned=False)
        assert np.asarray(tensor @ tensor)[1, 1] == 174, name
    print("lived")
"""

# Every pair both ways, and the pair that is known to clash side by side with nothing before it: three of the 24 orders.
ORDERS = [
    ("tensorflow", "paddle", "torch", "jax"),
    ("paddle", "tensorflow", "jax", "torch"),
    ("jax", "torch", "paddle", "tensorflow"),
]


def test_the_orders_below_have_every_pair_both_ways():
    pairs = {pair for order in ORDERS for pair in itertools.combinations(order, 2)}
    assert pairs == set(itertools.permutations(OTHERS, 2))
    assert {order[:2] for order in ORDERS} >= set(itertools.permutations(("tensorflow", "paddle")))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_frameworks_live_together(order):
    assert run(WORK.format(order=order)) == "lived\n"


def test_importing_mlstac_changes_nothing_of_the_process():
    script = """
        import json, locale, logging, os, signal, sys, threading, warnings
        import numpy  # adds filters of its own
        def state():
            root = logging.getLogger()
            return [
                repr(root.handlers), root.level, repr(warnings.filters), dict(os.environ), sys.getdlopenflags(),
                [repr(signal.getsignal(number)) for number in range(1, 32)], locale.setlocale(locale.LC_ALL),
                threading.active_count(), repr(numpy.geterr()), sys.getrecursionlimit(), repr(sys.excepthook),
            ]
        before = state()
        import mlstac, mlstac.frameworks
        assert state() == before, [pair for pair in zip(before, state()) if pair[0] != pair[1]]
        print(json.dumps([name for name in ("torch", "tensorflow", "jax", "paddle") if name in sys.modules]))
    """
    assert json.loads(run(script)) == []


def test_importing_paddle_through_us_leaves_the_root_logger_the_filters_and_the_threads():
    script = """
        import logging, os, sys, warnings
        import numpy
        os.environ.pop("OMP_NUM_THREADS", None)
        root = logging.getLogger()
        mine = logging.NullHandler()
        root.addHandler(mine)
        root.setLevel(logging.ERROR)
        warnings.simplefilter("error")
        before = (root.handlers[:], root.level, warnings.filters[:], sys.getdlopenflags())
        from mlstac.frameworks import get_adapter
        get_adapter("paddle")
        assert (root.handlers, root.level, warnings.filters, sys.getdlopenflags()) == before
        assert "OMP_NUM_THREADS" not in os.environ
        import paddle
        assert paddle.ones([2]).sum() == 2
        print("clean")
    """
    assert run(script) == "clean\n"


def test_paddle_by_itself_does_what_we_undo():
    # if this fails, paddle has mended its ways, and so may we
    script = """
        import logging, os, warnings
        warnings.simplefilter("ignore")
        os.environ.pop("OMP_NUM_THREADS", None)
        import paddle
        print(len(logging.getLogger().handlers), os.environ.get("OMP_NUM_THREADS"))
    """
    assert run(script) == "1 1\n"


def test_what_the_user_did_by_importing_paddle_first_is_kept():
    script = """
        import logging, warnings
        warnings.simplefilter("ignore")
        import paddle
        before = logging.getLogger().handlers[:]
        from mlstac.frameworks import get_adapter
        get_adapter("paddle")
        assert logging.getLogger().handlers == before
        print(len(before))
    """
    assert run(script) == "1\n"


@pytest.mark.skipif(not hasattr(os, "RTLD_DEEPBIND"), reason="only glibc has RTLD_DEEPBIND")
@pytest.mark.parametrize(("version", "warned"), [("2.19.1", 0), ("2.20.0", 1), ("2.21.0rc1", 1), ("3.0", 1)])
def test_paddle_after_a_newer_tensorflow_is_loaded_apart_with_a_warning(version, warned):
    # a module in TensorFlow's place with its version: the suite has an older TensorFlow, which does not clash
    script = f"""
        import sys, types, warnings
        newer = types.ModuleType("tensorflow")
        newer.__version__ = {version!r}
        sys.modules["tensorflow"] = newer
        flags = sys.getdlopenflags()
        from mlstac.frameworks import get_adapter
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            get_adapter("paddle")
        assert sys.getdlopenflags() == flags
        ours = [warning for warning in caught if "RTLD_DEEPBIND" in str(warning.message)]
        assert all(warning.filename == "<string>" for warning in ours), [warning.filename for warning in ours]
        import paddle
        assert (paddle.ones([2, 2]) @ paddle.ones([2, 2])).sum() == 8
        print(len(ours))
    """
    assert run(script) == f"{warned}\n"
