"""A stand-in of the Hugging Face Hub: what huggingface_hub and readers ask of dataset repositories, in memory.

Files of LFS lie on a second host, as the Hub's do: the server answers at ``127.0.0.1``, and sends readers to
``localhost`` with a signature that ends when a test says so. Facts of each endpoint were found by watching
huggingface_hub 2.4 at work.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".parquet", ".zst", ".png")
_ID = r"(?P<id>[\w.-]+/[\w.-]+)"
_LIFE_S = 3600


class File(NamedTuple):
    """A file of a commit."""

    data: bytes
    lfs: bool

    @property
    def oid(self) -> str:
        if self.lfs:
            return hashlib.sha256(self.data).hexdigest()
        return hashlib.sha1(b"blob %d\0%b" % (len(self.data), self.data)).hexdigest()


@dataclass
class Repository:
    """Commits by their names, and what names them."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    dates: dict[str, float] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, File], branch: str = "main") -> str:
        sha = hashlib.sha1(f"{len(self.commits)} {sorted(files)}".encode()).hexdigest()
        self.commits[sha] = files
        self.dates[sha] = time.time()
        self.refs[branch] = sha
        return sha

    def last_commit(self, path: str, sha: str) -> dict[str, str]:
        """The commit that has put a file there, of those up to one (all are taken to be of one branch)."""
        last, before = sha, None
        for commit, files in self.commits.items():
            if files.get(path) != before:
                last, before = commit, files.get(path)
            if commit == sha:
                break
        date = datetime.fromtimestamp(self.dates[last], UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"id": last, "title": "a commit", "date": date}

    def find(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision) or self.tags.get(revision)


class Asked(NamedTuple):
    """What a client asked."""

    method: str
    host: str
    path: str
    query: str
    token: str | None


@dataclass
class Fault:
    """An answer in the place of the right one."""

    method: str
    path: str
    """A pattern that is found in the path."""
    status: int
    times: int
    headers: dict[str, str]
    cut: int | None


class Hub:
    """The server; `repositories`, `asked` and `faults` are for tests to look at and to set."""

    def __init__(self, *, token: str = "hf_very_secret") -> None:
        self.token = token
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.signature = 1
        self.quota: int | None = None
        """Requests for files that are left in this window; None: nobody counts."""
        self.window_s = 30
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> "Hub":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, name: str, files: dict[str, bytes], **settings: Any) -> str:
        """Make a repository with one commit, or add a commit to it; returns the commit."""
        repository = self.repositories.setdefault(name, Repository(**settings))
        return repository.commit({path: File(data, path.endswith(LFS_SUFFIXES)) for path, data in files.items()})

    def fail(
        self, path: str, status: int, *, method: str = "GET", times: int = 1, cut: int | None = None, **headers: str
    ) -> None:
        """Have the next requests whose path fits a pattern fail; with `cut`, break the body off after so many bytes."""
        self.faults.append(Fault(method, path, status, times, headers, cut))

    def expire(self) -> None:
        """End the life of all signatures given so far."""
        self.signature += 1

    def count(self, path: str, method: str = "GET") -> int:
        """How many requests of a method had a path that a pattern is found in."""
        return sum(1 for asked in self.asked if asked.method == method and re.search(path, asked.path))

    @property
    def resolves(self) -> int:
        """Requests that count against a reader's budget."""
        return sum(1 for asked in self.asked if "/resolve/" in asked.path)

    @property
    def environment(self) -> dict[str, str]:
        """For a process whose Hub this is."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": self.token,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients break off when a test is over."""


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012 - never written to


def as_json(data: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data).encode(), {"Content-Type": "application/json"})


def refusal(status: int, code: str, message: str) -> Answer:
    return Answer(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code, "X-Error-Message": message})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *arguments: object) -> None:
        pass

    def _serve(self) -> None:
        hub, parts = self.server.hub, urlsplit(self.path)
        host = self.headers.get("Host", "").partition(":")[0]
        token = self.headers.get("Authorization")
        hub.asked.append(Asked(self.command, host, unquote(parts.path), parts.query, token))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer, cut = self._fault(unquote(parts.path))
        if answer is None:
            answer = self._answer(parts.path, parse_qs(parts.query), body, host, token == f"Bearer {hub.token}")
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:cut])
        if cut is not None:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - as http.server has it

    def _fault(self, path: str) -> tuple[Answer | None, int | None]:
        for fault in self.server.hub.faults:
            if fault.times and fault.method == self.command and re.search(fault.path, path):
                fault.times -= 1
                if fault.cut is not None:
                    return None, fault.cut
                headers = {name.replace("_", "-"): value for name, value in fault.headers.items()}
                return Answer(fault.status, b"", headers), None
        return None, None

    def _answer(self, path: str, query: dict[str, list[str]], body: bytes, host: str, known: bool) -> Answer:
        if path.startswith("/cdn/"):
            return self._cdn(path.removeprefix("/cdn/"), query, body)
        for pattern, serve in _ROUTES:
            if match := re.fullmatch(pattern, path):
                found = {name: unquote(value) for name, value in match.groupdict(default="").items()}
                repository = self.server.hub.repositories.get(found.get("id", ""))
                if "id" in found and (repository is None or (repository.private and not known)):
                    return refusal(404 if known else 401, "RepoNotFound", "Repository not found")
                return serve(self, repository, found, body, known)
        return Answer(404)

    def _cdn(self, oid: str, query: dict[str, list[str]], body: bytes) -> Answer:
        hub = self.server.hub
        if query.get("Signature") != [str(hub.signature)]:
            return Answer(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
        if self.command == "PUT":
            hub.blobs[oid] = body
            return Answer(200, b"", {"ETag": f'"{oid}"'})
        return self._bytes(hub.blobs[oid], {"ETag": f'"{oid}"'})

    def _bytes(self, data: bytes, headers: dict[str, str]) -> Answer:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return Answer(200, data, headers)
        start, stop = int(asked[1]), min(len(data), int(asked[2] or len(data) - 1) + 1)
        if start >= len(data):
            return Answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        return Answer(206, data[start:stop], headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})

    # -- what the Hub's API answers

    def _create(self, repository: Repository | None, found: dict[str, str], body: bytes, known: bool) -> Answer:
        asked = json.loads(body)
        name, hub = f"{asked.get('organization') or 'me'}/{asked['name']}", self.server.hub
        if not known:
            return refusal(401, "Unauthorized", "Invalid username or password.")
        if name in hub.repositories:
            return as_json({"error": "You already created this repo", "url": f"{hub.url}/datasets/{name}"}, 409)
        hub.repositories[name] = Repository(private=asked.get("visibility") == "private" or bool(asked.get("private")))
        hub.repositories[name].commit({".gitattributes": File(b"*.safetensors filter=lfs\n", False)})
        return as_json({"url": f"{hub.url}/datasets/{name}"})

    def _preupload(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        if not known:
            return refusal(401, "Unauthorized", "Invalid username or password.")
        files = repository.commits.get(repository.find(found["rev"]) or "")
        if files is None:
            return refusal(404, "RevisionNotFound", "Invalid rev id")
        answers = []
        for asked in json.loads(body)["files"]:
            path, there = asked["path"], files.get(asked["path"])
            mode = "lfs" if path.endswith(LFS_SUFFIXES) and asked["size"] else "regular"
            oid = there.oid if there else None
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return as_json({"files": answers})

    def _batch(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        hub, answers = self.server.hub, []
        for asked in json.loads(body)["objects"]:
            href = f"http://localhost:{hub.port}/cdn/{asked['oid']}?Signature={hub.signature}"
            actions = {} if asked["oid"] in hub.blobs else {"actions": {"upload": {"href": href}}}
            answers.append({"oid": asked["oid"], "size": asked["size"], **actions})
        return as_json({"transfer": "basic", "objects": answers})

    def _commit(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        hub, sha = self.server.hub, repository.find(found["rev"])
        files = dict(repository.commits[sha or ""])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header" and value.get("parentCommit", sha) != sha:
                return refusal(412, "PreconditionFailed", "A commit has happened since.")
            if entry["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), False)
            elif entry["key"] == "lfsFile":
                if value["oid"] not in hub.blobs:
                    return refusal(400, "BadRequest", "LFS object missing")
                files[value["path"]] = File(hub.blobs[value["oid"]], True)
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        made = repository.commit(files, found["rev"])
        return as_json({"commitUrl": f"{hub.url}/datasets/{found['id']}/commit/{made}", "commitOid": made})

    def _info(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        sha = repository.find(found.get("rev") or "main")
        if sha is None:
            return refusal(404, "RevisionNotFound", f"Invalid rev id: {found['rev']}")
        names = [{"rfilename": name} for name in repository.commits[sha]]
        return as_json({"id": found["id"], "sha": sha, "private": repository.private, "tags": [], "siblings": names})

    def _paths(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        sha, asked = repository.find(found["rev"]) or "", parse_qs(body.decode())
        files = repository.commits[sha]
        dated = asked["expand"] == ["true"]
        return as_json(
            [
                _describe(path, files[path]) | ({"lastCommit": repository.last_commit(path, sha)} if dated else {})
                for path in asked["paths"]
                if path in files
            ]
        )

    def _tree(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        files = repository.commits[repository.find(found["rev"]) or ""]
        folder = f"{found['path']}/" if found["path"] else ""
        inside = {name: file for name, file in files.items() if name.startswith(folder)}
        if folder and not inside:
            return refusal(404, "EntryNotFound", "Entry not found")
        if "recursive=true" in self.path.lower():
            return as_json([_describe(name, file) for name, file in inside.items()])
        folders = {folder + name.removeprefix(folder).partition("/")[0]: name.removeprefix(folder) for name in inside}
        return as_json(
            [
                {"type": "directory", "path": name, "oid": "0" * 40} if "/" in rest else _describe(name, files[name])
                for name, rest in folders.items()
            ]
        )

    def _branch(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        if found["name"] in repository.refs:
            return as_json({"error": "Reference already exists"}, 409)
        repository.refs[found["name"]] = repository.refs["main"]
        return as_json({})

    def _tag(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        name = json.loads(body)["tag"]
        if name in repository.tags:
            return as_json({"error": "Reference already exists"}, 409)
        repository.tags[name] = repository.find(found["rev"]) or ""
        return as_json({})

    def _refs(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        def shown(kind: str, refs: dict[str, str]) -> list[dict[str, str]]:
            return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha} for name, sha in refs.items()]

        found_refs = {"branches": shown("heads", repository.refs), "tags": shown("tags", repository.tags)}
        return as_json({**found_refs, "converts": []})

    def _resolve(self, repository: Repository, found: dict[str, str], body: bytes, known: bool) -> Answer:
        hub, sha = self.server.hub, repository.find(found["rev"])
        budget: dict[str, str] = {}
        if hub.quota is not None:
            if hub.quota == 0:
                hub.quota = 1000  # the window is over once the client has waited for it
                return Answer(429, b"", {"RateLimit": f'"resolvers";r=0;t={hub.window_s}'})
            hub.quota -= 1
            budget = {"RateLimit": f'"resolvers";r={hub.quota};t={hub.window_s}'}
        if repository.gated and not known:
            return refusal(403, "GatedRepo", "Access to dataset is restricted: accept its conditions on its page")
        if sha is None:
            return refusal(404, "RevisionNotFound", "Invalid rev id")
        file = repository.commits[sha].get(found["path"])
        if file is None:
            return refusal(404, "EntryNotFound", "Entry not found")
        if not file.lfs:
            return self._bytes(file.data, budget | {"ETag": f'"{file.oid}"', "X-Repo-Commit": sha})
        hub.blobs[file.oid] = file.data
        ends = int(time.time()) + _LIFE_S
        return Answer(
            302,
            b"",
            budget
            | {
                "Location": f"http://localhost:{hub.port}/cdn/{file.oid}?Expires={ends}&Signature={hub.signature}",
                "X-Repo-Commit": sha,
                "X-Linked-Size": str(len(file.data)),
                "X-Linked-ETag": f'"{file.oid}"',
            },
        )


def _describe(path: str, file: File) -> dict[str, Any]:
    lfs = {"lfs": {"oid": file.oid, "size": len(file.data), "pointerSize": 134}} if file.lfs else {}
    return {"type": "file", "path": path, "size": len(file.data), "oid": file.oid, **lfs}


_API = rf"/api/datasets/{_ID}"
_ROUTES: list[tuple[str, Callable[..., Answer]]] = [
    (r"/api/repos/create", _Handler._create),
    (r"/api/validate-yaml", lambda *given: as_json({"errors": [], "warnings": []})),
    (rf"{_API}/preupload/(?P<rev>[^/]+)", _Handler._preupload),
    (rf"/datasets/{_ID}\.git/info/lfs/objects/batch", _Handler._batch),
    (rf"{_API}/commit/(?P<rev>[^/]+)", _Handler._commit),
    (rf"{_API}(?:/revision/(?P<rev>[^/]+))?", _Handler._info),
    (rf"{_API}/paths-info/(?P<rev>[^/]+)", _Handler._paths),
    (rf"{_API}/tree/(?P<rev>[^/]+)(?:/(?P<path>.+))?", _Handler._tree),
    (rf"{_API}/branch/(?P<name>[^/]+)", _Handler._branch),
    (rf"{_API}/refs", _Handler._refs),
    (rf"{_API}/tag/(?P<rev>[^/]+)", _Handler._tag),
    (rf"/datasets/{_ID}/resolve/(?P<rev>[^/]+)/(?P<path>.+)", _Handler._resolve),
]
