"""Cards and task files: read, completed, validated; every error is one line with file and field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medinst_eval.errors import InputError
from medinst_eval.tasks.card import CategoryCard, TaskCard
from medinst_eval.types import Category

OWN_SUITE = "own"
"""Suite of tasks from a file of one's own: scored beside the benchmark, in no average of it."""


class _UniqueKeys(yaml.SafeLoader):
    """The safe loader, which would else keep the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key '{key.value}' is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def categories() -> tuple[str, ...]:
    """The eleven category names in the order of every table."""
    return get_args(Category)


def load_categories(folder: Path | None = None) -> tuple[CategoryCard, ...]:
    """Load and validate the category cards (`*.yaml`) of a folder, in category order.

    Args:
        folder: Folder with the cards; default: those of this package.

    Raises:
        InputError: A file is not YAML or breaks the schema (file and field named), a task name
            occurs twice, or the folder has no cards.
    """
    folder = folder or Path(__file__).parent
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise InputError(f"no task cards (*.yaml) in {folder}; give a folder that holds them")
    loaded = [(path, _category_card(path, _read_yaml(path))) for path in paths]
    order = categories()
    loaded.sort(key=lambda pair: order.index(pair[1].category))
    _refuse_duplicates((path, task) for path, card in loaded for task in card.tasks)
    return tuple(card for _, card in loaded)


def load_cards(folder: Path | None = None) -> tuple[TaskCard, ...]:
    """Load the cards of all tasks: the 32 of the benchmark by default, in the order of tables.

    Raises:
        InputError: As `load_categories`.
    """
    return tuple(task for card in load_categories(folder) for task in card.tasks)


def load_file(path: Path | str) -> tuple[TaskCard, ...]:
    """Load tasks of one's own from a YAML file: one stanza, or several under `tasks:`.

    The schema is that of the cards, with three differences: every task needs a `data` stanza;
    `title`, `source`, `licence` and `citation` may be left out; `suite` defaults to "own". A
    relative `data.path` is taken from the folder of the file and returned absolute.

    Raises:
        InputError: Unreadable file, wrong field (file and field named), a name given twice.
    """
    path = Path(path)
    content = _read_yaml(path)
    if "tasks" not in content:
        content = {"tasks": [content]}
    category = content.get("category")
    stanzas = content["tasks"] if isinstance(content["tasks"], list) else []
    filled = [_with_defaults(stanza, category) for stanza in stanzas]
    beside = {k: v for k, v in content.items() if k not in ("category", "title", "description")}
    try:
        read = _OwnTasks.model_validate(beside | {"tasks": filled})
    except ValidationError as error:
        raise InputError(_one_line(path, filled, error)) from error
    cards = tuple(_with_absolute_path(path, card) for card in read.tasks)
    _refuse_duplicates((path, card) for card in cards)
    return cards


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise InputError(f"cannot read task card {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise InputError(f"{where}: not valid YAML ({problem}); correct the card") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a task card is a mapping of fields; see 'medinst-eval tasks'")
    return content


def _category_card(path: Path, content: dict[str, Any]) -> CategoryCard:
    """Validate a category file; each task inherits its category."""
    stanzas = content.get("tasks")
    stanzas = stanzas if isinstance(stanzas, list) else []
    inherited = {"category": content.get("category")}
    filled = [inherited | task if isinstance(task, dict) else task for task in stanzas]
    try:
        card = CategoryCard.model_validate(content | {"tasks": filled})
    except ValidationError as error:
        raise InputError(_one_line(path, filled, error)) from error
    for task in card.tasks:
        if task.category != card.category:
            raise InputError(
                f"{path}: task '{task.name}': field 'category' is {task.category} in the card of "
                f"{card.category}; move it to the card of {task.category}"
            )
    return card


class _OwnTasks(BaseModel):
    """A task file of one's own, before its defaults are settled."""

    model_config = ConfigDict(extra="forbid")

    tasks: tuple[TaskCard, ...] = Field(min_length=1)


def _with_defaults(stanza: Any, category: Any) -> Any:
    """A stanza of one's own, completed with what the cards of the benchmark must say."""
    if not isinstance(stanza, dict):
        return stanza
    defaults = {
        "title": str(stanza.get("name", "")),
        "source": "own data",
        "licence": "not stated",
        "citation": "",
        "suite": OWN_SUITE,
    }
    if category is not None:
        defaults["category"] = category
    return defaults | stanza


def _with_absolute_path(path: Path, card: TaskCard) -> TaskCard:
    if card.data is None:
        raise InputError(
            f"{path}: task '{card.name}': field 'data' is missing; "
            "give 'data: {path: FILE}' or 'data: {hub: ID}'"
        )
    if card.data.path is None:
        return card
    absolute = str((path.parent / card.data.path).resolve())
    return card.model_copy(update={"data": card.data.model_copy(update={"path": absolute})})


def _one_line(path: Path, stanzas: Sequence[Any], error: ValidationError) -> str:
    """The first validation error as `FILE: task 'NAME': field 'x': what is wrong`."""
    first = error.errors()[0]
    location = first["loc"]
    who = ""
    if location[:1] == ("tasks",) and len(location) > 1 and isinstance(location[1], int):
        stanza = stanzas[location[1]]
        name = stanza.get("name") if isinstance(stanza, dict) else None
        who = f"task '{name}': " if name else f"tasks[{location[1]}]: "
        location = location[2:]
    field = ".".join(str(part) for part in location)
    problem = first["msg"].removeprefix("Value error, ")
    given = "" if first["type"] in ("missing", "value_error") else f", got {first['input']!r:.60}"
    named = f"field '{field}': " if field else ""
    return f"{path}: {who}{named}{problem}{given}; correct the card"


def _refuse_duplicates(tasks: Iterable[tuple[Path, TaskCard]]) -> None:
    seen: dict[str, Path] = {}
    for path, task in tasks:
        lower = task.name.lower()
        if lower in seen:
            raise InputError(
                f"{path}: task '{task.name}' is also in {seen[lower].name}; rename one of them"
            )
        seen[lower] = path
