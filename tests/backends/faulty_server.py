"""A local server that speaks the OpenAI dialect and misbehaves on demand.

Each request that asks for an answer is first shown to `fault`, a function from the request to
what should go wrong with it (None: nothing). Answers are a function of the prompt, so that a test
can tell whether every output belongs to its own request.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

HTML = "<!doctype html><html><body><h1>502 Bad Gateway</h1>A proxy's page</body></html>"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with one request; the fields combine."""

    status: int = 200
    body: str | None = None
    """Sent instead of an answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Silence before the response."""
    reset: bool = False
    """The connection is reset without a response."""
    cut: bool = False
    """The connection is closed in the middle of the body."""
    drip_s: float = 0.0
    """Time between single bytes of the body."""
    change: Callable[[dict[str, Any]], object] | None = None
    """The answer's body -> the body that is sent."""


def status(code: int, message: str = "no", **headers: str) -> Fault:
    """An error status with an OpenAI-like body; header names with `_` for `-`."""
    body = json.dumps({"error": {"message": message, "type": "error", "code": code}})
    return Fault(
        status=code, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def page(code: int = 200) -> Fault:
    """A proxy's HTML page."""
    return Fault(status=code, body=HTML, headers={"Content-Type": "text/html"})


def broken_json() -> Fault:
    """Half a JSON body."""
    return Fault(body='{"id": "x", "choices": [{"index": 0, "message": {"role": "assi')


def hang(seconds: float) -> Fault:
    """No answer for so long."""
    return Fault(delay_s=seconds)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request for an answer, as the server saw it."""

    number: int
    path: str
    prompt: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    """Names in lower case."""
    at: float


Faults = Callable[[Call], Fault | None]
Answer = Callable[[Call], str]


def no_faults(call: Call) -> Fault | None:
    """Everything goes well."""
    del call
    return None


def echo(call: Call) -> str:
    """An answer that names its prompt."""
    return answer_to(call.prompt)


def answer_to(prompt: str) -> str:
    """What `echo` answers to a prompt."""
    return "answer " + hashlib.sha256(prompt.encode()).hexdigest()[:12]


def seeded(seed: int, share: float, faults: Sequence[Fault]) -> Faults:
    """Each request fails with a probability; which fault is drawn too."""
    draw = random.Random(seed)
    lock = threading.Lock()

    def fault(call: Call) -> Fault | None:
        del call
        with lock:
            return draw.choice(faults) if draw.random() < share else None

    return fault


def always(fault: Fault | None) -> Faults:
    """Every request meets the same fault."""
    return lambda _: fault


def first(count: int, fault: Fault) -> Faults:
    """The first requests fail, later ones do not."""
    return lambda call: fault if call.number < count else None


def logprob_table(
    tokens: Mapping[str, float],
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Adds log-probabilities of the first token to an answer, in its endpoint's layout."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        choice = body["choices"][0]
        if "message" in choice:
            top = [{"token": token, "logprob": value} for token, value in tokens.items()]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        else:
            choice["logprobs"] = {"tokens": list(tokens)[:1], "top_logprobs": [dict(tokens)]}
        return body

    return change


@dataclass(kw_only=True)
class FaultyServer:
    """A server on 127.0.0.1; use as a context manager, or `start` and `stop` it at will."""

    models: Sequence[Mapping[str, Any]] | None = ({"id": "m"},)
    """Entries of `/v1/models`; None: the server has no such page."""
    models_fault: Fault | None = None
    fault: Faults = no_faults
    answer: Answer = echo
    key: str | None = None
    """The only API key accepted."""
    accepts: frozenset[str] | None = None
    """Model names that are answered; None: all."""
    tls: ssl.SSLContext | None = None
    latency_s: float = 0.0
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    """Prompt -> number of good answers sent."""
    in_flight: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """The base URL that clients are given."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/v1"

    def start(self) -> Self:
        """Listen; after a stop on the same port again."""
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = _Http(("127.0.0.1", self.port), handler)
        self._http.tls = self.tls
        self.port = self._http.server_address[1]
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def stop(self) -> None:
        """Die: stop listening and break all open connections."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None
        with self._lock:
            sockets = list(self._open)
        for one in sockets:
            _reset(one)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The handshake belongs to the connection's thread: it may fail or stall.
        if self.tls is not None:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are this server's business; say nothing."""


def _reset(connection: socket.socket) -> None:
    """Close with RST, as a crashed process does."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        pass
    connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultyServer

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.owner._lock:
            self.owner._open.add(self.connection)

    def finish(self) -> None:
        with self.owner._lock:
            self.owner._open.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def do_GET(self) -> None:
        if self.path != "/v1/models" or self.owner.models is None:
            self._send(status(404, "no such page"))
        elif self.owner.models_fault is not None:
            self._send(self.owner.models_fault)
        elif not self._key_is_good():
            self._send(self._wrong_key())
        else:
            data = [{"object": "model", **entry} for entry in self.owner.models]
            self._send(Fault(body=json.dumps({"object": "list", "data": data})))

    def do_POST(self) -> None:
        owner = self.owner
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            self._send(status(404, "no such page"))
            return
        chat = self.path.endswith("chat/completions")
        prompt = body["messages"][-1]["content"] if chat else body["prompt"]
        with owner._lock:
            call = Call(
                number=len(owner.calls),
                path=self.path,
                prompt=prompt,
                body=body,
                headers={name.lower(): value for name, value in self.headers.items()},
                at=time.monotonic(),
            )
            owner.calls.append(call)
            owner.in_flight += 1
            owner.peak = max(owner.peak, owner.in_flight)
        try:
            self._respond(call, chat=chat)
        finally:
            with owner._lock:
                owner.in_flight -= 1

    def _respond(self, call: Call, *, chat: bool) -> None:
        owner = self.owner
        if not self._key_is_good():
            self._send(self._wrong_key())
            return
        if owner.accepts is not None and call.body["model"] not in owner.accepts:
            self._send(status(404, f"The model `{call.body['model']}` does not exist."))
            return
        fault = owner.fault(call) or Fault()
        time.sleep(owner.latency_s)
        text = owner.answer(call)
        part: dict[str, Any] = (
            {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        )
        answer: dict[str, Any] = {
            "id": "x",
            "model": call.body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", **part}],
            "usage": {"prompt_tokens": len(call.prompt), "completion_tokens": len(text)},
        }
        changed = answer if fault.change is None else fault.change(answer)
        good = fault.status == 200 and fault.body is None and not fault.reset and not fault.cut
        if good and fault.change is None:
            with owner._lock:
                owner.answered[call.prompt] += 1
        self._send(fault, default=json.dumps(changed))

    def _key_is_good(self) -> bool:
        key = self.owner.key
        return key is None or self.headers.get("Authorization") == f"Bearer {key}"

    def _wrong_key(self) -> Fault:
        sent = self.headers.get("Authorization", "")
        # A server that repeats what it was sent, as some do.
        return status(401, f"Incorrect API key provided: {sent.removeprefix('Bearer ')}.")

    def _send(self, fault: Fault, default: str = "{}") -> None:
        time.sleep(fault.delay_s)
        if fault.reset:
            self.close_connection = True
            _reset(self.connection)
            return
        raw = (default if fault.body is None else fault.body).encode("utf-8", "surrogatepass")
        self.send_response(fault.status)
        headers = {"Content-Type": "application/json", **fault.headers}
        for name, value in {**headers, "Content-Length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        if fault.cut:
            self.wfile.write(raw[: len(raw) // 2])
            self.wfile.flush()
            self.close_connection = True
        elif fault.drip_s:
            for byte in raw:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(fault.drip_s)
        else:
            self.wfile.write(raw)
