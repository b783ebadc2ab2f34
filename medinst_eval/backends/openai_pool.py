"""Several servers as one: who gets the next request, who is rested, when all are gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medinst_eval.backends.openai_faults import Trouble
from medinst_eval.errors import BackendError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MAX_DOWN_S = 10.0
"""A server that cannot be reached is tried again at least this often."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Waiting times in seconds, and counts."""

    base_s: float = 0.5
    """Longest wait before the first retry; doubles with each further one."""
    cap_s: float = 30.0
    """No wait of our own grows beyond this."""
    rest_after: int = 3
    """Failures in a row after which a server is rested."""
    outage_s: float = 300.0
    """How long no server may be reachable before the run stops."""
    connect_s: float = 10.0

    def delay(self, tries: int) -> float:
        """Exponential backoff with jitter: a random time up to base x 2^(tries-1), at most cap."""
        longest = min(self.cap_s, self.base_s * 2.0 ** min(tries - 1, 30))
        return longest * random.uniform(0.5, 1.0)


@dataclass(kw_only=True, eq=False)
class Server:
    """One base URL and how it fares."""

    url: str
    client: AsyncOpenAI
    in_flight: int = 0
    streak: int = 0
    """Failures since the last answer."""
    unreachable: bool = False
    rest_until: float = 0.0
    """Rested for failing, by the loop's clock; used before its time where no other is left."""
    pause_until: float = 0.0
    """Asked us to wait until then (`Retry-After`), or is down; not used before."""
    top_logprobs: int = 20
    lists_tokens: bool = False
    """A vLLM server, which gives log-probabilities of named tokens."""


class Pool:
    """Chooses a server for each request. Lives on one event loop; no locks needed."""

    def __init__(self, servers: Sequence[Server], patience: Patience) -> None:
        self.servers = tuple(servers)
        self.patience = patience
        self.answered = False
        """Whether any request has had an answer yet."""
        self._contact = asyncio.get_running_loop().time()

    def begin(self) -> None:
        """Count outages from now."""
        self._contact = self._now()

    async def acquire(self, avoid: Server | None = None) -> Server:
        """Wait for a server that may be used, and book a request on it.

        Args:
            avoid: The server that has just failed this request; taken only if no other is left.

        Raises:
            BackendError: No server has been reachable for `outage_s`.
        """
        while True:
            server = self._choose(avoid)
            if server is not None:
                server.in_flight += 1
                return server
            now = self._now()
            down = all(one.unreachable for one in self.servers)
            if down and now - self._contact > self.patience.outage_s:
                urls = ", ".join(one.url for one in self.servers)
                raise BackendError(
                    f"no server has been reachable for {self.patience.outage_s:g} s ({urls}); "
                    "what is finished is kept: start a server and run the same command again"
                )
            soonest = min(one.pause_until for one in self.servers) - now
            # The jitter keeps the waiting requests from all coming back in the same instant.
            wait = min(max(soonest, 0.0), 1.0) + random.uniform(0.0, self.patience.base_s / 4)
            await asyncio.sleep(max(wait, 0.005))

    def _choose(self, avoid: Server | None) -> Server | None:
        now = self._now()
        usable = [
            one
            for one in self.servers
            # One request at a time finds out whether a server that was down is back.
            if one.pause_until <= now and not (one.unreachable and one.in_flight)
        ]
        rested = [
            one
            for one in usable
            if one.rest_until <= now
            and not (one.streak >= self.patience.rest_after and one.in_flight)
        ]
        return min(rested or usable, key=lambda one: (one is avoid, one.in_flight), default=None)

    def succeeded(self, server: Server) -> None:
        """Note an answer, of whatever kind."""
        server.streak = 0
        server.unreachable = False
        self._contact = self._now()

    def failed(self, server: Server, trouble: Trouble) -> None:
        """Note a failure: rest a server that keeps failing, longer each time.

        Requests that fail together (a crash takes all in flight) count as one failure.
        """
        now = self._now()
        down = trouble.kind == "unreachable"
        if not down:
            self._contact = now
            if trouble.wait_s is not None:
                server.pause_until = max(server.pause_until, now + trouble.wait_s)
        if now < (server.pause_until if down and server.unreachable else server.rest_until):
            return
        server.streak += 1
        server.unreachable = down
        if down:
            server.pause_until = now + min(self.patience.delay(server.streak), MAX_DOWN_S)
        elif server.streak >= self.patience.rest_after:
            times = server.streak - self.patience.rest_after
            server.rest_until = now + self.patience.delay(times + 2)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
