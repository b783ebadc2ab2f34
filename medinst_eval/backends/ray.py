"""Replicas of an engine on a Ray cluster: pending requests as a dataset over a pool of actors.

Ray Data feeds small blocks of requests to the replicas and hands each block back when it is
finished, in any order. A replica that dies is started again where there is room. What was on it
is not repeated by Ray, which would wait for ever where there is no room left, but asked again
here, by id, once the others are through.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medinst_eval import backends
from medinst_eval.backends.base import BackendOptions, Tokenizer
from medinst_eval.backends.ray_cluster import (
    Keeper,
    configure,
    first_line,
    import_ray,
    quiet_logs,
    restart_elsewhere,
)
from medinst_eval.backends.ray_replica import Replica, pack_request, unpack_generation
from medinst_eval.errors import BackendError, InputError
from medinst_eval.types import Generation, Request, Sample

TRIES = 3
"""Replicas that may be lost under a request until it counts as failed."""
FROM_DATA = ("vllm", "transformers")
"""Engines that answer from the prompt alone: the samples need not be sent to their replicas."""
ROOM_SECONDS = 20.0
"""How long a cluster may take until it has room for one replica."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Feeding:
    """How requests are given to a replica."""

    fewest: int
    most: int
    """Requests per block. A block comes back whole, so it is also what a lost replica costs."""
    blocks: int
    """Blocks per replica to aim at, so that all replicas end together."""
    window: int = 0
    """Requests in flight in an engine that takes calls side by side; 0: one block at a time."""

    def block(self, requests: int, replicas: int) -> int:
        """Requests per block."""
        return max(self.fewest, min(self.most, requests // (replicas * self.blocks)))

    def calls(self, block: int) -> int:
        """Blocks that a replica works on at a time."""
        return max(1, math.ceil(self.window / block))


def feeding(inner: str, options: BackendOptions) -> Feeding:
    """How an engine is fed: vLLM by many small blocks at once, transformers by whole batches."""
    if inner == "vllm":
        window = 512 * options.data_parallel_size
        return Feeding(fewest=4, most=16, blocks=64, window=window)
    if inner == "transformers":
        return Feeding(fewest=1, most=64, blocks=4)
    return Feeding(fewest=1, most=16, blocks=16)


def create(options: BackendOptions, samples: Sequence[Sample] = ()) -> RayBackend:
    """Make the backend around the engine `options.inner`; nothing is connected to yet."""
    return RayBackend(options, samples)


class RayBackend:
    """`replicas` copies of another backend on a Ray cluster; see `Backend` for the life of it.

    `ray_address` is a cluster's address (`auto`: the one this machine belongs to), or `local` for
    one on this machine that ends with the run.
    """

    name = "ray"

    def __init__(self, options: BackendOptions, samples: Sequence[Sample] = ()) -> None:
        if options.ray_address is None:
            raise InputError("backend ray needs a cluster: give --ray ADDRESS, or --ray local")
        if options.replicas < 1:
            raise InputError(f"--replicas must be at least 1, not {options.replicas}")
        inner = backends.choose()[0] if options.inner == "auto" else options.inner
        if inner in ("ray", "openai"):
            raise InputError(
                f"--ray needs an engine to copy, and {inner} is none: use --backend vllm or "
                "transformers (several servers: repeat --base-url)"
            )
        self.inner = inner
        self.options = options
        self.answered: Counter[str] = Counter()
        """Requests answered so far by each node, by its Ray id."""
        self.asked_again = 0
        """Requests asked again because their replica was lost."""
        self._engine = replace(options, replicas=1, ray_address=None, inner="auto")
        self._samples = () if inner in FROM_DATA else tuple(samples)
        # Describes the engine: tokenizer, context length, version; it is never started.
        self._described = backends.create(inner, self._engine, samples)
        self._seen_engine: dict[str, Any] = {}
        self._started = False
        self._keeper: Keeper | None = None

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The inner backend's tokenizer."""
        return self._described.tokenizer

    @property
    def max_model_len(self) -> int | None:
        """The inner backend's context length."""
        return self._described.max_model_len

    def start(self) -> None:
        """Connect to the cluster; the replicas load with the first requests.

        Raises:
            BackendError: Ray is not installed, the cluster cannot be reached, or has no room for
                a single replica.
        """
        if self._started:
            return
        ray = import_ray()
        if not ray.is_initialized():
            self._keeper = Keeper(ray, self.options.ray_address or "local")
            self._keeper.connect()
        self._started = True
        self._wait_for_room(ray)

    def _wait_for_room(self, ray: Any) -> None:
        needed = self._resources(ray)
        until = time.monotonic() + ROOM_SECONDS
        while True:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            if any(all(has.get(r, 0) >= n for r, n in needed.items()) for has in nodes):
                return
            if time.monotonic() > until:
                wanted = " and ".join(f"{n:g} {r}" for r, n in needed.items())
                raise BackendError(
                    f"no node of the Ray cluster has {wanted} for one replica; start Ray on a "
                    "node that has, or lower --tensor-parallel-size"
                )
            time.sleep(0.5)

    def _resources(self, ray: Any) -> dict[str, float]:
        """What one replica takes: GPUs where the cluster has any and the engine uses them."""
        gpus = self.options.tensor_parallel_size * self.options.data_parallel_size
        if self.inner != "baseline" and ray.cluster_resources().get("GPU", 0) >= 1:
            return {"CPU": 1, "GPU": gpus}
        return {"CPU": 1}

    def generate(self, requests: Sequence[Request]) -> Generator[Generation, None, None]:
        """Answer the requests on all replicas; `Backend.generate` tells the rest.

        Raises:
            BackendError: An engine failed on a replica, or the cluster is gone.
        """
        self.start()
        ray = import_ray()
        waiting = {request.id: request for request in requests}
        samples = ray.put(self._samples)
        for attempt in range(TRIES):
            if attempt:
                self.asked_again += len(waiting)
                _LOG.warning("%d requests were lost with their replica; asking again", len(waiting))
            with quiet_logs():
                yield from self._round(ray, waiting, samples)
            if not waiting:
                return
        for request in waiting.values():
            yield Generation(
                id=request.id,
                finish_reason="error",
                error=f"{TRIES} replicas were lost while they had this request; "
                "see Ray's logs for why, e.g. memory",
            )

    def _round(
        self, ray: Any, waiting: dict[str, Request], samples: Any
    ) -> Generator[Generation, None, None]:
        """Ask what is waiting once; a request leaves `waiting` when it is answered."""
        try:
            with contextlib.closing(self._stream(ray, list(waiting.values()), samples)) as rows:
                for row in rows:
                    if row["fault"]:
                        raise BackendError(
                            f"{self.inner} failed on Ray node {row['node'][:12]}: {row['fault']}"
                        )
                    if row["engine"]:
                        self._seen_engine = json.loads(row["engine"]) or self._seen_engine
                    if not row["generation"]:
                        continue
                    generation = unpack_generation(row["generation"])
                    # A block that Ray saw twice is yielded once.
                    if waiting.pop(generation.id, None) is not None:
                        self.answered[row["node"]] += 1
                        yield generation
        except ray.exceptions.RayError as error:
            if not ray.is_initialized():
                raise BackendError(
                    f"the Ray cluster is gone ({first_line(error)}); "
                    "run the same command again: finished samples are kept"
                ) from error
            # Results that were on a lost node, or a node lost while its engine was loading.
            _LOG.warning("Ray: %s", first_line(error))

    def _stream(
        self, ray: Any, requests: Sequence[Request], samples: Any
    ) -> Generator[Any, None, None]:
        """Rows of the replicas' answers as their blocks finish."""
        replicas = self.options.replicas
        plan = feeding(self.inner, self.options)
        block = plan.block(len(requests), replicas)
        calls = plan.calls(block)
        resources = self._resources(ray)
        dataset = ray.data.from_items(
            [{"request": pack_request(request)} for request in requests],
            override_num_blocks=math.ceil(len(requests) / block),
        )
        configure(dataset.context, replicas)
        answers = dataset.map_batches(
            Replica,
            fn_constructor_args=(self.inner, self._engine, samples),
            batch_size=None,
            batch_format="numpy",
            zero_copy_batch=True,
            compute=ray.data.ActorPoolStrategy(
                # All at once where there is room; those without wait for a node that joins.
                min_size=1,
                initial_size=replicas,
                max_size=replicas,
                max_tasks_in_flight_per_actor=2 * calls,
                max_concurrent_calls_per_actor=calls,
                enable_true_multi_threading=calls > 1,
            ),
            num_cpus=resources["CPU"],
            num_gpus=resources.get("GPU", 0),
            **restart_elsewhere(),
        )
        yield from answers.iter_rows()

    def describe(self) -> dict[str, Any]:
        """The inner backend's description; after the run also what the replicas made of it."""
        inner = self._described.describe()
        described = {
            "name": self.name,
            "version": inner.get("version"),
            "arguments": {
                **inner.get("arguments", {}),
                "inner": self.inner,
                "replicas": self.options.replicas,
            },
        }
        if self._seen_engine or self.answered:
            described["engine"] = {**self._seen_engine, "nodes": len(self.answered)}
        return described

    def close(self) -> None:
        """Leave the cluster, or end the one that was started here; safe at any time, and twice."""
        self._described.close()
        if self._keeper is not None:
            self._keeper.leave()
            self._keeper = None
        self._started = False
