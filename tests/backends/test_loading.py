"""Reading a model's files: clear refusals, context length, decoding, names of backends."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medinst_eval import backends
from medinst_eval.backends import choices, guard, loading
from medinst_eval.backends.base import BackendOptions, Sampling
from medinst_eval.errors import InputError


def test_tokenizer_loads_without_weights(tiny_model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    tokenizer = loading.load_tokenizer(BackendOptions(model=str(bare)))
    assert tokenizer.eos_token == "</s>"
    assert tokenizer.chat_template


@pytest.mark.parametrize("load", [loading.load_tokenizer, loading.load_config])
def test_a_missing_model_is_named(load: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.*(local folder|Hub id)"):
        load(BackendOptions(model=str(tmp_path / "nowhere")))


def test_code_of_a_model_is_not_run_unasked(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    folder = tmp_path / "own-code"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "owncode"
    config["auto_map"] = {"AutoConfig": "own.OwnConfig"}
    (folder / "config.json").write_text(json.dumps(config))
    marker = tmp_path / "ran"
    (folder / "own.py").write_text(
        f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n"
        "from transformers import LlamaConfig\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'owncode'\n"
    )
    with pytest.raises(InputError, match="--trust-remote-code"):
        loading.load_config(BackendOptions(model=str(folder)))
    assert not marker.exists()
    loading.load_config(BackendOptions(model=str(folder), trust_remote_code=True))
    assert marker.exists()


@pytest.mark.parametrize(
    ("files", "allow_pickle", "complaint"),
    [
        (["model.safetensors"], False, None),
        (["model.safetensors", "pytorch_model.bin"], False, None),
        (["pytorch_model.bin"], False, "--allow-pickle"),
        (["pytorch_model.bin"], True, None),
        (["training_args.bin"], True, "no weights"),
        (["consolidated.00.pth"], False, "--allow-pickle"),
        ([], False, "no weights"),
    ],
)
def test_pickled_weights_are_refused(
    tmp_path: Path, files: list[str], allow_pickle: bool, complaint: str | None
) -> None:
    for name in files:
        (tmp_path / name).touch()
    options = BackendOptions(model=str(tmp_path), allow_pickle=allow_pickle)
    if complaint is None:
        loading.check_weights(options)
    else:
        with pytest.raises(InputError, match=complaint):
            loading.check_weights(options)


def test_a_pickled_adapter_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").touch()
    with pytest.raises(InputError, match="LoRA adapter"):
        loading.check_weights(BackendOptions(model=str(tiny_model), lora=str(tmp_path)))


def test_adapter_rank(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 24}')
    assert loading.lora_rank(str(tmp_path)) == 24
    assert loading.lora_rank("someone/adapter") is None
    with pytest.raises(InputError, match="--lora"):
        loading.lora_rank("./nowhere")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="adapter_config"):
        loading.lora_rank(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "limit", "length"),
    [
        ({"max_position_embeddings": 4096}, None, 4096),
        ({"max_position_embeddings": 4096}, 2048, 2048),
        ({"max_position_embeddings": 4096}, 10**30, 4096),
        ({"n_positions": 1024}, None, 1024),
        ({"n_positions": 1024, "max_position_embeddings": 512}, None, 512),
        ({}, None, None),
        ({}, 512, 512),
        ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4.0}},
         None, 16384),
        ({"max_position_embeddings": 131072,
          "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, None, 131072),
        ({"max_position_embeddings": 32768, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
         None, 32768),
        ({"max_position_embeddings": 131072, "rope_scaling": {"rope_type": "longrope"},
          "original_max_position_embeddings": 4096}, None, 4096),
        ({"max_position_embeddings": 4096, "model_type": "gemma3",
          "rope_scaling": {"rope_type": "linear", "factor": 8.0}}, None, 4096),
        ({"max_position_embeddings": 4096,
          "rope_parameters": {"full": {"rope_type": "default"}, "slide": {"rope_type": "default"}}},
         None, 4096),
    ],
)  # fmt: skip
def test_context_length(config: dict[str, Any], limit: int | None, length: int | None) -> None:
    tokenizer: Any = SimpleNamespace(model_max_length=limit) if limit else None
    assert loading.context_length(SimpleNamespace(**config), tokenizer) == length


def test_context_length_of_a_nested_configuration() -> None:
    text = SimpleNamespace(max_position_embeddings=8192)
    config = SimpleNamespace(get_text_config=lambda: text)
    assert loading.context_length(config, None) == 8192


def test_end_tokens_come_from_all_places() -> None:
    tokenizer: Any = SimpleNamespace(eos_token_id=2)
    many = SimpleNamespace(eos_token_id=[7, 8])
    one = SimpleNamespace(eos_token_id=5)
    none = SimpleNamespace(eos_token_id=None)
    assert loading.end_token_ids(many, one, tokenizer) == {2, 7, 8}
    assert loading.end_token_ids(None, one, tokenizer) == {2, 5}
    assert loading.end_token_ids(none, none, None) == frozenset()


def test_decoding(tiny_model: Path) -> None:
    tokenizer = loading.load_tokenizer(BackendOptions(model=str(tiny_model)))
    ends = frozenset({tokenizer("</s>", add_special_tokens=False)["input_ids"][0]})

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def decoded(tokens: list[int], *, keep: bool = False) -> str:
        return loading.decode(tokenizer, tokens, ends, keep_special=keep)

    assert decoded(ids(" p53 糖尿病 .</s>")) == " p53 糖尿病 ."
    assert decoded(ids("yes<|end|>")) == "yes"
    assert decoded(ids("yes<|user|>no</s>"), keep=True) == "yes<|user|>no"
    assert decoded(ids("糖")[:-1]) == ""
    assert decoded([]) == ""
    assert not loading.keeps_special_tokens(tokenizer)
    channels: Any = SimpleNamespace(get_vocab=lambda: {"<|channel|>": 1})
    assert loading.keeps_special_tokens(channels)


def test_seeds_differ_by_request_and_by_seed() -> None:
    seeds = {loading.request_seed(s, f"T/{row}") for s in (0, 1) for row in range(500)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert loading.request_seed(0, "T/1") == loading.request_seed(0, "T/1")


def test_options_without_effect_are_refused() -> None:
    loading.refuse(BackendOptions(model="m"), "x", {"speculate": "use y"})
    with pytest.raises(InputError, match="--tensor-parallel-size has no effect with backend x; y"):
        loading.refuse(
            BackendOptions(model="m", tensor_parallel_size=2), "x", {"tensor_parallel_size": "y"}
        )


def test_arguments_for_the_manifest_hold_no_key() -> None:
    options = BackendOptions(
        model="m", dtype="float32", engine_args={"a": 1}, sampling=Sampling(seed=3)
    )
    assert loading.arguments_of(options) == {"dtype": "float32", "engine_args": {"a": 1}}


def test_backends_by_name(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    options = BackendOptions(model=str(tiny_model))
    for name in ("vllm", "transformers"):
        assert backends.create(name, options, ()).name == name
    with pytest.raises(InputError, match="did you mean 'transformers'"):
        backends.create("transformer", options, ())
    point = importlib.metadata.EntryPoint(
        "mine", "medinst_eval.backends.transformers:create", backends.GROUP
    )
    broken = importlib.metadata.EntryPoint("broken", "no_such_module:create", backends.GROUP)
    monkeypatch.setattr(backends, "_registered", lambda: {"mine": point, "broken": broken})
    assert backends.create("mine", options, ()).name == "transformers"
    with pytest.raises(InputError, match="broken"):
        backends.create("broken", options, ())
    assert "mine" in backends.names()


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [({"vllm", "transformers", "torch"}, "vllm"), ({"transformers", "torch"}, "transformers")],
)
def test_auto(monkeypatch: pytest.MonkeyPatch, installed: set[str], chosen: str) -> None:
    monkeypatch.setattr(backends, "_installed", installed.__contains__)
    name, why = backends.choose()
    assert name == chosen
    assert "vLLM is" in why


def test_auto_without_any_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_installed", lambda _: False)
    with pytest.raises(InputError, match="pip install"):
        backends.choose()


def test_names_cost_no_heavy_import() -> None:
    code = (
        "import sys, medinst_eval.backends as b, medinst_eval.backends.vllm, "
        "medinst_eval.backends.transformers; b.choose(); b.names(); "
        "print(sorted({'torch', 'vllm', 'transformers'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_continuations(tiny_model: Path) -> None:
    tokenizer = loading.load_tokenizer(BackendOptions(model=str(tiny_model)))

    def texts(prompt: str, *asked: str) -> list[str]:
        found = choices.continuation_ids(tokenizer, prompt, asked)
        return [tokenizer.decode(list(ids)) for ids in found]

    assert texts("Options: A B C D<|assistant|>", "A", "B") == ["A", "B"]
    assert texts("Question?\nAnswer:", "A", "maybe") == [" A", " maybe"]
    assert texts("Question?\n", "A") == ["A"]
    assert texts("Answer:", " A") == [" A"]
    assert texts("", "yes") == ["yes"]


LOOP = "{% for m in messages %}"
HEADERS = {
    "a token of its own": (
        LOOP + "<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}",
        "A",
    ),
    "a line of its own": (
        LOOP + "<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        "A",
    ),
    "a space before answers": (
        LOOP + "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}"
        "</s>{% endif %}{% endfor %}",
        " A",
    ),
    "words": (
        LOOP + "{{ m.role.upper() }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}ASSISTANT:{% endif %}",
        " A",
    ),
    "words without a space": (
        LOOP + "{{ m.role }}>{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant>{% endif %}",
        "A",
    ),
    "an empty thought that history lacks": (
        LOOP + "<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|><think>\n\n</think>\n\n{% endif %}",
        "A",
    ),
    "a template without answers": (
        LOOP + "{% if m.role != 'user' %}{{ raise_exception('no') }}{% endif %}<|user|>"
        "{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        "A",
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_choice_is_spelt_as_the_template_spells_an_answer(tiny_model: Path, name: str) -> None:
    tokenizer: Any = loading.load_tokenizer(BackendOptions(model=str(tiny_model)))
    tokenizer.chat_template, spelt = HEADERS[name]
    chat = [{"role": "user", "content": "Options: A B C D"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    (found,) = choices.continuation_ids(tokenizer, text, ["A"])
    assert tokenizer.decode(list(found)) == spelt
    (plain,) = choices.continuation_ids(tokenizer, "Question?\nAnswer:", ["A"])
    assert tokenizer.decode(list(plain)) == " A"


def test_choices_are_a_trie() -> None:
    tails = [(5,), (6, 7), (6, 8), (9, 1, 2)]
    asked = choices.questions(tails)
    assert asked == {(): [5, 6, 9], (6,): [7, 8], (9,): [1], (9, 1): [2]}
    logprobs = {
        (): {5: -1.0, 6: -2.0, 9: -0.5}, (6,): {7: -0.25, 8: -3.0}, (9,): {1: -4.0},
        (9, 1): {2: -0.5},
    }  # fmt: skip
    values = choices.scores(tails, logprobs)
    assert values == (-1.0, -2.25, -5.0, -5.0)
    assert choices.best(("a", "b", "c", "d"), values) == "a"
    assert choices.best(("x", "y"), (-1.0, -1.0)) == "x"


def test_guard_ends_an_engine_whose_owner_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(
        "import multiprocessing, os, time\n"
        "from medinst_eval.backends.guard import Guard\n"
        "def work():\n"
        "    child = multiprocessing.Process(target=time.sleep, args=(60,))\n"
        "    child.start(); print(os.getpid(), child.pid, flush=True); child.join()\n"
        "if __name__ == '__main__':\n"
        "    g = Guard(); g.start()\n"
        "    for name in ('EngineCore', 'SomethingElse'):\n"
        "        multiprocessing.Process(target=work, name=name).start()\n"
        "    time.sleep(0.5); g.settle(); print('ready', flush=True); time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    lines = [owner.stdout.readline().split() for _ in range(3)]
    pids = [int(pid) for line in lines if line != ["ready"] for pid in line]
    time.sleep(1.0)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 10
    while len(gone := [pid for pid in pids if not _running(pid)]) < 2:
        assert time.monotonic() < deadline, f"still alive: {pids}"
        time.sleep(0.1)
    time.sleep(0.5)
    left = [pid for pid in pids if _running(pid)]
    guard.end_processes(left)
    assert len(gone) == 2
    assert len(left) == 2


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
