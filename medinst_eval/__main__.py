"""The command `medinst-eval`: picks the command, turns errors into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from medinst_eval.errors import InterruptedRunError, MedinstError

_OWN_OPTIONS = ("--help", "-h", "--version", "--install-completion", "--show-completion")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; never returns normally, always by `SystemExit`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0].startswith("-") and words[0] not in _OWN_OPTIONS:
        words.insert(0, "run")  # `medinst-eval --model PATH` is `medinst-eval run --model PATH`
    if not words:
        words = ["--help"]
    signal.signal(signal.SIGTERM, _stop)
    try:
        code = _call(words)
    except (KeyboardInterrupt, InterruptedRunError):  # while the commands were still being loaded
        _complain("interrupted", 130)
        code = 130
    raise SystemExit(code)


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break the cleaning up
    raise InterruptedRunError("stopped by a signal")


def _call(words: list[str]) -> int:
    import typer

    from medinst_eval.cli import app

    try:
        code = app(words, standalone_mode=False)
    except MedinstError as error:
        _complain(str(error), error.exit_code)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted", 130)
        return 130
    except BrokenPipeError:
        # The reader of a pipe went away: nothing is left to say, and to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "medinst-eval"
        _complain(f"{error.format_message()} See `{where} --help`.", 2)
        return 2
    return code if isinstance(code, int) else 0


def _complain(text: str, code: int) -> None:
    from medinst_eval.cli.console import printable

    label = "stopped" if code == 130 else "error"
    line = " ".join(printable(text).split())
    print(f"medinst-eval: {label}: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
