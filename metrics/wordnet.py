"""Where WordNet comes from: NLTK's data path, a download kept in the user's cache, the system."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from medinst_eval.metrics.base import MetricUnavailable

SYSTEM = Path("/usr/share/wordnet")
"""Where Debian's `wordnet-base` and `wordnet-sense-index` put WordNet 3.0."""

_PROBE_SECONDS = 10.0
_TRUE = {"1", "ON", "YES", "TRUE"}

_LEXNAMES = {
    "3": "adj.all adj.pert",
    "4": "adv.all",
    "1": (
        "noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
        "noun.communication noun.event noun.feeling noun.food noun.group noun.location "
        "noun.motive noun.object noun.person noun.phenomenon noun.plant noun.possession "
        "noun.process noun.quantity noun.relation noun.shape noun.state noun.substance noun.time"
    ),
    "2": (
        "verb.body verb.change verb.cognition verb.communication verb.competition "
        "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception "
        "verb.possession verb.social verb.stative verb.weather"
    ),
    "3 ": "adj.ppl",
}


def lexnames() -> str:
    """The file `lexnames` of WordNet 3.0: number, name and part of speech of its 45 files.

    Debian leaves it out, and NLTK's reader asks for it.
    """
    pairs = [(name, pos.strip()) for pos, names in _LEXNAMES.items() for name in names.split()]
    return "".join(f"{place:02d}\t{name}\t{pos}\n" for place, (name, pos) in enumerate(pairs))


def cache_folder() -> Path:
    """`medinst-eval` in the user's cache folder (`$XDG_CACHE_HOME`, default `~/.cache`)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "medinst-eval"


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE


def _found(folder: Path | None) -> Any | None:
    """WordNet below an `nltk_data` folder (None: NLTK's data path), unpacked or zipped."""
    import nltk

    try:
        return nltk.data.find("corpora/wordnet", None if folder is None else [str(folder)])
    except LookupError:
        return None


def _trust(folder: Path) -> None:
    """Let NLTK read below a folder: since 3.10 it opens nothing outside its data path."""
    import nltk

    if str(folder) not in nltk.data.path:
        nltk.data.path.append(str(folder))


def _publish(building: Path, target: Path) -> None:
    """Move a finished `nltk_data` into place; one that another process put there first stays."""
    try:
        building.replace(target)
    except OSError:
        if not (target / "corpora").is_dir():
            raise


def fetch(home: Path, index_url: str | None = None) -> None:
    """Download WordNet with NLTK's downloader; it appears in the cache whole or not at all.

    Args:
        home: Cache folder, which will hold `nltk_data`.
        index_url: The downloader's index; default: NLTK's own.

    Raises:
        OSError: No network, or the cache cannot be written.
        ValueError, ParseError, BadZipFile: What was sent is not WordNet.
    """
    from nltk.downloader import Downloader

    url = index_url or Downloader.DEFAULT_URL
    # The downloader itself waits without limit for a network that swallows packets.
    with urlopen(url, timeout=_PROBE_SECONDS) as answer:
        answer.read(1)
    home.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=home, prefix=".wordnet-"))
    try:
        _trust(building)
        loader = Downloader(server_index_url=url)
        loader.download("wordnet", download_dir=str(building), quiet=True, raise_on_error=True)
        if _found(building) is None:
            raise ValueError(f"what {url} sent is not WordNet")
        _publish(building, home / "nltk_data")
    finally:
        shutil.rmtree(building, ignore_errors=True)


def adopt_system(home: Path, system: Path | None = None) -> bool:
    """Copy the system's WordNet into the cache in the layout NLTK reads; False where it has none.

    Copied and not linked, because NLTK follows links before it asks whether a path is allowed.

    Raises:
        OSError: The cache cannot be written.
    """
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    system = system or SYSTEM
    needed = [name for name in WordNetCorpusReader._FILES if name != "lexnames"]
    if not all((system / name).is_file() for name in needed):
        return False
    home.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=home, prefix=".wordnet-"))
    try:
        folder = building / "corpora" / "wordnet"
        folder.mkdir(parents=True)
        for name in needed:
            shutil.copyfile(system / name, folder / name)
        (folder / "lexnames").write_text(lexnames(), encoding="ascii")
        _publish(building, home / "nltk_data")
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return True


def obtain(home: Path) -> str:
    """Put WordNet into `home/nltk_data` by download, else from the system; says which.

    Raises:
        MetricUnavailable: Neither is possible; the text says why.
    """
    try:
        fetch(home)
        return "downloaded"
    except (OSError, ValueError, ParseError, BadZipFile) as error:
        reason = f"download failed: {error}"
    try:
        if adopt_system(home):
            return f"copied from {SYSTEM}"
    except OSError as error:
        raise MetricUnavailable(f"{home} cannot be written: {error.strerror}") from error
    raise MetricUnavailable(
        f"{reason}; the system has none in {SYSTEM} (apt install wordnet-base wordnet-sense-index)"
    )


def is_in(home: Path) -> bool:
    """Whether `home/nltk_data` holds WordNet."""
    return _found(home / "nltk_data") is not None


def locate() -> Any:
    """The folder (or zip) of WordNet, in the order: NLTK's data path, cache, download, system.

    Raises:
        MetricUnavailable: It is nowhere to be had; the text says what to do.
    """
    home = cache_folder()
    if (found := _found(None)) is not None:
        return found
    _trust(home / "nltk_data")
    if (found := _found(home / "nltk_data")) is not None:
        return found
    reasons = []
    try:
        if _offline():
            reasons.append("HF_HUB_OFFLINE forbids the download")
        else:
            fetch(home)
    except (OSError, ValueError, ParseError, BadZipFile) as error:
        reasons.append(f"download failed: {error}")
    try:
        if reasons and not adopt_system(home):
            reasons.append(f"the system has none in {SYSTEM}")
    except OSError as error:
        reasons.append(f"{home} cannot be written: {error.strerror}")
    if (found := _found(home / "nltk_data")) is not None:
        return found
    raise MetricUnavailable(
        f"WordNet is not to be had ({'; '.join(reasons)}); run 'python -m nltk.downloader wordnet' "
        "online, or 'apt install wordnet-base wordnet-sense-index', then score the run again"
    )


@cache
def reader() -> Any:
    """NLTK's WordNet reader, loaded once.

    Raises:
        MetricUnavailable: WordNet is nowhere to be had.
    """
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class _English(WordNetCorpusReader):  # type: ignore[misc]
        """Leaves out the map to other languages' WordNets, which wants further downloads."""

        def map_wn(self, version: str = "wordnet") -> None:  # noqa: ARG002
            return None

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The multilingual functions")
        return _English(locate(), None)


@lru_cache(maxsize=1 << 18)
def synonyms(word: str) -> frozenset[str]:
    """The word and the single-word names of all its synsets, as NLTK's METEOR takes them."""
    names = {lemma.name() for synset in reader().synsets(word) for lemma in synset.lemmas()}
    return frozenset({name for name in names if "_" not in name} | {word})
