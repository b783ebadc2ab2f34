"""The demonstration model: limits, tokenizer, template, training text and answers."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pytest

from medinst_eval.demo import TASKS, model_folder
from medinst_eval.demo.build import built_in_rows
from medinst_eval.demo.model import CONTEXT, make_model, make_tokenizer, save
from medinst_eval.demo.muon import Muon, orthogonal
from medinst_eval.demo.rows import Row
from medinst_eval.demo.train import Recipe, batches, encode, rate, train
from medinst_eval.parsers import options_from_input, parse
from medinst_eval.tasks import load_cards
from medinst_eval.types import ParseContext

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

CHECKPOINTS = ("early", "final")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(model_folder("final"))


@pytest.fixture(scope="module")
def model() -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        model_folder("final"), dtype=torch.float32
    )


def messages(row: Row) -> list[dict[str, str]]:
    turns = [*row.history, (row.user, "")]
    pairs = [
        ({"role": "user", "content": u}, {"role": "assistant", "content": a}) for u, a in turns
    ]
    return [turn for pair in pairs for turn in pair][:-1]


def test_size_limits() -> None:
    files = [path for which in CHECKPOINTS for path in model_folder(which).iterdir()]
    assert sum(path.stat().st_size for path in files) <= 8_000_000
    for which in CHECKPOINTS:
        weights = json.loads(_header(model_folder(which) / "model.safetensors"))
        tensors = [value for name, value in weights.items() if name != "__metadata__"]
        assert {value["dtype"] for value in tensors} == {"BF16"}


def _header(path: Path) -> bytes:
    raw = path.read_bytes()
    return raw[8 : 8 + int.from_bytes(raw[:8], "little")]


def test_is_a_small_llama(model: Any) -> None:
    assert model.config.model_type == "llama"
    assert sum(parameter.numel() for parameter in model.parameters()) <= 3_000_000


def test_checkpoints_differ_and_share_their_tokenizer() -> None:
    early, final = (model_folder(which) for which in CHECKPOINTS)
    for name in ("tokenizer.json", "config.json", "chat_template.jinja"):
        assert (early / name).read_bytes() == (final / name).read_bytes()
    assert (early / "model.safetensors").read_bytes() != (final / "model.safetensors").read_bytes()


def test_shipped_tokenizer_is_what_the_recipe_makes() -> None:
    recipe = json.loads((model_folder("final") / "training.json").read_text("utf-8"))["recipe"]
    kept = json.loads((model_folder("final") / "tokenizer.json").read_text("utf-8"))
    made = json.loads(make_tokenizer(recipe["seed"]).backend_tokenizer.to_str())
    assert made["model"]["vocab"] == kept["model"]["vocab"]


@pytest.mark.parametrize(
    "text", ["[benzo[a]pyrene <T>] [p.E6V (c.20A>T)  x]", "我们研究了 ü\n\t", "a"]
)
def test_tokenizer_loses_nothing(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_chat_template(tokenizer: Any) -> None:
    turns = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A"},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == ("<|begin|><|system|>S<|end|><|user|>Q<|end|><|assistant|>A<|end|><|assistant|>")
    assert tokenizer(text).input_ids.count(tokenizer.bos_token_id) == 1


def test_two_shot_prompts_fit(tokenizer: Any) -> None:
    for rows in built_in_rows().values():
        for row in rows:
            ids = tokenizer.apply_chat_template(
                messages(row), add_generation_prompt=True, return_dict=True
            ).input_ids
            assert len(ids) <= 500 < CONTEXT


def test_training_text_is_the_chat_layout(tokenizer: Any) -> None:
    row = built_in_rows()["ParaMed"][0]
    shots = [
        Row(instruction=u.split("\n", 1)[0], input=u.split("\n", 1)[1], output=a)
        for u, a in row.history
    ]
    ids, labels = encode([*shots, row], tokenizer)
    turns = [*messages(row), {"role": "assistant", "content": row.output}]
    assert ids == tokenizer.apply_chat_template(turns, return_dict=True).input_ids
    answers = [shot.output for shot in shots] + [row.output]
    assert tokenizer.decode([i for i in labels if i != -100]) == "".join(
        f"{answer}<|end|>" for answer in answers
    )


def test_learning_rate() -> None:
    recipe = Recipe(steps=100, warmup=10, learning_rate=1.0)
    assert [rate(recipe, step) for step in (0, 9, 10, 55, 99)] == pytest.approx(
        [0.1, 1.0, 1.0, 0.5, 1 / 90]
    )


def test_muon_steps_are_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in ((8, 20), (20, 8)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.min() > 0.5
        assert values.max() < 1.5


def test_muon_finds_a_minimum() -> None:
    torch.manual_seed(0)
    target = torch.randn(6, 6)
    matrix = torch.nn.Parameter(torch.zeros(6, 6))
    optimiser = Muon([matrix], decay=0.0)
    for step in range(300):
        optimiser.param_groups[0]["lr"] = 0.2 * (1 - step / 300)
        ((matrix - target) ** 2).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    assert (matrix - target).abs().max() < 0.1


@pytest.mark.slow
def test_training_is_repeatable(tmp_path: Path) -> None:
    recipe = Recipe(steps=4, early_step=2, tokens_per_step=512, warmup=1)
    for name in ("a", "b"):
        train(recipe, tmp_path / name)
    for which in CHECKPOINTS:
        files = [tmp_path / name / which / "model.safetensors" for name in ("a", "b")]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert (tmp_path / "a" / "early" / "model.safetensors").read_bytes() != files[0].read_bytes()


def test_a_checkpoint_is_saved_without_touching_the_model(tmp_path: Path, tokenizer: Any) -> None:
    made = make_model(tokenizer, seed=3)
    save(made, tokenizer, tmp_path)
    assert made.dtype == torch.float32
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert torch.equal(again.lm_head.weight, made.lm_head.weight.bfloat16().float())


@pytest.mark.slow
def test_recorded_training_rows_are_what_the_recipe_draws(tokenizer: Any) -> None:
    """If this fails, the texts have changed since the shipped model was trained: train it again."""
    record = json.loads((model_folder("early") / "training.json").read_text("utf-8"))
    recipe, digest = Recipe(**record["recipe"]), hashlib.sha256()
    for batch in islice(batches(recipe, tokenizer), recipe.early_step):
        for ids, _ in batch:
            digest.update(repr(ids).encode())
    assert digest.hexdigest() == record["data_sha256"]


def answers(which: Literal["early", "final"], tokenizer: Any) -> tuple[int, int]:
    """Answers in form that end by themselves, and right ones, of one zero-shot row of each task."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        model_folder(which), dtype=torch.float32
    )
    cards = {card.name: card for card in load_cards()}
    asked = [(cards[task], built_in_rows()[task][3]) for task in TASKS]
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": row.user}], tokenize=False, add_generation_prompt=True
        )
        for _, row in asked
    ]
    batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
    made = model.generate(**batch, max_new_tokens=96, do_sample=False)
    right = in_form = 0
    for (card, row), ids in zip(asked, made[:, batch.input_ids.shape[1] :], strict=True):
        output = tokenizer.decode(ids, skip_special_tokens=True)
        options = options_from_input(row.input) if card.form == "choice" else ()
        context = ParseContext(
            input=row.input, labels=card.labels, options=options, scale=card.scale, prompt=row.user
        )
        ended = tokenizer.eos_token_id in ids
        in_form += int(ended and parse(card.form, output, context).status == "ok")
        right += int(output == row.output)
    return in_form, right


def test_answers_are_in_form_and_partly_right(tokenizer: Any) -> None:
    in_form, right = answers("final", tokenizer)
    assert in_form >= 0.9 * len(TASKS)
    assert len(TASKS) / 2 < right < len(TASKS)
    _, right_early = answers("early", tokenizer)
    assert right_early < right - 4
