"""The `openai` backend against a real `vllm serve` on this machine's CPU."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from medinst_eval.backends.base import BackendOptions
from medinst_eval.backends.openai import OpenAIBackend
from medinst_eval.backends.openai_wire import endpoint_of
from medinst_eval.errors import BackendError
from medinst_eval.types import Generation, Message, Prompt, Request

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(600)]
LENGTH = 512


@pytest.fixture(scope="module")
def url(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a server with the tiny model under the name `tiny`."""
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    # What `vllm serve` runs; its command line wants a distribution named vllm, which CPU builds
    # are not.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += [
        "--model",
        str(tiny_model),
        "--served-model-name",
        "tiny",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += ["--enforce-eager", "--dtype", "float32", "--max-model-len", str(LENGTH)]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            env=environment,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    try:
        _wait(process, port, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _die_with_parent() -> None:
    """In the new process: end when the tests are killed, which then cannot end it themselves."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    pytest.fail(f"vllm serve did not start:\n{log.read_text(errors='replace')[-3000:]}")


def ask(url: str, requests: list[Request], **changes: Any) -> dict[str, Generation]:
    options = BackendOptions(model="tiny", base_urls=(url,), timeout_s=120.0, max_retries=1)
    backend = OpenAIBackend(replace(options, **changes))
    try:
        backend.start()
        assert backend.max_model_len == LENGTH
        return {one.id: one for one in backend.generate(requests)}
    finally:
        backend.close()


def plain(requests: list[Request]) -> list[Request]:
    """The same questions as bare text, set so that an answer letter follows."""
    made = []
    for one in requests:
        text = one.prompt.messages[-1].content + "\nAnswer:"
        turns = (Message(role="user", content=text),)
        made.append(replace(one, prompt=Prompt(messages=turns, text=text, sha="x")))
    return made


def test_chat_and_completions_equal_the_model_itself(
    url: str, tiny_model: Path, make_requests: Any
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    chats = make_requests(max_tokens=12)
    for requests in (chats, plain(chats)):
        found = ask(url, requests)
        assert len(found) == len(requests)
        for request in requests:
            generation = found[request.id]
            assert generation.error is None
            chat = endpoint_of(request.prompt) == "chat"
            ids = tokenizer(request.prompt.text, add_special_tokens=not chat)["input_ids"]
            with torch.no_grad():
                out = model.generate(
                    torch.tensor([ids]), max_new_tokens=12, do_sample=False, pad_token_id=0
                )
            expected = tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True)
            # A character cut in half at the end is shown by one and left out by the other.
            assert generation.output.rstrip("\ufffd") == expected.rstrip("\ufffd")
            assert generation.prompt_tokens == len(ids)
            assert generation.output_tokens == out.shape[1] - len(ids)
            if generation.output_tokens < 12:
                assert generation.finish_reason == "stop"
            elif int(out[0, -1]) not in (model.generation_config.eos_token_id or []):
                assert generation.finish_reason == "length"


@pytest.mark.parametrize("layout", ["chat", "plain"])
def test_choices_have_the_log_probabilities_of_the_model(
    url: str, tiny_model: Path, make_requests: Any, layout: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    letters = ("A", "B", "C", "D")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    requests = make_requests(choices=letters)
    spelt = letters
    if layout == "plain":
        requests, spelt = plain(requests), tuple(f" {letter}" for letter in letters)
    wanted = [tokenizer(one, add_special_tokens=False)["input_ids"][-1] for one in spelt]
    found = ask(url, requests)
    for request in requests:
        generation = found[request.id]
        chat = layout == "chat"
        ids = tokenizer(request.prompt.text, add_special_tokens=not chat)["input_ids"]
        with torch.no_grad():
            logprobs = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        expected = tuple(float(logprobs[token]) for token in wanted)
        assert generation.choice_logprobs == pytest.approx(expected, abs=2e-3)
        assert generation.output == letters[expected.index(max(expected))]


def test_a_prompt_beyond_the_context_is_an_error_row(url: str, make_requests: Any) -> None:
    questions = ["p53", "Metformin lowers glucose. " * 300]
    found = ask(url, make_requests(questions, max_tokens=8))
    assert found["T/0"].error is None
    error = found["T/1"].error
    assert error is not None
    assert "does not fit the server's context" in error
    assert "--max-tokens" in error
    assert found["T/1"].output == ""


def test_an_unknown_model_is_named_at_the_start(url: str) -> None:
    backend = OpenAIBackend(BackendOptions(model="tinny", base_urls=(url,)))
    with pytest.raises(BackendError, match="did you mean 'tiny'"):
        backend.start()
    backend.close()
