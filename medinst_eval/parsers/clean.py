"""What every tolerant parser takes off an output before it looks for the answer."""

from __future__ import annotations

import html
import re
from functools import lru_cache

from medinst_eval.types import ParseContext

_SPECIAL = re.compile(
    r"<\|[A-Za-z_]{2,30}\|>|</?s>|<(?:eos|bos|pad|end_of_turn|start_of_turn|turn\||\|turn)>"
    r"|\[/?INST\]|\[(?:BEGIN|END) FINAL RESPONSE\]"
)
_ANSWER_TAG = re.compile(r"<(answer|final_answer|response|output)>", re.IGNORECASE)
_FENCE = re.compile(
    r"^[ \t]{0,20}(?:```|~~~)[^\n`]{0,40}$"
    r"|```(?:json|jsonl|text|plaintext|txt|markdown|md|html|xml|csv|python)?(?![^\s\[{(<\"'|*-])",
    re.MULTILINE,
)
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#39|#34|#x27);")
_ROLE = re.compile(r"\s{0,20}(?:assistant|model)\s{0,3}[:\n]\s{0,20}", re.IGNORECASE)
_NAMES = (
    r"answers?|labels?|outputs?|responses?|results?|predictions?|predicted labels?|classification"
    r"|verdict|conclusion|relationship|option|choice|score|similarity|similarity score|rating"
    r"|translation|english translation|translated text|summary|related work|related work section"
    r"|entities|extracted entities|mentions|relations|extracted relations|events|co-?references"
    r"|hallmarks?(?: of cancer)?|full form|expansion"
)
_PREFIX = re.compile(
    rf"[\s*_#>`]{{0,12}}(?:(?:so|therefore|thus|hence),?\s{{1,3}})?(?:the\s{{1,3}}|my\s{{1,3}})?"
    rf"(?:(?:final|correct|best|right|most likely|most appropriate)\s{{1,3}}){{0,2}}"
    rf"(?:{_NAMES})[*_`]{{0,3}}(?:\s{{1,3}}(?:is|are|would be))?\s{{0,3}}[:：=]"
    r"[\s*_`]{0,12}",
    re.IGNORECASE,
)
_QUOTES = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'"}
    | {"‛": "'", "′": "'", "`": "'", "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-"}
    | {"\u00a0": " ", "\u202f": " ", "\u2009": " "}
)
_BRACKETS = str.maketrans(
    {"【": "[", "】": "]", "［": "[", "］": "]", "〔": "[", "〕": "]", "「": "[", "」": "]"}
    | {"＜": "<", "＞": ">", "〈": "<", "〉": ">", "《": "<", "》": ">", "⟨": "<", "⟩": ">"}
)
_PAIRS = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "„": "“"}
_WORD = re.compile(r"\S+")
LONGEST = 200_000
"""Characters; a longer output is read only in the benchmark's own form: no answer is that long."""
TOO_LONG = f"longer than {LONGEST:,} characters and not in the benchmark's form"
_LONG = 40
"""Characters an input must have before it is looked for inside an output."""


def straighten_quotes(text: str) -> str:
    """Curly quotes, dashes and odd spaces to their ASCII form; the length stays the same."""
    return text.translate(_QUOTES)


def straighten_brackets(text: str) -> str:
    """Full-width and angular brackets to `[`, `]`, `<`, `>`; the length stays the same."""
    return text.translate(_BRACKETS)


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Key under which two writings of a label or type are the same.

    Lower case, straight quotes; spaces, hyphens and underscores are left out, and so is outer
    punctuation.
    """
    return re.sub(r"[\s_-]+", "", straighten_quotes(text).casefold()).strip("\"'.,;:!?*()[]<>{}")


def prepare(text: str, context: ParseContext, *, entities: bool = True, within: bool = True) -> str:
    """Special tokens, an echoed prompt, answer tags and code fences taken off.

    Args:
        text: An answer.
        context: Its row.
        within: Look for an echo inside the text too, not only at its start.
        entities: Turn `&lt;` and the like into the signs they stand for.
    """
    text = text.replace("\x00", " ").replace("\r\n", "\n").replace("\r", "\n")
    if entities and "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    text = _SPECIAL.sub("\n", text)
    text = drop_echo(text, context, within=within)
    role = _ROLE.match(text)
    if role and text[role.end() :].strip():
        text = text[role.end() :]
    text = inside_tags(text)
    if "```" in text or "~~~" in text:
        text = _FENCE.sub(" ", text)
    return text.strip()


def inside_tags(text: str) -> str:
    """Contents of `<answer>` (or final_answer, response, output) where such tags are closed."""
    parts: list[str] = []
    position = 0
    while opening := _ANSWER_TAG.search(text, position):
        closing = text.find(f"</{opening[1]}>", opening.end())
        if closing < 0:
            break
        parts.append(text[opening.end() : closing])
        position = closing
    return "\n".join(parts) if parts else text


def drop_echo(text: str, context: ParseContext, *, within: bool = True) -> str:
    """Take a repeated prompt, input or instruction off an output: at its start, or anywhere."""
    instruction = context.prompt.removesuffix(context.input).strip()
    for echo in (context.prompt, context.input, instruction):
        if not echo.strip():
            continue
        end = _after(text, echo)
        if end is not None:
            text = text[end:]
        elif within and len(echo) >= _LONG:
            start = text.find(echo)
            if start >= 0:
                text = text[:start] + "\n" + text[start + len(echo) :]
    return text


def _after(text: str, head: str) -> int | None:
    """Where `text` goes on after `head`, white space aside; None where it does not start so."""
    end = 0
    words = _WORD.finditer(text)
    for expected in head.split():
        word = next(words, None)
        if word is None or word[0] != expected:
            return None
        end = word.end()
    return end


def strip_prefix(text: str) -> str:
    """Take "Answer:", "The final answer is:" and the like off the start, at most three times."""
    for _ in range(3):
        match = _PREFIX.match(text)
        if not match or match.end() == 0:
            break
        text = text[match.end() :]
    return text.strip()


def strip_wrapping(text: str) -> str:
    """Take surrounding white space, paired quotes and emphasis off."""
    start, end = 0, len(text)
    while start < end:
        first, last = text[start], text[end - 1]
        if first.isspace():
            start += 1
        elif last.isspace():
            end -= 1
        elif end - start >= 2 and _PAIRS.get(first) == last:
            start, end = start + 1, end - 1
        elif end - start >= 4 and text[start : start + 2] == text[end - 2 : end] in ("**", "__"):
            start, end = start + 2, end - 2
        else:
            break
    return text[start:end]


def bare(text: str) -> str:
    """A short answer without wrapping and prefix, one inside the other."""
    return strip_wrapping(strip_prefix(strip_wrapping(text)))


def repeated_block(text: str) -> str:
    """The block of a text that is nothing but that block two or more times; else the text.

    The blocks must be parted by the same white space; the search is linear (Knuth, Morris and
    Pratt's failure function through `str.find`).
    """
    text = text.strip()
    for separator in ("", " ", "\n", "\n\n"):
        unit = text + separator
        period = (unit + unit).find(unit, 1)
        if 0 < period < len(unit):
            return unit[:period].strip()
    return text
