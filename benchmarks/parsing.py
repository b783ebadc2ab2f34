"""How well the parsers read: golds, golds in other dress, real outputs, random characters.

    python benchmarks/parsing.py                                # everything but the fuzzing
    python benchmarks/parsing.py --fuzz 10000000                # and ten million characters
    python benchmarks/parsing.py --write docs/parsing.md        # puts the tables into the page

Needs the real data beside the checkout (`--shared`, default `../shared`).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parsing_dress import DRESSES, NO_ANSWER

from medinst_eval.files import write_atomic
from medinst_eval.parsers import forms, options_from_input, parse, parse_gold, reasoning
from medinst_eval.tasks import load_cards
from medinst_eval.types import Answer, ParseContext

ROOT = Path(__file__).resolve().parents[1]
CARDS = {card.name: card for card in load_cards()}
PARTS = (3, 10, 40, 200, 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A gold and its context."""

    task: str
    form: str
    gold: str
    context: ParseContext


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A real output, with the reading it is compared with where there is one."""

    source: str
    form: str
    text: str
    context: ParseContext
    meant: Answer | None = None
    """What the output says, read in another way."""
    words: tuple[str, ...] | None = None
    """Entities marked in the output that the input has, where nothing better is known."""

    def judge(self, value: Answer) -> bool | None:
        """Whether a value is what the output says; None: cannot be told."""
        if self.meant is not None:
            return value == self.meant
        if self.words is not None:
            # Equal strings are a proof, different ones are not: the model may have changed words.
            return True if entities(value, self.context.input.split()) == self.words else None
        return None


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def golds(shared: Path) -> list[Row]:
    rows: list[Row] = []
    for path in sorted((shared / "data/medinst32/unseen_tests").glob("*_test.json")):
        card = CARDS[path.name.removesuffix("_test.json")]
        for line in lines(path):
            context = ParseContext(
                input=line["input"],
                labels=card.labels,
                scale=card.scale,
                options=options_from_input(line["input"]) if card.form == "choice" else (),
                prompt=f"{line['instruction']}\n{line['input']}",
            )
            rows.append(Row(task=card.name, form=card.form, gold=line["output"], context=context))
    return rows


def gold_table(rows: Sequence[Row]) -> str:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        strict = parse_gold(row.form, row.gold, row.context)
        tolerant = parse(row.form, row.gold, row.context)
        blank = not row.gold.strip()
        same = blank or tolerant.value == strict.value
        counts[row.form].update(rows=1, blank=blank, strict=strict.status == "ok", same=same)
        counts[row.form].update(unparsed=tolerant.status == "unparsed")
    body = [
        (form, count["rows"], count["strict"], count["same"], count["unparsed"], count["blank"])
        for form, count in sorted(counts.items(), key=_by_form)
    ]
    head = ("form", "golds", "read strictly", "tolerant reading the same", "unparsed", "blank")
    return table(head, body, total=True)


def dress_tables(rows: Sequence[Row], limit: int) -> tuple[str, str]:
    """Golds in other dress, by form and by dress; and texts that must stay unparsed."""
    dressed: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    refused: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    seen: Counter[str] = Counter()
    for row in rows:
        value = parse_gold(row.form, row.gold, row.context).value
        seen[row.task] += 1
        if value in (None, ()) or seen[row.task] > limit:
            continue
        for name, dress in DRESSES[row.form].items():
            text = dress(value, row.context, row.gold)
            if text is not None:
                answer = parse(row.form, text, row.context)
                right = answer.value == value
                wrong = answer.status == "ok" and not right
                dressed[row.form, name].update(
                    texts=1, right=right, unparsed=answer.status != "ok", wrong=wrong
                )
        for name, dress in NO_ANSWER.get(row.form, {}).items():
            text = dress(value, row.context, row.gold)
            if text is not None:
                answer = parse(row.form, text, row.context)
                taken = answer.status == "ok"
                refused[row.form, name].update(texts=1, unparsed=not taken, wrong=taken)
    return _dressed(dressed), _refused(refused)


def _dressed(counts: dict[tuple[str, str], Counter[str]]) -> str:
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    worst: dict[str, list[str]] = defaultdict(list)
    for (form, name), count in counts.items():
        totals[form].update(count)
        totals[form].update(dresses=1)
        if count["right"] < count["texts"]:
            worst[form].append(f"{name} ({count['texts'] - count['right']})")
    body = [
        (
            form, count["dresses"], count["texts"], count["right"], count["unparsed"],
            count["wrong"], percent(count["wrong"], count["texts"]),
            escape("; ".join(worst[form])) or "–",
        )
        for form, count in sorted(totals.items(), key=_by_form)
    ]  # fmt: skip
    head = ("form", "dresses", "texts", "right", "unparsed", "wrong", "wrong %", "not all right")
    return table(head, body)


def _refused(counts: dict[tuple[str, str], Counter[str]]) -> str:
    body = [
        (form, escape(name), count["texts"], count["unparsed"], count["wrong"])
        for (form, name), count in sorted(counts.items(), key=lambda item: _by_form(item[0]))
    ]
    return table(("form", "text", "texts", "unparsed", "taken for an answer (wrong)"), body)


def outputs(shared: Path) -> Iterator[Output]:
    folder = shared / "data/llm_outputs"
    yield from _mirage(folder / "mirage.jsonl")
    for line in lines(folder / "cortex-medinst-medqa.jsonl"):
        options = options_from_input(line["prompt"])
        context = ParseContext(input=line["prompt"], prompt=line["prompt"], options=options)
        # Ten outputs, read by eye: each names the option whose text it holds but for an article.
        meant = next(o for o in options if bare(o).removeprefix("itis") in bare(line["output"]))
        yield Output(
            source="cortex", form="choice", text=line["output"], context=context, meant=meant
        )
    for line in lines(folder / "llm-biomed-ner-re.jsonl"):
        words = line["gold"]["tokens"]
        marked = "<span" in line["output"]
        yield Output(
            source="llm-biomed-ner-re" + ("" if marked else ", nothing marked"),
            form="word_labels",
            text=line["output"],
            context=ParseContext(input=" ".join(words), prompt=line["prompt"]),
            meant=by_letters(line["output"], words) if marked else None,
            words=marked_words(line["output"], words) if marked else None,
        )
    for line in lines(folder / "zeroshotre.jsonl"):
        relations = json.loads(line["output"])["relations"]
        yield Output(
            source="zeroshotre",
            form="relations",
            text=line["output"],
            context=ParseContext(input=line["prompt"], prompt=line["prompt"], labels=("CID",)),
            meant=tuple((r["chemical"].strip(), "", r["disease"].strip()) for r in relations),
        )
    for source in ("bio-mqm-zh2en", "moe-pruning-medinst32-sum"):
        for line in lines(folder / f"{source}.jsonl"):
            text = re.sub(r"^\*\*Related Work\*\*\s", "", line["output"]).strip()
            half = text[: len(text) // 2].strip()
            yield Output(
                source=source,
                form="text",
                text=line["output"],
                context=ParseContext(input=line["prompt"], prompt=line["prompt"]),
                meant=half if text == f"{half} {half}" else text,
            )


def _mirage(path: Path) -> Iterator[Output]:
    for line in lines(path):
        options = options_from_input(line["prompt"])
        prompt = line["prompt"]
        context = ParseContext(input=prompt, prompt=prompt, options=options)
        letters = re.findall(r'"answer_choice": "([A-J])(?:[.:)"]|$)', line["output"])
        several = re.search(r'"answer_choice": "[^"]*[,/ ][A-J]\.', line["output"])
        meant = options[ord(letters[0]) - ord("A")] if len(set(letters)) == 1 else None
        meant = None if several else meant
        yield Output(
            source="mirage", form="choice", text=line["output"], context=context, meant=meant
        )
        if line["dataset"] in ("bioasq", "pubmedqa"):
            labels = ParseContext(input=prompt, prompt=prompt, labels=options)
            yield Output(
                source="mirage", form="label", text=line["output"], context=labels, meant=meant
            )
        try:
            thinking = json.loads(line["output"])["step_by_step_thinking"]
        except ValueError:
            continue
        if meant is not None:
            yield Output(
                source="mirage, reasoning alone",
                form="choice",
                text=thinking,
                context=context,
                meant=meant,
            )


def bare(text: str) -> str:
    """Letters and digits of a text, articles left out."""
    return re.sub(r"\b(?:the|an?)\b|[\W_]", "", text.casefold())


def by_letters(output: str, words: Sequence[str]) -> tuple[str, ...] | None:
    """Labels told by the places of the marks among the letters; None where the letters differ."""
    signs: list[str] = []
    marks: list[str] = []
    mark = "O"
    for part in re.findall(r"<span[^>]*>|</span>|[^<]+|<", output):
        if part.startswith("<span"):
            mark = "B"
        elif part == "</span>":
            mark = "O"
        else:
            for sign in "".join(part.split()):
                signs.append(sign)
                marks.append(mark)
                mark = "I" if mark == "B" else mark
    if "".join(signs) != "".join(words):
        return None
    labels: list[str] = []
    place = 0
    for word in words:
        own = marks[place : place + len(word)]
        place += len(word)
        labels.append(next((own_mark for own_mark in own if own_mark != "O"), "O"))
    return tuple(labels)


def marked_words(output: str, words: Sequence[str]) -> tuple[str, ...]:
    """Letters and digits of the marked entities, without those that the input does not have."""
    source = "".join(letters(word) for word in words)
    found = (letters(text) for text in re.findall(r"<span[^>]*>(.*?)</span>", output, re.DOTALL))
    return tuple(text for text in found if text and text in source)


def entities(labels: Answer, words: Sequence[str]) -> tuple[str, ...]:
    """Letters and digits of the entities that labels tell."""
    found: list[str] = []
    inside = False
    for word, label in zip(words, labels if isinstance(labels, tuple) else (), strict=True):
        if label == "O":
            inside = False
        elif label == "B" or not inside:
            found.append(letters(word))
            inside = True
        else:
            found[-1] += letters(word)
    return tuple(text for text in found if text)


def letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.casefold())


def output_table(found: Iterable[Output]) -> str:
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for output in found:
        answer = parse(output.form, output.text, output.context)
        right = output.judge(answer.value) if answer.value is not None else None
        counts[output.form, output.source].update(
            outputs=1, judged=right is not None, wrong=right is False
        )
        counts[output.form, output.source].update([answer.status])
    body = [
        (
            form, source, count["outputs"], count["ok"], count["unparsed"], count["empty"],
            count["judged"], count["wrong"],
        )
        for (form, source), count in sorted(counts.items(), key=lambda item: _by_form(item[0]))
    ]  # fmt: skip
    head = ("form", "source", "outputs", "parsed", "unparsed", "empty", "judged", "wrong")
    return table(head, body)


def speed_table() -> str:
    """Seconds of one core for the longest text that is read in full, worst of many walls."""
    walls = (
        "[", "]", "<", ">", '"', "'", "1. ", " ", "\n", "|", "*", '{"', "[a <Protein>] ",
        "[<a> <CID> <b>] ", "word [B] ", "<span>x</span> ", "answer is ", "x: y\n", "- x\n",
    )  # fmt: skip
    body: list[tuple[object, ...]] = []
    for form in forms():
        context = fuzz_context(form)
        times: list[tuple[float, str]] = []
        for wall in walls:
            for length in (200_000, 1_000_000):
                text = wall * (length // len(wall))
                start = time.process_time()
                parse(form, text, context)
                times.append((time.process_time() - start, f"{length:,}"))
        full = max(seconds for seconds, length in times if length == "200,000")
        mega = max(seconds for seconds, length in times if length == "1,000,000")
        body.append((form, f"{full:.2f}", f"{mega:.2f}"))
    return table(("form", "200,000 characters, s", "1,000,000 characters, s"), body)


def fuzz_context(form: str) -> ParseContext:
    labels = {
        "entities": ("Protein", "Gene_x"),
        "relations": ("CID",),
        "events": ("Binding", "Growth"),
        "label": ("Supports", "Refutes", "Neutral"),
        "labels": ("none", "resisting cell death"),
    }
    words = " ".join(f"w{n % 97}" for n in range(300))
    return ParseContext(
        input=f"IL-2 binds p21 [WAF1] . {words}",
        prompt=f"Do it.\nIL-2 binds p21 [WAF1] . {words}",
        labels=labels.get(form, ()),
        options=("IL-2", "a the", "yes", "3.5", "+/-") if form == "choice" else (),
        scale=(0.0, 5.0) if form == "number" else None,
    )


def fuzz(characters: int, seed: int, pieces: Sequence[str]) -> str:
    """Feed every parser with random pieces; an exception ends the program."""
    chance = random.Random(seed)
    contexts = {form: fuzz_context(form) for form in forms()}
    done = texts = 0
    start = time.perf_counter()
    while done < characters:
        size = chance.choice(PARTS)
        if chance.random() < 0.2:
            highest = chance.choice((128, 0x3000, 0x110000))
            text = "".join(chr(chance.randrange(highest)) for _ in range(size))
        else:
            text = "".join(chance.choices(pieces, k=size))
        for form, context in contexts.items():
            parse(form, text, context)
            parse_gold(form, text, context)
        reasoning.split(text)
        options_from_input(text)
        done += len(text)
        texts += 1
    seconds = time.perf_counter() - start
    return (
        f"{done:,} characters in {texts:,} texts, each through the {len(contexts)} forms (tolerant "
        f"and strict), the reasoning splitter and the option reader: no exception "
        f"({seconds:.0f} s, seed {seed})."
    )


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else "–"


def escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _by_form(item: tuple[Any, ...]) -> tuple[Any, ...]:
    return (forms().index(item[0]), *(str(part) for part in item[1:2]))


def table(head: Sequence[str], body: Sequence[Sequence[object]], *, total: bool = False) -> str:
    rows = [[str(cell) for cell in row] for row in body]
    if total:
        sums = [sum(int(str(row[n])) for row in body) for n in range(1, len(head))]
        rows.append(["all", *map(str, sums)])
    marks = ["---" if n == 0 else "---:" for n in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in ([*head], marks, *rows))


def put(page: str, name: str, text: str) -> str:
    """Replace what stands between the marks of a name in a page."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"no place for '{name}' in the page")
    return pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", page)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    options.add_argument("--limit", type=int, default=150, help="golds a task that are dressed")
    options.add_argument("--fuzz", type=int, default=0, help="random characters")
    options.add_argument("--seed", type=int, default=32)
    options.add_argument("--speed", action="store_true", help="time walls of one sign")
    options.add_argument("--write", type=Path, help="page whose tables are replaced")
    given = options.parse_args()
    rows = golds(given.shared)
    sections: dict[str, Callable[[], str]] = {"golds": lambda: gold_table(rows)}
    dressed, refused = dress_tables(rows, given.limit)
    sections |= {"dressed": lambda: dressed, "refused": lambda: refused}
    sections["outputs"] = lambda: output_table(outputs(given.shared))
    if given.speed:
        sections["speed"] = speed_table
    if given.fuzz:
        sections["fuzz"] = lambda: fuzz(given.fuzz, given.seed, pieces(rows))
    page = given.write.read_text(encoding="utf-8") if given.write else ""
    for name, make in sections.items():
        text = make()
        print(f"\n{name}\n\n{text}")
        page = put(page, name, text) if given.write else ""
    if given.write:
        write_atomic(given.write, page)


def pieces(rows: Sequence[Row]) -> list[str]:
    """Signs that parsers care for, and words of the golds."""
    signs = (
        "[]<>{}()\"'`*_|:,;.-/\\=#&~“”【】＜＞→\n\t\r\x00\u200b\ufeff\ud800 0123456789ABIOéİßﬀ中①½"
    )
    words = [
        "```json\n", "<think>", "</think>", "<|channel|>final<|message|>", "<answer>", "</answer>",
        '<span class="Protein">', "</span>", "[B]", "[O]", "/B-Disease", "yes", " no", "maybe",
        "The answer is ", "Answer: ", "final answer", "not ", "Supports", "\\boxed{", "3.5", "/5",
        " out of ", "No entities found", "&lt;", "\\ud800", '{"type": "', '"}, ', "- ", "1. ",
    ]  # fmt: skip
    chance = random.Random(1)
    taken = [row.gold[:40] for row in chance.sample(list(rows), 60) if row.gold]
    return [*signs, *words, *taken]


if __name__ == "__main__":
    main()
