"""Parser for free text: translations, summaries, expansions of abbreviations."""

from __future__ import annotations

import json
import re

from medinst_eval.parsers import clean
from medinst_eval.types import ParseContext, ParsedAnswer

_PREAMBLE = re.compile(
    r"(?:(?:sure|certainly|of course|okay|ok|absolutely|great|yes)\b[^\n:]{0,120}?[.!,:]\s{0,4})?"
    r"(?:(?:here(?:'s| is| are)|below is|the following is|this is|the (?:english )?"
    r"(?:translation|translated text|summary|text translates))[^\n:]{0,200}:)[*_]{0,3}\s{0,8}",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"#{1,6}\s{0,3}[*_]{0,3}(?:related works?|translation|english translation|summary|answer)"
    r"[*_]{0,3}[^\n\S]{0,4}:?[^\n\S]{0,4}(?:\n|$)"
    r"|[*_]{2,3}(?:related works?|translation|english translation|summary|answer):?[*_]{2,3}:?\s",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\n\s{0,8}(?:let me know if|i hope this helps|please let me know|feel free to)[^\n]{0,300}$",
    re.IGNORECASE,
)
_EXPANSION = re.compile(
    r"(?:in (?:this|the) (?:text|context|passage|abstract),?\s{1,3})?"
    r"(?:the\s{1,3})?(?:(?:full form|expansion|expanded form|long form|meaning|full name)"
    r"\s{1,3}of\s{1,3})?(?:the\s{1,3})?(?:abbreviation|acronym|term)?\s{0,3}"
    r"[\"'*(]{0,4}(?P<short>[A-Za-z0-9./&-]{1,20})[\"'*)]{0,4},?\s{0,3}"
    r"(?:stands for|refers to|means|is short for|is an abbreviation (?:for|of)|is|=|->|→|:)"
    r"\s{0,3}[*_\"']{0,4}(?P<long>[^\n]{2,200})",
    re.IGNORECASE,
)
_KEYS = ("translation", "summary", "related_work", "answer", "full_form", "expansion", "text")
_SHORT = re.compile(r"Abbreviation:\s*(\S{1,30})\s*$")


def parse(text: str, context: ParseContext) -> ParsedAnswer:
    """Take what is not the answer off a free text: preamble, heading, fence, quotes, "Answer:".

    Never unparsed, unless nothing is left. Where the input asks for an abbreviation ("CS stands
    for …", "… (CS)") the full form is taken out.
    """
    if not text.strip():
        return ParsedAnswer(status="empty")
    bare = clean.prepare(text, context, entities=False)
    bare = _from_json(bare)
    bare = _PREAMBLE.sub("", bare, count=1) if _PREAMBLE.match(bare) else bare
    heading = _HEADING.match(bare.lstrip())
    if heading:
        bare = bare.lstrip()[heading.end() :]
    bare = clean.strip_wrapping(clean.strip_prefix(bare))
    bare = bare[:-400] + _CLOSING.sub("", bare[-400:])
    bare = _expansion(_once(bare).strip(), context)
    if not bare:
        return ParsedAnswer(status="unparsed", note="nothing but the prompt or decoration")
    return ParsedAnswer(status="ok", value=bare)


def parse_gold(text: str, context: ParseContext) -> ParsedAnswer:  # noqa: ARG001 - the contract
    """Read a gold text: the text itself."""
    if not text.strip():
        return ParsedAnswer(status="empty")
    return ParsedAnswer(status="ok", value=text.strip())


def _from_json(text: str) -> str:
    """The text inside a JSON object that holds one under a known key, or holds just one."""
    if not (text.startswith("{") and text.endswith("}")):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict):
        return text
    texts = {str(key).casefold(): item for key, item in value.items() if isinstance(item, str)}
    for key in _KEYS:
        if texts.get(key):
            return texts[key]
    return next(iter(texts.values())) if len(texts) == 1 else text


def _once(text: str) -> str:
    """A block of three words or more that is repeated to the end, once."""
    block = clean.repeated_block(text)
    return block if len(block.split()) >= 3 else text


def _expansion(text: str, context: ParseContext) -> str:
    asked = _SHORT.search(context.input[-80:])
    if asked is None or len(text) > 400:
        return text
    short = asked[1]
    stated = _EXPANSION.match(text)
    if stated and stated["short"].casefold() == short.casefold():
        text = clean.strip_wrapping(stated["long"]).rstrip("*_\"'. ")
    bracketed = re.fullmatch(rf"(.{{2,200}}?)\s*\(\s*{re.escape(short)}\s*\)[.\s]*", text)
    return bracketed[1] if bracketed else text
