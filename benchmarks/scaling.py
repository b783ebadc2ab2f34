"""What Ray costs: 1, 2 and 4 replicas of an engine whose time per request is fixed.

    python benchmarks/scaling.py [--rows 2000] [--delay-ms 40] [--replicas 1 2 4]

A local cluster with one node per replica answers real-sized requests; the engine only sleeps, so
that the figures hold on any number of cores. Efficiency is the ideal time (rows x delay /
replicas) over the time from the first block to the last answer. Then: what a request
weighs on its way and what the driver and the store spend on it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path

from medinst_eval.backends.base import BackendOptions
from medinst_eval.backends.ray import RayBackend, feeding
from medinst_eval.backends.ray_replica import pack_generation, pack_request
from medinst_eval.store.lines import encode_prediction
from medinst_eval.types import Generation, Message, Prediction, Prompt, Request, Sample


def make(rows: int) -> tuple[list[Sample], list[Request]]:
    """Samples and requests with prompts of about 500 tokens that differ from one another."""
    samples, requests = [], []
    for n in range(rows):
        text = " ".join(f"word{(n * 7919 + i * 104729) % 30011}" for i in range(300))
        gold = text[:200]
        samples.append(
            Sample(task="T", id=f"T/{n}", key="0" * 64, instruction="", input=text, gold=gold)
        )
        prompt = Prompt(
            messages=(Message(role="user", content=text),),
            text=text,
            token_ids=tuple((n * 7919 + i * 104729) % 128_000 for i in range(500)),
            sha="0" * 64,
        )
        requests.append(Request(id=f"T/{n}", task="T", prompt=prompt, max_tokens=64))
    return samples, requests


def measure(
    address: str, samples: list[Sample], requests: list[Request], delay_ms: float, replicas: int
) -> tuple[float, float, float, float]:
    """Seconds to the first answer, from there to the last, the driver's share, efficiency."""
    options = BackendOptions(
        model="gold",
        inner="baseline",
        ray_address=address,
        replicas=replicas,
        engine_args={"delay_ms": delay_ms},
    )
    with contextlib.closing(RayBackend(options, samples)) as backend:
        backend.start()
        began, driver = time.perf_counter(), time.process_time()
        first = 0.0
        done = 0
        for _ in backend.generate(requests):
            first = first or time.perf_counter()
            done += 1
        ended = time.perf_counter()
        driver = time.process_time() - driver
    if done != len(requests):
        raise SystemExit(f"{done} of {len(requests)} answered")
    # The first block was worked on before its first answer came.
    block = feeding("baseline", options).block(len(requests), replicas)
    spent = ended - first + block * delay_ms / 1000
    ideal = len(requests) * delay_ms / 1000 / replicas
    return first - began, spent, driver, ideal / spent


def weigh(requests: list[Request]) -> None:
    """Print bytes and seconds per request on the way out, back, and into the store."""
    started = time.perf_counter()
    out = [pack_request(request) for request in requests]
    packing = time.perf_counter() - started
    answers = [Generation(id=r.id, output="word " * 60, prompt_tokens=500) for r in requests]
    back = [pack_generation(answer) for answer in answers]
    started = time.perf_counter()
    stored = 0
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "p").open("ab", 0) as file:
        for answer in answers:
            line = encode_prediction(
                Prediction(
                    task="T", id=answer.id, key="0" * 64, prompt_sha="0" * 64,
                    output=answer.output, reasoning=None, finish_reason="stop",
                    prompt_tokens=500, output_tokens=60,
                )
            ).encode()  # fmt: skip
            file.write(line)
            stored += len(line)
    storing = time.perf_counter() - started
    n = len(requests)
    print(f"request   {sum(map(len, out)) / n:8,.0f} bytes {packing / n * 1e6:8,.0f} us to pack")
    print(f"answer    {sum(map(len, back)) / n:8,.0f} bytes")
    print(f"store     {stored / n:8,.0f} bytes {storing / n * 1e6:8,.0f} us to write")


def main() -> None:
    """Print efficiency by replicas, then the weight of a request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--delay-ms", type=float, default=40.0)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    samples, requests = make(arguments.rows)
    weigh(requests)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        nodes = 0
        for replicas in sorted(arguments.replicas):
            for _ in range(replicas - nodes):
                cluster.add_node(num_cpus=1)
            nodes = replicas
            first, spent, driver, share = measure(
                cluster.address, samples, requests, arguments.delay_ms, replicas
            )
            print(
                f"{replicas} replicas: first answer {first:5.1f} s, all in {spent:6.1f} s, "
                f"efficiency {share:6.1%}, driver {driver / len(requests) * 1e6:5.0f} us/request",
                flush=True,
            )
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
