"""Lists in brackets: strict golds, tolerant answers, statements of none, loops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinst_eval.parsers import parse, parse_gold
from medinst_eval.types import ParseContext

TEXT = (
    "IL-2 and interferon (IFN)-gamma induce p21 [WAF1] in T cells; IL-2, aspirin, and c.262G>A "
    "were given with aspirin and caused acute liver failure, asthma and growth of tumor."
)
ENTITIES = ParseContext(input=TEXT, labels=("Protein", "Cell", "Simple_chemical"))
LINKS = ParseContext(input=TEXT)
RELATIONS = ParseContext(input=TEXT, labels=("CID", "Part-of"))
EVENTS = ParseContext(input=TEXT, labels=("Growth", "Positive_regulation"))
MENTIONS = ParseContext(input=TEXT)

PROTEINS = (("IL-2", "Protein"), ("T cells", "Cell"))
PAIR = (("aspirin", "CID", "asthma"),)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("entities", "[IL-2 <Protein>] [T cells <Cell>]", PROTEINS),
        (
            "entities",
            "[1, 25-dihydroxyvitamin D3 [1,25(OH)2D3] receptor <Protein>]",
            (("1, 25-dihydroxyvitamin D3 [1,25(OH)2D3] receptor", "Protein"),),
        ),
        ("entities", "[G-->A at 1763 <Var>]", (("G-->A at 1763", "Var"),)),
        ("entities", "[203G > A <Var>] [x < y <Var>]", (("203G > A", "Var"), ("x < y", "Var"))),
        ("entities", "[two\nlines <Cell>]", (("two\nlines", "Cell"),)),
        ("entities", "[a]b <Cell>] [c <Cell>]", (("a]b", "Cell"), ("c", "Cell"))),
        (
            "links",
            "[3190C>T <dbSNP/747319628, NCBI Gene/7486, dbSNP/g|SUB|C|3190|T>]",
            (("3190C>T", "dbSNP/747319628, NCBI Gene/7486, dbSNP/g|SUB|C|3190|T"),),
        ),
        ("links", "", ()),
        (
            "relations",
            "[<a> <CID> <b>] [<c d> <CID> <e>]",
            (("a", "CID", "b"), ("c d", "CID", "e")),
        ),
        ("relations", "[<c.262G>A> <CID> <b>]", (("c.262G>A", "CID", "b"),)),
        ("relations", "[<x> <y> <CID> <b>]", (("x> <y", "CID", "b"),)),
        ("relations", "[<[3H] a> <Part-of> <b>]", (("[3H] a", "Part-of", "b"),)),
        ("events", "[<Growth> <growth> <tumor>]", (("Growth", "growth", "tumor"),)),
        ("events", "[<Growth> <growth> <a> <b>]", (("Growth", "growth", "a> <b"),)),
        ("mentions", "[VEGF] [VEGF] [[3H]proline]", (("VEGF",), ("VEGF",), ("[3H]proline",))),
        ("mentions", "[R-[5-[2-x]-y]z] salt]", (("R-[5-[2-x]-y]z] salt",),)),
    ],
)
def test_gold_is_read_exactly(form: str, text: str, expected: object) -> None:
    context = RELATIONS if form == "relations" else ParseContext()
    assert parse_gold(form, text, context).value == expected


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("entities", "IL-2 <Protein>"),
        ("entities", "[IL-2]"),
        ("entities", "[IL-2 <Protein>] and"),
        ("relations", "[<a> <CID>]"),
        ("relations", "[a, CID, b]"),
        ("events", "[<a> <b>]"),
        ("mentions", "VEGF"),
        ("mentions", "[]"),
    ],
)
def test_gold_of_another_form_is_unparsed(form: str, text: str) -> None:
    assert parse_gold(form, text, ParseContext()).status == "unparsed"


@pytest.mark.parametrize(
    "text",
    [
        "[IL-2 <Protein>] [T cells <Cell>]",
        "[IL-2 <protein>] [T cells <CELL>]",
        "The entities are [IL-2 <Protein>] and [T cells <Cell>], see [1].",
        "[IL-2 <Protein>], [T cells <Cell>].",
        "[IL-2 <Protein>, T cells <Cell>]",
        "[[IL-2 <Protein>], [T cells <Cell>]]",
        "1. [IL-2 <Protein>]\n2. [T cells <Cell>]",
        "【IL-2 ＜Protein＞】 【T cells ＜Cell＞】",
        "[IL-2 &lt;Protein&gt;] [T cells &lt;Cell&gt;]",
        "[“IL-2” <Protein>] [**T cells** <Cell>]",
        "[IL-2] <Protein>\n[T cells] <Cell>",
        "IL-2 <Protein>\nT cells <Cell>",
        "[IL-2 (Protein)] [T cells (Cell)]",
        "[IL-2: Protein] [T cells: Cell]",
        "[IL-2, Protein] [T cells, Cell]",
        "[entity: IL-2, type: Protein] [entity: T cells, type: Cell]",
        "- IL-2 (Protein)\n- T cells (Cell)",
        "* **IL-2**: Protein\n* **T cells**: Cell",
        "IL-2 - Protein\nT cells - Cell",
        "Protein: IL-2\nCell: T cells",
        "**Protein**\n- IL-2\n\n**Cell**\n- T cells",
        "| Mention | Type |\n|---|---|\n| IL-2 | Protein |\n| T cells | Cell |",
        "| # | Type | Mention |\n|---|---|---|\n| 1 | Protein | IL-2 |\n| 2 | Cell | T cells |",
        '[{"text": "IL-2", "label": "Protein"}, {"text": "T cells", "label": "Cell"}]',
        '{"entities": [{"entity": "IL-2", "type": "Protein", "start": 0}, '
        '{"entity": "T cells", "type": "Cell", "start": 45}]}',
        "[('IL-2', 'Protein'), ('T cells', 'Cell')]",
        '{"Protein": ["IL-2"], "Cell": ["T cells"]}',
        '{"IL-2": "Protein", "T cells": "Cell"}',
        '["IL-2 <Protein>", "T cells <Cell>"]',
        '{"text": "IL-2", "label": "Protein"}\n{"text": "T cells", "label": "Cell"}',
        '```json\n[{"text": "IL-2", "label": "Protein"},\n{"text": "T cells", "label": "Cell"',
        '<span class="Protein">IL-2</span> acts on <span class="Cell">T cells</span>',
        "<Protein>IL-2</Protein> acts on <Cell>T cells</Cell>",
        f"{TEXT}\n[IL-2 <Protein>] [T cells <Cell>]",
        "[entity <type>]: [IL-2 <Protein>] [T cells <Cell>]",
        "entities:\n- entity: IL-2\n  type: Protein\n- entity: T cells\n  type: Cell",
        "Entity: IL-2\nType: Protein\n\nEntity: T cells\nType: Cell",
        "1. Entity: IL-2, Type: Protein\n2. Entity: T cells, Type: Cell",
        "IL-2 (Protein), T cells (Cell)",
        "IL-2 [Protein], T cells [Cell]",
        "IL-2: Protein; T cells: Cell",
        "{IL-2: Protein, T cells: Cell}",
        "The entities are IL-2 (Protein) and T cells (Cell).",
        "IL-2,Protein\nT cells,Cell",
    ],
)
def test_entities_in_many_ways(text: str) -> None:
    assert parse("entities", text, ENTITIES).value == PROTEINS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[IL-2] [T cells]", (("IL-2", ""), ("T cells", ""))),
        ("[IL-2 <Protein>] [T cells]", (("IL-2", "Protein"), ("T cells", ""))),
        ("- IL-2\n- T cells", (("IL-2", ""), ("T cells", ""))),
        ("[IL-2, T cells]", (("IL-2", ""), ("T cells", ""))),
        ("[IL-2 <Hormone>]", (("IL-2", "Hormone"),)),
        ("[aspirin <simple chemical>]", (("aspirin", "Simple_chemical"),)),
        ("- interferon (IFN)-gamma (Protein)", (("interferon (IFN)-gamma", "Protein"),)),
        ("[p21 [WAF1] <Protein>] x", (("p21 [WAF1]", "Protein"),)),
        ("[IL-2, aspirin, and c.262G>A <Protein>]", (("IL-2, aspirin, and c.262G>A", "Protein"),)),
    ],
)
def test_missing_types_and_hard_mentions(text: str, expected: object) -> None:
    assert parse("entities", text, ENTITIES).value == expected


@pytest.mark.parametrize(
    "text",
    [
        "[WRN <NCBI Gene/7486>] [c.262G>A <dbSNP/123, dbSNP/c|SUB|G|262|A>]",
        "- WRN: NCBI Gene/7486\n- c.262G>A: dbSNP/123, dbSNP/c|SUB|G|262|A",
        "[WRN, NCBI Gene/7486] [c.262G>A, dbSNP/123, dbSNP/c|SUB|G|262|A]",
        "[WRN <NCBI Gene:7486>] [c.262G>A <dbSNP:rs123, dbSNP/c|SUB|G|262|A>]",
        '[{"mention": "WRN", "id": "NCBI Gene/7486"}, '
        '{"mention": "c.262G>A", "id": ["dbSNP/rs123", "dbSNP/c|SUB|G|262|A"]}]',
        '[{"entity": "WRN", "db_name": "NCBI Gene", "db_id": 7486}, '
        '{"entity": "c.262G>A", "identifier": "dbSNP/123, dbSNP/c|SUB|G|262|A"}]',
    ],
)
def test_links_in_many_ways(text: str) -> None:
    expected = (("WRN", "NCBI Gene/7486"), ("c.262G>A", "dbSNP/123, dbSNP/c|SUB|G|262|A"))
    assert parse("links", text, LINKS).value == expected


@pytest.mark.parametrize(
    "text",
    [
        "[<aspirin> <CID> <asthma>]",
        "The relation is [<aspirin> <CID> <asthma>].",
        "<aspirin> <CID> <asthma>",
        "[aspirin <CID> asthma]",
        "[aspirin, CID, asthma]",
        "(aspirin, cid, asthma)",
        "- aspirin -> CID -> asthma",
        "aspirin → CID → asthma",
        "aspirin | CID | asthma",
        "[<CID> <aspirin> <asthma>]",
        "| Entity 1 | Relation | Entity 2 |\n|---|---|---|\n| aspirin | CID | asthma |",
        '{"relations": [{"head": "aspirin", "relation": "CID", "tail": "asthma"}]}',
        '[{"subject": "aspirin", "predicate": "CID", "object": "asthma"}]',
        '[["aspirin", "CID", "asthma"]]',
        "[entity1: aspirin, relation: CID, entity2: asthma]",
        "entity1: aspirin\nrelation: CID\nentity2: asthma",
        "aspirin CID asthma.",
        "aspirin - asthma (CID)",
        "CID(aspirin, asthma)",
        "aspirin --CID--> asthma",
        "- CID: aspirin, asthma",
    ],
)
def test_relations_in_many_ways(text: str) -> None:
    assert parse("relations", text, RELATIONS).value == PAIR


@pytest.mark.parametrize(
    "text",
    ["aspirin causes asthma", "The CID is in the text.", "CID", "IL-2 has no CID to asthma here."],
)
def test_prose_is_no_relation(text: str) -> None:
    assert parse("relations", text, RELATIONS).status == "unparsed"


def test_relation_without_its_name_keeps_the_pair() -> None:
    expected = (("aspirin", "", "asthma"),)
    text = '{"relations": [{"chemical": "aspirin", "disease": "asthma"}]}'
    assert parse("relations", text, RELATIONS).value == expected
    assert parse("relations", "aspirin -> asthma", RELATIONS).value == expected


@pytest.mark.parametrize(
    "text",
    [
        "[<Growth> <growth> <tumor>]",
        "[Growth, growth, tumor]",
        "- Growth: growth -> tumor",
        "1. Growth | growth | tumor",
        '[{"event_type": "Growth", "trigger": "growth", "theme": "tumor"}]',
        '[{"type": "growth", "trigger_word": "growth", "argument": "tumor"}]',
        "| Type | Trigger | Theme |\n|---|---|---|\n| Growth | growth | tumor |",
        "type: Growth, trigger: growth, theme: tumor",
    ],
)
def test_events_in_many_ways(text: str) -> None:
    assert parse("events", text, EVENTS).value == (("Growth", "growth", "tumor"),)


@pytest.mark.parametrize(
    "text",
    [
        "[IL-2] [T cells]",
        "- IL-2\n- T cells",
        "1. IL-2\n2. T cells",
        "IL-2\nT cells",
        '["IL-2", "T cells"]',
        "['IL-2', 'T cells']",
        "[IL-2, T cells]",
        '{"coreferences": ["IL-2", "T cells"]}',
        '[{"mention": "IL-2"}, {"mention": "T cells"}]',
        '"IL-2", "T cells"',
        "IL-2, T cells",
        "The co-references are: [IL-2] and [T cells].",
        "[co-reference entity]: [IL-2] [T cells]",
        "| Co-reference |\n|---|\n| IL-2 |\n| T cells |",
    ],
)
def test_mentions_in_many_ways(text: str) -> None:
    assert parse("mentions", text, MENTIONS).value == (("IL-2",), ("T cells",))


@pytest.mark.parametrize("form", ["entities", "links", "relations", "events", "mentions"])
@pytest.mark.parametrize(
    "text",
    ["None", "none.", "[]", "{}", "[ ]", "[None]", "N/A", "No entities found.",
     "There are no relations in the text.", "No co-references were identified.",
     '{"entities": []}', "```json\n[]\n```", "The text does not contain any such events.",
     "I did not find any mentions."],
)  # fmt: skip
def test_statement_of_none_is_an_empty_list(form: str, text: str) -> None:
    answer = parse(form, text, ParseContext(input=TEXT))
    assert (answer.status, answer.value) == ("ok", ())


@pytest.mark.parametrize("form", ["entities", "links", "relations", "events", "mentions"])
@pytest.mark.parametrize(
    "text",
    [
        "The text describes how drugs act on the immune system of mice.",
        "I cannot help with that.",
        "No problem, I will read the text first.",
        "[unfinished",
        "]]][[[",
        "...",
    ],
)
def test_prose_without_a_list_is_unparsed(form: str, text: str) -> None:
    assert parse(form, text, ParseContext(input=TEXT)).status == "unparsed"


def test_echoed_instruction_is_no_answer() -> None:
    instruction = "Extract all entities. Types are [Protein, Cell], as [entity <type>]."
    context = ParseContext(input=TEXT, labels=ENTITIES.labels, prompt=f"{instruction}\n{TEXT}")
    answer = "[IL-2 <Protein>] [T cells <Cell>]"
    for text in (
        f"{instruction}\n{TEXT}\n{answer}",
        f"{instruction}\n\n{answer}",
        f"Task: {instruction}\nText: {TEXT}\nAnswer: {answer}",
    ):
        assert parse("entities", text, context).value == PROTEINS
    assert parse("entities", f"{instruction}\n{TEXT}", context).status == "unparsed"


def test_repeats_are_kept_and_loops_are_not() -> None:
    twice = "[IL-2 <Protein>] [aspirin <Simple_chemical>] " * 2
    assert len(parse("entities", twice, ENTITIES).value or ()) == 4  # the text has both twice
    loop = "[IL-2 <Protein>] [T cells <Cell>] " * 9
    assert parse("entities", loop, ENTITIES).value == PROTEINS
    cut = loop + "[IL-2 <Protein>] [T ce"
    assert parse("entities", cut, ENTITIES).value == PROTEINS
    lines = "[IL-2 <Protein>] [aspirin <Simple_chemical>]\n" * 2
    assert len(parse("entities", lines, ENTITIES).value or ()) == 2
    pairs = "[<aspirin> <CID> <asthma>] " * 2
    assert len(parse("relations", pairs, RELATIONS).value or ()) == 2
    assert parse("relations", pairs * 4, RELATIONS).value == PAIR


_MENTION = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="[]<>"),
    min_size=1,
)


@given(st.lists(st.tuples(_MENTION, _MENTION), min_size=1, max_size=8))
def test_entities_written_in_the_form_come_back(items: list[tuple[str, str]]) -> None:
    text = " ".join(f"[{mention} <{kind}>]" for mention, kind in items)
    assert parse_gold("entities", text, ParseContext()).value == tuple(items)


@given(st.lists(st.tuples(_MENTION, _MENTION, _MENTION), min_size=1, max_size=8))
def test_triples_written_in_the_form_come_back(items: list[tuple[str, str, str]]) -> None:
    text = " ".join(f"[<{a}> <{b}> <{c}>]" for a, b, c in items)
    assert parse_gold("relations", text, ParseContext()).value == tuple(items)
    assert parse_gold("events", text, ParseContext()).value == tuple(items)
