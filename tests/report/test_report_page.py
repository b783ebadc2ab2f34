"""The page as a file: whole, escaped, and with nothing in it that would be fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from planted import PLANT, plant
from sample_runs import edit_results, write_sample_run

from medinst_eval.report import build_report, collect
from medinst_eval.report.page import pack_all
from medinst_eval.store import read_run
from medinst_eval.tasks import load_cards


class Page(HTMLParser):
    """Elements, ids and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open = tag

    def handle_endtag(self, tag):  # noqa: ARG002
        self.open = ""

    def handle_data(self, data):
        self.texts.append((self.open, data))

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def inside(self, tag):
        return [text for name, text in self.texts if name == tag and text.strip()]


@pytest.fixture(scope="module")
def page(page_file):
    return Page(page_file.read_text(encoding="utf-8"))


def test_policy_allows_only_the_pages_own_script_and_style(page):
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    for directive, tag in (("script-src", "script"), ("style-src", "style")):
        own = page.inside(tag)[0]
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_nothing_is_fetched(page):
    for tag, attrs in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base"), tag
        for name in ("src", "srcset", "action", "style"):
            assert name not in attrs, (tag, name)
        assert not any(name.startswith("on") for name in attrs), attrs
        assert (attrs.get("href") or "#").startswith("#")
    (css,) = page.inside("style")
    assert "url(" not in css
    assert "@import" not in css


def test_ids_are_unique_and_references_point_at_them(page):
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.elements:
        for name in ("aria-labelledby", "for"):
            if name in attrs:
                assert attrs[name] in ids
        if (attrs.get("href") or "").startswith("#"):
            assert attrs["href"][1:] in ids


def test_every_task_is_in_the_table_and_has_its_samples(page):
    names = [card.name for card in load_cards()]
    rows = [json.loads(attrs["data-row"]) for attrs in page.all("tr") if "data-row" in attrs]
    assert [row["name"] for row in rows] == names
    assert len([s for s in page.all("script") if s.get("id", "").startswith("data-")]) == 32
    assert page.inside("h3") == names


def test_headings_step_down_one_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_numbers_are_those_of_the_run(page_file, run_folder):
    text = page_file.read_text(encoding="utf-8")
    overall = read_run(run_folder).results["overall"]["paper"]
    low, high = overall["ci95"]
    assert f"{100 * overall['value']:.1f}" in text
    assert f"95 % interval {100 * low:.1f} to {100 * high:.1f}" in text


def test_planted_markup_is_text(tmp_path):
    folder = plant(write_sample_run(tmp_path, "planted", rows=3))
    output = tmp_path / "report.html"
    build_report([read_run(folder)], output)
    page = Page(output.read_text(encoding="utf-8"))
    assert len(page.all("script")) == 33
    assert not page.all("img")
    assert PLANT in page.inside("h1")[0]
    blobs = page.inside("script")[1:]
    assert all(re.fullmatch(r"[A-Za-z0-9+/=\s]+", blob) for blob in blobs)


def test_incomplete_runs_say_so(tmp_path):
    folder = write_sample_run(tmp_path, "partial", rows=2, tasks=("AnEM", "MedQA", "BIOSSES"))

    def change(results):
        results |= {"complete": False, "absent": ["CoVERt"], "warnings": ["odd <row>"]}
        score = results["tasks"]["MedQA"]["metrics"]["accuracy"]
        score |= {"value": None, "ci95": None, "reason": "no encoder & no network"}

    edit_results(folder, change)
    output = tmp_path / "report.html"
    build_report([read_run(folder)], output)
    text = output.read_text(encoding="utf-8")
    assert "Incomplete run:" in text
    assert "Absent from the data: CoVERt" in text
    assert "odd &lt;row&gt;" in text
    assert "no encoder &amp; no network" in text


def test_two_runs_without_a_comparison_say_why(run_folder, second_folder, tmp_path):
    output = tmp_path / "report.html"
    runs = [read_run(run_folder), read_run(second_folder)]
    build_report(runs, output, refusal="they saw <other> data")
    text = output.read_text(encoding="utf-8")
    assert "no difference is tested: they saw &lt;other&gt; data" in text
    assert "base-8b and tuned-8b" in text


def test_texts_are_shortened_until_the_page_is_small_enough(run_folder, monkeypatch):
    data = collect([read_run(run_folder)])
    blobs, limit = pack_all(data)
    monkeypatch.setattr("medinst_eval.report.page.SIZE_LIMIT", sum(map(len, blobs)) // 2)
    shorter, cut = pack_all(data)
    assert cut < limit
    assert sum(map(len, shorter)) < sum(map(len, blobs))


def test_the_same_runs_give_the_same_page(page_file: Path, run_folder: Path, tmp_path: Path):
    again = tmp_path / "again.html"
    size = build_report([read_run(run_folder)], again)
    assert again.read_bytes() == page_file.read_bytes()
    assert size == again.stat().st_size
