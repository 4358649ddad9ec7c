"""`mlstac gc`: what it says and what it does."""

import json
import shutil

import mlstac


def test_names_go_to_stdout_and_a_dry_run_removes_nothing(run, flood, tmp_path):
    shutil.copytree(flood, tmp_path / "a")
    (tmp_path / "a" / "train" / "00099.safetensors").write_bytes(b"mine")
    samples = (mlstac.Sample(sample, id=f"x{at}") for at, sample in enumerate(mlstac.load(flood, framework="numpy")))
    mlstac.write(samples, tmp_path / "a", mlstac.open(flood), overwrite=True)
    said = json.loads(run("gc", tmp_path / "a", "--dry-run", "--json").stdout)
    assert said["dry_run"]
    assert said["bytes"] == sum((tmp_path / "a" / name).stat().st_size for name in said["files"])
    assert "train/00000.safetensors" in said["files"]
    assert said["kept"] == ["train/00099.safetensors, which does not bear mlstac's mark"]
    done = run("gc", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(said["files"])
    assert done.stderr.startswith(f"removed {len(said['files'])} files, ")
    assert "kept train/00099.safetensors" in done.stderr
    assert not (tmp_path / "a" / "train" / "00000.safetensors").exists()
    assert len(mlstac.load(tmp_path / "a")) == 8
    assert run("gc", tmp_path / "a").stdout == ""


def test_a_folder_without_a_dataset_is_one_line_and_status_1(run, tmp_path):
    done = run("gc", tmp_path)
    assert done.returncode == 1
    assert "holds no dataset" in done.stderr


def test_an_age_leaves_what_is_younger_and_a_wrong_one_is_one_line(run, flood, tmp_path):
    shutil.copytree(flood, tmp_path / "a")
    samples = (mlstac.Sample(sample, id=f"x{at}") for at, sample in enumerate(mlstac.load(flood, framework="numpy")))
    mlstac.write(samples, tmp_path / "a", mlstac.open(flood), overwrite=True)
    said = json.loads(run("gc", tmp_path / "a", "--older-than", "1h", "--json").stdout)
    assert said["files"] == {}
    assert "train/00000.safetensors" in said["young"]
    done = run("gc", tmp_path / "a", "--older-than", "90min")
    assert done.stdout == ""
    assert f"kept {len(said['young'])} files" in done.stderr
    assert "younger than 90 minutes" in done.stderr
    done = run("gc", tmp_path / "a", "--older-than", "7")
    assert done.returncode == 2
    assert "--older-than 7 is not an age; write a number and s, min, h, d or w" in done.stderr.replace("\n", " ")
