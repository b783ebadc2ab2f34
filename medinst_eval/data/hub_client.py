"""The Hub's clients, kept quiet, kept offline where asked, their failures in one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medinst_eval.errors import InputError

_TIMEOUT_S = 30.0

RepoKind = Literal["dataset", "model"]


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What a revision stands for."""

    commit: str | None
    """None where only a cache was asked and it does not tell."""
    readme: Path | None
    """The cached README.md of the commit."""
    reachable: bool
    """Whether the Hub answered."""


def resolve(kind: RepoKind, repo: str, revision: str | None, *, offline: bool) -> Resolved:
    """Ask the Hub for the commit of a revision; without network ask the local cache.

    Raises:
        InputError: No such repository or revision, no access, or neither network nor cache.
    """
    if not offline and not told_offline():
        commit = _commit(kind, repo, revision)
        if commit is not None:
            readme = _readme(kind, repo, revision, cached_only=False)
            return Resolved(commit=commit, readme=readme, reachable=True)
    readme = _readme(kind, repo, revision, cached_only=True)
    commit = readme.parent.name if readme else None
    if commit is None and revision is not None:
        raise InputError(
            f"revision {revision} of {repo} is not in the local cache and {_why(offline)}; load it "
            "once with network access, or give --data a folder"
        )
    return Resolved(commit=commit, readme=readme, reachable=False)


def told_offline() -> bool:
    """Whether the environment forbids reaching for the Hub (`HF_HUB_OFFLINE` and the like)."""
    import datasets.config
    import huggingface_hub.constants

    return bool(huggingface_hub.constants.HF_HUB_OFFLINE or datasets.config.HF_HUB_OFFLINE)


def http_error() -> type[Exception]:
    """Base of what the HTTP library under `huggingface_hub` raises; versions use different ones."""
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__bases__ if base is not OSError)


@contextmanager
def without_network() -> Iterator[None]:
    """Let no client of the Hub open a connection inside the block."""
    import datasets.config
    import huggingface_hub.constants

    # Both read their switch from the environment at import; there is no other handle.
    before = datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE = before


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and notices of `datasets` off standard error inside the block."""
    import datasets

    level = datasets.logging.get_verbosity()
    bars = not datasets.utils.are_progress_bars_disabled()
    datasets.logging.set_verbosity(logging.CRITICAL)  # errors are raised too, and told once
    datasets.utils.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if bars:
            datasets.utils.enable_progress_bars()


def _why(offline: bool) -> str:
    return "working offline" if offline or told_offline() else "the Hub cannot be reached"


def _commit(kind: RepoKind, repo: str, revision: str | None) -> str | None:
    """The commit of a revision by the Hub's word; None where the Hub does not answer."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    noun = "data set" if kind == "dataset" else "model"
    try:
        info = HfApi().repo_info(repo, repo_type=kind, revision=revision, timeout=_TIMEOUT_S)
    except RevisionNotFoundError as error:
        raise InputError(
            f"{noun} {repo} has no revision {revision}; give a branch, tag or commit of it"
        ) from error
    except GatedRepoError as error:
        raise InputError(
            f"{noun} {repo} is gated; ask for access on its page and set HF_TOKEN"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"no folder and no {noun} on the Hub named {repo} (or it is private: set HF_TOKEN); "
            "check the name"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise InputError(
                f"the Hub refuses access to {noun} {repo} (status {status}); check HF_TOKEN"
            ) from error
        return None
    except (http_error(), OSError):
        return None
    return str(info.sha)


def _readme(kind: RepoKind, repo: str, revision: str | None, *, cached_only: bool) -> Path | None:
    """The README.md of a revision in the local cache, fetched unless `cached_only`."""
    from huggingface_hub import hf_hub_download

    try:
        # By name, not by commit: that is how the cache learns what the name stands for.
        return Path(
            hf_hub_download(
                repo,
                "README.md",
                repo_type=kind,
                revision=revision,
                local_files_only=cached_only,
            )
        )
    except (OSError, ValueError, http_error()):
        return None
