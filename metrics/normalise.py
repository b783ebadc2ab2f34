"""How texts are made comparable before they are matched: one rule for the paper, one for ours."""

from __future__ import annotations

import re
import string
import unicodedata
from functools import lru_cache

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′‵`´ʹʼ‹›", "'"),
        **dict.fromkeys("“”„‟″‶«»〝〞〟「」『』", '"'),
        **dict.fromkeys("【〔〖〘〚⟦⁅", "["),
        **dict.fromkeys("】〕〗〙〛⟧⁆", "]"),
        **dict.fromkeys("⟨〈《❬❮", "<"),
        **dict.fromkeys("⟩〉》❭❯", ">"),
        **dict.fromkeys("‐‑‒–—―−﹘﹣", "-"),
    }
)

STANDARD_RULE = "nfkc+casefold+space+signs"
"""How `normalise` is named in signatures."""

PAPER_RULE = "lower-punct-articles-space"
"""How `paper_normalise` is named in signatures."""


@lru_cache(maxsize=1 << 16)
def normalise(text: str) -> str:
    """The standard metrics' rule: the same text typed differently compares equal.

    Unicode NFKC, case folded, white space collapsed and stripped; quotes, square and angle
    brackets and dashes of other scripts and fonts become their ASCII signs. Nothing is deleted:
    articles, punctuation, digits and Greek letters keep two names apart.
    """
    if text.isascii():
        return " ".join(text.casefold().translate(_SIGNS).split())
    signs = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS)
    folded = unicodedata.normalize("NFKC", signs.casefold())
    return " ".join(folded.split())


@lru_cache(maxsize=1 << 16)
def paper_normalise(text: str) -> str:
    """The paper's rule, in its order: lower-case, delete `string.punctuation`, replace the whole
    words a, an, the by a space, collapse white space.

    Trap: "hepatitis A" loses its A, and the answer "A" becomes the empty text.
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())
