"""matplotlib is asked for only by those who draw."""

import subprocess
import sys

BLOCKED = """
import sys
sys.modules["matplotlib"] = None
import mlstac
try:
    import mlstac.pictures
except mlstac.errors.MissingPackageError as error:
    print(error)
"""

PYPLOT = """
import sys
import numpy as np
from mlstac.collection import Tensor
from mlstac.pictures import draw_samples
draw_samples([{"image": np.zeros((3, 4, 4))}], {"image": Tensor(dims="band y x")})
print("matplotlib.pyplot" in sys.modules)
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_missing_matplotlib_is_named_with_the_line_that_installs_it():
    assert "pip install matplotlib" in run(BLOCKED)


def test_pyplot_is_never_loaded():
    assert run(PYPLOT).strip() == "False"
