"""Schema of a task card: one YAML file per category, one stanza per dataset."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from medinst_eval.errors import closest
from medinst_eval.types import BUILT_IN_FORMS, Category, Form

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What a task may be called: its name is part of file names and ids."""
FORM_GROUP = "medinst_eval.parsers"
"""Entry points by which packages bring answer forms of their own."""

BRACKET_FORMS: tuple[Form, ...] = ("entities", "links", "relations", "events", "mentions")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MetricSet(_Strict):
    """Metric names of a task; the first of each list is the headline."""

    paper: tuple[str, ...] = ()
    standard: tuple[str, ...] = Field(min_length=1)


class DataSource(_Strict):
    """Where rows of a task of one's own come from (built-in tasks use the benchmark's layout)."""

    path: str | None = None
    """Local JSONL, CSV or Parquet file, relative to the card."""
    hub: str | None = None
    """Hub dataset id, with `config` and `split`."""
    config: str | None = None
    split: str = "test"
    revision: str | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    """Our field (`instruction`, `input`, `output`, `history`) -> column of the source."""
    instruction: str | None = None
    """Instruction for every row, where the source has no such column."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give exactly one of 'path' and 'hub'")
        return self


class TaskCard(_Strict):
    """One task: what is asked, what an answer looks like, what is measured."""

    name: str = Field(pattern=NAME, max_length=80)
    category: Category
    title: str
    level: Literal[1, 2, 3, 4] | None = None
    """Difficulty level of the paper's Table 3."""
    rows: int | None = Field(default=None, ge=1)
    """Expected number of test rows."""
    form: Form
    labels: tuple[str, ...] = ()
    """Closed label set (label forms) or entity, relation or event types (bracket forms)."""
    scale: tuple[float, float] | None = None
    """Lowest and highest number of a `number` answer."""
    metrics: MetricSet
    max_tokens: int = Field(default=1024, ge=1)
    cluster: Literal["row", "input", "text", "first"] = "row"
    """Rows that share a document are resampled together: `input` = equal inputs are one document,
    `text` = the part of the input before the last line that starts a new field (Entity: …),
    `first` = the first field of the input (Question: …, Claim: …)."""
    config: str | None = None
    """Hub config of the few-shot variant; default: the name."""
    config_zero_shot: str | None = None
    """Hub config of the zero-shot variant; default: name + `-zs`."""
    source: str
    """Source corpus, in words."""
    licence: str
    citation: str
    trained_on: tuple[str, ...] = ()
    """Published models whose training data include this task's training split."""
    data: DataSource | None = None
    """Only in task files of one's own."""
    suite: str = "medinst32"

    @field_validator("form")
    @classmethod
    def _known_form(cls, form: str) -> str:
        if form in BUILT_IN_FORMS:
            return form
        known = (*BUILT_IN_FORMS, *sorted(entry_points(group=FORM_GROUP).names))
        if form not in known:
            hint = closest(form, known)
            raise ValueError(f"no answer form '{form}'{hint} (there are {', '.join(known)})")
        return form

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.form == "number" and self.scale is None:
            raise ValueError("form 'number' needs 'scale: [low, high]'")
        if self.form in ("label", "labels", "word_labels") and not self.labels:
            raise ValueError(f"form '{self.form}' needs a closed set 'labels: [...]'")
        return self

    def config_name(self, shots: int) -> str:
        """Name of the Hub config that serves this many shots."""
        if shots == 0:
            return self.config_zero_shot or f"{self.name}-zs"
        return self.config or self.name


class CategoryCard(_Strict):
    """One YAML file: a category and its tasks."""

    category: Category
    title: str
    description: str
    tasks: tuple[TaskCard, ...] = Field(min_length=1)
