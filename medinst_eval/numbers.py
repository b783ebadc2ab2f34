"""How numbers are shown, by rules stated once; None is always an en dash.

Files hold scores as 0 to 1; tables show them x100 ("points"). Error measures (MSE) are shown as
they are: give `factor=1` (see `factor_of`).
"""

from __future__ import annotations

from collections.abc import Sequence

NOTHING = "–"


def factor_of(higher_is_better: bool) -> float:
    """100 for scores, 1 for error measures, which tables show as they are."""
    return 100.0 if higher_is_better else 1.0


def points(value: float | None, digits: int = 1, *, factor: float = 100.0) -> str:
    """A score: `factor` times the value with fixed digits, never "-0.0"."""
    if value is None:
        return NOTHING
    return _fixed(value * factor, digits)


def signed_points(value: float | None, digits: int = 1, *, factor: float = 100.0) -> str:
    """A difference: as `points`, with its sign; one that rounds to zero has none."""
    if value is None:
        return NOTHING
    text = _fixed(value * factor, digits)
    return f"+{text}" if text.strip("0.") and not text.startswith("-") else text


def interval_points(
    bounds: Sequence[float] | None,
    digits: int = 1,
    *,
    factor: float = 100.0,
    signed: bool = False,
) -> str:
    """An interval in square brackets, both ends by the rule of `points` (or `signed_points`)."""
    if bounds is None:
        return NOTHING
    show = signed_points if signed else points
    return f"[{', '.join(show(b, digits, factor=factor) for b in bounds)}]"


def p_value(p: float | None) -> str:
    """A p-value: three decimals below 0.1, else two; "<0.001" below that; 1 as "1"."""
    if p is None:
        return NOTHING
    if p < 0.001:
        return "<0.001"
    if p >= 0.995:
        return "1"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_equals(p: float | None) -> str:
    """A p-value in a sentence: `p = 0.012`, `p < 0.001`."""
    text = p_value(p)
    return f"p {text[0]} {text[1:]}" if text.startswith("<") else f"p = {text}"


def count(number: int | None) -> str:
    """A whole number with commas at the thousands."""
    return NOTHING if number is None else f"{number:,}"


def signed_count(number: int | None) -> str:
    """A change of a count: with its sign, and 0 without."""
    return NOTHING if number is None else f"{number:+,}" if number else "0"


def percent(part: int, whole: int) -> str:
    """A share in whole percent; "<1 %" and ">99 %" where rounding would hide something."""
    if whole == 0:
        return NOTHING
    share = 100 * part / whole
    if 0 < share < 1:
        return "<1 %"
    if 99 < share < 100:
        return ">99 %"
    return f"{share:.0f} %"


def duration(seconds: float | None) -> str:
    """A time with at most two units: `35 ms`, `4.2 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.

    Below a second whole milliseconds, below ten seconds one decimal, below a minute whole
    seconds, then minutes and seconds, from an hour on hours and minutes.
    """
    if seconds is None:
        return NOTHING
    if round(seconds * 1000) < 1000:
        return f"{round(seconds * 1000)} ms"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{round(seconds)} s"
    if round(seconds) < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text
