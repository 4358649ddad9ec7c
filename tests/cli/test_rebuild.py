"""`mlstac rebuild`: what it says of what it did."""

import json
import shutil

import mlstac


def test_it_says_of_what_and_what_is_lost(run, flood, tmp_path):
    shutil.copytree(flood, tmp_path / "a")
    done = run("rebuild", tmp_path / "a")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "a"))
    assert done.stderr.strip() == "made the catalogs of 12 samples anew, of the journal"
    shutil.rmtree(tmp_path / "a" / ".mlstac")
    (tmp_path / "a" / mlstac.open(tmp_path / "a").assets["train-00001"].href).unlink()
    said = json.loads(run("rebuild", tmp_path / "a", "--json").stdout)
    assert (said["source"], said["samples"]) == ("shards", {"train": 8, "validation": 0, "test": 4})
    assert said["lost"][0] == "places, times and columns of 8 samples of split 'train'"
    assert len(mlstac.load(tmp_path / "a")) == 8
