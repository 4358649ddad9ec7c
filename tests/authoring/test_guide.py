"""The authoring guide leads from a DataLoader to a URL, line by line as it stands on the page."""

import shlex
import subprocess
import sys
from pathlib import Path

from tests.house.pages import read_blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "author.md"
MLSTAC = Path(sys.executable).with_name("mlstac")


def test_the_guide_leads_from_a_loader_to_a_url(moto_s3, tmp_path, monkeypatch):
    section = PAGE.read_text("utf-8").partition("## From your DataLoader to a URL")[2].partition("\n## ")[0]
    making, _, shell, loading = read_blocks(section)
    monkeypatch.chdir(tmp_path)
    # as `aws configure` would have them
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_s3["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_s3["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_s3["secret"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    scope = {"__name__": "guide"}
    exec(f"import mlstac\n{making.text}", scope)
    for line in shell.text.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "mlstac"
        if arguments[0] != "validate":  # that asks the network for schemas
            done = subprocess.run([MLSTAC, *arguments], capture_output=True, text=True, check=False, timeout=200)
            assert done.returncode == 0, done.stderr
    exec(loading.text, scope)
    for number, sample in enumerate(scope["ds"]):
        assert (sample["input"] == 20 * number).all()
        assert sample["target"] == number % 2
    assert number == 9
    assert (tmp_path / "fields.png").stat().st_size > 1000
    assert 'mlstac.load("s3://bucket/fields"' in (tmp_path / "fields" / "README.md").read_text("utf-8")
