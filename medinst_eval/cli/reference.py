"""The page of all commands, written from the commands themselves.

`python -m medinst_eval.cli.reference > docs/commands.md` writes it again.
"""

from __future__ import annotations

from typing import Any

import typer

_INTRO = """\
# Commands

Written by `python -m medinst_eval.cli.reference`; do not edit.

`medinst-eval --model PATH …` is `medinst-eval run --model PATH …`. Exit codes everywhere: 0 done, 1
the gate found a regression or the run ended with engine errors, 2 wrong use or bad input, 3 not
comparable, 130 interrupted.
"""


def page() -> str:
    """The whole page as Markdown."""
    from medinst_eval.cli import app

    root: Any = typer.main.get_command(app)
    parts = [_INTRO]
    for name, command in root.commands.items():
        parts += _sections(f"medinst-eval {name}", command)
    return "\n".join(parts)


def _sections(title: str, command: Any) -> list[str]:
    nested = getattr(command, "commands", None)
    if nested:
        return [
            part for name, inner in nested.items() for part in _sections(f"{title} {name}", inner)
        ]
    return [_section(title, command)]


def _section(title: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join([title, *(_argument(a) for a in arguments), "[OPTIONS]" if options else ""])
    lines = [f"## {title}", "", _prose(command.help or ""), "", f"    {usage.strip()}", ""]
    lines += [f"- `{(a.metavar or a.name).upper()}`: {a.help or ''}" for a in arguments]
    if arguments:
        lines.append("")
    if options:
        lines += ["| option | default | meaning |", "|---|---|---|"]
        lines += [_row(option) for option in options]
        lines.append("")
    return "\n".join(lines)


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper() + ("…" if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def _row(option: Any) -> str:
    default = option.default
    if callable(default) or default is None or default is False or default == ():
        shown = "required" if option.required else ""
    else:
        shown = f"`{default}`"
    names = ", ".join(f"`{name}`" for name in option.opts)
    meaning = " ".join((option.help or "").split()).replace("|", "\\|")
    return f"| {names} | {shown} | {meaning} |"


def _prose(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


if __name__ == "__main__":
    print(page(), end="")
