"""Every tutorial runs from end to end as a reader runs it, and leaves a picture with something on it."""

import numpy as np
import pytest
from matplotlib.image import imread

# Tutorial 3 starts nine processes, and has tests of its own
TUTORIALS = {
    "01_load_and_look.py": "tutorial-01.png",
    "02_your_own_images.py": "tutorial-02.png",
    "04_search.py": "tutorial-04.png",
    "05_convert.py": "tutorial-05.png",
}
APART = "03_stream_and_resume.py"


def test_every_tutorial_is_tested(repository):
    assert {path.name for path in (repository / "tutorials").glob("[0-9]*.py")} == {*TUTORIALS, APART}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("script", "picture"), TUTORIALS.items())
def test_a_tutorial_runs_twice_and_ends_in_a_picture(run_tutorial, tmp_path, script, picture):
    """Twice, for a reader runs a cell again."""
    for _ in range(2):
        said = run_tutorial(script, tmp_path)
    assert f"demo/{picture}" in said
    shown = imread(tmp_path / "demo" / picture)[..., :3]
    height, width, _ = shown.shape
    assert min(height, width) > 500
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 500
    assert (shown < 1).any(axis=-1).mean() > 0.2


def test_the_page_of_tutorials_names_them_all(repository):
    page = (repository / "docs" / "tutorials.md").read_text(encoding="utf-8")
    assert all(f"../tutorials/{script}" in page for script in (*TUTORIALS, APART))
