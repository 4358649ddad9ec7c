"""Credentials, certificates, proxies, redirects to other hosts: who hears what."""

import asyncio
import pickle
import socketserver
import threading
import traceback

import pytest

from mlstac.errors import AccessError, InvalidArgumentError, UnavailableError
from mlstac.storage import Fetcher, Retry, Store, file_size, read_bytes
from mlstac.storage._address import store_of
from mlstac.storage._filesystems import filesystem_class, options_of
from tests.servers.authority import Authority
from tests.servers.proxy import ForwardProxy
from tests.storage.conftest import assert_fetches, ranges

SPANS = [(start, start + 10_000) for start in range(0, 200_000, 10_000)]
TOKEN = "Bearer very-secret"


@pytest.fixture
def server(fault_server, content):
    return fault_server({"a.bin": content})


@pytest.fixture
def locked(fault_server, content):
    return fault_server({"a.bin": content}, allow=lambda request: request.headers.get("authorization") == TOKEN)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Authorization": TOKEN}},
        {"client_kwargs": {"headers": {"Authorization": TOKEN}}},
        {"headers": lambda: {"Authorization": TOKEN}},
        lambda: {"headers": {"Authorization": TOKEN}},
    ],
)
def test_headers_are_sent(locked, content, options):
    with Fetcher(storage_options=options) as fetcher:
        assert_fetches(fetcher, locked.url + "a.bin", content, SPANS)


def test_user_and_password_are_sent_from_options_or_url(fault_server, content):
    server = fault_server(
        {"a.bin": content}, allow=lambda request: request.headers.get("authorization") == "Basic dTpwIHc="
    )
    with Fetcher(storage_options={"auth": ("u", "p w")}) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
    with Fetcher() as fetcher:
        assert_fetches(fetcher, server.url.replace("//", "//u:p%20w@") + "a.bin", content, SPANS)


def test_a_provider_is_asked_again_once_when_its_token_expires(fault_server, content):
    good = "first"
    server = fault_server({"a.bin": content}, allow=lambda request: request.headers.get("x-token") == good)
    tokens = iter(["first", "second", "third"])

    async def provide():
        await asyncio.sleep(0)
        return {"X-Token": next(tokens)}

    with Fetcher(storage_options={"headers": provide}) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        good = "second"
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
    assert next(tokens) == "third"


def test_a_provider_whose_new_token_is_refused_too_is_not_asked_for_ever(fault_server):
    server = fault_server({"a.bin": b"x"}, allow=lambda request: False)
    asked = []
    options = {"headers": lambda: asked.append(1) or {"X": "1"}}
    with Fetcher(storage_options=options) as fetcher, pytest.raises(AccessError, match="access refused"):
        fetcher.fetch(ranges(server.url + "a.bin", [(0, 1)])[0])
    assert (len(asked), server.count) == (2, 2)


def test_credentials_never_go_to_another_host(server, fault_server, content):
    front = fault_server({})
    front.fail("redirect", status=302, times=None, headers={"Location": server.url + "a.bin?sig=1"})
    options = {"headers": {"Authorization": TOKEN, "X-Api-Key": "very-secret", "Cookie": "very-secret"}}
    with Fetcher(storage_options=options) as fetcher:
        assert_fetches(fetcher, front.url + "a.bin", content, SPANS)
        assert fetcher.read_bytes(front.url + "a.bin") == content
        assert fetcher.file_size(front.url + "a.bin") == len(content)
    assert front.requests[0].headers["authorization"] == TOKEN
    assert "very-secret" not in str([request.headers for request in server.requests])
    with Fetcher() as fetcher:
        assert_fetches(fetcher, front.url.replace("//", "//u:very-secret@") + "a.bin", content, SPANS)
    assert all("authorization" not in request.headers for request in server.requests)


@pytest.mark.parametrize("options", [{"headers": {"Authorization": TOKEN}}, {"auth": ("u", "very-secret")}])
def test_bound_credentials_go_to_one_host_alone(server, fault_server, content, options):
    other = fault_server({"a.bin": content})
    other.fail("redirect", path="b.bin", status=302, headers={"Location": server.url + "a.bin"})
    with Fetcher(storage_options=options) as fetcher:
        fetcher.bind(server.url + "collection.json")
        for one in (fetcher, pickle.loads(pickle.dumps(fetcher))):
            assert_fetches(one, other.url + "a.bin", content, SPANS)
            assert_fetches(one, server.url + "a.bin", content, SPANS[:1])
            one.close()
        assert all("authorization" in request.headers for request in server.requests)
        assert fetcher.read_bytes(other.url + "b.bin") == content
    # one that a stranger sent us to is not asked with our key either
    assert "authorization" not in server.requests[-1].headers
    assert not any("authorization" in request.headers for request in other.requests)


class Doorman(socketserver.ThreadingTCPServer):
    """An FTP server that asks who is there, writes it down, and lets nobody in."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Asking)
        self.told = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"ftp://127.0.0.1:{self.server_address[1]}/ds/a.bin"


class _Asking(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 who is there\r\n")
        for line in self.rfile:
            word, _, value = line.decode().strip().partition(" ")
            if word not in ("USER", "PASS"):
                return
            self.server.told.append(value)
            self.wfile.write(b"331 and the password\r\n" if word == "USER" else b"530 nobody is let in\r\n")


@pytest.mark.parametrize("options", [{"username": "me", "password": "very-secret"}, {"username": "very-secret"}])
@pytest.mark.parametrize("ask", [lambda options: options, lambda options: lambda: options])
def test_options_of_a_store_go_to_no_other_server_of_its_kind(options, ask):
    with Doorman() as home, Doorman() as other:
        fetcher = Fetcher(storage_options=ask(options), retry=Retry(tries=1))
        fetcher.bind(home.url)
        for one in (fetcher, pickle.loads(pickle.dumps(fetcher))) if not callable(ask(options)) else (fetcher,):
            with one:
                for server in (home, other):
                    with pytest.raises(AccessError, match=r"a\.bin: access refused"):
                        one.read_bytes(server.url)
        home.shutdown()
        other.shutdown()
        assert "very-secret" in home.told
        assert "very-secret" not in other.told
        assert "me" not in other.told
        assert other.told  # it was asked


def test_an_upload_to_a_server_that_is_gone_or_lets_nobody_in_is_told():
    with Doorman() as server:
        with pytest.raises(AccessError, match=r"ftp://\*\*\*@127\.0\.0\.1:\d+/ds: access refused"):
            Store(server.url.replace("//", "//me:very-secret@").removesuffix("/a.bin"))
        assert server.told == ["me", "very-secret"]
        server.shutdown()
    with pytest.raises(UnavailableError, match=r"ftp://127\.0\.0\.1:1/ds: Connection.*check host and port"):
        Store("ftp://127.0.0.1:1/ds")


@pytest.mark.parametrize("between", ["#@", "#x@", "?@", "/@", "/#@"])
def test_no_spelling_passes_another_server_off_as_that_of_the_dataset(between):
    with Doorman() as home, Doorman() as other:
        with Fetcher(storage_options={"username": "me", "password": "very-secret"}, retry=Retry(tries=1)) as fetcher:
            fetcher.bind(home.url)
            with pytest.raises(AccessError):
                fetcher.read_bytes(other.url.replace("/ds/", f"{between}127.0.0.1:{home.server_address[1]}/ds/"))
        home.shutdown()
        other.shutdown()
        assert other.told
        assert not {"me", "very-secret"} & {*other.told}


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("abfss://c@one.dfs.core.windows.net/ds/x", True),
        ("abfss://c@One.dfs.core.windows.net/ds/x", True),
        ("abfss://c@two.dfs.core.windows.net/ds/x", False),
        ("abfss://c@one.x@two.dfs.core.windows.net/ds/x", False),
        ("abfss://c@one.two.dfs.core.windows.net/ds/x", False),
    ],
)
def test_a_key_is_for_the_account_that_the_client_goes_to(url, same):
    home = "abfss://c@one.dfs.core.windows.net/ds/collection.json"
    assert (store_of(url, {}) == store_of(home, {})) is same
    opened = options_of(filesystem_class(url, "abfss", refuse=AccessError, known=""), url)
    assert (opened["account_name"].lower() == "one") is same  # what adlfs makes of it


def test_credentials_stay_with_a_redirect_to_the_same_host(fault_server, content):
    server = fault_server({"b.bin": content}, allow=lambda request: request.headers.get("authorization") == TOKEN)
    server.fail("redirect", status=307, times=None, path="a.bin", headers={"Location": "b.bin"})
    with Fetcher(storage_options={"headers": {"Authorization": TOKEN}}) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)


def test_no_error_shows_a_credential(fault_server):
    server = fault_server({})
    secret = server.url.replace("//", "//u:very-secret@") + "a.bin?sig=very-secret"
    options = {"headers": {"Authorization": TOKEN}}
    for fault in [
        {"kind": "status", "status": 401},
        {"kind": "status", "status": 404},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 418},
        {"kind": "close"},
        {"kind": "garbage"},
        {
            "kind": "redirect",
            "status": 302,
            "headers": {"Location": "http://u:very-secret@127.0.0.1:1/?sig=very-secret"},
        },
        {"kind": "redirect", "status": 302, "headers": {"Location": "ftp://u:very-secret@h/?sig=very-secret"}},
    ]:
        server.heal()
        server.fail(times=None, **fault)
        with Fetcher(storage_options=options, retry=Retry(tries=1)) as fetcher:
            for call in (
                lambda fetcher=fetcher: fetcher.fetch(ranges(secret, [(0, 1)])[0]),
                lambda fetcher=fetcher: fetcher.read_bytes(secret),
                lambda fetcher=fetcher: fetcher.file_size(secret),
            ):
                with pytest.raises(OSError, match=r"127\.0\.0\.1") as failed:
                    call()
                assert "very-secret" not in "".join(traceback.format_exception(failed.value))
                assert failed.value.__context__ is None  # in Dask's workers it is pickled too, and aiohttp's cannot be
                assert str(pickle.loads(pickle.dumps(failed.value))) == str(failed.value)
            assert "very-secret" not in repr(vars(fetcher)) + repr(fetcher._engine._web._options)


def test_an_unknown_option_is_refused_with_those_that_are(server):
    with (
        Fetcher(storage_options={"hedaers": {}}) as fetcher,
        pytest.raises(InvalidArgumentError, match=r"hedaers.*headers"),
    ):
        fetcher.read_bytes(server.url + "a.bin")


def test_a_header_with_a_line_break_is_refused(server):
    with (
        Fetcher(storage_options={"headers": {"X": "a\r\nHost: evil"}}) as fetcher,
        pytest.raises(InvalidArgumentError, match="line break"),
    ):
        fetcher.read_bytes(server.url + "a.bin")
    assert server.count == 0


def test_fsspec_settings_that_mean_nothing_here_are_passed_over(server, content):
    with Fetcher(storage_options={"block_size": 0, "simple_links": True, "cache_type": "none"}) as fetcher:
        assert fetcher.read_bytes(server.url + "a.bin") == content


@pytest.mark.parametrize("how", ["file", "environment", "context"])
def test_a_certificate_of_an_own_authority_is_trusted_when_told(fault_server, content, authority, monkeypatch, how):
    import ssl

    server = fault_server({"a.bin": content}, tls=authority.server_context())
    options = {}
    if how == "file":
        options = {"ssl": authority.ca}
    elif how == "context":
        options = {"ssl": ssl.create_default_context(cafile=authority.ca)}
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    with Fetcher(storage_options=options) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        assert fetcher.read_bytes(server.url + "a.bin") == content


def test_an_unknown_certificate_is_refused_at_once_and_the_mend_is_named(fault_server, authority, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    server = fault_server({"a.bin": b"x"}, tls=authority.server_context())
    with Fetcher() as fetcher, pytest.raises(UnavailableError, match=r"no secure connection.*ssl.*ca\.pem"):
        fetcher.read_bytes(server.url + "a.bin")
    assert fetcher.stats()["retries"] == 0
    with Fetcher(storage_options={"ssl": False}) as fetcher:
        assert fetcher.read_bytes(server.url + "a.bin") == b"x"


def test_a_redirect_from_https_to_http_is_refused(fault_server, server, authority):
    front = fault_server({}, tls=authority.server_context())
    front.fail("redirect", status=302, headers={"Location": server.url + "a.bin"})
    with (
        Fetcher(storage_options={"ssl": authority.ca}) as fetcher,
        pytest.raises(AccessError, match="from https to http"),
    ):
        fetcher.read_bytes(front.url + "a.bin")
    assert server.count == 0


@pytest.mark.parametrize("how", ["environment", "option"])
@pytest.mark.parametrize("secure", [False, True])
def test_a_proxy_is_used(fault_server, content, authority, monkeypatch, how, secure):
    server = fault_server({"a.bin": content}, tls=authority.server_context() if secure else None)
    with ForwardProxy() as proxy:
        options = {"ssl": authority.ca}
        if how == "option":
            options["proxy"] = proxy.url
        else:
            monkeypatch.setenv("https_proxy" if secure else "http_proxy", proxy.url)
        with Fetcher(storage_options=options) as fetcher:
            assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        expected = f"CONNECT 127.0.0.1:{server.port}" if secure else f"GET {server.url}a.bin"
        assert proxy.lines
        assert all(line.startswith(expected) for line in proxy.lines)


def test_no_proxy_and_trust_env_are_heeded(server, content, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Fetcher(storage_options={"trust_env": False}) as fetcher:
        assert fetcher.read_bytes(server.url + "a.bin") == content
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Fetcher() as fetcher:
        assert fetcher.read_bytes(server.url + "a.bin") == content


def test_a_proxy_that_wants_a_password_is_told(server, content):
    with ForwardProxy(authorization="Basic dTpw") as proxy:
        login = {"proxy": proxy.url, "proxy_auth": ("u", "p")}
        with Fetcher(storage_options=login) as fetcher:
            assert fetcher.read_bytes(server.url + "a.bin") == content
        with Fetcher(storage_options={"proxy": proxy.url.replace("//", "//u:p@")}) as fetcher:
            assert fetcher.read_bytes(server.url + "a.bin") == content
        with Fetcher(storage_options={"proxy": proxy.url}) as fetcher, pytest.raises(AccessError, match="407"):
            fetcher.read_bytes(server.url + "a.bin")


def test_a_session_of_the_callers_own_is_used(server, content):
    import aiohttp

    made = []

    async def get_client(**settings):
        made.append(settings)
        settings.pop("loop")
        return aiohttp.ClientSession(headers={"X-Own": "1"}, auto_decompress=False, **settings)

    with Fetcher(storage_options={"get_client": get_client}) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
    assert len(made) == 1
    assert server.requests[0].headers["x-own"] == "1"


@pytest.mark.parametrize("status", [401, 403, 404, 410, 418, 500])
def test_small_files_fail_by_name(server, clock, status):
    server.fail("status", status=status, times=None)
    with Fetcher(clock=clock, retry=Retry(tries=2)) as fetcher:
        for call in (fetcher.read_bytes, fetcher.file_size):
            with pytest.raises(OSError, match=r"a\.bin.*" + str(status)):
                call(server.url + "a.bin")


def test_hub_refusals_name_the_terms_and_the_login(server):
    server.fail("status", status=403, headers={"X-Error-Code": "GatedRepo"})
    with (
        Fetcher() as fetcher,
        pytest.raises(AccessError, match=r"terms.*/datasets/o/n and log in with `hf auth login`"),
    ):
        fetcher.read_bytes(server.url + "datasets/o/n/resolve/main/collection.json")


def test_one_call_needs_no_fetcher(server, content):
    assert read_bytes(server.url + "a.bin") == content
    assert file_size(server.url + "a.bin") == len(content)
