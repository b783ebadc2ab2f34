"""The Hub path for real: `datasets` and `huggingface_hub` against a local server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer

ID = "aialt/MedINST32"

# Runs in a process of its own, because the endpoint is read when the clients are imported: a line
# of JSON in, the same options for `data.load`; a line of JSON out.
CLIENT = """
import json, sys
from medinst_eval import data, tasks
from medinst_eval.errors import InputError
cards = tasks.load_cards()
for line in sys.stdin:
    options = json.loads(line)
    try:
        chosen = tasks.select(cards, options.pop("tasks", "AnEM"))
        if "task_file" in options:
            chosen = tasks.load_file(options.pop("task_file"))
        found = data.load(chosen, **{"source": "aialt/MedINST32"} | options)
    except InputError as error:
        answer = {"error": str(error)}
    else:
        answer = {
            "tasks": {t.card.name: [[s.input, len(s.history)] for s in t.samples]
                      for t in found.tasks},
            "absent": found.absent, "revision": found.revision, "warnings": found.warnings,
        }
    print(json.dumps(answer), flush=True)
"""

Ask = Callable[..., dict[str, Any]]


def lay_out(folder: Path, rows: dict[str, list[Any]]) -> Path:
    """A data set in the benchmark's layout: config -> rows (or text of the line)."""
    front = "---\nconfigs:\n"
    for config, content in rows.items():
        where = "unseen_tests_zs" if config.endswith("-zs") else "unseen_tests"
        path = folder / where / f"{config}_test.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [line if isinstance(line, str) else json.dumps(line) for line in content]
        path.write_text("\n".join(lines))
        front += (
            f"- config_name: {config}\n  data_files:\n  - split: test\n"
            f"    path: {where}/{config}_test.json\n"
        )
    (folder / "README.md").write_text(f"{front}---\n# Data\n")
    return folder


def row(text: str, history: int | None = 2, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"instruction": "Do.", "input": text, "output": "x"}
    if history is not None:
        fields["history"] = [["q", "a"]] * history
    return fields | changes


@contextmanager
def client(env: dict[str, str]) -> Iterator[Ask]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def ask(**options: Any) -> dict[str, Any]:
        stdin.write(json.dumps(options) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            assert process.stderr is not None
            pytest.fail(process.stderr.read()[-2000:])
        answer: dict[str, Any] = json.loads(line)
        return answer

    try:
        yield ask
    finally:
        _, noise = process.communicate(timeout=60)
        # Neither progress bars nor notices of the libraries reach the user's terminal.
        assert (process.returncode, noise) == (0, "")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    old, new = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
    lay_out(
        old,
        {
            "AnEM": [row("old 0"), row("old 1")],
            "AnEM-zs": [row("old zero", None)],
            "BioRED": [row("red")],
            "AnEM-RE": [row("fine"), row("bad", output=None)],
            "MLEE-EE": [row("fine"), '{"instruction": '],
        },
    )
    lay_out(
        new,
        {
            "AnEM": [row("new 0")],
            "AnEM-zs": [row("new zero", None)],
            "BioRED": [row("r")],
            "BioInfer-RE": [row("r")],
        },
    )
    with HubServer() as server:
        server.add("datasets", ID, old, "v1")
        server.add("datasets", ID, new, "main")
        yield server


@pytest.fixture(scope="module")
def commits(hub: HubServer) -> dict[str, str]:
    return dict(hub.repos["datasets", ID].refs)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ask(hub: HubServer, home: Path) -> Iterator[Ask]:
    with client(hub.env(home)) as online:
        yield online


def test_the_default_revision_is_main(ask: Ask, commits: dict[str, str]) -> None:
    assert ask() == {
        "tasks": {"AnEM": [["new 0", 2]]},
        "absent": [],
        "revision": commits["main"],
        "warnings": [],
    }


def test_a_revision_is_honoured_with_another_one_cached(ask: Ask, commits: dict[str, str]) -> None:
    for revision in ("v1", commits["v1"], commits["v1"][:7]):
        found = ask(revision=revision)
        assert found["tasks"] == {"AnEM": [["old 0", 2], ["old 1", 2]]}, revision
        assert found["revision"] == commits["v1"]
    assert ask()["tasks"] == {"AnEM": [["new 0", 2]]}


def test_zero_shot_reads_the_zero_shot_config(ask: Ask) -> None:
    assert ask(shots=0)["tasks"] == {"AnEM": [["new zero", 0]]}


def test_a_second_load_fetches_nothing(ask: Ask, hub: HubServer) -> None:
    ask(tasks="BioRED")
    hub.requests.clear()
    ask(tasks="BioRED")
    assert not [request for request in hub.requests if request.startswith("GET /datasets")]
    assert len(hub.requests) <= 2, hub.requests


def test_absent_tasks(ask: Ask) -> None:
    assert ask(tasks="AnEM,BIOSSES")["absent"] == ["BIOSSES"]
    error = ask(tasks="AnEM,BIOSSES", asked_by_name=True)["error"]
    assert error.startswith("task BIOSSES is not in the Hub data set aialt/MedINST32, which has ")


def test_malformed_rows_are_named_by_number(ask: Ask, commits: dict[str, str]) -> None:
    error = ask(tasks="AnEM-RE", revision="v1")["error"]
    at = f"{ID}@{commits['v1'][:8]}"
    assert error.startswith(f"{at} AnEM-RE row 1: field 'output' must be a string, not null; ")


def test_a_file_that_is_not_json_is_one_line(ask: Ask) -> None:
    error = ask(tasks="MLEE-EE", revision="v1")["error"]
    assert error.startswith(f"cannot load config MLEE-EE of the Hub data set {ID} (revision v1)")
    assert "\n" not in error


UNKNOWN = [
    ({"revision": "v9"}, f"data set {ID} has no revision v9; give a branch, tag or commit of it"),
    ({"source": "aialt/None"}, "no folder and no data set on the Hub named aialt/None "),
]


@pytest.mark.parametrize(("options", "message"), UNKNOWN)
def test_unknown_ids_and_revisions(ask: Ask, options: dict[str, str], message: str) -> None:
    error = ask(**options)["error"]
    assert error.startswith(message)
    assert "\n" not in error


def test_own_tasks_read_any_hub_data_set(ask: Ask, hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dev.csv").write_text("text,label\na,b\nc,d\n")
    (tmp_path / "data" / "README.md").write_text(
        "---\nconfigs:\n- config_name: c\n  data_files:\n  - split: dev\n    path: dev.csv\n---\n"
    )
    hub.add("datasets", "me/mine", tmp_path / "data")
    card = tmp_path / "card.yaml"
    card.write_text(
        "{name: Mine, category: NER, form: entities, metrics: {standard: [entity_f1]}, data: {hub:"
        " me/mine, config: c, split: dev, fields: {input: text, output: label}, instruction: Do.}}"
    )
    found = ask(task_file=str(card), shots=0)
    assert found["tasks"] == {"Mine": [["a", 0], ["c", 0]]}
    card.write_text(card.read_text().replace("split: dev", "split: test"))
    assert "split test: Unknown split" in ask(task_file=str(card), shots=0)["error"]


# -- without the Hub: these come last, as the server is stopped ---------------------------------


def test_offline_serves_the_cache_and_names_what_it_lacks(
    ask: Ask, hub: HubServer, home: Path, commits: dict[str, str]
) -> None:
    assert ask(revision="v1")["revision"] == commits["v1"]
    assert ask()["revision"] == commits["main"]
    hub.requests.clear()
    with client(hub.env(home, HF_HUB_OFFLINE="1")) as told:
        for asked in (lambda **options: ask(offline=True, **options), told):
            found = asked()
            assert found["tasks"] == {"AnEM": [["new 0", 2]]}
            assert (found["revision"], found["warnings"]) == (commits["main"], [])
            # Also where another commit was prepared later.
            assert asked(revision="v1")["tasks"]["AnEM"] == [["old 0", 2], ["old 1", 2]]
            assert asked(tasks="BioInfer-RE")["error"] == (
                f"config BioInfer-RE of the Hub data set {ID} at commit {commits['main'][:8]} is "
                "not in the local cache and working offline; load it once with network access, "
                "choose other --tasks, or give --data a folder"
            )
            assert "revision v7 of aialt/MedINST32 is not in" in asked(revision="v7")["error"]
    assert hub.requests == []


def test_a_hub_that_is_down(ask: Ask, hub: HubServer, commits: dict[str, str]) -> None:
    ask()
    hub.close()
    found = ask()
    assert found["tasks"] == {"AnEM": [["new 0", 2]]}
    assert found["revision"] == commits["main"]
    assert (
        "the Hub cannot be reached; rows of aialt/MedINST32 come from the" in found["warnings"][0]
    )
    error = ask(source="aialt/Other")["error"]
    assert error.startswith("config AnEM of the Hub data set aialt/Other is not in the local cache")
    assert "the Hub cannot be reached" in error
