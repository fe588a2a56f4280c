"""From a document to the program in it: the code of its blocks, two blank lines between them.

Elements come in, the bytes of each file to tangle go out. A file that was edited by hand is
never overwritten: what no version of the document makes is protected.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

from .files import begin, diff, need, note, on_disk, read, row_of, write
from .org import Block, DocumentError, Element, parse

BETWEEN = "\n\n\n"
TANGLED = ".literate/tangled"  # a copy of each file, as it was tangled last


def load(document: Path) -> list[Element]:
    """The elements of a file, with which a command begins. Raises DocumentError."""
    begin()
    return accept(need(document), document)


def accept(data: bytes, document: Path) -> list[Element]:
    """The elements of a document's bytes. Raises DocumentError for what is no document here."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DocumentError(line, "not UTF-8; save the document as UTF-8") from None
    elements = parse(text)
    targets(elements, document)
    return elements


def targets(elements: list[Element], document: Path) -> dict[str, list[Block]]:
    """The blocks of each file to tangle. Raises DocumentError for a file it must not write."""
    root = document.parent.resolve()
    found: dict[str, list[Block]] = {}
    for block in elements:
        if isinstance(block, Block) and "tangle" in block.args:
            name = block.args["tangle"]
            path = (root / name).resolve()
            if root not in path.parents or os.path.normpath(name) != name or name[0] in "/~":
                message = f":tangle {name} is outside the repository; name a plain path inside"
                raise DocumentError(block.line, message)
            same = path.exists() and path.samefile(document)
            if same or path.is_dir() or name in ("yes", "no"):
                message = f":tangle {name} cannot be written; name another file, or none"
                raise DocumentError(block.line, message)
            if not bare(block):
                raise DocumentError(block.line, "a tangled block without code; remove it")
            found.setdefault(name, []).append(block)
    return found


def tangle(elements: list[Element], document: Path, between: str = BETWEEN) -> dict[str, bytes]:
    """The bytes of each file to tangle, by its path from the document's folder."""
    return {
        name: (between.join(bare(block) for block in blocks) + "\n").encode()
        for name, blocks in targets(elements, document).items()
    }


def bare(block: Block) -> str:
    """A block's code without the blank lines around it."""
    return re.sub(r"\A(?:[ \t]*\n)+", "", block.code.rstrip())


def first_line(block: Block) -> int:
    """The document's line at which a block's bare code begins."""
    return block.line + 1 + block.code[: block.code.find(bare(block))].count("\n")


def source(blocks: list[Block], row: int) -> int:
    """The document's line for a line, counted from 1, of the file that these blocks make."""
    for block in blocks:
        rows = bare(block).count("\n") + 1
        if row <= rows + 2:
            return first_line(block) + min(row, rows) - 1
        row -= rows + 2
    return blocks[-1].line


# Protecting: a file that is not what some version of the document makes was edited by hand.


def edited(elements: list[Element], document: Path) -> dict[str, bytes | None]:
    """The files edited by hand, each with what it was tangled as, or None if nobody knows."""
    found = {}
    without = tangle(elements, document, "\n\n")  # by Org without tangle.el
    for name, new in tangle(elements, document).items():
        now = read(document.parent / name)
        now = now and now.removeprefix(codecs.BOM_UTF8)  # which editors add
        if now not in (None, new, without[name]):
            before = earlier(name, document)
            if now not in before:
                found[name] = min(before, key=lambda old: apart(old, now), default=None)
    return found


def earlier(name: str, document: Path) -> list[bytes]:
    """A file as it was tangled last, and as the document in git's last commit tangles it."""
    last = on_disk(document.parent / TANGLED / name)
    found = [] if last is None else [last]
    command = ["git", "show", f"HEAD:./{document.name}"]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(command, cwd=document.parent, capture_output=True, check=True)
        with contextlib.suppress(DocumentError, KeyError):
            found.append(tangle(parse(done.stdout.decode()), document)[name])
    return found


def apart(old: bytes, new: bytes | None) -> int:
    """How many lines differ: the earlier version that is nearest is the one that was edited."""
    was, now = ((side or b"").decode(errors="replace").split("\n") for side in (old, new))
    return sum(line[0] in "+-" for line in difflib.unified_diff(was, now, n=0))


def protect(elements: list[Element], document: Path) -> None:
    """Raise DocumentError, with what would be lost, if a file to tangle was edited by hand."""
    if not (found := edited(elements, document)):
        return
    made = tangle(elements, document)
    sides = {
        name: (made[name] if before is None else before, read(document.parent / name) or b"")
        for name, before in found.items()
    }
    shown = "".join(
        "\n".join([*diff(*both, document.name, name), "", ""]) for name, both in sides.items()
    )
    name, (old, now) = next(iter(sides.items()))
    place = f"{name}:{row_of(now, old)}"
    raise DocumentError(1, advice(name, found[name], document), shown, place)


def advice(name: str, before: bytes | None, document: Path) -> str:
    """What to do about a file edited by hand, which was tangled as `before`."""
    here = document.name
    if before is None:
        return (
            f"is not what {here} makes, and neither git nor an earlier tangling can tell which "
            f"was edited. If {name} was, `make detangle` takes the edit into {here}; if {here} "
            f"was, delete {name}"
        )
    return (
        f"was edited by hand; `make detangle` takes the edit into {here}, and "
        f"`git checkout {name}`, or deleting it, throws the edit away"
    )


def remember(files: dict[str, bytes], document: Path) -> None:
    """Keep a copy of what was tangled: it tells a file that was edited from an old one."""
    note({f"{TANGLED}/{name}": data for name, data in files.items()}, document.parent)


# The command of the verb. It gives the exit status, as each verb's does.


def accept_command(document: Path) -> int:
    """Say whether what comes from standard input, such as an editor's buffer, is a document."""
    begin()
    accept(sys.stdin.buffer.read() or need(document), document)
    return 0


def tangle_command(document: Path) -> int:
    elements = load(document)
    protect(elements, document)
    files = tangle(elements, document)
    say_changed(write(files, document.parent), document)
    remember(files, document)
    return 0


def say_changed(changed: list[str], document: Path) -> None:
    print("\n".join(f"wrote {name}" for name in changed) or f"{document.name}: nothing changed")
