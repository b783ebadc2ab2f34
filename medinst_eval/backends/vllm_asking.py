"""One request to vLLM and back: what it is asked, and what its final output means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from medinst_eval.backends import choices as choice
from medinst_eval.backends import loading
from medinst_eval.backends.base import BackendOptions, Tokenizer
from medinst_eval.backends.batches import failed
from medinst_eval.errors import BackendError
from medinst_eval.types import Generation, Request


@dataclass(kw_only=True)
class Usage:
    """Tokens of all answered requests so far."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that came from the prefix cache."""


class Asker:
    """Turns requests into calls of the engine and its outputs into generations."""

    def __init__(
        self, options: BackendOptions, engine: Any, tokenizer: Tokenizer, lora: Any, usage: Usage
    ) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self.options = options
        self.engine = engine
        self.tokenizer = tokenizer
        self.lora = lora
        self.usage = usage
        self.sampling_params = SamplingParams
        self.final_only = RequestOutputKind.FINAL_ONLY
        self.as_input = _input_maker()
        self.refusals = _refusals()
        self.keep_special = loading.keeps_special_tokens(self.tokenizer)
        self.ends = loading.end_token_ids(
            loading.load_generation_config(self.options),
            self.engine.model_config.hf_text_config,
            self.tokenizer,
        )

    async def answer(self, request: Request) -> Generation:
        """Ask one request; a refusal is an error row, a dead engine is raised."""
        ids = request.prompt.token_ids
        if ids is None:
            return failed(request, "the prompt has no tokens; a tokenizer is needed")
        try:
            if request.choices:
                return await self._choose(request, list(ids))
            return await self._write(request, list(ids))
        except self.refusals as error:
            return failed(request, f"vLLM refused the request: {error}")

    async def _write(self, request: Request, ids: list[int]) -> Generation:
        sampling = self.options.sampling
        warm = sampling.temperature > 0
        output = await self._ask(
            ids,
            request.id,
            max_tokens=request.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=loading.request_seed(sampling.seed, request.id) if warm else None,
            ignore_eos=sampling.ignore_eos,
        )
        completion = output.outputs[0]
        if completion.finish_reason not in ("stop", "length"):
            return failed(request, f"vLLM ended the request: {completion.finish_reason}")
        ends: frozenset[int] = frozenset() if sampling.ignore_eos else self.ends
        return Generation(
            id=request.id,
            output=loading.decode(
                self.tokenizer, completion.token_ids, ends, keep_special=self.keep_special
            ),
            finish_reason=completion.finish_reason,
            prompt_tokens=len(ids),
            output_tokens=len(completion.token_ids),
        )

    async def _choose(self, request: Request, ids: list[int]) -> Generation:
        if not hasattr(self.sampling_params, "logprob_token_ids"):
            raise BackendError(
                "log-probabilities of choices need a newer vLLM (`pip install -U vllm`); "
                "or use --backend transformers"
            )
        tails = choice.continuation_ids(self.tokenizer, request.prompt.text or "", request.choices)
        found: dict[choice.Prefix, Mapping[int, float]] = {}
        for number, (prefix, wanted) in enumerate(choice.questions(tails).items()):
            output = await self._ask(
                [*ids, *prefix],
                f"{request.id}#{number}",
                max_tokens=1,
                temperature=0.0,
                logprob_token_ids=wanted,
            )
            first = output.outputs[0].logprobs[0]
            found[prefix] = {token: float(first[token].logprob) for token in wanted}
        values = choice.scores(tails, found)
        return Generation(
            id=request.id,
            output=choice.best(request.choices, values),
            prompt_tokens=len(ids),
            output_tokens=1,
            choice_logprobs=values,
        )

    async def _ask(self, ids: list[int], name: str, **parameters: Any) -> Any:
        """One request, one final output; detokenising token by token would only cost time."""
        params = self.sampling_params(
            **parameters, detokenize=False, output_kind=self.final_only, skip_clone=True
        )
        final = None
        stream: AsyncIterator[Any] = self.engine.generate(
            self.as_input(ids), params, name, lora_request=self.lora
        )
        async for output in stream:
            final = output
        if final is None:
            raise RuntimeError(f"vLLM gave no output for {name}")
        self.usage.prompt_tokens += len(ids)
        self.usage.cached_tokens += final.num_cached_tokens or 0
        return final


def _refusals() -> tuple[type[BaseException], ...]:
    """What vLLM raises for one bad request while the engine lives on, over its versions."""
    import vllm.exceptions
    from vllm.v1.engine.exceptions import EngineGenerateError

    client: type[BaseException] = getattr(vllm.exceptions, "VLLMClientError", ValueError)
    return (client, ValueError, EngineGenerateError)


def _input_maker() -> Any:
    """Token ids to an engine input, past the renderer where this version allows it."""
    import vllm.inputs

    rendered = getattr(vllm.inputs, "tokens_input", None)
    if rendered is not None:
        return rendered
    return lambda ids: vllm.inputs.TokensPrompt(prompt_token_ids=ids)
