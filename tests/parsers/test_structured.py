"""JSON as models write it."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from medinst_eval.parsers import structured


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": "b"}', {"a": "b"}),
        ('Here: {"a": "b"} done', {"a": "b"}),
        ("{'a': 'b'}", {"a": "b"}),
        ("[('a', 'b'), ('c', 'd')]", [["a", "b"], ["c", "d"]]),
        ('{"a": "b",}', {"a": "b"}),
        ('{"a": ["b", "c"', {"a": ["b", "c"]}),
        ('{"a": b c, "d": 1}', {"a": "b c", "d": 1}),
        ("{'a': 'it's b'}", {"a": "it's b"}),
        ('{"a": null, "b": True}', {"a": None, "b": True}),
        ('{"a": "1"}\n{"a": "2"}', [{"a": "1"}, {"a": "2"}]),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ('{"a": "\\ud800"}', {"a": "\ufffd"}),
        ("[IL-2, IL-15]", None),
        ("no data", None),
        ("[" * 100_000, None),
    ],
)
def test_read(text: str, expected: object) -> None:
    value = structured.read(text)
    if expected is None and isinstance(value, list):
        assert structured.hollow(value)
    else:
        assert value == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), _JSON, min_size=1))
@example({"\\ud8": 0, "\\ud800": [1, -2.5, {"a": None}]})
def test_valid_json_is_read_as_it_is(value: dict[str, object]) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert structured.read(text) == value
