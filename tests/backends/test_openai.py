"""The `openai` backend against a real local server that misbehaves on demand."""

from __future__ import annotations

import json
import logging
import math
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from faulty_server import (
    HTML,
    Call,
    Fault,
    FaultyServer,
    always,
    answer_to,
    broken_json,
    first,
    hang,
    logprob_table,
    page,
    seeded,
    status,
)

from medinst_eval.backends.base import FLOOR_LOGPROB, BackendOptions, Sampling
from medinst_eval.backends.openai import OpenAIBackend
from medinst_eval.backends.openai_choices import choice_logprobs
from medinst_eval.backends.openai_faults import Secret, retry_after, trouble_of_status
from medinst_eval.backends.openai_pool import Patience
from medinst_eval.errors import BackendError, InputError
from medinst_eval.types import Generation, Message, Prompt, Request

FAST = Patience(base_s=0.01, cap_s=0.05, outage_s=5.0, connect_s=1.0)
KEY = "sk-very-secret-0123456789/+abc"


@pytest.fixture(autouse=True)
def _no_key_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def options(*servers: FaultyServer, **changes: Any) -> BackendOptions:
    plain = BackendOptions(
        model="m", base_urls=tuple(one.url for one in servers), concurrency=8, timeout_s=5.0
    )
    return replace(plain, **changes)


def chat(number: int, **changes: Any) -> Request:
    turns = (Message(role="user", content=f"question {number}"),)
    prompt = Prompt(messages=turns, sha=str(number))
    return Request(id=f"T/{number}", task="T", prompt=prompt, max_tokens=16, **changes)


def plain(number: int, text: str | None = None, **changes: Any) -> Request:
    said = text or f"question {number}"
    prompt = Prompt(messages=(Message(role="user", content=said),), text=said, sha=str(number))
    return Request(id=f"T/{number}", task="T", prompt=prompt, max_tokens=16, **changes)


def ask(
    opts: BackendOptions, requests: Sequence[Request], patience: Patience = FAST
) -> dict[str, Generation]:
    """Every request's generation by id; each id exactly once."""
    backend = OpenAIBackend(opts, patience=patience)
    try:
        backend.start()
        found = list(backend.generate(requests))
    finally:
        backend.close()
    assert Counter(one.id for one in found) == Counter(one.id for one in requests)
    return {one.id: one for one in found}


def check(requests: Sequence[Request], found: dict[str, Generation]) -> None:
    """Answers belong to their own prompts; errors hold no output."""
    for request in requests:
        generation = found[request.id]
        if generation.error is None:
            assert generation.output == answer_to(request.prompt.messages[-1].content)
            assert generation.finish_reason == "stop"
        else:
            assert generation.output == ""
            assert generation.finish_reason == "error"
            assert generation.choice_logprobs is None


# --- what is sent ------------------------------------------------------------------------------


def test_conversations_go_to_chat_with_the_sampling_asked_for(server: FaultyServer) -> None:
    turns = (
        Message(role="system", content="be brief"),
        Message(role="user", content="shot"),
        Message(role="assistant", content="gold"),
        Message(role="user", content="question"),
    )
    request = Request(
        id="T/0", task="T", prompt=Prompt(messages=turns, text="<s>rendered", sha="x"), max_tokens=7
    )
    found = ask(options(server, sampling=Sampling(temperature=0.5, top_p=0.9, seed=3)), [request])
    (call,) = server.calls
    assert call.path == "/v1/chat/completions"
    assert call.body == {
        "model": "m",
        "messages": [{"role": one.role, "content": one.content} for one in turns],
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
    }
    generation = found["T/0"]
    assert (generation.prompt_tokens, generation.output_tokens) == (8, 19)


def test_plain_text_goes_to_completions(server: FaultyServer) -> None:
    ask(options(server), [plain(0, "Once upon\n")])
    (call,) = server.calls
    assert call.path == "/v1/completions"
    assert call.body["prompt"] == "Once upon\n"
    assert "messages" not in call.body


def test_engine_args_shape_the_body(server: FaultyServer) -> None:
    args = {
        "extra_body": '{"top_k": 5, "seed": null}',
        "max_tokens_field": "max_completion_tokens",
    }
    ask(options(server, engine_args=args, template_args={"enable_thinking": False}), [chat(0)])
    body = server.calls[0].body
    assert body["top_k"] == 5
    assert "seed" not in body
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["max_completion_tokens"] == 16
    assert "max_tokens" not in body


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_urls": ()}, ["--base-url"]),
        ({"base_urls": ("localhost:8000",)}, ["localhost:8000", "http"]),
        ({"base_urls": ("http://me:pw@localhost/v1",)}, ["user name", "OPENAI_API_KEY"]),
        ({"engine_args": {"extra_bdy": {}}}, ["extra_bdy", "did you mean 'extra_body'"]),
        ({"engine_args": {"extra_body": "{"}}, ["extra_body"]),
        ({"engine_args": {"backoff_s": -1}}, ["backoff_s"]),
        ({"tensor_parallel_size": 2}, ["--tensor-parallel-size", "server"]),
        ({"lora": "x"}, ["--lora", "server"]),
    ],
)
def test_bad_options_are_refused_in_one_line(changes: dict[str, Any], words: list[str]) -> None:
    opts = replace(BackendOptions(model="m", base_urls=("http://localhost:1/v1",)), **changes)
    with pytest.raises(InputError) as caught:
        OpenAIBackend(opts)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert "pw" not in message


def test_a_base_url_without_a_path_means_v1(server: FaultyServer) -> None:
    bare = server.url.removesuffix("/v1") + "/"
    assert ask(options(base_urls=(bare, server.url)), [chat(0)])["T/0"].error is None


# --- what comes back ---------------------------------------------------------------------------


def reply(**message: Any) -> Fault:
    """An answer whose message is this."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        body["choices"][0]["message"] = {"role": "assistant", **message}
        return body

    return Fault(change=change)


def choice(**fields: Any) -> Fault:
    """An answer whose choice has these fields changed."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        body["choices"][0].update(fields)
        return body

    return Fault(change=change)


READ: list[tuple[Fault, str, str | None, str]] = [
    (reply(content="yes", reasoning_content="hm"), "yes", "hm", "stop"),
    (reply(content="yes", reasoning="hm"), "yes", "hm", "stop"),
    (reply(content=None, reasoning="hm"), "", "hm", "stop"),
    (reply(content=None, refusal="I cannot."), "I cannot.", None, "stop"),
    (reply(content=[{"type": "text", "text": "a"}, {"text": "b"}]), "ab", None, "stop"),
    (reply(content="half \ud83d"), "half �", None, "stop"),
    (reply(content=""), "", None, "stop"),
    (choice(finish_reason="length"), answer_to("question 7"), None, "length"),
    (choice(finish_reason="eos_token"), answer_to("question 8"), None, "stop"),
]


def test_answers_are_read(server: FaultyServer) -> None:
    plan = server.fault = Plan([row[0] for row in READ], times=99)
    found = ask(options(server), [chat(number) for number in range(len(READ))])
    for number, (_, output, reasoning, finish) in enumerate(READ):
        generation = found[f"T/{number}"]
        assert generation.error is None
        assert (generation.output, generation.reasoning) == (output, reasoning)
        assert generation.finish_reason == finish
        generation.output.encode()
    assert set(plan.seen.values()) == {1}


def drop(body: dict[str, Any]) -> dict[str, Any]:
    del body["choices"][0]["message"]["content"]
    return body


TRANSIENT = {
    "429": status(429, "slow down"),
    "429 with Retry-After": status(429, "slow down", Retry_After="0"),
    "408": status(408),
    "500": status(500, "oops"),
    "502 page": page(502),
    "503": status(503, "overloaded", Retry_After="0.05"),
    "reset": Fault(reset=True),
    "cut": Fault(cut=True),
    "broken JSON": broken_json(),
    "empty body": Fault(body=""),
    "not an object": Fault(body="[1]"),
    "null": Fault(body="null"),
    "proxy's page with 200": page(200),
    "no choices": Fault(body='{"choices": []}'),
    "choices missing": Fault(body='{"id": "x"}'),
    "choice is no object": Fault(body='{"choices": ["x"]}'),
    "content missing": Fault(change=drop),
    "content is a number": reply(content=7),
    "message missing": choice(message=None),
    "unfinished": choice(finish_reason=None),
    "aborted": choice(finish_reason="abort"),
    "error object with 200": Fault(body='{"error": {"message": "upstream", "code": 502}}'),
    "error in the choice": choice(error={"message": "upstream", "code": 429}),
    "not UTF-8": Fault(body="\ud800"),
    "redirect": Fault(status=302, body=""),
}


@dataclass
class Plan:
    """The fault of each prompt, for as many of its requests."""

    faults: Sequence[Fault]
    times: int
    seen: Counter[str] = field(default_factory=Counter)

    def __call__(self, call: Call) -> Fault | None:
        self.seen[call.prompt] += 1
        fault = self.faults[int(call.prompt.split()[1])]
        return fault if self.seen[call.prompt] <= self.times else None


def test_passing_faults_are_retried(server: FaultyServer) -> None:
    plan = server.fault = Plan(list(TRANSIENT.values()), times=2)
    requests = [chat(number) for number in range(len(TRANSIENT))]
    found = ask(options(server, timeout_s=10.0), requests)
    check(requests, found)
    for name, request in zip(TRANSIENT, requests, strict=True):
        assert found[request.id].error is None, name
        assert plan.seen[request.prompt.messages[0].content] == 3, name


def test_faults_that_stay_are_error_rows_never_answers(server: FaultyServer) -> None:
    plan = server.fault = Plan(list(TRANSIENT.values()), times=99)
    requests = [chat(number) for number in range(len(TRANSIENT))]
    found = ask(options(server, timeout_s=10.0, max_retries=1), requests)
    check(requests, found)
    for name, request in zip(TRANSIENT, requests, strict=True):
        error = found[request.id].error
        assert error is not None, name
        assert "given up after 2 attempts" in error, name
        assert error.isprintable()
        assert len(error) < 500
        assert plan.seen[request.prompt.messages[0].content] == 2, name


def test_faults_of_completions_are_faults_too(server: FaultyServer) -> None:
    faults = [broken_json(), page(200), Fault(body='{"choices": [{}]}'), choice(text=None)]
    server.fault = Plan(faults, times=99)
    requests = [plain(number) for number in range(len(faults))]
    found = ask(options(server, max_retries=1), requests)
    check(requests, found)
    assert all(one.error is not None for one in found.values())


def test_a_server_that_hangs_is_left_after_the_timeout(server: FaultyServer) -> None:
    server.fault = first(2, hang(3.0))
    found = ask(options(server, timeout_s=0.5), [chat(0)])
    assert found["T/0"].output == answer_to("question 0")
    server.fault = always(hang(3.0))
    found = ask(options(server, timeout_s=0.3, max_retries=1), [chat(0)])
    assert "no answer within 0.3 s" in (found["T/0"].error or "")
    assert found["T/0"].output == ""


def test_a_web_page_is_named_as_one(server: FaultyServer) -> None:
    server.fault = always(page(200))
    error = ask(options(server, max_retries=0), [chat(0)])["T/0"].error
    assert error is not None
    assert "web page" in error
    assert HTML[:10] not in error


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            status(400, "This model's maximum context length is 512 tokens."),
            ["does not fit", "--max-tokens"],
        ),
        (status(413, "Payload too large"), ["does not fit"]),
        (status(400, "top_p must be in (0, 1]"), ["HTTP 400", "top_p must be"]),
        (status(422, "bad field"), ["HTTP 422"]),
        (choice(finish_reason="content_filter"), ["content filter"]),
        (Fault(body='{"error": {"message": "flagged", "code": 403}}'), ["flagged"]),
    ],
)
def test_refusals_are_not_retried(server: FaultyServer, fault: Fault, words: list[str]) -> None:
    server.fault = lambda call: fault if call.prompt == "question 1" else None
    requests = [chat(0), chat(1)]
    found = ask(options(server, concurrency=1), requests)
    check(requests, found)
    error = found["T/1"].error
    assert error is not None
    assert all(word in error for word in words), error
    assert found["T/0"].error is None
    assert len(server.calls) == 2


def test_control_characters_of_a_server_are_not_passed_on(server: FaultyServer) -> None:
    server.fault = always(status(400, "red \x1b[31m\nline"))
    error = ask(options(server), [chat(0)])["T/0"].error
    assert error is not None
    assert error.isprintable()


# --- waiting -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("soon", None), (None, None), ("nan", None)],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=0.0) == seconds


def test_retry_after_as_a_date() -> None:
    now = 1_700_000_000.0
    assert retry_after(formatdate(now + 90, usegmt=True), now=now) == 90.0
    assert retry_after(formatdate(now - 90, usegmt=True), now=now) == 0.0


def test_retry_after_as_a_date_is_read_by_the_servers_clock() -> None:
    sent = 4_000_000_000.0  # the server's clock is decades ahead of ours
    headers = {
        "retry-after": formatdate(sent + 2, usegmt=True),
        "date": formatdate(sent, usegmt=True),
    }
    trouble = trouble_of_status(429, headers, "", Secret(value="none", given=False))
    assert trouble.wait_s == 2.0


def test_retry_after_is_waited_for_by_all(server: FaultyServer) -> None:
    server.fault = first(1, status(429, "slow down", Retry_After="0.6"))
    requests = [chat(number) for number in range(4)]
    found = ask(options(server, concurrency=1), requests)
    check(requests, found)
    assert server.calls[1].at - server.calls[0].at >= 0.6
    assert len(server.calls) == 5


def test_a_wait_beyond_all_patience_is_an_error_at_once(server: FaultyServer) -> None:
    server.fault = first(1, status(429, "come tomorrow", Retry_After="86400"))
    start = time.monotonic()
    found = ask(options(server, concurrency=1), [chat(0), chat(1)])
    assert time.monotonic() - start < 3
    assert "86400" in (found["T/0"].error or "")
    assert found["T/1"].error is None


def test_backoff_grows_and_is_bounded() -> None:
    patience = Patience(base_s=1.0, cap_s=10.0)
    for tries, longest in enumerate([1, 2, 4, 8, 10, 10, 10], start=1):
        waits = [patience.delay(tries) for _ in range(50)]
        assert longest / 2 <= min(waits) < max(waits) <= longest
    assert patience.delay(10_000) <= 10.0


def test_a_slow_server_works(server: FaultyServer) -> None:
    server.fault = always(Fault(drip_s=0.002))
    requests = [chat(number) for number in range(8)]
    found = ask(options(server), requests)
    check(requests, found)
    assert all(one.error is None for one in found.values())


def test_a_body_that_trickles_for_ever_times_out_as_a_whole(server: FaultyServer) -> None:
    # Each byte comes in time for a timeout between bytes; the request as a whole does not.
    server.fault = always(Fault(drip_s=0.1))
    start = time.monotonic()
    found = ask(options(server, timeout_s=0.4, max_retries=1), [chat(0)])
    assert "no answer within 0.4 s" in (found["T/0"].error or "")
    assert time.monotonic() - start < 4


# --- many at once ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_third_of_requests_failing_loses_and_invents_nothing(seed: int) -> None:
    faults = [status(429, "slow", Retry_After="0"), status(500), hang(2.0), broken_json()]
    with FaultyServer(fault=seeded(seed, 0.3, faults)) as server:
        requests = [chat(number) for number in range(150)]
        found = ask(options(server, concurrency=32, timeout_s=0.5, max_retries=6), requests)
        check(requests, found)
        assert sum(one.error is not None for one in found.values()) <= 3
        assert server.peak <= 32 + 32  # those given up on may still be hanging in the server


def test_nearly_everything_failing_still_ends_every_row() -> None:
    faults = [status(503), broken_json(), page(200), Fault(reset=True), Fault(cut=True)]
    with FaultyServer(fault=seeded(5, 0.85, faults)) as server:
        requests = [chat(number) for number in range(60)]
        found = ask(options(server, concurrency=16, max_retries=2), requests)
        check(requests, found)
        failed = sum(one.error is not None for one in found.values())
        assert 10 < failed < 60
        good = {one.prompt.messages[0].content for one in requests if found[one.id].error is None}
        assert set(server.answered) == good


def test_concurrency_is_used_and_never_exceeded(server: FaultyServer) -> None:
    server.latency_s = 0.05
    requests = [chat(number) for number in range(40)]
    ask(options(server, concurrency=10), requests)
    assert server.peak == 10
    assert all(count == 1 for count in server.answered.values())


def test_results_come_as_they_finish(server: FaultyServer) -> None:
    server.fault = lambda call: Fault(delay_s=1.0) if call.prompt == "question 0" else None
    backend = OpenAIBackend(options(server, concurrency=4), patience=FAST)
    backend.start()
    stream = backend.generate([chat(number) for number in range(6)])
    order = [one.id for one in stream]
    backend.close()
    assert order[-1] == "T/0"


def test_closing_the_iterator_cancels_what_is_pending(server: FaultyServer) -> None:
    server.latency_s = 0.05
    backend = OpenAIBackend(options(server, concurrency=4), patience=FAST)
    stream = backend.generate([chat(number) for number in range(1000)])
    next(stream)
    stream.close()
    time.sleep(0.2)
    seen = len(server.calls)
    time.sleep(0.3)
    assert len(server.calls) == seen < 20
    backend.close()
    backend.close()
    assert not [one for one in threading.enumerate() if one.name == "openai-requests"]


def test_no_requests_no_answers(server: FaultyServer) -> None:
    assert ask(options(server), []) == {}


def test_generate_twice_on_one_backend(server: FaultyServer) -> None:
    backend = OpenAIBackend(options(server), patience=FAST)
    backend.start()
    for number in range(2):
        assert [one.id for one in backend.generate([chat(number)])] == [f"T/{number}"]
    backend.close()


# --- several servers, and servers that go ------------------------------------------------------


def test_two_servers_share_the_work_by_their_speed() -> None:
    with FaultyServer(latency_s=0.02) as quick, FaultyServer(latency_s=0.1) as slow:
        requests = [chat(number) for number in range(120)]
        found = ask(options(quick, slow, concurrency=16), requests)
        check(requests, found)
        assert all(one.error is None for one in found.values())
        assert quick.peak <= 12
        assert slow.peak <= 12
        assert len(quick.calls) > 2 * len(slow.calls) > 20


def test_equal_servers_get_equal_shares() -> None:
    with FaultyServer(latency_s=0.02) as one, FaultyServer(latency_s=0.02) as two:
        ask(options(one, two, concurrency=16), [chat(number) for number in range(160)])
        assert abs(len(one.calls) - len(two.calls)) <= 40


@pytest.mark.parametrize("fault", [status(500), hang(5.0), page(200)], ids=["500", "hang", "page"])
def test_a_server_that_keeps_failing_is_rested(fault: Fault) -> None:
    patience = replace(FAST, cap_s=10.0, base_s=0.2)
    with FaultyServer(latency_s=0.01) as good, FaultyServer(fault=always(fault)) as bad:
        requests = [chat(number) for number in range(80)]
        opts = options(good, bad, concurrency=8, timeout_s=0.5)
        found = ask(opts, requests, patience)
        check(requests, found)
        assert all(one.error is None for one in found.values())
        assert 1 <= len(bad.calls) <= 16


def test_a_rested_server_is_tried_again() -> None:
    with FaultyServer(latency_s=0.02) as good, FaultyServer(latency_s=0.02) as ill:
        ill.fault = first(6, status(500))
        ask(options(good, ill, concurrency=8), [chat(number) for number in range(200)])
        assert len(ill.answered) > 20


def test_a_server_that_dies_and_comes_back_loses_nothing() -> None:
    server = FaultyServer(latency_s=0.01).start()
    requests = [chat(number) for number in range(120)]
    backend = OpenAIBackend(options(server), patience=FAST)
    found = {}
    try:
        for generation in backend.generate(requests):
            found[generation.id] = generation
            if len(found) == 30:
                server.stop()
                threading.Timer(1.0, server.start).start()
    finally:
        backend.close()
        server.stop()
    assert len(found) == 120
    check(requests, found)
    assert all(one.error is None for one in found.values())


def test_one_of_two_servers_dies_for_good() -> None:
    with FaultyServer(latency_s=0.01) as stays:
        goes = FaultyServer(latency_s=0.01).start()
        requests = [chat(number) for number in range(120)]
        backend = OpenAIBackend(options(stays, goes), patience=FAST)
        found = {}
        for generation in backend.generate(requests):
            found[generation.id] = generation
            if len(found) == 30:
                goes.stop()
        backend.close()
        check(requests, found)
        assert all(one.error is None for one in found.values())


def test_all_servers_gone_for_long_stops_the_run() -> None:
    server = FaultyServer(latency_s=0.01).start()
    backend = OpenAIBackend(options(server), patience=replace(FAST, outage_s=0.5))
    found = []

    def consume() -> None:
        for generation in backend.generate([chat(number) for number in range(60)]):
            found.append(generation)
            if len(found) == 10:
                server.stop()

    with pytest.raises(BackendError, match="no server has been reachable") as caught:
        consume()
    backend.close()
    assert "run the same command again" in str(caught.value)
    assert 10 <= len(found) < 60
    assert all(one.error is None for one in found)


# --- start -------------------------------------------------------------------------------------


def start_error(opts: BackendOptions) -> str:
    backend = OpenAIBackend(opts, patience=FAST)
    try:
        with pytest.raises(BackendError) as caught:
            backend.start()
    finally:
        backend.close()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nobody_there() -> None:
    server = FaultyServer().start()
    server.stop()
    message = start_error(options(server))
    assert f"cannot connect to {server.url}" in message
    assert "vllm serve m" in message


def test_one_of_two_is_not_there_yet(caplog: pytest.LogCaptureFixture) -> None:
    absent = FaultyServer().start()
    absent.stop()
    with FaultyServer(latency_s=0.02) as here:
        backend = OpenAIBackend(options(here, absent), patience=FAST)
        with caplog.at_level(logging.WARNING):
            backend.start()
        assert "going on without it" in caplog.text
        found = []
        for generation in backend.generate([chat(number) for number in range(100)]):
            found.append(generation)
            if len(found) == 20:
                absent.start()
        backend.close()
        absent.stop()
        assert len(found) == 100
        assert all(one.error is None for one in found)
        assert absent.answered


@pytest.mark.parametrize("code", [401, 403])
def test_a_wrong_key(server: FaultyServer, code: int) -> None:
    server.models_fault = status(code, "no entry")
    message = start_error(options(server, api_key_env="MY_KEY"))
    assert "refuses the API key" in message
    assert "MY_KEY" in message


def test_a_wrong_key_where_the_list_of_models_is_public(server: FaultyServer) -> None:
    server.fault = always(status(401, "no entry"))
    with pytest.raises(BackendError, match="refuses the API key"):
        ask(options(server), [chat(number) for number in range(50)])
    assert len(server.calls) <= 8


def test_an_unknown_model_gets_a_suggestion() -> None:
    models = [{"id": "meditron-7b"}, {"id": "other"}]
    with FaultyServer(models=models, accepts=frozenset({"meditron-7b"})) as server:
        message = start_error(options(server, model="meditron-7B"))
    assert "did you mean 'meditron-7b'?" in message
    assert "other" in message


def test_an_unlisted_model_that_answers_is_taken() -> None:
    with FaultyServer(models=[{"id": "something"}]) as server:
        assert ask(options(server), [chat(0)])["T/0"].error is None


@pytest.mark.parametrize("kind", ["absent", "broken", "page", "failing"])
def test_servers_without_a_list_of_models(kind: str) -> None:
    faults = {"broken": broken_json(), "page": page(200), "failing": status(500)}
    with FaultyServer(models_fault=faults.get(kind)) as server:
        if kind == "absent":
            server.models = None
        assert ask(options(server), [chat(0)])["T/0"].error is None
        server.accepts = frozenset({"other"})
        assert "does not know the model m" in start_error(options(server))


def test_max_model_len_is_the_smallest_known() -> None:
    with (
        FaultyServer(models=[{"id": "m", "max_model_len": 512}]) as one,
        FaultyServer(models=[{"id": "m", "max_model_len": 2048}]) as two,
        FaultyServer() as silent,
    ):
        for servers, limit, expected in [
            ((one,), None, 512),
            ((one, two), None, 512),
            ((two,), 1000, 1000),
            ((silent,), None, None),
        ]:
            backend = OpenAIBackend(options(*servers, max_model_len=limit), patience=FAST)
            assert backend.max_model_len == expected
            assert backend.tokenizer is None
            backend.close()


def test_a_missing_chat_template_stops_the_run_with_the_remedy(server: FaultyServer) -> None:
    server.fault = always(status(400, "As of v4.44 a chat template must be provided"))
    with pytest.raises(BackendError, match="--layout plain"):
        ask(options(server), [chat(0)])


# --- certificates ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=test", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(pem)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("the openssl command is not installed")
    return pem


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[FaultyServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with FaultyServer(tls=context) as server:
        yield server


def test_an_untrusted_certificate(tls_server: FaultyServer) -> None:
    message = start_error(options(tls_server))
    assert "certificate" in message
    assert "SSL_CERT_FILE" in message
    assert not tls_server.calls


def test_a_certificate_for_another_name(
    tls_server: FaultyServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    message = start_error(options(base_urls=(tls_server.url.replace("127.0.0.1", "localhost"),)))
    assert "host name" in message


def test_the_remedy_works(
    tls_server: FaultyServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert ask(options(tls_server), [chat(0)])["T/0"].error is None


def test_https_to_a_plain_server(server: FaultyServer) -> None:
    message = start_error(options(base_urls=(server.url.replace("http", "https"),)))
    assert "http://" in message


# --- keys --------------------------------------------------------------------------------------


def test_the_key_comes_from_the_environment_and_goes_only_to_the_server(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MED_KEY", KEY + "\n")
    server.key = KEY
    assert ask(options(server, api_key_env="MED_KEY"), [chat(0)])["T/0"].error is None
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_key_never_leaks(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    said = []
    echo_key = [
        status(400, f"bad key {KEY}"),
        status(500, f"Authorization: Bearer {KEY}"),
        Fault(status=500, body=f"<p>{KEY}</p>"),
        Fault(status=500, body=json.dumps({"error": KEY})),
        Fault(body=json.dumps({"error": {"message": KEY, "code": 500}})),
        reply(content=f"the key is {KEY}"),
        status(400, "Incorrect API key provided: sk-very-***************abc."),
    ]
    server.fault = lambda call: echo_key[int(call.prompt.split()[1])]
    with caplog.at_level(logging.DEBUG):
        backend = OpenAIBackend(options(server, max_retries=0), patience=FAST)
        said += [repr(backend), str(vars(backend)), json.dumps(backend.describe())]
        found = list(backend.generate([chat(number) for number in range(len(echo_key))]))
        backend.close()
        server.models_fault = status(401, f"Incorrect API key provided: {KEY}")
        said.append(start_error(options(server)))
    said += [repr(one) for one in found] + [caplog.text]
    assert len(found) == len(echo_key)
    for text in said:
        assert KEY not in text
        assert KEY[3:] not in text
        assert "sk-very" not in text


def test_a_key_that_no_header_can_hold_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc\ndef")
    with pytest.raises(InputError, match="OPENAI_API_KEY") as caught:
        OpenAIBackend(BackendOptions(model="m", base_urls=("http://localhost:1",)))
    assert "abc" not in str(caught.value)


def test_describe_can_be_written_and_names_no_secret(server: FaultyServer) -> None:
    backend = OpenAIBackend(options(server, engine_args={"extra_body": {"top_k": 2}}))
    told = json.loads(json.dumps(backend.describe()))
    assert told["version"].startswith("openai ")
    assert told["arguments"]["base_urls"] == [server.url]
    assert told["arguments"]["extra_body"] == {"top_k": 2}


# --- log-probabilities of choices --------------------------------------------------------------

LETTERS = ("A", "B", "C", "D")


@pytest.mark.parametrize(
    ("top", "gap", "expected"),
    [
        ({"A": -1.0, "B": -2.0, "C": -3.0, "D": -4.0}, "", (-1.0, -2.0, -3.0, -4.0)),
        ({" A": -1.0, " B": -2.0, "C": -0.5}, " ", (-1.0, -2.0, FLOOR_LOGPROB, FLOOR_LOGPROB)),
        ({"▁B": -1.0, "The": -0.1}, " ", (FLOOR_LOGPROB, -1.0, FLOOR_LOGPROB, FLOOR_LOGPROB)),
        # only the other spellings are listed: they count, added up
        (
            {" B": math.log(0.25), "\nB": math.log(0.5), " D": -3.0},
            "",
            (FLOOR_LOGPROB, math.log(0.75), FLOOR_LOGPROB, -3.0),
        ),
        ({"Apple": -0.1, "AB": -0.2}, "", (FLOOR_LOGPROB,) * 4),
        ({"C": -9999.0, "A": 0.0}, "", (0.0, FLOOR_LOGPROB, FLOOR_LOGPROB, FLOOR_LOGPROB)),
    ],
)
def test_choices_are_found_among_the_listed_tokens(
    top: dict[str, float], gap: str, expected: tuple[float, ...]
) -> None:
    assert choice_logprobs(LETTERS, top, gap=gap) == pytest.approx(expected)


@pytest.mark.parametrize("make", [chat, plain])
def test_choices_are_asked_for_and_read(server: FaultyServer, make: Any) -> None:
    server.fault = always(Fault(change=logprob_table({" B": -0.5, "A": -1.5, "x": -3.0})))
    request = make(0, choices=LETTERS)
    generation = ask(options(server), [request])["T/0"]
    body = server.calls[0].body
    assert body["max_tokens"] == 1
    if make is chat:
        assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
        expected = (-1.5, FLOOR_LOGPROB, FLOOR_LOGPROB, FLOOR_LOGPROB)
    else:
        assert body["logprobs"] == 20
        expected = (FLOOR_LOGPROB, -0.5, FLOOR_LOGPROB, FLOOR_LOGPROB)
    assert generation.choice_logprobs == pytest.approx(expected)
    assert generation.output == ("A" if make is chat else "B")


def test_a_server_that_lists_fewer_is_asked_for_fewer(server: FaultyServer) -> None:
    def fault(call: Call) -> Fault:
        if call.body["top_logprobs"] > 5:
            return status(400, "top_logprobs must be at most 5")
        return Fault(change=logprob_table({"C": -0.1}))

    server.fault = fault
    requests = [chat(number, choices=LETTERS) for number in range(3)]
    found = ask(options(server, concurrency=1), requests)
    assert [one.output for one in found.values()] == ["C"] * 3
    assert len(server.calls) == 4


@pytest.mark.parametrize("fault", [None, status(400, "logprobs are not supported")])
def test_a_server_without_logprobs_stops_the_run(server: FaultyServer, fault: Fault | None) -> None:
    server.fault = always(fault)
    with pytest.raises(BackendError, match="no log-probabilities") as caught:
        ask(options(server), [chat(0, choices=LETTERS)])
    assert "--backend vllm" in str(caught.value)


def test_an_output_that_ends_at_once_has_no_choice(server: FaultyServer) -> None:
    server.fault = always(choice(message={"content": ""}, logprobs={"content": []}))
    generation = ask(options(server), [chat(0, choices=LETTERS)])["T/0"]
    assert generation.choice_logprobs == (FLOOR_LOGPROB,) * 4
    assert generation.output == ""
