"""Evaluation from inside a real, tiny training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medinst_eval import evaluate
from medinst_eval.demo import model_folder
from medinst_eval.errors import InputError
from medinst_eval.training import Evaluator, evaluation_callback, flat_metrics

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TASKS = ("MedQA", "SciFact")
ASKED: dict[str, Any] = {"tasks": TASKS, "data": "demo", "sample": 3, "max_tokens": 16}
LOGGED = {
    "medinst/MedQA/accuracy", "medinst/MedQA/paper_em", "medinst/MedQA/in_form",
    "medinst/SciFact/accuracy", "medinst/SciFact/paper_label_f1", "medinst/SciFact/in_form",
    "medinst/overall", "medinst/overall_paper", "medinst/seconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(model_folder("early"))


def load() -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        model_folder("early"), dtype=torch.float32, attention_dropout=0.1
    )


def train(folder: Path, tokenizer: Any, steps: int = 4, **asked: Any) -> Any:
    """Some steps of a real Trainer, with dropout so that random numbers matter."""
    rows = [
        {"input_ids": ids, "labels": ids, "attention_mask": [1] * 24}
        for n in range(8)
        if (ids := [(7 * n + i) % 900 + 5 for i in range(24)])
    ]
    trainer = transformers.Trainer(
        model=load(),
        args=transformers.TrainingArguments(
            output_dir=str(folder), max_steps=steps, per_device_train_batch_size=2,
            logging_steps=1, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
            seed=1, eval_strategy="steps", eval_steps=2,
        ),
        train_dataset=rows,
        eval_dataset=rows[:2],
        processing_class=tokenizer,
    )  # fmt: skip
    if asked:
        if asked.pop("reported", False):
            asked["trainer"] = trainer
        trainer.add_callback(evaluation_callback(**asked))
    trainer.train()
    return trainer


def scores(trainer: Any) -> list[dict[str, Any]]:
    return [entry for entry in trainer.state.log_history if "medinst/overall" in entry]


def test_scores_land_in_the_history_and_the_training_is_not_disturbed(
    tmp_path: Path, tokenizer: Any
) -> None:
    plain = train(tmp_path / "plain", tokenizer)
    watched = train(tmp_path / "watched", tokenizer, every=3, **ASKED)
    found = scores(watched)
    assert [entry["step"] for entry in found] == [3, 4]  # every third step, and the end
    for entry in found:
        assert set(entry) - {"step", "epoch"} == LOGGED
        assert all(0 <= entry[name] <= 1 for name in LOGGED - {"medinst/seconds"})
    losses = [
        [entry["loss"] for entry in one.state.log_history if "loss" in entry]
        for one in (plain, watched)
    ]
    assert len(losses[0]) == 4
    assert losses[0] == losses[1]
    pairs = zip(plain.model.parameters(), watched.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert watched.model.training == plain.model.training
    assert watched.model.generation_config.to_dict() == plain.model.generation_config.to_dict()


def test_with_the_trainers_own_evaluations_and_its_reporters(
    tmp_path: Path, tokenizer: Any
) -> None:
    seen: list[dict[str, Any]] = []

    class Reporter(transformers.TrainerCallback):  # type: ignore[misc]
        def on_log(self, *_: Any, logs: dict[str, Any], **__: Any) -> None:
            seen.append(logs)

    trainer = train(tmp_path, tokenizer, reported=True, **ASKED)
    assert [entry["step"] for entry in scores(trainer)] == [2, 4]
    assert not seen
    trainer.add_callback(Reporter())
    trainer.evaluate()  # the step was evaluated already
    assert not [logs for logs in seen if "medinst/overall" in logs]
    trainer.state.global_step += 1
    trainer.evaluate()
    assert len([logs for logs in seen if "medinst/overall" in logs]) == 1


def test_the_same_scores_as_a_run_and_every_part_keeps_its_mode(
    tmp_path: Path, tokenizer: Any
) -> None:
    asked = {**ASKED, "tasks": ",".join(TASKS), "resamples": 100}
    run = evaluate(
        str(model_folder("early")), backend="transformers", output=tmp_path,
        backend_options={"dtype": "float32"}, **asked,
    )  # fmt: skip
    from medinst_eval.config import RunConfig

    evaluator = Evaluator(config=RunConfig(model="here", backend="transformers", **asked))
    model = load().train()
    frozen = model.get_submodule("model.layers.0").eval()
    before = model.generation_config
    results = evaluator.results(model, tokenizer)
    assert flat_metrics(results) == flat_metrics(run.results)
    assert results["tasks"] == run.results["tasks"]
    assert model.training
    assert not frozen.training
    assert model.get_submodule("model.layers.1").training
    assert model.generation_config is before


def test_a_model_that_fails_is_put_back_and_the_training_goes_on(
    tokenizer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    callback = evaluation_callback(every=1, **ASKED)
    model = load().train()
    broken = model.get_submodule("model.layers.0")
    broken.forward = _fail
    state = transformers.TrainerState(global_step=1, is_world_process_zero=True)
    callback.on_step_end(None, state, None, model=model, processing_class=tokenizer)
    assert "not evaluated: transformers failed" in caplog.text
    assert state.log_history == []
    assert model.training


def _fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a kernel failed")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"every": 0}, "at least 1"),
        ({"shotz": 0}, "did you mean 'shots'"),
        ({"shots": 3}, "--shots"),
        ({"backend": "vllm"}, "in memory"),
    ],
)
def test_wrong_settings(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        evaluation_callback(**asked)


def test_what_is_wrong_is_said_before_the_first_step() -> None:
    state = transformers.TrainerState(is_world_process_zero=True)
    arguments = transformers.TrainingArguments(use_cpu=True, report_to=[])
    misspelt = evaluation_callback(tasks="MedQQ", data="demo")
    with pytest.raises(InputError, match="MedQA"):
        misspelt.on_train_begin(arguments, state, None)
    arguments.deepspeed = "zero3.json"
    with pytest.raises(InputError, match="medinst-eval watch"):
        evaluation_callback(data="demo").on_train_begin(arguments, state, None)
    with pytest.raises(InputError, match="processing_class"):
        evaluation_callback(every=1, data="demo").on_step_end(None, state, None, model=None)


def test_the_module_imports_no_engine() -> None:
    code = (
        "import sys, medinst_eval.training as t; print({'torch', 'transformers'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
