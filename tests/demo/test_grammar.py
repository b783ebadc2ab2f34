"""The grammar: slots, facts and golds; the same seed gives the same rows."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medinst_eval.demo import TASKS, forms
from medinst_eval.demo.build import built_in_texts
from medinst_eval.demo.grammar import Mention, capitalise, join, realise
from medinst_eval.demo.rows import SOURCES, row, shot
from medinst_eval.demo.train import Recipe, conversation
from medinst_eval.parsers import options_from_input, parse_gold
from medinst_eval.tasks import load_cards
from medinst_eval.types import ParseContext

CARDS = {card.name: card for card in load_cards()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("heparin was given", "Heparin was given"),
        ("c-Fos rose", "c-Fos rose"),
        ("p53 binds", "p53 binds"),
        ("mRNA fell", "mRNA fell"),
        ("[3H]thymidine fell", "[3H]thymidine fell"),
        ("rs6025 was typed", "rs6025 was typed"),
        ("benzo[a]pyrene rose", "benzo[a]pyrene rose"),
        ("", ""),
    ],
)
def test_capitalise(text: str, expected: str) -> None:
    assert capitalise(text) == expected


def test_slots_repeat_and_differ() -> None:
    passage = realise("{chemical} and {chemical2}, then {chemical}.", Random(1))
    first, second, third = passage.mentions
    assert first.text.lower() == third.text.lower() != second.text.lower()
    assert first.text[0].isupper()
    for mention in passage.mentions:
        assert passage.text[mention.start :].startswith(mention.text)


def test_facts_and_gold() -> None:
    known = {"chemical": "warfarin", "disease": "hemorrhage"}
    passage = realise("{chemical} caused {disease}. | chemical CID disease", Random(1), known)
    assert passage.text == "Warfarin caused hemorrhage."
    assert passage.gold == (("Warfarin", "CID", "hemorrhage"),)
    assert forms.tuples(passage.gold) == "[<Warfarin> <CID> <hemorrhage>]"


def test_trigger_is_spelt_as_in_the_text() -> None:
    passage = realise("Death of {cell}. | Death death cell", Random(1), {"cell": "B cells"})
    assert passage.gold == (("Death", "Death", "B cells"),)


def test_join_moves_mentions() -> None:
    whole = join([realise("We saw {organ}.", Random(1)), realise("The {organ} bled.", Random(2))])
    for mention in whole.mentions:
        assert whole.text[mention.start :].startswith(mention.text)


def test_forms() -> None:
    marked = [
        Mention(slot="b", kind="drug", start=14, text="lithium salt"),
        Mention(slot="a", kind="drug", start=0, text="lithium"),
    ]
    assert forms.entities(marked, {"drug": "D"}) == "[lithium <D>] [lithium salt <D>]"
    assert forms.links(marked, {"lithium": "X/1, Y/2"}) == "[lithium <X/1, Y/2>]"
    assert forms.mentions(["NCC", "it"]) == "[NCC] [it]"
    text = "lithium and a lithium salt"
    assert forms.word_labels(text, marked) == "lithium [B] and [O] a [O] lithium [B] salt [I]"


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(SOURCES)))
def test_rows_follow_from_the_seed(seed: int, name: str) -> None:
    drawn = row(name, Random(seed))
    assert drawn == row(name, Random(seed))
    assert shot(name, Random(seed)) == shot(name, Random(seed))
    assert "{" not in drawn.user + drawn.output
    assert drawn.input == drawn.input.strip()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), task=st.sampled_from(TASKS))
def test_drawn_golds_are_in_form(seed: int, task: str) -> None:
    drawn, card = row(task, Random(seed)), CARDS[task]
    options = options_from_input(drawn.input) if card.form == "choice" else ()
    context = ParseContext(input=drawn.input, labels=card.labels, options=options, scale=card.scale)
    gold = parse_gold(card.form, drawn.output, context)
    assert gold.status == "ok", gold.note
    if card.form == "choice":
        assert drawn.output in options


def test_training_never_meets_a_test_row() -> None:
    rng = Random("overlap")
    for _ in range(400):
        for drawn in conversation(Recipe(), rng, 0.5):
            assert drawn.input not in built_in_texts()
