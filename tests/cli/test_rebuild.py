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


def test_it_goes_without_lost_shards_when_told_to(run, flood, tmp_path):
    shutil.copytree(flood, tmp_path / "a")
    (tmp_path / "a" / "test" / "00000.safetensors").unlink()
    done = run("rebuild", tmp_path / "a")
    assert (done.returncode, done.stdout) == (1, "")
    words = "lacks 1 of its 2 shards: test/00000.safetensors; put back what was written, and rebuild again, or give"
    assert f"{words} --drop-missing to leave 4 samples out; nothing was changed" in done.stderr
    done = run("rebuild", tmp_path / "a", "--drop-missing")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "a"))
    lost = "lost: 4 samples of split 'test', left out: the shard test/00000.safetensors is not there"
    assert done.stderr.splitlines() == ["made the catalogs of 8 samples anew, of the journal", lost]
