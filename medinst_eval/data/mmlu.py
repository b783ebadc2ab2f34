"""MMLU subjects: the original CSV files, or the Hub's `cais/mmlu`.

A question is shown as in the original evaluation: a header that names the subject, the question,
four lettered options and `Answer:`. Demonstrations are the subject's five `dev` questions in order;
the header stands once, before the first of them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medinst_eval.data.rows import Row
from medinst_eval.errors import InputError

if TYPE_CHECKING:
    from medinst_eval.data.hub import HubSource

HUB_ID = "cais/mmlu"
LETTERS = ("A", "B", "C", "D")
SUBJECTS = (
    "anatomy", "clinical_knowledge", "college_biology", "college_medicine", "medical_genetics",
    "professional_medicine",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with its four options and the letter of the right one."""

    text: str
    options: tuple[str, ...]
    letter: str

    def shown(self) -> str:
        """The question as a model sees it."""
        options = "\n".join(
            f"{letter}. {option}" for letter, option in zip(LETTERS, self.options, strict=True)
        )
        return f"{self.text.strip()}\n{options}\nAnswer:"


@dataclass(frozen=True, kw_only=True)
class MmluSource:
    """Subjects of MMLU as rows, from a folder of CSV files or from the Hub."""

    folder: Path | None = None
    hub: HubSource | None = None

    @property
    def label(self) -> str:
        """The folder or the data set."""
        return str(self.folder) if self.folder is not None else self._hub.label

    @property
    def revision(self) -> str | None:
        """Commit of a Hub data set."""
        return None if self.folder is not None else self._hub.revision

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the source as a whole."""
        return () if self.folder is not None else self._hub.warnings

    @property
    def _hub(self) -> HubSource:
        assert self.hub is not None
        return self.hub

    def has(self, config: str) -> bool:
        """Whether there is a test file for this subject; true for the Hub's data set."""
        return self.folder is None or (self.folder / f"{config}_test.csv").is_file()

    def names(self) -> list[str]:
        """Subjects that the source holds."""
        return [name for name in SUBJECTS if self.has(name)]

    def rows(self, config: str, *, history: bool) -> list[Row]:
        """All test questions of a subject, with the dev questions as demonstrations.

        Raises:
            InputError: A file is missing or malformed (file and line named).
        """
        header = (
            "The following are multiple choice questions (with answers) about "
            f"{config.replace('_', ' ')}.\n"
        )
        shots: list[tuple[str, str]] = []
        if history:
            shots = [(q.shown(), q.letter) for q in self._questions(config, "dev")]
            shots[0] = (f"{header}\n{shots[0][0]}", shots[0][1])
        return [
            Row(
                number=number,
                instruction="" if shots else header,
                input=question.shown(),
                output=question.letter,
                history=tuple(shots),
            )
            for number, question in enumerate(self._questions(config, "test"))
        ]

    def _questions(self, subject: str, split: str) -> list[Question]:
        if self.folder is None:
            where = f"{self._hub.label} {subject} {split}"
            raw = self._hub.raw_rows(subject, split)
            found = [_of_hub(row, f"{where} row {number}") for number, row in enumerate(raw)]
        else:
            where = str(self.folder / f"{subject}_{split}.csv")
            found = _of_csv(Path(where))
        if not found:
            raise InputError(f"{where} holds no questions; restore it")
        return found


def open_source(source: str | None, revision: str | None, *, offline: bool) -> MmluSource:
    """A folder of `<subject>_test.csv` and `<subject>_dev.csv`, or a Hub id.

    Raises:
        InputError: A folder without such files, or an unknown Hub id.
    """
    name = source or HUB_ID
    folder = Path(name).expanduser()
    if folder.is_dir():
        found = MmluSource(folder=folder)
        if not found.names():
            raise InputError(
                f"{folder} has no <subject>_test.csv of MMLU (such as anatomy_test.csv); "
                f"give --data such a folder, or leave it out for {HUB_ID}"
            )
        return found
    from medinst_eval.data.hub import HubSource

    return MmluSource(hub=HubSource.open(name, revision, offline=offline))


def _of_csv(path: Path) -> list[Question]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            return [_question(row, f"{path}:{reader.line_num}") for row in reader if row]
    except FileNotFoundError:
        raise InputError(f"{path} is missing; put it beside the other files") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV ({error}); restore it") from error


def _of_hub(row: Any, where: str) -> Question:
    try:
        answer = row["answer"]
        letter = LETTERS[answer] if isinstance(answer, int) else str(answer)
        return _question([row["question"], *row["choices"], letter], where)
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"{where}: needs question, four choices and answer ({error!r}); is it MMLU?"
        ) from error


def _question(cells: Sequence[str], where: str) -> Question:
    if len(cells) != 6:
        raise InputError(
            f"{where}: {len(cells)} columns where question, four options and letter make 6"
        )
    letter = cells[5].strip()
    if letter not in LETTERS:
        raise InputError(f"{where}: the answer is '{letter}', not one of A, B, C, D; correct it")
    return Question(text=cells[0], options=tuple(cells[1:5]), letter=letter)
