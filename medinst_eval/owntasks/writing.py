"""A commented card and three example rows, to be changed into a task of one's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from medinst_eval import tasks
from medinst_eval.errors import InputError, closest
from medinst_eval.files import write_atomic
from medinst_eval.tasks.card import NAME

_TEMPLATES = Path(__file__).with_name("templates.yaml")

_FORMS = """\
# form is what an answer looks like; change it together with metrics and rows:
#   entities     [aspirin <Drug>] [cough <Symptom>]     links    [aspirin <ATC/N02BA01>]
#   relations    [<aspirin> <treats> <cough>]           events   [<Stop> <withdrawn> <aspirin>]
#   mentions     [the drug] [it]                        choice   one of the input's Options: a / b
#   label        one of labels                          labels   some of labels: a, b
#   word_labels  aspirin [B] for [O] cough [B]          number   a number on scale: [low, high]
#   text         anything"""

_CARD = """\
# A task of your own. `medinst-eval tasks check {name}.yaml` says whether it can be scored, and
# `medinst-eval --task-file {name}.yaml --model MODEL` asks a model.
name: {name_field}
title: {title}
# What kind of task it is: {categories}
category: {category}

{forms}
form: {form}
{labels}
{scale}metrics:
  # The first is the headline. docs/metrics.md says what each counts and which forms it takes.
  standard: [{metrics}]
# Longest answer in tokens.
max_tokens: {max_tokens}
# Rows on one document are resampled together for the interval. row: every row is a document of
# its own; input: equal inputs are one document; first: equal first fields (Question: ...);
# text: equal inputs but for the last field (Entity: ...).
cluster: {cluster}

data:
  # JSON Lines, CSV, TSV or Parquet, from the folder of this card. Instead of path, for the Hub:
  # hub: owner/name, and where needed config: NAME, split: test, revision: COMMIT
  path: {name}.jsonl
  # What is asked of every row. Leave it out where rows have an instruction of their own.
  instruction: {instruction}
  # Where your columns have other names, say which is which:
  # fields: {{input: text, output: annotation}}
  # A row may bring demonstrations in history: [[question, answer], ...], the question with its
  # instruction; --shots N shows the first N. Never take them from the rows that are asked.

# Kept with the results, so that a reader knows what was measured.
source: Example sentences, made up
licence: CC0-1.0
citation: ""
"""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write_new` has written."""

    card: Path
    rows: Path
    form: str


def write_new(folder: Path, name: str, category: str) -> Written:
    """Write a commented card `NAME.yaml` and three example rows `NAME.jsonl`.

    The two make a task that can be run as it is, and changed line by line.

    Args:
        folder: Where to write.
        name: Name of the task: letters, digits, `.`, `_`, `-`.
        category: One of the eleven, in upper or lower case.

    Raises:
        InputError: Unknown category, a name no task may have, or a file that is there already.
        StoreError: The files cannot be written.
    """
    chosen = category.upper()
    if chosen not in tasks.categories():
        raise InputError(
            f"no category '{category}'{closest(category, tasks.categories())} "
            f"(there are {', '.join(tasks.categories())})"
        )
    if not re.fullmatch(NAME, name):
        raise InputError(
            f"a task cannot be called '{name}'; use letters, digits, '.', '_' and '-', and begin "
            "with a letter or digit"
        )
    if any(card.name.lower() == name.lower() for card in tasks.load_cards()):
        raise InputError(f"the benchmark has a task '{name}' already; choose another name")
    card, rows = folder / f"{name}.yaml", folder / f"{name}.jsonl"
    template = yaml.safe_load(_TEMPLATES.read_text(encoding="utf-8"))[chosen]
    text = _card(name, chosen, template)
    for path in (card, rows):
        if path.exists():
            raise InputError(f"{path} exists already; choose another name, or move it away")
    write_atomic(rows, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in _rows(template)))
    write_atomic(card, text)
    return Written(card=card, rows=rows, form=template["form"])


def _card(name: str, category: str, template: Mapping[str, Any]) -> str:
    labels = template["labels"]
    scale = template.get("scale")
    return _CARD.format(
        name=name,
        # A bare word such as `no` or `1e3` would be read as something else than text.
        name_field=name if yaml.safe_load(name) == name else _quoted(name),
        title=_quoted(template["title"]),
        category=category,
        categories=" ".join(tasks.categories()),
        forms=_FORMS,
        form=template["form"],
        labels=(
            "# The closed set that an answer's labels or types come from.\n"
            f"labels: [{', '.join(labels)}]"
            if labels
            else "# labels: [A, B]  # the closed set of labels or types, where there is one"
        ),
        scale=f"scale: [{scale[0]}, {scale[1]}]\n" if scale else "",
        metrics=", ".join(template["metrics"]),
        max_tokens=template["max_tokens"],
        cluster=template.get("cluster", "row"),
        instruction=_quoted(template["instruction"]),
    )


def _quoted(text: str) -> str:
    """A YAML string in double quotes, which JSON writes too."""
    return json.dumps(text, ensure_ascii=False)


def _rows(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    history = [
        [f"{template['instruction']}\n{shot['input']}", shot["output"]]
        for shot in template["shots"]
    ]
    return [{**row, "history": history} for row in template["rows"]]
