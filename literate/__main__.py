"""The verbs: `python -m literate VERB`. What each of them does is in the modules below.

Words come in, one command runs, an exit status goes out. Only here is an error shown, once, and
nothing is computed here.
"""

from __future__ import annotations

# ruff: noqa: E402
import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while loading, Ctrl-C just ends this

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from .check import check_command
from .detangle import detangle_command
from .exercise import exercise_command
from .files import written
from .org import DocumentError
from .run import catch_signals, run_command
from .tangle import accept_command, tangle_command

NAME = "python -m literate"
DOCUMENT = Path(__file__).resolve().parent.with_name("README.org")
VERBS = {
    "tangle": "write the program that the document contains",
    "accept": "read a document from standard input; say what is wrong with it",
    "run": "run its Python blocks; refresh the program, every figure and result",
    "check": "run them and show what differs; change nothing",
    "detangle": "take edits of the program into the document",
    "notebook": "write micrograd.ipynb, for Jupyter",
    "markdown": "write micrograd.md, for any editor",
    "fold": "bring the edits made in one of these two back",
    "html": "write micrograd.html, one page to read and to play with",
    "exercise": "check your answer to an exercise",
    "watch": "as you save: fold or tangle, run from the first change on, show the page",
}


PLAIN: dict[str, Callable[..., int]] = {
    "tangle": tangle_command,
    "accept": accept_command,
    "run": run_command,
    "check": check_command,
    "detangle": detangle_command,
    "exercise": exercise_command,
}


def command_of(verb: str) -> Callable[..., int]:
    """A verb's command. What needs more than Python has loads only here."""
    if verb in PLAIN:
        return PLAIN[verb]
    from .fold import fold_command, markdown_command, notebook_command
    from .page import html_command
    from .watch import watch_command

    others: dict[str, Callable[..., int]] = {
        "notebook": notebook_command,
        "markdown": markdown_command,
        "fold": fold_command,
        "html": html_command,
        "watch": watch_command,
    }
    return others[verb]


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Tangle, run and check a literate document.",
        epilog=f"`{NAME} VERB --help` says what a verb takes.",
    )
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    each = {
        verb: verbs.add_parser(verb, help=about, description=about)
        for verb, about in VERBS.items()
    }
    each["run"].add_argument("--force", action="store_true", help="even if nothing has changed")
    each["fold"].add_argument("copy", type=Path, help="the .md or .ipynb that was edited")
    each["exercise"].add_argument("number", nargs="?", help="such as 4.2; none lists them all")
    for one in each.values():
        about = "README.org, unless you name another"
        one.add_argument("document", nargs="?", type=Path, default=DOCUMENT, help=about)
    # Options last: some versions of argparse miss a document that comes behind one.
    return parser.parse_args(sorted(words, key=lambda word: word.startswith("-")))


def main() -> int:
    given = vars(parse_arguments(sys.argv[1:]))
    verb, document = given.pop("verb"), given["document"]
    try:
        catch_signals(signal.default_int_handler)
        return command_of(verb)(**given)
    except DocumentError as error:
        place = error.place or f"{document.name}:{error.line}"
        message, status = f"{error.trace}{place}: {error}", 1
    except OSError as error:
        message, status = f"{error.filename or document}: {error.strerror}", 1
    except KeyboardInterrupt:
        message, status = f"\n{document.name}: interrupted", 130
    done = ", ".join(written())
    so_far = f"only this was written: {done}" if done else "nothing was changed"
    print(f"{message}; {so_far}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
