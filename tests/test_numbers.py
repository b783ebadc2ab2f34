"""One table per function: value, text."""

from __future__ import annotations

from typing import Any

import pytest

from medinst_eval import numbers


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((0.4125,), {}, "41.2"), ((1.0,), {}, "100.0"), ((0.0,), {}, "0.0"),
        ((0.41256, 2), {}, "41.26"), ((0.4, 0), {}, "40"), ((None,), {}, "–"),
        ((-0.0001,), {}, "0.0"), ((-0.5,), {}, "-50.0"), ((2.05, 2), {"factor": 1}, "2.05"),
    ],
)  # fmt: skip
def test_points(arguments: tuple[Any, ...], options: dict[str, Any], text: str) -> None:
    assert numbers.points(*arguments, **options) == text


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((0.012,), {}, "+1.2"), ((-0.012,), {}, "-1.2"), ((0.0,), {}, "0.0"),
        ((0.0004,), {}, "0.0"), ((-0.0004,), {}, "0.0"), ((0.0004, 2), {}, "+0.04"),
        ((0.1, 0), {}, "+10"), ((-1.4, 2), {"factor": 1}, "-1.40"), ((None,), {}, "–"),
    ],
)  # fmt: skip
def test_signed_points(arguments: tuple[Any, ...], options: dict[str, Any], text: str) -> None:
    assert numbers.signed_points(*arguments, **options) == text


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        (((0.37, 0.45),), {}, "[37.0, 45.0]"), (([-0.031, 0.002], 1), {"signed": True},
        "[-3.1, +0.2]"), (((1.2, 3.456), 2), {"factor": 1}, "[1.20, 3.46]"), ((None,), {}, "–"),
    ],
)  # fmt: skip
def test_interval_points(arguments: tuple[Any, ...], options: dict[str, Any], text: str) -> None:
    assert numbers.interval_points(*arguments, **options) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "<0.001"), (0.00099, "<0.001"), (0.001, "0.001"), (0.0496, "0.050"),
        (0.0994, "0.099"), (0.1, "0.10"), (0.344, "0.34"), (0.996, "1"), (1.0, "1"), (None, "–"),
    ],
)  # fmt: skip
def test_p_value(p: float | None, text: str) -> None:
    assert numbers.p_value(p) == text


@pytest.mark.parametrize(
    ("p", "text"), [(0.0001, "p < 0.001"), (0.0123, "p = 0.012"), (1.0, "p = 1"), (None, "p = –")]
)
def test_p_equals(p: float | None, text: str) -> None:
    assert numbers.p_equals(p) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (15000, "15,000"), (None, "–")]
)
def test_count(number: int | None, text: str) -> None:
    assert numbers.count(number) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (3, "+3"), (-1200, "-1,200"), (None, "–")])
def test_signed_count(number: int | None, text: str) -> None:
    assert numbers.signed_count(number) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"), (10, 10, "100 %"), (1, 3, "33 %"), (1, 1000, "<1 %"),
        (999, 1000, ">99 %"), (1, 100, "1 %"), (0, 0, "–"),
    ],
)  # fmt: skip
def test_percent(part: int, whole: int, text: str) -> None:
    assert numbers.percent(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"), (0.0354, "35 ms"), (0.9996, "1.0 s"), (4.23, "4.2 s"), (9.96, "10 s"),
        (12.4, "12 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"), (7620, "2 h 07 min"), (360_000, "100 h 00 min"), (None, "–"),
    ],
)  # fmt: skip
def test_duration(seconds: float | None, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_factor_of() -> None:
    assert (numbers.factor_of(True), numbers.factor_of(False)) == (100.0, 1.0)
