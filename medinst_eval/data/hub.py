"""Rows from a data set on the Hub, or from its local cache, pinned to one commit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medinst_eval.data.hub_client import (
    http_error,
    quiet,
    resolve,
    told_offline,
    without_network,
)
from medinst_eval.data.local import FolderSource, configs_of_readme
from medinst_eval.data.rows import Row, check_row
from medinst_eval.errors import InputError

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """A data set on the Hub at one commit.

    Every config is read at the same commit, whatever is pushed meanwhile, and whatever other
    commits the cache holds.
    """

    repo: str
    asked: str | None
    """Branch, tag or commit that was asked for."""
    revision: str | None
    """The commit; None where a cache does not tell."""
    snapshot: Path | None
    """Folder of the cached files of the commit, where there is one."""
    configs: Mapping[str, str | None]
    """Configs that the README lists; empty: not known."""
    reachable: bool
    offline: bool = False
    """Told not to reach for the Hub."""

    @classmethod
    def open(cls, source: str, revision: str | None, *, offline: bool) -> HubSource:
        """Find out which commit a revision stands for and which configs it has.

        Raises:
            InputError: No such data set or revision; no network and nothing cached.
        """
        if not _HUB_ID.fullmatch(source):
            raise InputError(
                f"no folder '{source}', and not a Hub id (owner/name) either; give --data a folder "
                "in the benchmark's layout, a Hub id, or 'demo'"
            )
        found = resolve("dataset", source, revision, offline=offline)
        readme = found.readme
        return cls(
            repo=source,
            asked=revision,
            revision=found.commit,
            snapshot=readme.parent if readme else None,
            configs=configs_of_readme(readme) if readme else {},
            reachable=found.reachable,
            offline=offline or told_offline(),
        )

    @property
    def label(self) -> str:
        """The id with its revision."""
        at = f" (revision {self.asked})" if self.asked else ""
        return f"the Hub data set {self.repo}{at}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """That the rows are those of a cache although the network was not forbidden."""
        if self.reachable or self.offline:
            return ()
        commit = self.revision or "an unknown commit"
        return (f"the Hub cannot be reached; rows of {self.repo} come from the cache ({commit})",)

    def has(self, config: str) -> bool:
        """Whether the data set lists this config; true where its configs are not known."""
        return not self.configs or config in self.configs

    def names(self) -> list[str]:
        """Configs that the README lists, sorted."""
        return sorted(self.configs)

    def rows(self, config: str, *, history: bool) -> list[Row]:
        """Load and check the test split of a config.

        Raises:
            InputError: The config cannot be loaded, or a row is malformed (its number named).
        """
        loaded = self._load(config, "test")
        if loaded is None:
            # Files may be cached that `datasets` never prepared, e.g. by a snapshot download.
            folder = FolderSource(self.snapshot) if self.snapshot else None
            if folder is None or not folder.has(config):
                raise InputError(self._not_cached(config))
            return folder.rows(config, history=history)
        at = f"@{self.revision[:8]}" if self.revision else ""
        rows = [
            check_row(
                raw, number=number, where=f"{self.repo}{at} {config} row {number}", history=history
            )
            for number, raw in enumerate(loaded)
        ]
        if not rows:
            raise InputError(f"config {config} of {self.label} has no rows; leave the task out")
        return rows

    def raw_rows(self, config: str | None, split: str) -> list[Any]:
        """All rows of any config and split, unchecked.

        Raises:
            InputError: The config or split cannot be loaded.
        """
        loaded = self._load(config, split)
        if loaded is None:
            raise InputError(self._not_cached(config))
        return loaded

    def _load(self, config: str | None, split: str) -> list[Any] | None:
        """Rows by `datasets`: prepared before, or fetched; None: neither."""
        loaded = self._cached(config, split)
        if loaded is None and self.reachable:
            loaded = self._fetched(config, split)
        return loaded

    def _cached(self, config: str | None, split: str) -> list[Any] | None:
        """Rows that `datasets` has prepared before, of just this commit; None: it has not."""
        import datasets

        try:
            with quiet(), without_network():
                loaded = datasets.load_dataset(self.repo, config, split=split)
        except (OSError, ValueError):
            return None
        files = [Path(entry["filename"]) for entry in loaded.cache_files]
        if self.revision and not all(self.revision in file.parts for file in files):
            return None
        return loaded.to_list()  # type: ignore[no-any-return]

    def _fetched(self, config: str | None, split: str) -> list[Any]:
        import datasets

        try:
            with quiet():
                loaded = datasets.load_dataset(
                    self.repo, config, split=split, revision=self.revision
                )
        except (OSError, ValueError, http_error(), datasets.exceptions.DatasetsError) as error:
            raise InputError(
                f"cannot load {_called(config)}{self.label}, split {split}: "
                f"{_first_line(error)}; check the data set, or choose other --tasks"
            ) from error
        return loaded.to_list()  # type: ignore[no-any-return]

    def _not_cached(self, config: str | None) -> str:
        why = "working offline" if self.offline else "the Hub cannot be reached"
        commit = f" at commit {self.revision[:8]}" if self.revision else ""
        return (
            f"{_called(config)}{self.label}{commit} is not in the local cache and {why}; "
            "load it once with network access, choose other --tasks, or give --data a folder"
        )


def _called(config: str | None) -> str:
    return f"config {config} of " if config else ""


def _first_line(error: BaseException) -> str:
    """The first line of what went wrong, from the innermost cause that says something."""
    cause: BaseException | None = error
    text = ""
    while cause is not None:
        text = str(cause).strip() or text
        cause = cause.__cause__
    return text.splitlines()[0] if text else type(error).__name__
