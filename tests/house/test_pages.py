"""The pages are true: their code runs and prints what they show, their links lead somewhere, their commands exist."""

import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house.pages import anchor_of, pages_of, read_blocks, read_examples, read_links

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = pages_of(REPOSITORY)


def name_of(page):
    return page.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in read_links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(anchor_of, headings), link


def test_every_page_of_docs_is_on_the_index():
    index = REPOSITORY / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in read_links(index.read_text(encoding="utf-8"))}
    assert {page for page in PAGES if page.parent == index.parent} - {index} <= linked


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_targets_of_make_exist(page):
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    said = "".join(block.text for block in read_blocks(page.read_text(encoding="utf-8")) if block.language == "sh")
    assert set(re.findall(r"^make ([a-z]+)", said, re.MULTILINE)) <= targets


def test_the_readme_names_the_two_commands_and_installs_from_git():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    commands = "".join(block.text for block in read_blocks(readme) if block.language == "sh")
    assert "make demo" in commands
    assert "make test" in commands
    assert "git+https://" in commands
    assert not re.search(r"pip install +[\"']?mlstac", readme), "that name is another program on the package index"


def test_ci_calls_lint_and_test_and_nothing_less():
    lines = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"make lint", "make test", "set -euo pipefail"} <= set(lines)
    assert any(line.startswith("export CI=") for line in lines)  # by which tests/conftest.py knows where it is


def test_constraints_pin_every_direct_dependency():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    pinned = {re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower() for pin in pins}
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *(text for name in ("demo", "test", "lint") for text in extras[name])]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", text)[0]).lower() for text in needed} - {"mlstac"}
    assert names <= pinned


def pages_with(language):
    return [page for page in PAGES if read_examples(page.read_text(encoding="utf-8"), language)]


def squeeze(text):
    """Lines without the blanks at their ends, and without empty lines around them."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n").splitlines()


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_code_runs_and_prints_what_the_page_shows(page, demo_folder, monkeypatch):
    monkeypatch.chdir(demo_folder)
    scope = {"__name__": "page"}
    for block, shown in read_examples(page.read_text(encoding="utf-8"), "python"):
        printed = io.StringIO()
        # blank lines in front put the page's own line numbers into a traceback
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        with contextlib.redirect_stdout(printed):
            if (
                "norun" not in block.words
            ):  # such a block needs what is not here, a GPU or a host; it compiles all the same
                exec(code, scope)
        if shown is not None:
            assert squeeze(printed.getvalue()) == squeeze(shown), f"{name_of(page)}:{block.line}"


def test_commands_print_what_the_page_shows(demo_folder):
    environment = {**os.environ, "COLUMNS": "100"}
    examples = read_examples((REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8"), "sh")
    shown_examples = [(block, shown) for block, shown in examples if shown is not None]
    assert shown_examples
    for block, shown in shown_examples:
        [command] = block.text.splitlines()
        words = command.split()
        words[0] = str(Path(sys.executable).with_name(words[0]))
        done = subprocess.run(words, cwd=demo_folder, env=environment, capture_output=True, text=True, check=True)
        assert squeeze(done.stdout) == squeeze(shown), command
