"""`medinst-eval tasks`: list the tasks, or show one with a rendered prompt and a gold answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medinst_eval.cli.console import out, printable

if TYPE_CHECKING:
    from medinst_eval.tasks.card import TaskCard


def command(
    name: Annotated[
        str | None, typer.Argument(help="Task to show; without it, all are listed.")
    ] = None,
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
    from medinst_eval.suites import MEDINST32, suite_cards

    cards = suite_cards(MEDINST32, tuple(str(path) for path in task_file or ()))
    if name is None:
        _list(cards)
        return
    for card in tasks.select(cards, name):
        _show(card, data, shots)


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

    facts = {
        "title": card.title,
        "category": f"{card.category}, level {card.level or '–'}",
        "rows": str(card.rows or "–"),
        "answer form": card.form.replace("_", " "),
        "labels": ", ".join(card.labels) or "open",
        "paper metrics": ", ".join(card.metrics.paper) or "–",
        "standard metrics": ", ".join(card.metrics.standard),
        "token limit": str(card.max_tokens),
        "Hub configs": f"{card.config_name(2)}, {card.config_name(0)}",
        "source": card.source,
        "licence": card.licence,
        "citation": card.citation,
        "seen in training by": ", ".join(card.trained_on) or "no published model",
    }
    console = out()
    console.print(f"{card.name}", style="bold", markup=False)
    for label, value in facts.items():
        console.print(f"  {label:<20}{printable(value)}", markup=False, soft_wrap=True)
    sample = load([card], source=data, shots=shots, limit=1, asked_by_name=True).tasks[0].samples[0]
    prompt = build(
        [sample], options=PromptOptions(shots=shots), tokenizer=None, max_prompt_tokens=[None]
    )[0]
    console.print(f"\nprompt of {sample.id}, {shots}-shot", style="bold", markup=False)
    for message in prompt.messages:
        console.print(f"[{message.role}]", style="cyan", markup=False)
        console.print(printable(message.content), markup=False, soft_wrap=True)
    console.print("\ngold answer", style="bold")
    console.print(printable(sample.gold) or "(empty)", markup=False, soft_wrap=True)
