"""Our metrics as modules of the `evaluate` library, for training loops and notebooks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medinst_eval.errors import InputError
from medinst_eval.metrics import create, get
from medinst_eval.metrics.base import MetricContext
from medinst_eval.types import Form, ParseContext

if TYPE_CHECKING:
    import evaluate

_WORD_LABEL = re.compile(r" \[[^\[\]\s]+\]")

_INPUTS = """
Args:
    predictions: Model outputs, as the model wrote them.
    references: Gold answers, in the benchmark's form.
    inputs: The rows' inputs, needed for choices (to read the options); optional otherwise.

Returns:
    {name: score}, and `unparsed`, the number of outputs that hold no answer of the form.
"""


def as_evaluate(
    name: str,
    *,
    form: Form | None = None,
    labels: Sequence[str] = (),
    scale: tuple[float, float] | None = None,
    options: Mapping[str, Any] | None = None,
) -> evaluate.Metric:
    """One of our metrics as an `evaluate.Metric`; works offline.

    Args:
        name: The metric's name, e.g. `entity_f1`.
        form: Form of the answers; default: the first that the metric applies to, `text` where it
            applies to any.
        labels: The closed label set (label forms) or types (bracket forms).
        scale: Lowest and highest number, for numbers.
        options: Settings that change the number, e.g. `bertscore_model`.

    Returns:
        A metric whose `compute(predictions=…, references=…)`, `add` and `add_batch` take texts.

    Raises:
        InputError: The metric is unknown or does not apply to the form, or the package
            `evaluate` is not installed.
    """
    try:
        import evaluate
        from datasets import Features, Value
    except ImportError as error:
        raise InputError(
            f"as_evaluate needs the package evaluate ({error}); "
            "pip install 'medinst-eval[evaluate]'"
        ) from error
    kind = get(name)
    chosen: Form = form or (kind.forms[0] if kind.forms else "text")
    context = MetricContext(
        form=chosen, labels=tuple(labels), scale=scale, options=dict(options or {})
    )
    create(name, context)  # A wrong form is told now and not after an epoch.
    description = inspect.getdoc(kind) or name

    class MedinstMetric(evaluate.Metric):  # type: ignore[misc]
        """A metric of medinst-eval behind the interface of `evaluate`."""

        def _info(self) -> evaluate.MetricInfo:
            return evaluate.MetricInfo(
                description=description,
                citation=kind.citation,
                inputs_description=_INPUTS,
                features=Features({"predictions": Value("string"), "references": Value("string")}),
            )

        def _compute(
            self, predictions: list[str], references: list[str], inputs: Sequence[str] = ()
        ) -> dict[str, float | int]:
            return score_texts(name, context, references, predictions, inputs)

    return MedinstMetric()


def score_texts(
    name: str,
    context: MetricContext,
    golds: Sequence[str],
    outputs: Sequence[str],
    inputs: Sequence[str] = (),
) -> dict[str, float | int]:
    """A metric over texts: golds and outputs are parsed first where the metric reads answers.

    Args:
        name: The metric's name.
        context: Its task; `golds` is filled in here.
        golds: Gold answers in the benchmark's form.
        outputs: What a model wrote, one per gold.
        inputs: The rows' inputs, needed for choices.

    Returns:
        {name: score, "unparsed": outputs that hold no answer}.

    Raises:
        InputError: A gold is not of the form, or a choice comes without its question.
    """
    kind = get(name)
    wanted: list[Any] = list(golds)
    answers: list[Any] = list(outputs)
    unparsed = 0
    if kind.reads == "answer":
        wanted, answers = _parse(context, golds, outputs, inputs)
        unparsed = sum(answer is None for answer in answers)
    metric = create(
        name,
        MetricContext(
            form=context.form,
            golds=wanted,
            labels=context.labels,
            scale=context.scale,
            options=context.options,
        ),
    )
    stats = metric.batch_stats(wanted, answers)
    value = metric.score(stats.sum(axis=0) if metric.is_sum else stats)
    return {name: float(value), "unparsed": unparsed}


def _parse(
    context: MetricContext, golds: Sequence[str], outputs: Sequence[str], inputs: Sequence[str]
) -> tuple[list[Any], list[Any]]:
    """Golds and answers in their form; None where an output holds no answer."""
    # The one look upstairs of this package: texts come in here, and only parsers read texts.
    from medinst_eval import parsers

    if context.form == "word_labels":
        # The gold holds every word of the input, each followed by its label.
        inputs = [_WORD_LABEL.sub("", gold) for gold in golds]
    if context.form == "choice" and len(inputs) != len(golds):
        raise InputError(
            "a choice cannot be read without its question; "
            "give compute(..., inputs=[...]), one per reference"
        )
    wanted, answers = [], []
    for place, (gold, output) in enumerate(zip(golds, outputs, strict=True)):
        text = inputs[place] if place < len(inputs) else ""
        asked = ParseContext(
            input=text,
            labels=context.labels,
            options=parsers.options_from_input(text) if context.form == "choice" else (),
            scale=context.scale,
        )
        parsed = parsers.parse_gold(context.form, gold, asked)
        if parsed.status == "unparsed":
            raise InputError(
                f"reference {place} is not of form '{context.form}': {gold[:80]!r} ({parsed.note})"
            )
        wanted.append(parsed.value if parsed.value is not None else ())
        answer = parsers.parse(context.form, output, asked)
        answers.append(answer.value if answer.status == "ok" else None)
    return wanted, answers
