"""docs/metrics.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from medinst_eval.metrics import BUILT_IN, docs, get

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_has_not_drifted() -> None:
    pytest.importorskip("bert_score")
    written = (ROOT / docs.PAGE).read_text(encoding="utf-8")
    assert written == docs.page(), "run: python -m medinst_eval.metrics.docs"


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_metric_tells_all_there_is_to_tell(name: str) -> None:
    parts = docs.sections(get(name))
    assert set(parts) == {"Meaning", *docs.SECTIONS}
    assert all(text.endswith(".") for text in parts.values()), parts


def test_no_metric_is_left_out() -> None:
    standard = [name for names in docs.GROUPS.values() for name in names]
    paper = [name for name in BUILT_IN if name.startswith("paper_")]
    assert sorted(standard + paper) == sorted(BUILT_IN)
    assert len(set(standard)) == len(standard)


def test_the_page_is_written_to_the_checkout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert docs.main(tmp_path / "no" / "metrics.md") == 2
    assert "run it in the checkout's root" in capsys.readouterr().err
    assert docs.main(tmp_path / "metrics.md") == 0
    assert (tmp_path / "metrics.md").read_text(encoding="utf-8").startswith("# Metrics")
