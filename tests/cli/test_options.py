"""What is made of ``-O NAME=VALUE``."""

import pytest

from mlstac.cli._options import read_options
from mlstac.errors import InvalidArgumentError


def test_values_are_json_where_they_can_be_and_dots_lead_inwards():
    given = ["anon=true", "endpoint_url=https://x.org", "config_kwargs.retries.max=3", 'token="7"']
    expected = {"anon": True, "endpoint_url": "https://x.org", "config_kwargs": {"retries": {"max": 3}}, "token": "7"}
    assert read_options(given) == expected


@pytest.mark.parametrize("value", ["1e5", "12345e67", "1.10", "007", "true", "null", "Bearer a.b=c", "[1]"])
@pytest.mark.parametrize("outer", ["headers", "client_kwargs.headers"])
def test_a_header_is_text_whatever_it_looks_like(outer, value):
    found = read_options([f"{outer}.X-Key={value}"])
    for part in outer.split("."):
        found = found[part]
    assert found == {"X-Key": value}


@pytest.mark.parametrize("given", [["secret"], ["=secret"], ["a=secret", "a.b=secret"], ["a.b=secret", "a.b.c=secret"]])
def test_what_cannot_be_meant_is_refused_without_its_value(given):
    with pytest.raises(InvalidArgumentError, match=f"option {len(given)} ") as refused:
        read_options(given)
    assert "secret" not in str(refused.value)
