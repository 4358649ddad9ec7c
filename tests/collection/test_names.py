"""Names of tensors and splits become keys, folders and URLs: what could go astray is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstac.collection import check_name, check_split_name
from mlstac.errors import InvalidArgumentError


@pytest.mark.parametrize("name", ["input", "a b", "Höhe", "a.b", "splits", "rows", "a.splits.b", "10m", "~x"])
def test_a_plain_tensor_name_is_given_back(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("a/b", "holds a slash"),
        (".hidden", "starts with a dot"),
        ("boxes.splits", "ends in '.splits'"),
        ("boxes.rows", "ends in '.rows'"),
        ("a\nb", "control character"),
        ("a\x00", "control character"),
        ("a\ud800", "control character"),
        ("__metadata__", "safetensors' own word"),
        ("x" * 300, "has 300 characters"),
        (3, "is not text"),
    ],
)
def test_a_tensor_name_that_breaks_the_format_is_refused(name, says):
    with pytest.raises(InvalidArgumentError, match=says):
        check_name(name)


@pytest.mark.parametrize("name", ["train", "validation", "test", "fold-3", "2024", "train_small", "v1.0"])
def test_a_plain_split_name_is_given_back(name):
    assert check_split_name(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is empty"),
        ("..", "no plain folder name"),
        (".", "no plain folder name"),
        ("a..b", "no plain folder name"),
        ("a.", "no plain folder name"),
        ("-x", "no plain folder name"),
        ("a/b", "no plain folder name"),
        ("a\\b", "no plain folder name"),
        ("/etc", "no plain folder name"),
        ("C:", "no plain folder name"),
        ("a b", "no plain folder name"),
        ("a%2fb", "no plain folder name"),
        ("a?b", "no plain folder name"),
        ("train+test", "no plain folder name"),
        ("träin", "no plain folder name"),
        ("train\n", "control character"),
        ("all", "another meaning"),
        ("tensors", "another meaning"),
        ("version", "another meaning"),
        ("val", "short for 'validation'"),
        ("con", "device on Windows"),
        ("NUL.txt", "device on Windows"),
        ("x" * 300, "has 300 characters"),
        (None, "is not text"),
    ],
)
def test_a_split_name_that_could_go_astray_is_refused(name, says):
    with pytest.raises(InvalidArgumentError, match=says):
        check_split_name(name)


@given(st.text())
def test_whatever_passes_is_one_plain_step_of_a_path(name):
    try:
        check_split_name(name)
    except InvalidArgumentError:
        return
    assert not set(name) & set('/\\:*?"<>|%#& \0')
    assert name.strip(".") == name
