"""Names and model texts made harmless for the format they are written into."""

from __future__ import annotations

import html
import re

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_XML_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$@])")
_MARKDOWN_START = re.compile(r"^(\s*(?:\d+(?=[.)]\s))?)([-=.)])")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}", "`": r"\textasciigrave{}", "-": "-", "–": "--", "—": "---",
    "†": r"\dag{}", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "±": r"$\pm$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "…": r"\ldots{}", "−": r"$-$",
}  # fmt: skip


def one_line(text: str) -> str:
    """A text without line ends and control characters (shown as spaces)."""
    return _CONTROLS.sub(" ", text)


def markdown(text: str) -> str:
    """A text as itself inside a Markdown paragraph or table cell; HTML in it is not obeyed.

    Mentions (`@name`) and references (`#12`) of code hosting sites do not fire either.
    """
    escaped = _MARKDOWN.sub(r"\\\1", one_line(text))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = escaped.replace(r"\@", "@\u200b").replace("://", ":\u200b//")
    return _MARKDOWN_START.sub(r"\1\\\2", escaped)


def markdown_block(text: str) -> str:
    """A text of several lines as a fenced block that nothing in it can close."""
    cleaned = "\n".join(one_line(line) for line in text.splitlines())
    longest = max((len(run) for run in re.findall(r"`+", cleaned)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{cleaned}\n{fence}"


def markup(text: str) -> str:
    """A text in HTML, inside an element or a quoted attribute."""
    return html.escape(one_line(text), quote=True)


def latex(text: str) -> str:
    """A text in LaTeX; characters that pdfLaTeX cannot set are replaced by a question mark.

    Latin letters with accents stay: they are valid UTF-8 input of LaTeX since 2018.
    """
    out = []
    for char in one_line(text):
        if char in _LATEX:
            out.append(_LATEX[char])
        else:
            out.append(char if ord(char) < 0x180 else "?")
    return "".join(out)


def csv_cell(text: str) -> str:
    """A text for a CSV cell that no spreadsheet takes for a formula.

    A leading `=`, `+`, `-`, `@`, tab or line end is preceded by an apostrophe, as OWASP advises;
    numbers are not texts: write them as they are.
    """
    if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        text = f"'{text}"
    return one_line(text)


def xml_text(text: str) -> str:
    """A text without the characters that XML 1.0 forbids; the writer escapes the rest."""
    return _XML_FORBIDDEN.sub("\ufffd", text)
