"""Working without a network: a folder that was filled before, and no reaching out.

The folder is laid out as the Hub's clients lay out theirs, so that `HF_HOME=FOLDER
NLTK_DATA=FOLDER/nltk_data HF_HUB_OFFLINE=1` gives it to any other program, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from medinst_eval.errors import InputError

RECORD = "pulled.json"
"""Says in a folder what was asked of `medinst-eval data pull`."""
_NO_NETWORK = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # Engines count their users over the network.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def variables(folder: Path | None, *, offline: bool) -> dict[str, str]:
    """Environment variables by which every library uses a folder and leaves the network alone.

    `HF_HOME` is not among them: it would also say where the token is, and a token has no place in
    a folder that is carried about.

    Args:
        folder: Where `data pull` put things; None: the libraries' own caches.
        offline: Forbid the network.
    """
    found = dict(_NO_NETWORK) if offline else {}
    if folder is not None:
        root = folder.expanduser().resolve()
        found |= {
            "HF_HUB_CACHE": str(root / "hub"),
            "HF_DATASETS_CACHE": str(root / "datasets"),
            "NLTK_DATA": str(root / "nltk_data"),
        }
    return found


def engage(folder: str | Path | None, *, offline: bool) -> None:
    """Use a pulled folder, or work offline, from now on and in all processes started from here.

    Libraries read these settings when they are imported; those that are loaded already are told
    as well, so that this also holds in the middle of a Python session.

    Args:
        folder: Where `data pull` put things. Implies `offline`.
        offline: Forbid the network.

    Raises:
        InputError: The folder was not made by `data pull`.
    """
    if folder is None and not offline:
        return
    path = None if folder is None else Path(folder)
    if path is not None and not (path / RECORD).is_file():
        raise InputError(
            f"{path} is no folder of `medinst-eval data pull` (it has no {RECORD}); fill one with "
            f"`medinst-eval data pull --to {path}` where there is a network"
        )
    use(variables(path, offline=True))


def use(settings: Mapping[str, str]) -> None:
    """Put settings of `variables` into the environment and into libraries that are loaded."""
    os.environ.update(settings)
    offline = "HF_HUB_OFFLINE" in settings
    if (hub := sys.modules.get("huggingface_hub.constants")) is not None:
        hub.HF_HUB_OFFLINE = offline or hub.HF_HUB_OFFLINE  # type: ignore[attr-defined]
        if "HF_HUB_CACHE" in settings:
            hub.HF_HUB_CACHE = settings["HF_HUB_CACHE"]  # type: ignore[attr-defined]
    if (datasets := sys.modules.get("datasets.config")) is not None:
        datasets.HF_HUB_OFFLINE = offline or datasets.HF_HUB_OFFLINE  # type: ignore[attr-defined]
        if "HF_DATASETS_CACHE" in settings:
            datasets.HF_DATASETS_CACHE = Path(settings["HF_DATASETS_CACHE"])  # type: ignore[attr-defined]
    nltk = sys.modules.get("nltk.data")
    if nltk is not None and "NLTK_DATA" in settings:
        nltk.path.insert(0, settings["NLTK_DATA"])
