# ruff: noqa: ARG001, ARG005 - every dress has the same signature
"""Ways in which models write an answer, applied to golds: what the parser must find is known.

Each dress takes the value of a gold (and its context) and gives a text, or None where the gold
cannot be written so. `TRAPS` give texts that must stay unparsed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from medinst_eval.types import ParseContext

Dress = Callable[[Any, ParseContext, str], str | None]
"""(value, context, gold text) -> text."""


def _plain_wrappings() -> dict[str, Dress]:
    """Dresses that fit every form: the gold text with something around it."""
    return {
        "code fence": lambda v, c, g: f"```\n{g}\n```",
        "preamble and farewell": lambda v, c, g: (
            f"Sure! Here is the answer:\n\n{g}\n\nLet me know if you need anything else."
        ),
        "Answer:": lambda v, c, g: f"Answer: {g}",
        "**Answer:**": lambda v, c, g: f"**Answer:** {g}",
        "echoed prompt": lambda v, c, g: f"{c.prompt}\n{g}",
        "<answer> tags": lambda v, c, g: f"<answer>{g}</answer>",
        "special tokens": lambda v, c, g: f"{g}<|im_end|>\n</s>",
        "white space": lambda v, c, g: f"\n\n  {g} \n",
    }


def _lines(pattern: str) -> Dress:
    def dress(value: Any, context: ParseContext, gold: str) -> str | None:
        if any("\n" in field for item in value for field in item):
            return None
        return "\n".join(pattern.format(*item, n=n) for n, item in enumerate(value, 1))

    return dress


def _json(keys: tuple[str, ...] | None, *, outer: str | None = None, fence: bool = False) -> Dress:
    def dress(value: Any, context: ParseContext, gold: str) -> str | None:
        items: list[Any] = [
            dict(zip(keys, item, strict=True)) if keys else list(item) for item in value
        ]
        if keys is None and value and len(value[0]) == 1:
            items = [item[0] for item in value]
        text = json.dumps({outer: items} if outer else items, indent=2, ensure_ascii=False)
        return f"Here you go:\n```json\n{text}\n```" if fence else text

    return dress


def _table(*heads: str) -> Dress:
    def dress(value: Any, context: ParseContext, gold: str) -> str | None:
        if any("|" in field or "\n" in field for item in value for field in item):
            return None
        rule = "|".join(["---"] * len(heads))
        rows = "\n".join(f"| {' | '.join(item)} |" for item in value)
        return f"| {' | '.join(heads)} |\n|{rule}|\n{rows}"

    return dress


def _repeated(value: Any, context: ParseContext, gold: str) -> str | None:
    return f"{gold}\n\n{gold}" if len(value) > 1 and "\n" not in gold else None


def _fullwidth(value: Any, context: ParseContext, gold: str) -> str | None:
    inside = "".join("".join(item) for item in value)
    if any(sign in inside for sign in "[]<>"):
        return None
    return gold.translate(str.maketrans("[]<>", "【】＜＞"))


BRACKETS: dict[str, Dress] = _plain_wrappings() | {
    "one a line": lambda v, c, g: g if len(v) < 2 or "\n" in g else g.replace("] [", "]\n["),
    "commas between": lambda v, c, g: g.replace("] [", "], ["),
    "bullets": lambda v, c, g: None if "\n" in g else "- " + g.replace("] [", "]\n- ["),
    "full-width brackets": _fullwidth,
    "repeated block": _repeated,
    "cut-off last item": lambda v, c, g: f"{g} [unfini",
}
PAIRS: dict[str, Dress] = {
    "- mention (type)": _lines("- {0} ({1})"),
    "1. **mention**: type": _lines("{n}. **{0}**: {1}"),
    "mention: type": _lines("{0}: {1}"),
    "[mention, type]": _lines("[{0}, {1}]"),
    "[mention: type]": _lines("[{0}: {1}]"),
    "[mention] <type>": _lines("[{0}] <{1}>"),
    "mention <type>": _lines("{0} <{1}>"),
    "[“mention” <type>]": _lines("[“{0}” <{1}>]"),
}
DRESSES: dict[str, dict[str, Dress]] = {
    "entities": BRACKETS
    | PAIRS
    | {
        "JSON entity, type": _json(("entity", "type")),
        "JSON text, label, nested": _json(("text", "label"), outer="entities", fence=True),
        "JSON pairs": _json(None),
        "table": _table("Entity", "Type"),
        '<span class="type">': _lines('<span class="{1}">{0}</span>'),
    },
    "links": BRACKETS
    | PAIRS
    | {
        "JSON mention, identifier": _json(("mention", "identifier")),
        "JSON entity, id, nested": _json(("entity", "id"), outer="entities", fence=True),
        "table": _table("Mention", "Identifier"),
    },
    "relations": BRACKETS
    | {
        "- a -> rel -> b": _lines("- {0} -> {1} -> {2}"),
        "(a, rel, b)": _lines("({0}, {1}, {2})"),
        "[a, rel, b]": _lines("[{0}, {1}, {2}]"),
        "a | rel | b": _lines("{0} | {1} | {2}"),
        "[a <rel> b]": _lines("[{0} <{1}> {2}]"),
        "<a> <rel> <b>": _lines("<{0}> <{1}> <{2}>"),
        "JSON head, relation, tail": _json(("head", "relation", "tail")),
        "JSON nested": _json(("entity1", "relation", "entity2"), outer="relations", fence=True),
        "JSON triples": _json(None),
        "table": _table("Entity 1", "Relation", "Entity 2"),
    },
    "events": BRACKETS
    | {
        "[type, trigger, theme]": _lines("[{0}, {1}, {2}]"),
        "- type: trigger -> theme": _lines("- {0}: {1} -> {2}"),
        "1. type | trigger | theme": _lines("{n}. {0} | {1} | {2}"),
        "<type> <trigger> <theme>": _lines("<{0}> <{1}> <{2}>"),
        "JSON type, trigger, theme": _json(("type", "trigger", "theme")),
        "JSON nested": _json(("event_type", "trigger", "theme"), outer="events", fence=True),
        "table": _table("Type", "Trigger", "Theme"),
    },
    "mentions": BRACKETS
    | {
        "- mention": _lines("- {0}"),
        "1. mention": _lines("{n}. {0}"),
        "- “mention”": _lines("- “{0}”"),
        "mention a line": _lines("{0}"),
        "JSON list": _json(None),
        "JSON mention": _json(("mention",), outer="coreferences", fence=True),
        "table": _table("Co-reference"),
        '"a", "b"': lambda v, c, g: ", ".join(f'"{item[0]}"' for item in v),
    },
    "label": _plain_wrappings()
    | {
        "**label**": lambda v, c, g: f"**{v}**",
        "LABEL.": lambda v, c, g: f"{v.upper()}.",
        "“label”": lambda v, c, g: f"“{v}”",
        "The answer is label.": lambda v, c, g: f"The answer is {v}.",
        "JSON label": lambda v, c, g: json.dumps({"reason": "the text says so", "label": v}),
        "label, then why": lambda v, c, g: f"{v}\n\nExplanation: the authors report the effect.",
        "label. why": lambda v, c, g: f"{v}. The authors measured the effect in 12 patients.",
        "why, then label": lambda v, c, g: f"The authors measured it.\n\n**{v}**",
        "In a sentence": lambda v, c, g: f"Based on the text, I would say '{v}'.",
        "\\boxed{label}": lambda v, c, g: f"We read the text. \\boxed{{{v}}}",
    },
    "labels": _plain_wrappings()
    | {
        "bullets": lambda v, c, g: "\n".join(f"- {label}" for label in v),
        "numbers and bold": lambda v, c, g: "\n".join(
            f"{n}. **{label.title()}**: as the sentence says" for n, label in enumerate(v, 1)
        ),
        "semicolons": lambda v, c, g: "; ".join(v),
        "JSON list": lambda v, c, g: json.dumps(list(v)),
        "JSON labels": lambda v, c, g: json.dumps({"labels": list(v)}),
        "brackets": lambda v, c, g: f"[{', '.join(v)}]",
        "a and b": lambda v, c, g: " and ".join(v),
        "under_scores": lambda v, c, g: ", ".join(label.replace(" ", "_") for label in v),
        "In a sentence": lambda v, c, g: (
            f"The sentence discusses {' and '.join(v)}." if "none" not in v else None
        ),
    },
    "choice": _plain_wrappings(),
    "number": _plain_wrappings()
    | {
        "Score: n": lambda v, c, g: f"Score: {g}",
        "**n**": lambda v, c, g: f"**{g}**",
        "n out of 5": lambda v, c, g: f"{g} out of 5",
        "n/5": lambda v, c, g: f"{g}/5",
        "n.0": lambda v, c, g: f"{g}.0",
        "word": lambda v, c, g: ("zero", "one", "two", "three", "four", "five")[int(v)],
        "The similarity is n.": lambda v, c, g: f"The similarity of the two texts is {g}.",
        "On a scale": lambda v, c, g: f"On a scale of 0 to 5, I would rate this pair {g}.",
        "n, then why": lambda v, c, g: f"{g}\n\nBoth texts speak of proteins; 2 details differ.",
        "JSON score": lambda v, c, g: json.dumps({"score": int(v)}),
    },
    "text": _plain_wrappings()
    | {
        "Translation:": lambda v, c, g: f"Translation: {g}",
        "Here is the translation:": lambda v, c, g: f"Here is the English translation:\n\n{g}",
        "quotes": lambda v, c, g: f'"{g}"',
        "## Heading": lambda v, c, g: f"## Translation\n\n{g}",
    },
}


def _letter(value: str, context: ParseContext) -> str:
    return "ABCDEFGHIJ"[context.options.index(value)]


DRESSES["choice"] |= {
    "B": lambda v, c, g: _letter(v, c),
    "(b)": lambda v, c, g: f"({_letter(v, c).lower()})",
    "B. text": lambda v, c, g: f"{_letter(v, c)}. {v}",
    "B) text, then why": lambda v, c, g: f"{_letter(v, c)}) {v}\n\nThis fits the picture best.",
    "The correct answer is B.": lambda v, c, g: f"The correct answer is {_letter(v, c)}.",
    "The answer is (B) text.": lambda v, c, g: f"The answer is **({_letter(v, c)}) {v}**.",
    "The answer is text.": lambda v, c, g: f"The most likely answer is {v.lower()}.",
    "Option 2": lambda v, c, g: (
        None
        if any(option[:2].strip("<>.")[:1].isdigit() for option in c.options)
        else f"Option {c.options.index(v) + 1}"
    ),
    "JSON answer_choice": lambda v, c, g: json.dumps(
        {"step_by_step_thinking": "It is not the first.", "answer_choice": _letter(v, c)}
    ),
    "broken JSON": lambda v, c, g: (
        f'{{"step_by_step_thinking": "as "shown" above", "answer_choice": "{_letter(v, c)}. {v}'
    ),
    "TEXT": lambda v, c, g: v.upper(),
    "why, then letter": lambda v, c, g: (
        f"The patient's history points to it. Therefore, the best answer is {_letter(v, c)}."
    ),
}

NO_ANSWER: dict[str, dict[str, Dress]] = {
    "label": {
        "two labels": lambda v, c, g: f"{v} or {_other(v, c.labels)}",
        "both argued": lambda v, c, g: f"It may be {v}, it may be {_other(v, c.labels)}.",
        "denied": lambda v, c, g: f"The answer is certainly not {v}.",
        "no label": lambda v, c, g: "I cannot determine this from the text.",
    },
    "choice": {
        "letter against text": lambda v, c, g: f"{_letter(v, c)}. {_other(v, c.options)}",
        "two letters": lambda v, c, g: f"{_letter(v, c)} or {_letter(_other(v, c.options), c)}",
        "two texts": lambda v, c, g: f"Either {v} or {_other(v, c.options)}.",
        "denied": lambda v, c, g: f"It is not {v}.",
        "none of them": lambda v, c, g: "None of the above.",
    },
    "number": {
        "range": lambda v, c, g: "2-3",
        "two scores": lambda v, c, g: "Score: 2 or 3",
        "off the scale": lambda v, c, g: "7",
        "no number": lambda v, c, g: "The texts are quite similar.",
    },
    "labels": {
        "denied": lambda v, c, g: f"It does not discuss {c.labels[0]}.",
        "no label": lambda v, c, g: "I cannot tell.",
    },
    "entities": {"prose": lambda v, c, g: "The text describes several entities of interest."},
    "links": {"prose": lambda v, c, g: "The text describes several genes and their variants."},
    "relations": {"prose": lambda v, c, g: "The text describes how the drugs act."},
    "events": {"prose": lambda v, c, g: "The text describes several events in detail."},
    "mentions": {"prose": lambda v, c, g: "It is hard to say what the entity refers to here."},
    "word_labels": {"prose": lambda v, c, g: "The sentence mentions a disease and its treatment."},
}
"""Texts that name no answer, or two: they must stay unparsed."""


def _other(value: str, members: tuple[str, ...]) -> str:
    return next(member for member in members if member != value)


def _pairs(value: Any, context: ParseContext) -> list[tuple[str, str]]:
    return list(zip(context.input.split(), value, strict=True))


def _spans(value: Any, context: ParseContext, gold: str) -> str | None:
    parts: list[str] = []
    for word, label in _pairs(value, context):
        if label == "I" and parts:
            parts[-1] = parts[-1].removesuffix("</span>") + f" {word}</span>"
        else:
            parts.append(word if label == "O" else f"<span>{word}</span>")
    return " ".join(parts) if "B" in value else None


DRESSES["word_labels"] = _plain_wrappings() | {
    "word/B": lambda v, c, g: " ".join(f"{w}/{t}" for w, t in _pairs(v, c)),
    "word [B-Disease]": lambda v, c, g: g.replace("[B]", "[B-Disease]").replace(
        "[I]", "[I-Disease]"
    ),
    "word (B)": lambda v, c, g: " ".join(f"{w} ({t})" for w, t in _pairs(v, c)),
    "one a line": lambda v, c, g: "\n".join(f"{w} [{t}]" for w, t in _pairs(v, c)),
    "tabs": lambda v, c, g: "\n".join(f"{w}\t{t}" for w, t in _pairs(v, c)),
    "word: B": lambda v, c, g: "\n".join(f"- {w}: {t}" for w, t in _pairs(v, c)),
    "table": lambda v, c, g: "\n".join(
        ["| Word | Label |", "|---|---|", *(f"| {w} | {t} |" for w, t in _pairs(v, c))]
    ),
    "JSON pairs": lambda v, c, g: json.dumps(_pairs(v, c)),
    "JSON word, label": lambda v, c, g: json.dumps(
        [{"word": w, "label": t} for w, t in _pairs(v, c)], indent=1
    ),
    "labels alone": lambda v, c, g: " ".join(v),
    "full-width brackets": lambda v, c, g: " ".join(f"{w}【{t}】" for w, t in _pairs(v, c)),
    "<span>": _spans,
    "hyphens joined": lambda v, c, g: _joined(v, c),
    "last word left out": lambda v, c, g: (
        g.rpartition(" ")[0].rpartition(" ")[0] if v[-1] == "O" and len(v) > 3 else None
    ),
    "first word left out": lambda v, c, g: (
        g.split(" ", 2)[2] if v[0] == "O" and len(v) > 3 else None
    ),
    "every word twice": lambda v, c, g: " ".join(
        f"{w} [{t}] {w} [{t if t != 'B' else 'I'}]" for w, t in _pairs(v, c)
    ),
}


def _joined(value: Any, context: ParseContext) -> str | None:
    """`A [B] - [I] T [I]` as `A-T [B]`, where the three words carry one entity or none."""
    words = context.input.split()
    parts: list[str] = []
    place = 0
    while place < len(words):
        labels = tuple(value[place : place + 3])
        if words[place + 1 : place + 2] == ["-"] and labels in (
            ("O", "O", "O"), ("B", "I", "I"), ("I", "I", "I"),
        ):  # fmt: skip
            parts.append(f"{''.join(words[place : place + 3])} [{labels[0]}]")
            place += 3
        else:
            parts.append(f"{words[place]} [{value[place]}]")
            place += 1
    return " ".join(parts) if len(parts) < len(words) else None
