"""Where WordNet comes from: each source by itself, and none."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import nltk
import pytest

from medinst_eval.metrics import MetricUnavailable, wordnet

FILES = [
    "cntlist.rev", "index.sense", "index.adj", "index.adv", "index.noun", "index.verb",
    "data.adj", "data.adv", "data.noun", "data.verb", "adj.exc", "adv.exc", "noun.exc", "verb.exc",
]  # fmt: skip


pytestmark = pytest.mark.filterwarnings("ignore:Security Violation")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without WordNet: nothing in NLTK's path, the cache, or the system."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    monkeypatch.setattr(wordnet, "SYSTEM", tmp_path / "system")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "cache" / "medinst-eval"


def system_files(folder: Path) -> Path:
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(f"{name}\n")
    return folder


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """NLTK's index on this machine; the guard against addresses inside the house is off."""
    if find_spec("nltk.pathsec"):  # NLTK 3.10 and later.
        monkeypatch.setattr("nltk.pathsec.ENFORCE", False)
    site = tmp_path / "site"
    site.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def publish(site: Path, url: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name in [*FILES, "lexnames"]:
            packed.writestr(f"wordnet/{name}", f"{name}\n")
    unpacked = sum(len(name) + 1 for name in [*FILES, "lexnames"])
    data = buffer.getvalue()
    (site / "wordnet.zip").write_bytes(data)
    (site / "index.xml").write_text(
        '<?xml version="1.0"?><nltk_data><packages><package id="wordnet" name="WordNet" '
        f'subdir="corpora" url="{url}/wordnet.zip" unzip="1" size="{len(data)}" '
        f'unzipped_size="{unpacked}" checksum="{hashlib.md5(data).hexdigest()}" '
        f'sha256_checksum="{hashlib.sha256(data).hexdigest()}"/></packages>'
        "<collections/></nltk_data>"
    )
    return f"{url}/index.xml"


def test_lexnames_are_the_45_files_of_wordnet() -> None:
    lines = wordnet.lexnames().splitlines()
    assert len(lines) == 45
    assert lines[0] == "00\tadj.all\t3"
    assert lines[3] == "03\tnoun.Tops\t1"
    assert lines[28:30] == ["28\tnoun.time\t1", "29\tverb.body\t2"]
    assert lines[44] == "44\tadj.ppl\t3"


def test_nowhere_to_be_had(home: Path) -> None:
    with pytest.raises(MetricUnavailable) as caught:
        wordnet.locate()
    text = str(caught.value)
    assert "HF_HUB_OFFLINE forbids the download" in text
    assert "apt install wordnet-base wordnet-sense-index" in text
    assert not home.exists()


def test_the_system_has_it(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = system_files(tmp_path / "wn")
    monkeypatch.setattr(wordnet, "SYSTEM", system)
    found = Path(wordnet.locate())
    assert found == home / "nltk_data" / "corpora" / "wordnet"
    assert (found / "lexnames").read_text() == wordnet.lexnames()
    assert (found / "data.noun").read_text() == "data.noun\n"
    assert [path.name for path in home.iterdir()] == ["nltk_data"]
    assert Path(wordnet.locate()) == found


def test_half_a_system_wordnet_is_none(home: Path, tmp_path: Path) -> None:
    system = system_files(tmp_path / "wn")
    (system / "index.sense").unlink()
    assert not wordnet.adopt_system(home, system)
    assert not home.exists()


def test_an_unwritable_cache_is_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = system_files(tmp_path / "wn")
    monkeypatch.setattr(wordnet, "SYSTEM", system)
    home.parent.mkdir(parents=True)
    home.write_text("a file where the folder should be")
    with pytest.raises(MetricUnavailable, match="cannot be written"):
        wordnet.locate()


def test_the_download(home: Path, tmp_path: Path, server: str) -> None:
    index = publish(tmp_path / "site", server)
    wordnet.fetch(home, index)
    found = wordnet.locate()
    assert str(found).startswith(str(home / "nltk_data" / "corpora" / "wordnet"))
    assert [path.name for path in home.iterdir()] == ["nltk_data"]
    wordnet.fetch(home, index)  # A second process that was a moment late changes nothing.
    assert [path.name for path in home.iterdir()] == ["nltk_data"]


def test_a_download_of_something_else_leaves_nothing(
    home: Path, tmp_path: Path, server: str
) -> None:
    index = publish(tmp_path / "site", server)
    (tmp_path / "site" / "wordnet.zip").write_bytes(b"no zip")
    with pytest.raises((OSError, ValueError, zipfile.BadZipFile)):
        wordnet.fetch(home, index)
    assert list(home.iterdir()) == []


def test_a_failed_download_is_told_and_the_system_asked(
    home: Path, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("nltk.downloader.Downloader.DEFAULT_URL", f"{server}/index.xml")
    with pytest.raises(MetricUnavailable, match="download failed: HTTP Error 404"):
        wordnet.locate()
    monkeypatch.setattr(wordnet, "SYSTEM", system_files(tmp_path / "wn"))
    assert Path(wordnet.locate()).is_relative_to(home)


def test_nltk_data_comes_first(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "nltk_data" / "corpora"
    folder.mkdir(parents=True)
    system_files(folder / "wordnet")
    assert Path(wordnet.locate()) == folder / "wordnet"
    assert not home.exists()


@pytest.mark.usefixtures("wordnet")
def test_synonyms_of_a_word_with_several_senses() -> None:
    names = wordnet.synonyms("tumors")
    assert names == {"tumor", "tumour", "neoplasm", "tumors"}
    assert wordnet.synonyms("qzx") == {"qzx"}
    assert not any("_" in name for name in wordnet.synonyms("heart"))
