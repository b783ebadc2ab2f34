"""`medinst-eval tasks`: list the tasks, show one, write a first card of one's own, check one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from medinst_eval.cli.console import out, printable

if TYPE_CHECKING:
    from medinst_eval.owntasks import TaskCheck
    from medinst_eval.tasks.card import TaskCard

_SHOW = "show"


class _ShowByDefault(TyperGroup):
    """`tasks` and `tasks MedQA` are short for `tasks show` and `tasks show MedQA`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowByDefault,
    help="List the tasks (`medinst-eval tasks`), show one (`medinst-eval tasks NAME`), or make "
    "and check a task of your own.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(_SHOW)
def show(
    name: Annotated[
        str | None, typer.Argument(help="Task to show; without it, all are listed.")
    ] = None,
    suite: Annotated[str, typer.Option(help="medinst32 or mmlu-medicine.")] = "medinst32",
    data: Annotated[
        str, typer.Option(help="Where the shown row comes from: demo, a folder or a Hub id.")
    ] = "demo",
    shots: Annotated[int, typer.Option(help="Demonstrations in the shown prompt: 0, 1 or 2.")] = 2,
    task_file: Annotated[
        list[Path] | None, typer.Option(help="YAML card of tasks of your own; repeatable.")
    ] = None,
) -> None:
    """List the tasks, or show one: its card, a rendered prompt and the gold answer."""
    from medinst_eval import tasks
    from medinst_eval.suites import suite_cards

    cards = suite_cards(suite, tuple(str(path) for path in task_file or ()))
    if name is None:
        _list(cards)
        return
    for card in tasks.select(cards, name):
        _show(card, data, shots)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the task, and of its two files.")],
    category: Annotated[
        str,
        typer.Option(help="NER, NED, RE, COREF, EE, QA, TE, TXTCLASS, STS, SUM or TRANSL."),
    ],
    folder: Annotated[Path, typer.Option(help="Where to write.")] = Path(),
) -> None:
    """Write a commented card NAME.yaml and three example rows NAME.jsonl, ready to be changed."""
    from medinst_eval.owntasks import write_new

    written = write_new(folder, name, category)
    console = out()
    for line in (
        f"wrote {written.card} (the card) and {written.rows} (three example rows, {written.form})",
        f"put your rows into {written.rows.name}, change the card, then",
        f"  medinst-eval tasks check {written.card}",
    ):
        console.print(printable(line), markup=False, soft_wrap=True)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="Card of tasks of your own (YAML).")],
    shots: Annotated[int, typer.Option(help="Demonstrations in the shown prompt: 0, 1 or 2.")] = 2,
) -> int:
    """Check a card and its data: shows a prompt, and says whether the gold answers score best.

    Exit codes: 0 ready, 2 something must be put right.
    """
    from medinst_eval.errors import InputError
    from medinst_eval.owntasks import check as check_file

    found = check_file(file, shots=shots)
    for task in found:
        _checked(task)
    if problems := sum(len(task.problems) for task in found):
        raise InputError(
            f"{file}: {problems} problem{'s' * (problems != 1)}, named above; put "
            f"{'them' if problems != 1 else 'it'} right and check again"
        )
    out().print(
        f"\nready: medinst-eval --task-file {printable(str(file))} --model MODEL",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    return 0


def _list(cards: tuple[TaskCard, ...]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in (
        "task",
        "category",
        "level",
        "rows",
        "answer",
        "paper metric",
        "standard metrics",
    ):
        table.add_column(column, justify="right" if column in ("level", "rows") else "left")
    for card in cards:
        table.add_row(
            card.name,
            card.category,
            str(card.level or "–"),
            f"{card.rows:,}" if card.rows else "–",
            card.form.replace("_", " "),
            ", ".join(card.metrics.paper) or "–",
            ", ".join(card.metrics.standard),
        )
    out().print(table)


def _show(card: TaskCard, data: str, shots: int) -> None:
    from medinst_eval.data import load
    from medinst_eval.prompts import PromptOptions, build

    own = card.data is not None
    facts = {
        "title": card.title,
        "category": card.category if own else f"{card.category}, level {card.level or '–'}",
        "rows": str(card.rows or "–"),
        "answer form": card.form.replace("_", " "),
        "labels": ", ".join(card.labels) or "open",
        "paper metrics": ", ".join(card.metrics.paper) or "–",
        "standard metrics": ", ".join(card.metrics.standard),
        "token limit": str(card.max_tokens),
        "Hub configs": "" if own else f"{card.config_name(2)}, {card.config_name(0)}",
        "data": (card.data.path or card.data.hub or "") if card.data else "",
        "source": card.source,
        "licence": card.licence,
        "citation": card.citation,
        "seen in training by": "" if own else ", ".join(card.trained_on) or "no published model",
    }
    _facts(card, facts)
    sample = load([card], source=data, shots=shots, limit=1, asked_by_name=True).tasks[0].samples[0]
    prompt = build(
        [sample], options=PromptOptions(shots=shots), tokenizer=None, max_prompt_tokens=[None]
    )[0]
    _prompt(sample.id, shots, prompt.messages, sample.gold)


def _facts(card: TaskCard, facts: dict[str, str]) -> None:
    console = out()
    console.print(f"{card.name}", style="bold", markup=False)
    for label, value in facts.items():
        if value:
            console.print(f"  {label:<20}{printable(value)}", markup=False, soft_wrap=True)


def _prompt(name: str, shots: int, messages: Any, gold: str) -> None:
    console = out()
    console.print(f"\nprompt of {name}, {shots}-shot", style="bold", markup=False)
    for message in messages:
        console.print(f"[{message.role}]", style="cyan", markup=False)
        console.print(printable(message.content), markup=False, soft_wrap=True)
    console.print("\ngold answer", style="bold")
    console.print(printable(gold) or "(empty)", markup=False, soft_wrap=True)


def _checked(task: TaskCheck) -> None:
    console = out()
    facts = {
        "category": task.card.category,
        "answer form": task.card.form.replace("_", " "),
        "labels": ", ".join(task.card.labels) or "open",
        "rows": str(task.rows),
    }
    _facts(task.card, facts)
    _prompt(task.sample.id, len(task.sample.history), task.prompt, task.sample.gold)
    console.print("\ngold answers through parser and metrics", style="bold")
    for score in task.scores:
        shown = f"not computed: {score.reason}" if score.value is None else f"{score.value:g}"
        if not score.perfect:
            shown += f", and {score.best:g} is right"
        console.print(f"  {score.metric:<20}{printable(shown)}", markup=False, soft_wrap=True)
    for label, lines in (("note", task.notes), ("problem", task.problems)):
        for line in lines:
            console.print(f"{label}: {printable(line)}", markup=False, soft_wrap=True)
