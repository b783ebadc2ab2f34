"""The cards hold the benchmark's facts, and a wrong card is refused in one line."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from medinst_eval import tasks
from medinst_eval.errors import InputError
from medinst_eval.tasks.card import TaskCard

CARDS = tasks.load_cards()
BY_NAME = {card.name: card for card in CARDS}
PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "medinst32_published.csv"


def published() -> dict[str, dict[str, str]]:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return {row["dataset"]: row for row in csv.DictReader(file)}


def test_all_32_tasks_in_category_order() -> None:
    order = [tasks.categories().index(card.category) for card in CARDS]
    assert order == sorted(order)
    assert Counter(card.category for card in CARDS) == {
        "NER": 13, "QA": 3, "TE": 3, "RE": 3, "TXTCLASS": 2, "NED": 2, "COREF": 2,
        "SUM": 1, "EE": 1, "STS": 1, "TRANSL": 1,
    }  # fmt: skip


def test_names_categories_and_levels_are_those_of_the_published_table() -> None:
    table = published()
    assert set(BY_NAME) == set(table)
    for name, row in table.items():
        assert BY_NAME[name].category == row["category"], name
        assert BY_NAME[name].level == int(row["difficulty"]), name


def test_headline_metric_is_the_published_one() -> None:
    names = {
        "Label-F1": "paper_label_f1", "Entity-F1": "paper_entity_f1", "EM": "paper_em",
        "Rouge-L": "paper_rouge_l", "MSE (lower better)": "paper_mse",
    }  # fmt: skip
    for name, row in published().items():
        assert BY_NAME[name].metrics.paper[0] == names[row["metric"]], name


def test_rows_are_the_published_test_sizes(shared: Path) -> None:
    with (shared / "benchmark" / "medinst_datasets.csv").open(newline="") as file:
        sizes = {row["dataset"]: row for row in csv.DictReader(file)}
    for card in CARDS:
        row = sizes[card.name]
        expected = int(row["sample_size_paper"] or row["test"])
        # The paper prints 1,272; its scores are multiples of 1/1,273.
        assert card.rows == (1273 if card.name == "MedQA" else expected), card.name
        assert card.trained_on == (("LLaMA3-MI",) if int(row["train"]) else ()), card.name


def test_every_card_says_where_its_texts_come_from() -> None:
    for card in CARDS:
        assert card.config_name(2) == card.name
        assert card.config_name(0) == f"{card.name}-zs"
        assert card.max_tokens == 1024
        assert card.suite == "medinst32"
        assert card.data is None
        assert card.title
        assert card.source
        assert card.licence
        assert re.search(r"(19|20)\d\d", card.citation), card.name


FORMS = [
    ("NCBI-disease", "word_labels"), ("BC5CDR", "word_labels"), ("BioRED", "entities"),
    ("MeDAL", "text"), ("tmVar-v3-NED", "links"), ("BC5CDR-RE", "relations"),
    ("MLEE-COREF", "mentions"), ("MLEE-EE", "events"), ("MedQA", "choice"),
    ("PubMedQA-labeled", "label"), ("SciFact", "label"), ("Hallmarks-of-Cancer", "labels"),
    ("BIOSSES", "number"), ("Multi-XScience", "text"), ("ParaMed", "text"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_form(name: str, form: str) -> None:
    assert BY_NAME[name].form == form


def test_types_are_those_of_the_instructions(shared: Path) -> None:
    checked = 0
    pattern = re.compile(r"(?:Types are|types are|type can be|Hallmarks are:) \[(.*?)\]")
    for card in CARDS:
        path = shared / "data/medinst32/unseen_tests_zs" / f"{card.name}-zs_test.json"
        if not path.is_file():
            continue
        found = pattern.search(path.read_text(encoding="utf-8"))
        if found:
            assert card.labels == tuple(found.group(1).split(", ")), card.name
            checked += 1
    assert checked == 16


def card(**changes: object) -> dict[str, object]:
    """A valid stanza, changed."""
    stanza: dict[str, object] = {
        "name": "Mine", "title": "t", "form": "entities", "source": "s", "licence": "l",
        "citation": "c", "metrics": {"standard": ["entity_f1"]},
    }  # fmt: skip
    return {k: v for k, v in (stanza | changes).items() if v is not ...}


def write_card(folder: Path, *stanzas: object, **top: object) -> Path:
    path = folder / "ner.yaml"
    content = {"category": "NER", "title": "t", "description": "d", "tasks": list(stanzas)} | top
    path.write_text(yaml.safe_dump(content))
    return path


BROKEN = [
    (card(level=7), "task 'Mine': field 'level': Input should be 1, 2, 3 or 4, got 7"),
    (card(level="x"), "task 'Mine': field 'level': "),
    (card(form="entity"), "task 'Mine': field 'form': "),
    (card(licence=...), "task 'Mine': field 'licence': Field required"),
    (card(name=...), "tasks[0]: field 'name': Field required"),
    (card(name="a b"), "field 'name': String should match pattern"),
    (card(rows=0), "field 'rows': Input should be greater than or equal to 1, got 0"),
    (card(metrics={"standard": []}), "field 'metrics.standard': "),
    (card(colour="red"), "field 'colour': Extra inputs are not permitted"),
    (card(form="number"), "task 'Mine': form 'number' needs 'scale: [low, high]'"),
    (card(form="label"), "task 'Mine': form 'label' needs a closed set 'labels: [...]'"),
    (card(category="RE"), "task 'Mine': field 'category' is RE in the card of NER"),
    ("text", "tasks[0]: "),
]


@pytest.mark.parametrize(("stanza", "message"), BROKEN)
def test_a_wrong_field_is_named_with_its_file(tmp_path: Path, stanza: object, message: str) -> None:
    path = write_card(tmp_path, stanza)
    with pytest.raises(InputError) as caught:
        tasks.load_cards(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "ner.yaml").write_text("category: NER\ntitle: [a\n")
    with pytest.raises(InputError, match=r"ner\.yaml:3: not valid YAML"):
        tasks.load_cards(tmp_path)


def test_a_key_given_twice_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "ner.yaml").write_text("category: NER\ntitle: a\ntitle: b\n")
    with pytest.raises(InputError, match=r"ner\.yaml:3: not valid YAML \(key 'title' is given tw"):
        tasks.load_cards(tmp_path)


def test_files_that_are_no_cards(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no task cards"):
        tasks.load_cards(tmp_path)
    (tmp_path / "a.yaml").write_text("- a list\n")
    with pytest.raises(InputError, match="a task card is a mapping"):
        tasks.load_cards(tmp_path)
    (tmp_path / "a.yaml").write_bytes(b"title: \xff\n")
    with pytest.raises(InputError, match="not UTF-8"):
        tasks.load_cards(tmp_path)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    write_card(tmp_path, card(), card(name="mine"))
    with pytest.raises(InputError, match=r"task 'mine' is also in ner\.yaml"):
        tasks.load_cards(tmp_path)


SELECTIONS = [
    ("MedQA", ["MedQA"]),
    ("medqa", ["MedQA"]),
    ("QA", ["BioASQ-Task-B-yesno", "PubMedQA-labeled", "MedQA"]),
    ("sts,Ned", ["MeDAL", "tmVar-v3-NED", "BIOSSES"]),
    (" MedQA , MedQA,", ["MedQA"]),
    ("tmVar-v3", ["tmVar-v3"]),
    ("BIOSSES,MeDAL", ["MeDAL", "BIOSSES"]),
    ("LEVEL:1", ["AnEM-COREF", "MLEE-COREF", "BioASQ-Task-B-yesno", "CoVERt", "MedDialog",
                 "BIOSSES"]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "names"), SELECTIONS)
def test_select(spec: str, names: list[str]) -> None:
    assert [chosen.name for chosen in tasks.select(CARDS, spec)] == names


def test_select_all() -> None:
    assert tasks.select(CARDS, "all") == CARDS


UNKNOWN = [
    ("MedAQ", "did you mean MedQA"),
    ("Biored", None),
    ("NERR", "did you mean NER"),
    ("tmvar3", "did you mean tmVar-v3"),
    ("level:5", "did you mean level:"),
    ("MedQA,zzzzzz", "unknown task, category or level 'zzzzzz'; 'medinst-eval tasks' lists"),
    (" , ", "no task selected"),
]


@pytest.mark.parametrize(("spec", "message"), UNKNOWN)
def test_select_names_what_is_near(spec: str, message: str | None) -> None:
    if message is None:
        assert tasks.select(CARDS, spec)
        return
    with pytest.raises(InputError) as caught:
        tasks.select(CARDS, spec)
    assert message in str(caught.value)


def test_named_tells_names_from_categories() -> None:
    assert tasks.named(CARDS, "NER, medqa,level:1,RE") == {"MedQA"}


def with_rule(rule: str) -> TaskCard:
    return TaskCard.model_validate(card(category="NER", cluster=rule))


CLUSTERS = [
    ("row", ["a", "a"], [0, 1]),
    ("input", ["a", "b", "a"], [0, 1, 0]),
    ("text", ["Text: a\nb\nEntity: x", "Text: a\nb\nEntity: y", "Text: c\nEntity: x"], [0, 0, 1]),
    ("text", ["no field", "no field", "other"], [0, 0, 1]),
    ("first", ["Question: q\nContext: a\nOptions: y / n", "Question: q\nContext: b"], [0, 0]),
    ("first", ["Claim: c\nEvidence: a", "Claim: d\nEvidence: a"], [0, 1]),
]


@pytest.mark.parametrize(("rule", "inputs", "numbers"), CLUSTERS)
def test_clusters(rule: str, inputs: list[str], numbers: list[int]) -> None:
    assert tasks.clusters(with_rule(rule), inputs) == numbers


def test_a_document_with_field_like_lines_keeps_its_rows_together() -> None:
    text = "Text: Title\nBACKGROUND: one.\nMethods: two.\nEntity: "
    assert tasks.clusters(BY_NAME["MLEE-COREF"], [text + "A", text + "B"]) == [0, 0]
