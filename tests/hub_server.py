"""A small server on 127.0.0.1 that speaks enough of the Hub's API for real clients.

Serves data sets and models from folders: repository information, trees, path information and
files with the headers that `huggingface_hub` and `datasets` rely on. Point a *subprocess* at it
(`HF_ENDPOINT` is read when `huggingface_hub` is imported):

    with HubServer() as hub:
        hub.add("datasets", "aialt/MedINST32", folder)
        subprocess.run([...], env=hub.env(home=tmp_path))
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

MAIN = "main"


@dataclass
class Repo:
    """A repository: commits (newest last), each a folder, and branches or tags."""

    commits: dict[str, Path] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> str | None:
        """Commit of a branch, tag or (abbreviated) commit."""
        if revision in self.refs:
            return self.refs[revision]
        return next((sha for sha in self.commits if sha.startswith(revision)), None)

    def files(self, commit: str) -> dict[str, Path]:
        """Path inside the repository -> file."""
        folder = self.commits[commit]
        return {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


class HubServer:
    """Serves repositories until the `with` block ends."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.requests: list[str] = []
        """Method and path of every request, in order."""
        self.connections: list[socket.socket] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Endpoint, for `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def env(self, home: Path, **extra: str) -> dict[str, str]:
        """Environment of a client that knows this Hub only and caches under `home`."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_"))}
        return {
            **kept,
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            **extra,
        }

    def add(self, kind: str, name: str, folder: Path, *refs: str) -> str:
        """Commit a folder to a repository and point refs (default: main) at it.

        Args:
            kind: `datasets` or `models`.
            name: `owner/name`.
            folder: Content of the commit.
            refs: Branches and tags.

        Returns:
            The commit.
        """
        repo = self.repos.setdefault((kind, name), Repo())
        commit = hashlib.sha1(f"{name}/{len(repo.commits)}".encode()).hexdigest()
        repo.commits[commit] = folder
        repo.refs.update(dict.fromkeys(refs or (MAIN,), commit))
        return commit

    def close(self) -> None:
        """Stop answering, on kept-alive connections too."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # closed by the client before
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self.close()


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _entry(name: str, path: Path) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": path.stat().st_size, "oid": _etag(path)}


def _tree(files: dict[str, Path], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Entries under a folder as the Hub lists them, directories included."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for name, path in files.items():
        if not name.startswith(prefix):
            continue
        parts = name.removeprefix(prefix).split("/")
        for depth in range(1, len(parts)):
            inner = prefix + "/".join(parts[:depth])
            if depth == 1 or recursive:
                oid = hashlib.sha1(inner.encode()).hexdigest()
                entries[inner] = {"type": "directory", "path": inner, "size": 0, "oid": oid}
        if len(parts) == 1 or recursive:
            entries[name] = _entry(name, path)
    return list(entries.values())


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            hub.connections.append(self.connection)

        def log_message(self, *args: Any) -> None:
            """Keep the test's output clean."""

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_POST(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            url = urlsplit(self.path)
            parts = [unquote(part) for part in url.path.strip("/").split("/")]
            hub.requests.append(f"{self.command} {url.path}")
            if parts[0] == "api" and len(parts) >= 4:
                self._api(parts[1], f"{parts[2]}/{parts[3]}", parts[4:], url.query, sent)
            elif parts[0] == "datasets" and len(parts) >= 6:
                self._file("datasets", f"{parts[1]}/{parts[2]}", parts[3:], body=body)
            elif len(parts) >= 5:
                self._file("models", f"{parts[0]}/{parts[1]}", parts[2:], body=body)
            else:
                self._error(404, None, f"no route {url.path}")

        def _api(self, kind: str, name: str, rest: list[str], query: str, sent: bytes) -> None:
            repo = hub.repos.get((kind, name))
            if repo is None:
                return self._error(401, "RepoNotFound", "Repository not found")
            verb = rest[0] if rest else "revision"
            revision = rest[1] if len(rest) > 1 else MAIN
            commit = repo.resolve(revision)
            if commit is None:
                return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            files = repo.files(commit)
            if verb == "tree":
                recursive = parse_qs(query).get("recursive", [""])[0].lower() == "true"
                return self._json(_tree(files, "/".join(rest[2:]), recursive=recursive))
            if verb == "paths-info":
                text = sent.decode()
                wanted = (
                    json.loads(text)["paths"] if text.startswith("{") else parse_qs(text)["paths"]
                )
                every = {e["path"]: e for e in _tree(files, "", recursive=True)}
                return self._json([every[path] for path in wanted if path in every])
            if verb == "refs":
                refs = [
                    {"name": ref, "ref": f"refs/heads/{ref}", "targetCommit": sha}
                    for ref, sha in repo.refs.items()
                ]
                return self._json({"branches": refs, "tags": [], "converts": []})
            if verb != "revision":
                return self._error(404, None, f"no route {verb}")
            return self._json(
                {
                    "_id": "1",
                    "id": name,
                    "sha": commit,
                    "private": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                    "siblings": [{"rfilename": file} for file in files],
                }
            )

        def _file(self, kind: str, name: str, rest: list[str], *, body: bool) -> None:
            repo = hub.repos.get((kind, name))
            if repo is None:
                return self._error(401, "RepoNotFound", "Repository not found")
            if rest[0] != "resolve":
                return self._error(404, None, f"no route {rest[0]}")
            commit = repo.resolve(rest[1])
            if commit is None:
                return self._error(404, "RevisionNotFound", f"Invalid rev id: {rest[1]}")
            path = repo.files(commit).get("/".join(rest[2:]))
            if path is None:
                return self._error(404, "EntryNotFound", "Entry not found", commit=commit)
            headers = {"ETag": f'"{_etag(path)}"', "X-Repo-Commit": commit}
            return self._send(200, path.read_bytes(), headers, body=body)

        def _json(self, value: Any) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _error(
            self, status: int, code: str | None, message: str, *, commit: str | None = None
        ) -> None:
            headers = {"X-Error-Message": message}
            if code:
                headers["X-Error-Code"] = code
            if commit:
                headers["X-Repo-Commit"] = commit
            body = json.dumps({"error": message}).encode()
            self._send(status, body, headers, body=self.command != "HEAD")

        def _send(
            self, status: int, content: bytes, headers: dict[str, str], *, body: bool = True
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

    return Handler
