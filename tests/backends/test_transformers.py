"""The transformers backend on a real, tiny Llama."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medinst_eval.backends import batches, modelling
from medinst_eval.backends.base import BackendOptions, Sampling
from medinst_eval.backends.transformers import TransformersBackend, is_out_of_memory
from medinst_eval.errors import BackendError, InputError
from medinst_eval.types import Generation, Request

MakeRequests = Any


@pytest.fixture(scope="module")
def backend(tiny_model: Path) -> Iterator[TransformersBackend]:
    made = TransformersBackend(BackendOptions(model=str(tiny_model)))
    made.start()
    yield made
    made.close()


def answers(backend: TransformersBackend, requests: list[Request]) -> dict[str, Generation]:
    return {one.id: one for one in backend.generate(requests)}


def test_a_batch_gives_what_generate_gives_alone(
    backend: TransformersBackend, tiny_model: Path, make_requests: MakeRequests
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    requests = make_requests(max_tokens=12)
    found = answers(backend, requests)
    assert set(found) == {request.id for request in requests}
    reasons = set()
    for request in requests:
        ids = torch.tensor([request.prompt.token_ids])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12)[0]
        new = out[ids.shape[1] :].tolist()
        ended = new[-1] in (tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end|>"))
        one = found[request.id]
        assert one.output == tokenizer.decode(new, skip_special_tokens=True).rstrip("\ufffd")
        assert one.output_tokens == len(new)
        assert one.prompt_tokens == ids.shape[1]
        assert one.finish_reason == ("stop" if ended else "length")
        reasons.add(one.finish_reason)
    assert reasons == {"stop", "length"}


def test_each_request_keeps_its_own_limit(
    backend: TransformersBackend, make_requests: MakeRequests
) -> None:
    whole = answers(backend, make_requests(max_tokens=40))
    limits = [1, 3, 5, 2, 4, 6, 7, 8]
    cut = answers(backend, make_requests(max_tokens=limits))
    for (name, one), limit in zip(sorted(cut.items()), limits, strict=True):
        assert one.output_tokens == min(limit, whole[name].output_tokens)
        assert (one.finish_reason == "stop") == (limit >= whole[name].output_tokens)


def test_order_and_batch_size_change_nothing(
    tiny_model: Path, make_requests: MakeRequests, backend: TransformersBackend
) -> None:
    requests = make_requests()
    one_by_one = TransformersBackend(
        BackendOptions(model=str(tiny_model), engine_args={"max_batch": 1})
    )
    assert answers(one_by_one, requests[::-1]) == answers(backend, requests)


def test_sampling_depends_on_the_request_not_on_its_batch(
    tiny_model: Path, make_requests: MakeRequests
) -> None:
    def drawn(seed: int, **more: Any) -> dict[str, str]:
        sampling = Sampling(temperature=2.0, top_p=0.95, seed=seed)
        made = TransformersBackend(BackendOptions(model=str(tiny_model), sampling=sampling, **more))
        return {k: v.output for k, v in answers(made, make_requests(["p53"] * 6)).items()}

    first = drawn(1)
    assert len(set(first.values())) > 3
    assert drawn(1, engine_args={"max_batch": 4}) == first
    assert drawn(2) != first


def test_top_p_draws_from_the_nucleus_in_its_proportions() -> None:
    import torch

    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    sampling = Sampling(temperature=1.0, top_p=0.7, seed=0)
    work: Any = [
        batches.Work(
            request=Request(id=f"T/{row}", task="T", prompt=_prompt(), max_tokens=1),
            ids=(1,),
            limit=1,
        )
        for row in range(4000)
    ]
    drawer = modelling._sampler(sampling, work)
    drawn = drawer(None, probabilities.log().expand(4000, 4)).argmax(dim=-1)
    share = torch.bincount(drawn, minlength=4) / 4000
    assert share[2] == share[3] == 0
    assert share[0].item() == pytest.approx(0.625, abs=0.03)


def _prompt() -> Any:
    from medinst_eval.types import Prompt

    return Prompt(messages=(), token_ids=(1,), sha="")


def test_choices_are_scored_exactly(
    backend: TransformersBackend, tiny_model: Path, make_requests: MakeRequests
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    asked = ("A", "B", "yes", "maybe not")
    requests = make_requests(choices=asked)
    found = answers(backend, requests)
    for request in requests:
        expected = []
        for text in asked:
            tail = tokenizer(text, add_special_tokens=False)["input_ids"]
            ids = torch.tensor([[*request.prompt.token_ids, *tail]])
            with torch.no_grad():
                logprobs = model(ids).logits[0].log_softmax(-1)
            start = len(request.prompt.token_ids) - 1
            expected.append(sum(logprobs[start + i, t].item() for i, t in enumerate(tail)))
        one = found[request.id]
        assert one.choice_logprobs == pytest.approx(expected, abs=1e-3)
        assert one.output == asked[expected.index(max(expected))]


def test_a_prompt_longer_than_the_model_is_an_error_row(
    backend: TransformersBackend, make_requests: MakeRequests
) -> None:
    requests = make_requests(["p53", "p53 " * 1200, "fever"])
    found = answers(backend, requests)
    assert found["T/1"].error is not None
    assert "1,024" in found["T/1"].error
    assert found["T/1"].finish_reason == "error"
    assert found["T/1"].output == ""
    assert found["T/0"].error is None
    assert found["T/2"].error is None


def test_a_limit_beyond_the_context_is_cut(tiny_model: Path, make_requests: MakeRequests) -> None:
    requests = make_requests(["p53"], max_tokens=50)
    short = TransformersBackend(
        BackendOptions(
            model=str(tiny_model),
            max_model_len=len(requests[0].prompt.token_ids) + 4,
        )
    )
    (one,) = short.generate(requests)
    assert one.output_tokens == 4
    assert one.finish_reason == "length"


@pytest.mark.parametrize("most", [1, 2, 3])
def test_memory_that_runs_out_halves_the_batch(
    backend: TransformersBackend,
    make_requests: MakeRequests,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    expected = answers(backend, make_requests())
    real, sizes = modelling.run_batch, []

    def tight(model: Any, tokenizer: Any, options: Any, batch: Any) -> list[Generation]:
        sizes.append(len(batch))
        if len(batch) > most:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to "
                "allocate 99999999999 bytes."
            )
        return real(model, tokenizer, options, batch)

    monkeypatch.setattr(modelling, "run_batch", tight)
    assert answers(backend, make_requests()) == expected
    assert max(sizes) > most
    assert sizes[-1] <= most


def test_a_prompt_that_does_not_fit_alone_is_an_error_row(
    backend: TransformersBackend, make_requests: MakeRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = modelling.run_batch

    def tight(model: Any, tokenizer: Any, options: Any, batch: Any) -> list[Generation]:
        import torch

        if any(len(work.ids) > 100 for work in batch):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return real(model, tokenizer, options, batch)

    monkeypatch.setattr(modelling, "run_batch", tight)
    found = answers(backend, make_requests())
    assert {name for name, one in found.items() if one.error} == {"T/3", "T/6"}
    assert "out of memory" in str(found["T/3"].error)


def test_real_memory_exhaustion_is_recognised() -> None:
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_another_failure_stops_the_run(
    backend: TransformersBackend, make_requests: MakeRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> list[Generation]:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(modelling, "run_batch", broken)
    with pytest.raises(BackendError, match="shapes cannot be multiplied"):
        list(backend.generate(make_requests()))


def test_batches_keep_to_the_budget(make_requests: MakeRequests, tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    requests = make_requests(["p53 " * n for n in range(1, 60)], max_tokens=[8, 100] * 29 + [8])
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    work, refused = batches.plan_work(requests, tokenizer, 1024)
    assert not refused
    pending, plan, taken = (
        deque(work),
        batches.Plan(max_batch=16, tokens=2000, count_outputs=True),
        [],
    )
    while pending:
        batch = plan.take(pending)
        taken += batch
        assert len({one.group for one in batch}) == 1
        assert len(batch) <= 16
        longest = max(len(one.ids) + one.limit for one in batch)
        assert longest * len(batch) <= 2000 or len(batch) == 1
        assert len(batch[0].ids) == max(len(one.ids) for one in batch)
    assert taken == work
    assert plan.smaller(work[:10]).tokens < 2000


def test_deterministic_runs_one_by_one(tiny_model: Path, make_requests: MakeRequests) -> None:
    options = BackendOptions(model=str(tiny_model), deterministic=True)
    made = TransformersBackend(options)
    found = answers(made, make_requests())
    assert found == answers(made, make_requests()[::-1])
    assert made.describe()["engine"]["batch_invariant"] is True


def test_half_precision_and_ignored_ends(tiny_model: Path, make_requests: MakeRequests) -> None:
    options = BackendOptions(
        model=str(tiny_model), dtype="bfloat16", sampling=Sampling(ignore_eos=True)
    )
    made = TransformersBackend(options)
    found = answers(made, make_requests(max_tokens=30))
    assert made.describe()["engine"]["dtype"] == "bfloat16"
    assert {one.output_tokens for one in found.values()} == {30}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"tensor_parallel_size": 2}, "--tensor-parallel-size"),
        ({"speculate": True}, "--speculate"),
        ({"engine_args": {"max_batchs": 3}}, "did you mean 'max_batch'"),
        ({"base_urls": ("http://127.0.0.1",)}, "--base-urls"),
    ],
)
def test_what_it_cannot_do_is_refused(
    tiny_model: Path, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        TransformersBackend(BackendOptions(model=str(tiny_model), **options))


def test_dtype_is_checked(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="float64x"):
        TransformersBackend(BackendOptions(model=str(tiny_model), dtype="float64x")).start()


def test_a_model_without_weights_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_model / name).read_bytes())
    with pytest.raises(InputError, match="no weights"):
        TransformersBackend(BackendOptions(model=str(tmp_path))).start()


def test_broken_weights_are_a_backend_error(tiny_model: Path, tmp_path: Path) -> None:
    for path in tiny_model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(BackendError, match="could not load"):
        TransformersBackend(BackendOptions(model=str(tmp_path))).start()


def test_life(tiny_model: Path) -> None:
    made = TransformersBackend(BackendOptions(model=str(tiny_model)))
    assert made.max_model_len == 1024
    assert made.describe()["version"].startswith("transformers ")
    assert list(made.generate([])) == []
    made.close()
    made.close()
