"""`data pull` against a local Hub with the Hub's own clients; offline work with watched sockets."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer

from medinst_eval import offline
from medinst_eval.demo import data_folder, model_folder
from medinst_eval.errors import InputError
from medinst_eval.metrics import wordnet
from medinst_eval.owntasks import write_new
from medinst_eval.pull import Wanted
from medinst_eval.pull.snapshots import needed

GUARD = '''
"""Imported by every Python process first: connections are written down and refused.

With GUARD_LOCAL processes of this machine may talk to one another, and look up its own address,
which opens a datagram socket but sends nothing.
"""
import os, socket

LOCAL = bool(os.environ.get("GUARD_LOCAL"))
HERE = {"localhost", "", None, socket.gethostname()}
if LOCAL:
    HERE |= {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None)}

def here(host):
    host = host.decode() if isinstance(host, bytes) else host
    return LOCAL and (host in HERE or str(host).startswith("127.") or host in ("::1", "0.0.0.0"))

def refuse(what):
    with open(os.environ["GUARD_LOG"], "a") as log:
        log.write(what + chr(10))
    raise OSError("watched: " + what)

class Watched(socket.socket):
    def watch(self, address):
        silent = LOCAL and self.type == socket.SOCK_DGRAM
        if self.family != socket.AF_UNIX and not silent and not here(address[0]):
            refuse(f"connect {address}")

    def connect(self, address):
        self.watch(address)
        return super().connect(address)

    def connect_ex(self, address):
        self.watch(address)
        return super().connect_ex(address)

    def sendto(self, *words):
        refuse(f"sendto {words[-1]}")

look_up = socket.getaddrinfo

def watched_look_up(host, *rest, **more):
    if not here(host):
        refuse(f"getaddrinfo {host}")
    return look_up(host, *rest, **more)

socket.socket = Watched
socket.getaddrinfo = watched_look_up
'''

Call = Callable[..., subprocess.CompletedProcess[str]]


def hub_rows(folder: Path) -> Path:
    """A data set that is not laid out as the benchmark, as own tasks may use it."""
    folder.mkdir()
    lines = [json.dumps({"text": f"Is {n} odd?", "label": ["no", "yes"][n % 2]}) for n in range(4)]
    (folder / "test.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pull")


@pytest.fixture(scope="module")
def hub(work: Path) -> Iterator[HubServer]:
    model = work / "model"
    shutil.copytree(model_folder(), model)
    (model / "pytorch_model.bin").write_bytes(b"pickle")
    (model / "original").mkdir()
    (model / "original" / "weights.pth").write_bytes(b"pickle")
    with HubServer() as server:
        server.add("datasets", "aialt/MedINST32", data_folder())
        server.add("datasets", "me/odd", hub_rows(work / "odd"))
        server.add("models", "me/tiny", model)
        yield server


@pytest.fixture(scope="module")
def call(hub: HubServer, work: Path) -> Call:
    """The command in a process of its own; `watched=True` refuses every connection."""
    (work / "guard").mkdir()
    (work / "guard" / "sitecustomize.py").write_text(GUARD)
    log = work / "connections"
    log.write_text("")

    def run(*words: str, watched: bool = False, **extra: str) -> subprocess.CompletedProcess[str]:
        env = hub.env(work / "home", XDG_CACHE_HOME=str(work / "xdg"), OMP_NUM_THREADS="1")
        env.pop("NLTK_DATA", None)
        if watched:
            env |= {"PYTHONPATH": str(work / "guard"), "GUARD_LOG": str(log)}
        found = subprocess.run(
            [sys.executable, "-m", "medinst_eval", *words],
            cwd=work, env=env | extra, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in found.stderr, found.stderr
        if watched:
            assert log.read_text() == "", log.read_text()
        return found

    return run


@pytest.fixture(scope="module")
def box(call: Call, work: Path) -> Path:
    """A pulled folder, moved to another place with its links."""
    (work / "Odd.yaml").write_text(
        "name: Odd\ncategory: QA\nform: label\nlabels: ['yes', 'no']\n"
        "metrics: {standard: [accuracy]}\n"
        "data: {hub: me/odd, instruction: Answer., fields: {input: text, output: label}}\n"
    )
    found = call(
        "data", "pull", "--to", "first", "--suite", "medinst32", "--task-file", "Odd.yaml",
        "--tasks", "AnEM,BIOSSES,Odd", "--model", "me/tiny",
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    for line in (
        "there    data aialt/MedINST32: 2 of 2 tasks, 24 rows, commit ",
        "there    own task Odd: 4 rows of me/odd: take the card along",
        "there    model me/tiny: ",
        "all there; where there is no network: medinst-eval --pulled first --model",
    ):
        assert line in found.stdout
    assert "bertscore" not in found.stdout.lower()
    (work / "first").rename(work / "box")
    return work / "box"


@pytest.mark.slow
def test_only_what_is_needed_is_there(box: Path) -> None:
    files = {path.name for path in box.rglob("*") if path.is_file()}
    assert {"model.safetensors", "AnEM_test.json", "AnEM-zs_test.json"} <= files
    assert not {"pytorch_model.bin", "weights.pth", "MedQA_test.json", "token"} & files


@pytest.mark.slow
def test_the_whole_job_without_a_network(call: Call, box: Path, hub: HubServer) -> None:
    asked = len(hub.requests)
    checked = call("data", "pull", "--to", str(box), "--check", watched=True)
    assert checked.returncode == 0, checked.stdout
    found = call(
        "--pulled", str(box), "--model", "me/tiny", "--backend", "transformers", "--suite",
        "medinst32", "--task-file", "Odd.yaml", "--tasks", "AnEM,BIOSSES,Odd", "--limit", "2",
        "--max-tokens", "4", "--run-name", "offline", watched=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    run = json.loads((box.parent / "results" / "offline" / "manifest.json").read_text())
    assert run["data"]["revision"] == hub.repos["datasets", "aialt/MedINST32"].refs["main"]
    assert run["model"]["revision"] == hub.repos["models", "me/tiny"].refs["main"]
    assert {name: task["rows"] for name, task in run["data"]["tasks"].items()} == {
        "AnEM": 2, "BIOSSES": 2, "Odd": 2,
    }  # fmt: skip
    again = call("verify", "results/offline", "--sample", "1", "--pulled", str(box), watched=True)
    assert again.returncode in (0, 1), again.stderr  # rounding may change an output
    assert hub.requests[asked:] == []


@pytest.mark.vllm
def test_vllm_and_its_processes_reach_out_to_nobody(call: Call, box: Path) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed")
    found = call(
        "--pulled", str(box), "--model", "me/tiny", "--backend", "vllm", "--tasks", "AnEM",
        "--limit", "2", "--max-tokens", "4", "--run-name", "offline-vllm", "--max-model-len",
        "1024", watched=True, GUARD_LOCAL="1",
    )  # fmt: skip
    assert found.returncode == 0, found.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--pulled", "box", "--model", "me/tiny", "--tasks", "MedQA"), "config MedQA"),
        (("--pulled", "box", "--model", "me/other", "--tasks", "AnEM"), "me/other"),
        (("--pulled", "guard", "--model", "me/tiny"), "no folder of `medinst-eval data pull`"),
        (("--offline", "--model", "gold", "--backend", "baseline"), "aialt/MedINST32"),
        (("--offline", "--model", "gold", "--backend", "baseline", "--task-file", "Odd.yaml"),
         "me/odd"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_and_not_asked_for(
    call: Call, words: tuple[str, ...], says: str
) -> None:
    backend = () if "--backend" in words else ("--backend", "transformers")
    found = call(*words, *backend, watched=True)
    assert found.returncode == 2
    assert says in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_watch_itself_works(call: Call, work: Path) -> None:
    with pytest.raises(AssertionError, match=r"getaddrinfo|connect"):
        call("data", "pull", "--to", "watched", "--tasks", "AnEM", watched=True)
    (work / "connections").write_text("")


@pytest.mark.slow
def test_damage_and_absence_are_missing(call: Call, box: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(box, copy, symlinks=True)
    weights = next((copy / "hub" / "models--me--tiny").rglob("model.safetensors")).resolve()
    weights.write_bytes(weights.read_bytes()[:-1])
    shutil.rmtree(copy / "hub" / "datasets--aialt--MedINST32")
    shutil.rmtree(copy / "datasets" / "aialt___med_inst32")
    found = call("data", "pull", "--to", str(copy), "--check", "--json", watched=True)
    assert found.returncode == 1
    there = {state["name"]: state["there"] for state in json.loads(found.stdout)}
    assert there == {"aialt/MedINST32": False, "Odd": True, "me/tiny": False}
    # Pulling again brings only the asked-for thing back, and remembers the others.
    again = call("data", "pull", "--to", str(copy), "--tasks", "AnEM", "--json")
    states = {state["name"]: state for state in json.loads(again.stdout)}
    assert states["aialt/MedINST32"]["there"]
    assert states["aialt/MedINST32"]["detail"].startswith("2 of 2 tasks, 24 rows")
    assert again.returncode == 1


@pytest.mark.slow
def test_what_cannot_be_fetched_is_missing_and_the_rest_is_there(call: Call) -> None:
    found = call(
        "data", "pull", "--to", "part", "--tasks", "AnEM", "--model", "me/absent",
        "--model", "me/tiny", "--json",
    )  # fmt: skip
    assert found.returncode == 1
    states = {state["name"]: state for state in json.loads(found.stdout)}
    assert [state["there"] for state in states.values()] == [True, False, True]
    assert "me/absent" in states["me/absent"]["detail"]


@pytest.mark.slow
def test_wordnet_is_pulled_and_found(call: Call, work: Path) -> None:
    if not (wordnet.SYSTEM / "data.noun").is_file():
        pytest.skip("the system has no WordNet to copy")
    path = write_new(work, "Ward", "SUM").card
    pulled = call("data", "pull", "--to", "words", "--task-file", str(path))
    assert pulled.returncode == 0, pulled.stdout
    assert "there    WordNet wordnet: for METEOR" in pulled.stdout
    assert "own task Ward: 3 rows in" in pulled.stdout
    (work / "nowhere").mkdir(exist_ok=True)
    found = call(
        "--pulled", "words", "--task-file", str(path), "--backend", "baseline", "--model", "gold",
        "--json", watched=True, XDG_CACHE_HOME=str(work / "nowhere"),
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    value = json.loads(found.stdout)["tasks"]["Ward"]["metrics"]["meteor"]["value"]
    assert value == pytest.approx(1.0, abs=0.01)
    assert not (work / "nowhere" / "medinst-eval" / "nltk_data").exists()


@pytest.mark.slow
def test_the_commands_of_the_page(call: Call) -> None:
    page = (Path(__file__).parents[1] / "docs" / "offline.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(medinst-eval .*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 3
    few = {0: " --tasks AnEM", 2: " --tasks AnEM --limit 1 --max-tokens 2 --backend transformers"}
    for number, line in enumerate(lines):
        line = line.replace("FOLDER", "page").replace("MODEL", "me/tiny") + few.get(number, "")
        found = call(*line.split()[1:], watched=number > 0)
        assert found.returncode == 0, (line, found.stdout, found.stderr)


# -- without processes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        (["config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5"],
         ["config.json", "model.safetensors"]),
        (["config.json", "pytorch_model.bin"], ["config.json", "pytorch_model.bin"]),
        (["config.json", "model.safetensors", "onnx/model.onnx", "original/consolidated.00.pth"],
         ["config.json", "model.safetensors"]),
        (["config.json", "consolidated.safetensors", "model-1.safetensors", "tokenizer.model"],
         ["config.json", "model-1.safetensors", "tokenizer.model"]),
        (["params.json", "consolidated.safetensors"],
         ["params.json", "consolidated.safetensors"]),
        (["adapter_config.json", "adapter_model.safetensors", ".gitattributes"],
         ["adapter_config.json", "adapter_model.safetensors"]),
    ],
)  # fmt: skip
def test_weights_in_one_format(files: list[str], kept: list[str]) -> None:
    assert needed(files) == kept


def test_a_repository_without_a_config_is_no_model() -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        needed(["README.md", "data.csv"])


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Wanted(), ["aialt/MedINST32", "roberta-large", "wordnet"]),
        (Wanted(tasks="NER"), ["aialt/MedINST32"]),
        (Wanted(suite="mmlu-medicine", models=("a/b",)), ["cais/mmlu", "a/b"]),
        (Wanted(skip=("data", "bertscore")), ["wordnet"]),
        (Wanted(tasks="SUM", bertscore_model="a/b"), ["aialt/MedINST32", "a/b", "wordnet"]),
        (Wanted(data="me/copy", tasks="QA"), ["me/copy"]),
    ],
)
def test_what_is_fetched_follows_from_what_is_run(wanted: Wanted, names: list[str]) -> None:
    assert [item.name for item in wanted.items()] == names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skip": ("models",)}, "did you mean 'model'"),
        ({"suite": "medinst"}, "did you mean 'medinst32'"),
        ({"tasks": "AnEMM"}, "did you mean AnEM"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Wanted(**changes).items()


def test_settings_of_a_folder_and_of_no_network(tmp_path: Path) -> None:
    found = offline.variables(tmp_path, offline=True)
    assert found["HF_HUB_CACHE"] == str(tmp_path / "hub")
    assert found["HF_HUB_OFFLINE"] == found["VLLM_NO_USAGE_STATS"] == "1"
    assert not {"HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH"} & set(found)
    assert "HF_HUB_OFFLINE" not in offline.variables(tmp_path, offline=False)
    with pytest.raises(InputError, match="no folder of `medinst-eval data pull`"):
        offline.engage(tmp_path, offline=False)
