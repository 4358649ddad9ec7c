"""From an href to a file: what it means, where it may not lead, and what is shown of it."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlstac.errors import AccessError, InvalidArgumentError
from mlstac.storage import is_remote, join, local_path, parent, parse_size, redact

WEB = "https://h.org/ds/"
BASE = WEB + "train/catalog-00000.parquet"


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        ("/data/x", False),
        ("x/y.json", False),
        ("~/x", False),
        ("C:\\data\\x", False),
        ("c:/data", False),
        ("file:///data/x", False),
        ("http://h/x", True),
        ("HTTPS://h/x", True),
        ("s3://b/k", True),
        ("memory://a", True),
        ("simplecache::s3://b/k", True),
        (Path("x"), False),
    ],
)
def test_remote_is_what_has_a_scheme_other_than_file(url, remote):
    assert is_remote(url) is remote


@pytest.mark.parametrize(
    ("base", "href", "found"),
    [
        (BASE, "./00000.safetensors", WEB + "train/00000.safetensors"),
        (BASE, "00/00000.safetensors", WEB + "train/00/00000.safetensors"),
        (BASE, "../collection.json", WEB + "collection.json"),
        (BASE, "a b#é.bin", WEB + "train/a%20b%23%C3%A9.bin"),
        (BASE, "a%20b%23%C3%A9.bin", WEB + "train/a%20b%23%C3%A9.bin"),
        (BASE, WEB + "x.bin", WEB + "x.bin"),
        (BASE, "/ds/x.bin", WEB + "x.bin"),
        (BASE, "./x.bin?v=1", WEB + "train/x.bin?v=1"),
        (WEB + "train/", "x.bin", WEB + "train/x.bin"),
        ("/data/my #1 ?/train/c.parquet", "./0.bin", "/data/my #1 ?/train/0.bin"),
        ("/data/ds/train/c.parquet", "a%20b%23.bin", "/data/ds/train/a b#.bin"),
        ("file:///data/my%20ds/c.json", "train/0.bin", "/data/my ds/train/0.bin"),
        (Path("ds/train/c.parquet"), "0.bin", "ds/train/0.bin"),
        ("collection.json", "train/0.bin", "train/0.bin"),
        ("s3://b/ds é#/train/c.parquet", "./0.bin", "s3://b/ds é#/train/0.bin"),
        ("s3://b/ds/train/c.parquet", "a%20b.bin", "s3://b/ds/train/a b.bin"),
        ("s3://b/ds/train/c.parquet", "s3://b/ds/x.bin", "s3://b/ds/x.bin"),
    ],
)
def test_an_href_leads_to_its_file(base, href, found):
    root = {"/": "/data", "f": "file:///data", "s": "s3://b/", "h": WEB, "d": "ds", "c": "."}[str(base)[0]]
    assert join(base, href, root=root) == found


def test_the_signature_of_a_folder_stays_with_its_files_and_goes_nowhere_else():
    signed = "https://u:p@h.org/ds/collection.json?sv=1&sig=a%2Fb"
    assert join(signed, "train/0.bin") == "https://u:p@h.org/ds/train/0.bin?sv=1&sig=a%2Fb"
    assert join(signed, "https://other.org/x.bin", allow_hosts=["other.org"]) == "https://other.org/x.bin"
    assert parent(signed) == "https://u:p@h.org/ds/?sv=1&sig=a%2Fb"


@pytest.mark.parametrize(
    "base", [BASE, "/data/ds/train/c.parquet", "s3://b/ds/train/c.parquet", "memory://x/ds/train/c.parquet"]
)
@pytest.mark.parametrize(
    "href",
    [
        "../../x.bin",
        "./a/../../../x.bin",
        "%2e%2e/%2e%2e/x.bin",
        "..%2f..%2fx.bin",
        "..\\..\\x.bin",
        "/etc/passwd",
        "//evil.org/x.bin",
        "https://evil.org/ds/x.bin",
        "http://h.org/ds/x.bin",
        "https://h.org.evil.org/ds/x.bin",
        "https://h.org@evil.org/ds/x.bin",
        "https://h.org:444/ds/x.bin",
        "s3://other/ds/x.bin",
        "s3://b/dsx/x.bin",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE:///etc/passwd",
        "zip://x::file:///etc/passwd",
        "filecache::file:///etc/passwd",
        "local:///etc/passwd",
        "data:text/plain,x",
        "javascript:x",
        "a\nb",
        "../../dsx/x.bin",
    ],
)
def test_an_href_may_not_leave_the_root(base, href):
    root = parent(parent(base).rstrip("/"))
    with pytest.raises(AccessError, match=r"leads out of|control character|no href|not a path"):
        join(base, href, root=root)


@pytest.mark.parametrize(
    "href", ["file:///etc/passwd", "/etc/passwd", "local:///etc/passwd", "filecache::file:///etc/passwd"]
)
def test_no_permission_opens_local_files_to_a_remote_dataset(href):
    with pytest.raises(AccessError):
        join(BASE, href, root=WEB, allow_hosts=["", "h.org.", "localhost", "etc", "file:"])


def test_an_allowed_host_is_allowed_and_the_refusal_says_how():
    with pytest.raises(AccessError, match=r"allow_hosts=\('cdn\.org',\)"):
        join(BASE, "https://cdn.org/x.bin", root=WEB)
    assert join(BASE, "https://cdn.org/x.bin", root=WEB, allow_hosts=["cdn.org"]) == "https://cdn.org/x.bin"
    assert join("/data/ds/main.json", "https://h.org/other/x.bin", allow_hosts=["h.org"]) == "https://h.org/other/x.bin"
    assert join(BASE, "/other/x.bin", root=WEB, allow_hosts=["h.org"]) == "https://h.org/other/x.bin"


@example(["..", "..", "", "ds"])
@given(
    st.lists(
        st.sampled_from(["..", ".", "a", "%2e%2e", "%2E.", "ds", "b%2f..", "", "%5c", "..%5c"]), min_size=1, max_size=8
    )
)
def test_whatever_the_dots_the_result_is_inside_or_refused(parts):
    href = "/".join(parts)
    for base, root in [(BASE, WEB), ("/data/ds/train/c.parquet", "/data/ds/"), ("s3://b/ds/train/c", "s3://b/ds/")]:
        try:
            found = join(base, href, root=root)
        except AccessError:
            continue
        path = urlsplit(found).path
        assert found.startswith(root.rstrip("/"))
        assert ".." not in path.lower().replace("%2e", ".").split("/")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:secret@h.org/a/b.bin?sig=secret#x", "https://***@h.org/a/b.bin?..."),
        ("https://h.org/a b", "https://h.org/a b"),
        ("s3://key:secret@b/k?#x", "s3://***@b/k?..."),
        ("s3://b/k", "s3://b/k"),
        ("/data/x?y", "/data/x?y"),
        ("http://[secret/x", "http://..."),
    ],
)
def test_no_credentials_are_shown(url, shown):
    assert redact(url) == shown


def test_no_refusal_shows_credentials():
    for href in ["https://u:secret@evil.org/x?sig=secret", "/x?sig=secret", "../../x"]:
        with pytest.raises(AccessError) as refused:
            join("https://u:secret@h.org/ds/c.json?sig=secret", href)
        assert "secret" not in str(refused.value)


def test_local_paths_are_made_of_what_means_them(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert local_path("~/x") == "/home/me/x"
    assert local_path(Path("x") / "y") == "x/y"
    assert local_path("file:///a%20b/c#1") == "/a b/c#1"
    assert local_path("file:///C:/x") == "C:/x"
    with pytest.raises(InvalidArgumentError, match="download it first"):
        local_path("https://h.org/x")
    with pytest.raises(InvalidArgumentError, match="names the host"):
        local_path("file://server/share/x")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("256MB", 256_000_000),
        ("1GiB", 1 << 30),
        (" 1.5 kb ", 1_500),
        ("10_000", 10_000),
        (7, 7),
        ("3 TB", 3 * 10**12),
        ("12B", 12),
    ],
)
def test_sizes_are_read(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "MB", "1 XB", "-1", 0, -5, "0MB", "1e3"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InvalidArgumentError):
        parse_size(text)


@pytest.mark.parametrize(
    "href", ["ftp://other#@home.example/ds/x", "ftp://other?@home.example/ds/x", "//other#@home.example/ds/x"]
)
def test_a_host_is_allowed_by_the_name_of_the_one_that_is_gone_to(href):
    base = "ftp://home.example/ds/collection.json"
    with pytest.raises(AccessError, match="leads out"):
        join(base, href, allow_hosts=("home.example",))
    assert "other" in join(base, href, allow_hosts=("other",))
