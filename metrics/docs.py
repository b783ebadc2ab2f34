"""Writes docs/metrics.md from the metrics themselves: `python -m medinst_eval.metrics.docs`.

Meaning, formula, matching, trap and source come from the docstrings, signatures from the code, and
the examples are scored while the page is written, so that the page cannot drift from the code; a
test compares the two.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from medinst_eval.metrics import BUILT_IN, create, get
from medinst_eval.metrics.base import Metric, MetricContext
from medinst_eval.metrics.evaluate_module import score_texts
from medinst_eval.types import Form

PAGE = Path("docs/metrics.md")
TEMPLATE = "docs_template.md"
SECTIONS = ("Formula", "Matching", "Trap", "Differs", "Source")

GROUPS = {
    "Entities, links, relations, events, mentions": (
        "entity_f1", "entity_precision", "entity_recall", "token_accuracy", "mention_f1",
        "link_f1", "relation_f1", "relation_precision", "relation_recall", "pair_f1", "event_f1",
        "trigger_f1",
    ),
    "Labels, choices, exact texts": ("accuracy", "macro_f1", "micro_f1", "subset_accuracy"),
    "Numbers": ("pearson", "spearman", "mse"),
    "Free text": ("rouge_l", "chrf", "meteor", "bertscore_f1"),
}  # fmt: skip
"""Standard metrics in the page's order."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row scored by a metric of the paper and by its standard counterpart."""

    form: Form
    gold: str
    output: str
    paper: str
    standard: str
    question: str = ""
    labels: tuple[str, ...] = ()
    scale: tuple[float, float] | None = None


_YES_NO = ("yes", "no", "maybe")
_TYPES = ("Disease", "Gene")
EXAMPLES = (
    Example(form="label", gold="yes", output="The answer is yes.",
            paper="paper_label_f1", standard="accuracy", labels=_YES_NO),
    Example(form="choice", gold="Aspirin", output="B",
            paper="paper_em", standard="accuracy",
            question="Question: Which one thins the blood?\nOptions: Insulin / Aspirin"),
    Example(form="choice", gold="1.5 mg", output="15 mg",
            paper="paper_em", standard="accuracy",
            question="Question: How much?\nOptions: 1.5 mg / 15 mg"),
    Example(form="entities", gold="[hepatitis A <Disease>]", output="[hepatitis <Disease>]",
            paper="paper_entity_f1", standard="entity_f1", labels=_TYPES),
    Example(form="entities", gold="[BRCA1 <Gene>]", output="[BRCA1, Gene]",
            paper="paper_entity_f1", standard="entity_f1", labels=_TYPES),
    Example(form="entities", gold="[BRCA1 <Gene>]", output='[{"text": "BRCA1", "type": "Gene"}]',
            paper="paper_entity_f1", standard="entity_f1", labels=_TYPES),
    Example(form="links", gold="", output="None",
            paper="paper_entity_f1", standard="link_f1"),
    Example(form="relations", gold="[<lung cancer> <CID> <tar>]",
            output="[<lung> <cancer CID> <tar>]", paper="paper_entity_f1", standard="relation_f1"),
    Example(form="mentions", gold="[the virus]", output="[virus]",
            paper="paper_entity_f1", standard="mention_f1"),
    Example(form="word_labels", gold="No [O] lung [B] cancer [I] seen [O]",
            output="lung [B] cancer [I] seen [O]", paper="paper_label_f1", standard="entity_f1",
            labels=("B", "I", "O")),
    Example(form="labels", gold="angiogenesis, metastasis", output="metastasis; angiogenesis",
            paper="paper_entity_f1", standard="micro_f1", labels=("angiogenesis", "metastasis")),
    Example(form="number", gold="3", output="3 out of 5",
            paper="paper_mse", standard="mse", scale=(0.0, 5.0)),
    Example(form="number", gold="3", output="2.5",
            paper="paper_mse", standard="mse", scale=(0.0, 5.0)),
)  # fmt: skip


def sections(kind: type[Metric]) -> dict[str, str]:
    """A metric's docstring by section; what comes before the first is under `Meaning`."""
    found: dict[str, list[str]] = {"Meaning": []}
    current = "Meaning"
    for line in (inspect.getdoc(kind) or "").splitlines():
        if line.rstrip(":") in SECTIONS and line.endswith(":"):
            current = line.rstrip(":")
            found[current] = []
        else:
            found[current].append(line.strip())
    return {name: " ".join(" ".join(lines).split()) for name, lines in found.items()}


def _prose(text: str) -> str:
    """Markdown that shows angle brackets as they are; code spans need no help."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def signature_pattern(metric: Metric) -> str:
    """A signature in which what depends on the machine is left open."""
    open_keys = "v|nltk|rouge_score|sacrebleu|bert-score|transformers|wordnet"
    text = re.sub(rf"\|({open_keys}):[^|]*", r"|\1:…", metric.signature)
    return re.sub(r"encoder:([^|@#]*)[@#][^|]*", r"encoder:\1@…", text)


def _direction(kind: type[Metric]) -> str:
    low, high = kind.bounds
    arrow = "higher is better" if kind.higher_is_better else "lower is better"
    return f"{low:g} to {'∞' if high == float('inf') else f'{high:g}'}, {arrow}"


def _entry(name: str) -> str:
    kind = get(name)
    parts = sections(kind)
    forms = kind.forms or ("text",)
    lines = [f"#### `{name}`", "", _prose(parts["Meaning"]), ""]
    lines += [f"- **Range:** {_direction(kind)}."]
    if kind.forms:
        lines += [f"- **Answers:** {', '.join(f'`{form}`' for form in kind.forms)}."]
    lines += [f"- **{title}:** {_prose(parts[title])}" for title in SECTIONS if title in parts]
    seen: dict[str, Form] = {}
    for form in forms:
        context = MetricContext(form=form, scale=(0.0, 5.0) if form == "number" else None)
        seen.setdefault(signature_pattern(create(name, context)), form)
    lines += [f"- **Signature:** `{signature}`" for signature in seen]
    return "\n".join(lines)


def _cell(text: str) -> str:
    shown = text.replace("\n", " ⏎ ").replace("|", "\\|")
    return f"`{shown}`" if shown else "(nothing)"


def _score(example: Example, name: str) -> str:
    context = MetricContext(form=example.form, labels=example.labels, scale=example.scale)
    inputs = (example.question,) if example.question else ()
    return f"{score_texts(name, context, [example.gold], [example.output], inputs)[name]:.4g}"


def _examples() -> str:
    lines = ["| gold | output | paper | standard |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(e.gold)} | {_cell(e.output)} | `{e.paper}` {_score(e, e.paper)} "
        f"| `{e.standard}` {_score(e, e.standard)} |"
        for e in EXAMPLES
    ]
    return "\n".join(lines)


@cache
def _template() -> str:
    return (files("medinst_eval.metrics") / TEMPLATE).read_text(encoding="utf-8")


def page() -> str:
    """The whole page as Markdown."""
    paper = [name for name in BUILT_IN if name.startswith("paper_")]
    standard = [
        f"### {title}\n\n" + "\n\n".join(map(_entry, names)) for title, names in GROUPS.items()
    ]
    return (
        _template()
        .replace("<!-- examples -->", _examples())
        .replace("<!-- paper -->", "\n\n".join(map(_entry, paper)))
        .replace("<!-- standard -->", "\n\n".join(standard))
    )


def main(path: Path = PAGE) -> int:
    """Write the page; 2 where it has no place here."""
    if not path.parent.is_dir():
        print(f"no folder {path.parent}/ here; run it in the checkout's root", file=sys.stderr)
        return 2
    path.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
