"""Rows from files: JSON Lines, and a folder in the layout of the benchmark on the Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from medinst_eval.data.rows import Row, check_row
from medinst_eval.errors import InputError

_FOLDERS = ("unseen_tests", "unseen_tests_zs")
_ENDINGS = ("_test.json", "_test.jsonl")
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class FolderSource:
    """A folder laid out as `aialt/MedINST32`: JSON Lines files, a config each.

    A config is found where the front matter of the folder's README.md lists it, else at
    `unseen_tests/<config>_test.json` or `unseen_tests_zs/<config>_test.json`.
    """

    folder: Path
    revision: None = None
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The folder, as given."""
        return str(self.folder)

    def has(self, config: str) -> bool:
        """Whether there is a file for this config."""
        return config in self._files

    def names(self) -> list[str]:
        """Configs with a file, sorted."""
        return sorted(self._files)

    def rows(self, config: str, *, history: bool) -> list[Row]:
        """Read and check the file of a config.

        Raises:
            InputError: File and line of the first malformed row.
        """
        path = self._files[config]
        rows = [
            check_row(raw, number=number, where=f"{path}:{line}", history=history)
            for number, (line, raw) in enumerate(read_jsonl(path))
        ]
        if not rows:
            raise InputError(
                f"{path}: no rows; restore the file, or remove it to leave the task out"
            )
        return rows

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        files: dict[str, Path] = {}
        for name in _FOLDERS:
            for ending in _ENDINGS:
                for path in sorted((self.folder / name).glob(f"*{ending}")):
                    files[path.name.removesuffix(ending)] = path
        readme = self.folder / "README.md"
        if readme.is_file():
            for config, pattern in configs_of_readme(readme).items():
                found = self._match(pattern)
                if found is not None:
                    files[config] = found
        return files

    def _match(self, pattern: str | None) -> Path | None:
        """The first file under the folder that a path or pattern of the README means."""
        try:
            found = sorted(self.folder.glob(pattern or ""))
        except (ValueError, NotImplementedError):  # no pattern, a broken or an absolute one
            return None
        return found[0] if found else None


def configs_of_readme(path: Path) -> dict[str, str | None]:
    """Configs that a data set's README.md lists in its front matter, with their test file.

    Returns:
        Config name -> path or pattern of the split `test` (None: it has none).

    Raises:
        InputError: The front matter is not valid YAML.
    """
    found = _FRONT_MATTER.match(path.read_text(encoding="utf-8", errors="replace"))
    if not found:
        return {}
    try:
        content = yaml.safe_load(found.group(1))
    except yaml.YAMLError as error:
        raise InputError(
            f"{path}: the block between the '---' lines is not valid YAML; correct it"
        ) from error
    configs = content.get("configs") if isinstance(content, dict) else None
    if not isinstance(configs, list):
        return {}
    return {
        entry["config_name"]: _test_file(entry.get("data_files"))
        for entry in configs
        if isinstance(entry, dict) and isinstance(entry.get("config_name"), str)
    }


def _test_file(value: Any) -> str | None:
    """The test file in any of the forms that `data_files` may take."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _test_file(value.get("test"))
    if isinstance(value, list):
        for entry in value:
            if isinstance(entry, str):
                return entry
            if isinstance(entry, dict) and entry.get("split", "test") == "test":
                return _test_file(entry.get("path"))
    return None


def read_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """Values of a JSON Lines file with their line numbers (from 1).

    A byte-order mark, CRLF and blank lines are let pass.

    Raises:
        InputError: Unreadable file; a line that is not UTF-8 or not JSON (file and line named).
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line.decode())
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}:{number}: not UTF-8 (byte {error.start} of the line); "
                "convert the file to UTF-8"
            ) from error
        except ValueError as error:
            problem = str(error).split(" (char")[0].replace("line 1 column", "column")
            raise InputError(
                f"{path}:{number}: not valid JSON ({problem}); the file is JSON Lines, one row "
                "per line: correct or remove the line"
            ) from error
