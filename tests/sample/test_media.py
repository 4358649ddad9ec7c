"""Encoded fields: text, JSON, pictures and films."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlstac.errors import FormatError, InvalidSampleError
from mlstac.sample import decode_field, decode_json, decode_text, encode_field, infer_media_type

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda children: st.lists(children) | st.dictionaries(TEXT, children),
    max_leaves=10,
)


def picture(kind):
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, kind)
    return file.getvalue()


@given(TEXT)
def test_text_comes_back(text):
    dtype, shape, data = encode_field(text)
    assert (dtype, shape) == ("U8", (len(text.encode()),))
    assert data.tobytes().decode() == text
    assert decode_text(data) == text


@given(JSON)
def test_json_comes_back_and_has_one_spelling(value):
    _, _, data = encode_field(value, "application/json")
    assert decode_json(data) == value
    assert json.loads(data.tobytes()) == value
    again = encode_field(json.loads(json.dumps(value, indent=3)), "application/json")[2]
    np.testing.assert_array_equal(again, data)


def test_json_has_sorted_keys_and_no_spaces():
    value = {"b": [1, np.int16(2)], "a": {"é": None}, "c": np.array([1.5])}
    assert encode_field(value)[2].tobytes() == '{"a":{"é":null},"b":[1,2],"c":[1.5]}'.encode()


def test_json_text_as_bytes_is_not_encoded_twice():
    assert decode_json(encode_field(b'{"a": 1}', "application/json")[2]) == {"a": 1}
    assert decode_json(encode_field("text", "application/json")[2]) == "text"


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_picture_is_kept_byte_for_byte_and_known_by_its_first(kind):
    data = picture(kind)
    assert infer_media_type(data) == f"image/{kind}"
    for value in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        encoded = encode_field(value, f"image/{kind}")
        assert encoded[2].tobytes() == data
    assert decode_field(encoded[2], f"image/{kind}") == data
    assert Image.open(io.BytesIO(decode_field(encoded[2], f"image/{kind}"))).size == (8, 8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a caption", "text/plain"),
        ({"q": "how many?"}, "application/json"),
        ([{"q": 1}], "application/json"),
        (["a", "b"], "application/json"),
        ([1, [2, None]], "application/json"),
        ([1, 2], None),
        ([[1.5], [2.5]], None),
        ([], None),
        (np.zeros(3), None),
        (7, None),
        (b"\0\0\0\x18ftypmp42", "video/mp4"),
        (b"something else", None),
        (b"", None),
    ],
)
def test_the_media_type_follows_from_the_value(value, expected):
    assert infer_media_type(value) == expected


@pytest.mark.parametrize(
    ("value", "media_type", "words"),
    [
        (b"plain bytes", None, "cannot tell the media type of bytes of no known kind; give the tensor one"),
        (7, None, "cannot tell the media type of int"),
        (7, "text/plain", "given as int; give a str"),
        (b"\xff", "text/plain", "not Unicode text"),
        ("\ud800", "text/plain", "not Unicode text"),
        ({"a": float("nan")}, "application/json", "is not JSON"),
        ({"a": object()}, "application/json", "object has no JSON form"),
        (b"{", "application/json", "is not JSON"),
        (np.zeros((4, 4, 3)), "image/png", "given as ndarray; encode it and give the bytes"),
        (b"\xff\xd8\xff\xe0", "image/png", "bytes are image/jpeg, but the tensor's media_type is image/png"),
        (b"junk", "video/mp4", "bytes are of no known kind, but"),
    ],
)
def test_a_value_of_another_kind_is_refused(value, media_type, words):
    with pytest.raises(InvalidSampleError, match=words):
        encode_field(value, media_type)


def test_media_types_of_ones_own_are_kept_as_they_are():
    assert encode_field(b"anything", "application/x-las")[2].tobytes() == b"anything"
    assert decode_field(b"anything", "application/x-las") == b"anything"


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 100_000, b"9" * 100_000, b""])
def test_stored_json_that_is_none_is_a_named_error(data):
    with pytest.raises(FormatError, match="write the sample again"):
        decode_json(data)


def test_a_deep_value_is_refused_and_not_a_crash():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidSampleError, match="is not JSON"):
        encode_field(value, "application/json")
    assert infer_media_type(value) is None
