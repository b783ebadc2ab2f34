"""What the standard metrics take as the same text, and what not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinst_eval.metrics.normalise import normalise

SAME = [
    ("BRCA1", "brca1"),
    ("lung  cancer ", "Lung\ncancer"),
    ("5′ UTR", "5' utr"),
    ("“X”", '"x"'),
    ("ＩＬ－２", "il-2"),
    ("IL‐2", "IL-2"),
    ("IL−2", "IL‑2"),
    ("【a】", "[A]"),
    ("〈gene〉", "<Gene>"),
    ("ﬁbrosis", "fibrosis"),
    ("Straße", "STRASSE"),
    ("a\u00a0b", "a b"),
    ("e\u0301", "é"),
    ("Ⅱ", "II"),
]
OTHER = [
    ("hepatitis A", "hepatitis"),
    ("the virus", "virus"),
    ("T-cell", "T cell"),
    ("1.5", "15"),
    ("IFN-γ", "IFN-g"),
    ("dbSNP/1", "dbSNP1"),
    ("p < 5", "p > 5"),
    ("e", "é"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_the_same_text_typed_differently(left: str, right: str) -> None:
    assert normalise(left) == normalise(right)


@pytest.mark.parametrize(("left", "right"), OTHER)
def test_texts_that_stay_apart(left: str, right: str) -> None:
    assert normalise(left) != normalise(right)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_short_way_for_ascii_is_the_long_way(text: str) -> None:
    assert normalise(text + "é").removesuffix("é").strip() == normalise(text)
