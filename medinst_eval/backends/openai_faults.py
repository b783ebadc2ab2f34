"""What can go wrong between here and a server, and what each kind means for a request."""

from __future__ import annotations

import json
import math
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote

TroubleKind = Literal["retry", "unreachable", "refused", "fatal"]

_TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum (context|model|input|prompt)|max_model_len|n_ctx"
    r"|(prompt|input|request|message)s? (is|are)? ?too (long|large)|too many (input )?tokens",
    re.IGNORECASE,
)
_WAITED_FOR = frozenset({408, 409, 425, 429})
"""Client errors that pass: timeout, conflict, too early, too many requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why an attempt gave no answer, and whether another may.

    `retry`: try again. `unreachable`: no connection, so the server is down, not the request
    wrong. `refused`: this request will never be answered. `fatal`: no request will.
    """

    kind: TroubleKind
    message: str
    status: int | None = None
    wait_s: float | None = None
    """How long the server asks to wait (`Retry-After`), in seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Secret:
    """An API key that cannot be printed by accident."""

    value: str
    given: bool
    """False for the dummy that local servers get."""

    def __repr__(self) -> str:
        return "Secret(***)"

    def is_in(self, text: str) -> bool:
        """Whether text holds the key itself."""
        return self.given and self.value in text

    def redact(self, text: str) -> str:
        """Remove the key, and what looks like one, from text that a server sent."""
        if self.given:
            for shape in (self.value, quote(self.value, safe=""), json.dumps(self.value)[1:-1]):
                text = text.replace(shape, "***")
        text = re.sub(r"\bsk-[\w*.-]{4,}", "***", text)
        return re.sub(r"(?i)\bbearer\s+[^\s\"',]+", "Bearer ***", text)


def trouble_in_body(error: dict[str, Any] | str, secret: Secret) -> Trouble:
    """An error object sent with status 200, as some routers do."""
    code = error.get("code") if isinstance(error, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    status = int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdigit()) else 0
    said = excerpt(str(message), secret)
    if 400 <= status < 500 and status not in _WAITED_FOR:
        return Trouble(kind="refused", message=f"the server says: {said}", status=status)
    return Trouble(kind="retry", message=f"the server says: {said}")


def broken(raw: bytes, why: str) -> Trouble:
    page = raw.lstrip()[:1] == b"<"
    what = "a web page (a proxy's?) instead of an answer" if page else f"a body that {why}"
    return Trouble(kind="retry", message=f"the server sent {what}")


def trouble_of_status(
    status: int, headers: Mapping[str, str], body: str, secret: Secret
) -> Trouble:
    """What an error status means for the request."""
    code, said = _error_text(body, secret)
    message = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if status == 429 and code == "insufficient_quota":
        return Trouble(kind="refused", message=message, status=status)
    if status in _WAITED_FOR or status >= 500:
        return Trouble(
            kind="retry",
            message=message,
            status=status,
            wait_s=retry_after(headers.get("retry-after"), now=_clock_of(headers)),
        )
    if status in (400, 413, 422) and (_TOO_LONG.search(said) or "context" in code or status == 413):
        message = (
            f"the prompt does not fit the server's context ({message}); lower --max-tokens or "
            "--shots, or give --engine-arg tokenizer=PATH so that prompts are cut to fit"
        )
    elif status == 400 and "chat template" in said.lower():
        message = f"{message}; the model has no chat template: use --layout plain"
        return Trouble(kind="fatal", message=message, status=status)
    elif status < 400:
        return Trouble(kind="retry", message=f"{message} (a redirection instead of an answer)")
    return Trouble(kind="refused", message=message, status=status)


def _error_text(body: str, secret: Secret) -> tuple[str, str]:
    """Code and message of an error body, in the layouts servers use."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return "", "a web page" if body.lstrip().startswith("<") else excerpt(body, secret)
    if not isinstance(parsed, dict):
        return "", excerpt(body, secret)
    error = parsed.get("error", parsed)
    if not isinstance(error, dict):
        return "", excerpt(str(error), secret)
    message = error.get("message") or error.get("detail") or body
    return str(error.get("code") or error.get("type") or ""), excerpt(str(message), secret)


def excerpt(text: str, secret: Secret, limit: int = 300) -> str:
    """One printable line of what a server said, without the key."""
    line = " ".join(secret.redact(text).split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds to wait by a `Retry-After` header: a number or an HTTP date; None if unreadable."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except ValueError:
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _clock_of(headers: Mapping[str, str]) -> float:
    """The server's own time, by which its dates are meant; ours may be off by any amount."""
    try:
        return parsedate_to_datetime(headers.get("date") or "").timestamp()
    except ValueError:
        return time.time()


def trouble_of_connection(error: BaseException, url: str, secret: Secret) -> Trouble:
    """What a failed connection means; the cause is told apart by the chain of exceptions."""
    names = set()
    for cause in causes(error):
        names.add(type(cause).__name__)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Trouble(kind="fatal", message=_certificate(url, cause.verify_message))
        if isinstance(cause, ssl.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return Trouble(kind="fatal", message=_certificate(url, "verification failed"))
        if isinstance(cause, ssl.SSLError) and "WRONG_VERSION_NUMBER" in str(cause):
            return Trouble(
                kind="fatal", message=f"{url} does not speak TLS; write http:// in --base-url"
            )
    reason = excerpt(str(list(causes(error))[-1]) or type(error).__name__, secret)
    if names & {"ConnectError", "ConnectTimeout"}:
        return Trouble(kind="unreachable", message=f"cannot connect to {url} ({reason})")
    return Trouble(kind="retry", message=f"the connection to {url} broke ({reason})")


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came from, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _certificate(url: str, why: str) -> str:
    return (
        f"the certificate of {url} is not trusted ({why}); name its authority with "
        "SSL_CERT_FILE=/path/to/ca.pem, or use the host name the certificate was made for"
    )
