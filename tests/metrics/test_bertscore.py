"""BERTScore against bert-score itself with a real encoder, and without one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medinst_eval import metrics
from medinst_eval.metrics import MetricContext, MetricUnavailable, bertscore, encoder
from medinst_eval.metrics.bertscore import BertScoreSettings

Pairs = list[tuple[str, str]]
GOLDEN = Path(__file__).parent / "golden" / "bertscore_f1.json"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("bert_score")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small(encoder_folder: str) -> BertScoreSettings:
    return BertScoreSettings(model=encoder_folder, layers=6, device="cpu")


@pytest.fixture
def pairs(golds: Callable[[str], list[str]]) -> Pairs:
    """Real sentences and answers to them: right, wrong, cut, repeated, and far too long."""
    texts = golds("ParaMed")[:20]
    rng = random.Random(0)
    made = [(text, rng.choice(texts)) for text in texts]
    made += [(text, text[: rng.randrange(3, len(text))]) for text in texts]
    return [*made, made[0], ("肝炎", "肝炎 hepatitis"), (texts[0], "tumour " * 700)]


def directly(pairs: Pairs, folder: str) -> Any:
    import bert_score

    answers, golds = [answer for _, answer in pairs], [gold for gold, _ in pairs]
    return bert_score.score(answers, golds, model_type=folder, num_layers=6, device="cpu")


@pytest.mark.slow
def test_equal_to_bert_score(pairs: Pairs, small: BertScoreSettings, encoder_folder: str) -> None:
    mine = bertscore.bertscore(pairs, small)
    # The text that is too long by itself: bert-score would pad all others to its length.
    expected = [directly(part, encoder_folder) for part in (pairs[:-1], pairs[-1:])]
    for place, got in enumerate((mine.precision, mine.recall, mine.f1)):
        wanted = np.concatenate([part[place].double().numpy() for part in expected])
        assert got == pytest.approx(wanted, abs=1e-6)
    assert mine.cut == 1


@pytest.mark.slow
def test_golden_values(encoder_folder: str) -> None:
    (task,) = json.loads(GOLDEN.read_text(encoding="utf-8"))["tasks"]
    (case,) = task["cases"]
    options = {"bertscore_model": encoder_folder, "bertscore_layers": 6, "bertscore_device": "cpu"}
    metric = metrics.create("bertscore_f1", MetricContext(form="text", options=options))
    golds = [row["gold"] for row in case["rows"]]
    stats = metric.batch_stats(golds, [row["answer"] for row in case["rows"]])
    assert metric.score(stats) == pytest.approx(np.array(case["per_row"]), abs=1e-5)
    assert float(metric.score(stats.sum(axis=0))) == pytest.approx(case["score"], abs=1e-5)
    assert metric.score(stats).max() <= 1.0


@pytest.mark.slow
def test_order_and_company_change_nothing(
    pairs: Pairs, small: BertScoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bertscore, "_WINDOW", 5)
    some = pairs[:12]
    values = dict(zip(some, bertscore.bertscore_pairs(some, small), strict=True))
    mixed = random.Random(1).sample(some, len(some))
    again = bertscore.bertscore_pairs([*mixed, ("x", "")], small)
    assert again.tolist() == [*(values[pair] for pair in mixed), 0.0]


@pytest.mark.slow
def test_equal_texts_are_encoded_once(
    small: BertScoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bert_score import utils

    seen: list[str] = []
    embed = utils.get_bert_embedding

    def watching(texts: list[str], *args: Any, **kwargs: Any) -> Any:
        seen.extend(texts)
        return embed(texts, *args, **kwargs)

    monkeypatch.setattr(utils, "get_bert_embedding", watching)
    bertscore.bertscore([("a", "b"), ("a", "b"), ("a", "a"), ("b", "a"), ("a", " ")], small)
    assert sorted(seen) == ["a", "b"]


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_halved(
    small: BertScoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from bert_score import utils

    sizes: list[int] = []
    embed = utils.get_bert_embedding

    def tight(texts: list[str], *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(texts))
        if len(texts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return embed(texts, *args, **kwargs)

    words = ["cell", "gene", "drug", "mouse", "virus"]
    texts: Pairs = [(word, word + " x") for word in words]
    expected = bertscore.bertscore_pairs(texts, small)
    monkeypatch.setattr(utils, "get_bert_embedding", tight)
    assert bertscore.bertscore_pairs(texts, small) == pytest.approx(expected, abs=1e-6)
    assert sizes[:4] == [10, 5, 2, 2]
    monkeypatch.setattr(utils, "get_bert_embedding", lambda *_, **__: tight(["x"] * 3))
    with pytest.raises(MetricUnavailable, match="no memory left for BERTScore"):
        bertscore.bertscore_pairs(texts, small)


@pytest.mark.slow
def test_rescaling_is_bert_scores(
    small: BertScoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The baseline of roberta-large's layer 17, applied as bert-score does."""
    plain = bertscore.bertscore([("a cell", "the cell")], small)
    baseline = bertscore._baseline("roberta-large", 17)
    assert baseline == pytest.approx([0.8315, 0.8315, 0.8312], abs=1e-3)
    monkeypatch.setattr(bertscore, "_baseline", lambda *_: baseline)
    settings = BertScoreSettings(model=small.model, layers=6, rescale=True, device="cpu")
    scaled = bertscore.bertscore([("a cell", "the cell"), ("a", "")], settings)
    assert scaled.f1.tolist() == [(plain.f1[0] - baseline[2]) / (1 - baseline[2]), 0.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 9}, "has 6 layers, not 9; correct --bertscore-layers"),
        ({"layers": None}, "give it with --bertscore-layers"),
        ({"rescale": True}, "no baseline for .*leave --bertscore-rescale out"),
        ({"model": "/no/such/folder"}, "/no/such/folder cannot be|/no/such/folder is not in"),
    ],
)
def test_what_cannot_be_had_is_said(
    small: BertScoreSettings, changes: dict[str, Any], message: str
) -> None:
    given = {"model": small.model, "layers": small.layers, "device": "cpu", **changes}
    with pytest.raises(MetricUnavailable, match=message):
        bertscore.bertscore([("a", "b")], BertScoreSettings(**given))


def test_offline_and_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    metric = metrics.create("bertscore_f1", MetricContext(form="text"))
    message = "^the encoder roberta-large is not in the cache and HF_HUB_OFFLINE is set; go online"
    with pytest.raises(MetricUnavailable, match=message):
        metric.batch_stats(["a", "b"], ["b", None])
    assert "|layer:17|" in metric.signature


@pytest.mark.parametrize("name", ["roberta-large", "allenai/scibert_scivocab_uncased"])
def test_a_hub_out_of_reach_is_not_waited_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MetricUnavailable, match=r"127\.0\.0\.1:9 is out of reach"):
        encoder.resolve(name)


def test_an_encoder_that_is_cached_is_loaded_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    folder = tmp_path / "models--roberta-large"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert encoder.resolve("roberta-large") == str(snapshot)
    assert encoder.identity("roberta-large") == "roberta-large@0123456789ab"


def test_a_folder_is_named_by_its_weights(tmp_path: Path) -> None:
    names = []
    for place, weights in enumerate((b"one", b"two", b"one")):
        folder = tmp_path / str(place) / "enc"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(weights)
        names.append(encoder.identity(str(folder)))
    assert names[0] == names[2] != names[1]
    assert names[0].startswith("enc#sha256:")


def test_known_values_need_no_encoder() -> None:
    options = {"bertscore_values": {("a", "b"): 0.25, ("c", "d"): 0.75}}
    metric = metrics.create("bertscore_f1", MetricContext(form="text", options=options))
    stats = metric.batch_stats(["a", "c", "c", "c"], ["b", "d", None, "  "])
    assert stats.tolist() == [[0.25, 1.0], [0.75, 1.0], [0.0, 1.0], [0.0, 1.0]]
    assert float(metric.score(stats.sum(axis=0))) == 0.25
    assert metric.sample_stats("a", "b") == (0.25, 1.0)


def test_blank_pairs_never_reach_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("loaded for nothing")

    monkeypatch.setattr(bertscore, "load", fail)
    scores = bertscore.bertscore([("a", ""), ("", "b"), (" ", "\n")])
    assert (scores.f1.tolist(), scores.cut) == ([0.0, 0.0, 0.0], 0)


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"model_max_length": 512}, 512),
        ({"model_max_length": 10**30, "model_type": "bert"}, 514),
        ({"model_max_length": 10**30, "model_type": "roberta"}, 512),
    ],
)
def test_limit_of_an_encoder(changes: dict[str, Any], limit: int) -> None:
    class Fake:
        pad_token_id = 1
        max_position_embeddings = 514
        model_type = "bert"

    fake = Fake()
    for key, value in changes.items():
        setattr(fake, key, value)
    assert encoder._limit(fake, fake) == limit


def test_batches_follow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        hidden_size = 1024
        num_attention_heads = 16
        config: Any = None

    fake = Fake()
    fake.config = fake
    gpu = encoder.Encoder(model=fake, tokenizer=None, device="cuda:0", layers=17, limit=512)
    cpu = encoder.Encoder(model=fake, tokenizer=None, device="cpu", layers=17, limit=512)
    monkeypatch.setattr(encoder, "_free_bytes", lambda _: 70 << 30)
    assert [encoder.batch_size(gpu, size) for size in (16, 512)] == [4096, 128]
    assert [encoder.batch_size(cpu, size) for size in (16, 512)] == [32, 1]
    monkeypatch.setattr(encoder, "_free_bytes", lambda _: 1 << 30)
    assert encoder.batch_size(gpu, 512) == 5
    monkeypatch.setattr(encoder, "_free_bytes", lambda _: 0)
    assert encoder.batch_size(cpu, 512) == 1
