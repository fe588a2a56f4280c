"""Edits of tangled files, taken back into the document: tangling, the other way.

A tangled file is a row of chunks, two blank lines apart, and each block gave it one or several.
So an edit changes, adds or removes chunks, and each goes back to the block that it is from.
Unless the document then tangles to exactly the edited files, nothing is written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .files import diff, need, opcodes, row_of, write
from .org import Block, DocumentError, Element, check_characters, escape, parse
from .tangle import (
    BETWEEN,
    bare,
    edited,
    first_line,
    load,
    remember,
    say_changed,
    tangle,
    targets,
)


@dataclass(frozen=True)
class Chunk:
    """Code that equals any other with the same `text`, from whatever `place`, `file:line`."""

    text: str
    place: str = field(compare=False)


def detangle(
    elements: list[Element], document: Path
) -> tuple[str, dict[str, bytes], list[str]]:
    """The document with the edits, the files that were edited, and lines that say what changed.

    What was edited in the document since it was tangled comes into these files in turn. Raises
    DocumentError unless the document then tangles to exactly them.
    """
    shares: dict[int, list[Chunk]] = {}  # what each block is to hold, by the block's line
    files: dict[str, bytes] = {}
    for name, before in edited(elements, document).items():
        blocks = targets(elements, document)[name]
        owned = [
            (block, chunk)
            for block in blocks
            for chunk in chunks(bare(block), document.name, first_line(block))
        ]
        ours = [chunk for _, chunk in owned]
        base = ours if before is None else chunks(before.decode(), name)
        theirs = chunks(text_of(name, blocks, document), name)
        check_bounds(owned, theirs, document)
        row = merge(base, ours, theirs)
        files[name] = join(row).encode() + b"\n"
        shares |= {block.line: [] for block in blocks}
        for place, found in enumerate(places(ours, row)):
            # What was added behind a chunk goes to that one's block.
            shares[owned[max(place - 1, 0) // 2][0].line] += found
        check_shares(blocks, shares, row, document)
    text = "".join(
        with_code(element, join(shares[element.line]))
        if isinstance(element, Block) and element.line in shares
        else element.text
        for element in elements
    )
    now = parse(text)
    for name, data in files.items():
        made = tangle(now, document)[name]
        if made != data:
            message = "no block begins with a blank line, or ends in blanks; remove them"
            raise DocumentError(1, message, place=f"{name}:{row_of(data, made)}")
    return text, files, changes(elements, now, files, document)


def changes(
    elements: list[Element], now: list[Element], files: Iterable[str], document: Path
) -> list[str]:
    """A line for each block that was edited: where that is in the document and in its file."""
    found = []
    rows = dict.fromkeys(files, 1)  # where the next block's code begins in each file
    for old, new in zip(elements, now, strict=True):
        if not (isinstance(old, Block) and isinstance(new, Block)):
            continue
        name = new.args.get("tangle", "")
        if new.text != old.text:
            first = row_of(f"{bare(new)}\n".encode(), f"{bare(old)}\n".encode()) - 1
            here = f"{document.name}:{first_line(new) + first}"
            found.append(f"{here}: edited as at {name}:{rows[name] + first}")
        if name in rows:
            rows[name] += (bare(new) + BETWEEN).count("\n")
    return found


def text_of(name: str, blocks: list[Block], document: Path) -> str:
    """What a tangled file holds. Raises DocumentError for what no block can hold."""
    data = need(document.parent / name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = "not UTF-8; save the file as UTF-8"
        raise DocumentError(1, message, place=f"{name}:{line}") from None
    python = any(block.runs for block in blocks)
    check_characters(text, name, tabs=not python)
    if not text.endswith("\n"):
        line = text.count("\n") + 1
        message = "the last line does not end; add a newline"
        raise DocumentError(1, message, place=f"{name}:{line}")
    return text


def chunks(text: str, file: str, line: int = 1) -> list[Chunk]:
    """The chunks of a text that begins at a line of a file."""
    found = []
    for chunk in re.split(r"(?<!\n)\n\n\n(?!\n)", text.removesuffix("\n")):
        found.append(Chunk(chunk, f"{file}:{line}"))
        line += chunk.count("\n") + BETWEEN.count("\n")
    return found


def join(row: list[Chunk]) -> str:
    return BETWEEN.join(chunk.text for chunk in row)


def merge(base: list[Chunk], ours: list[Chunk], theirs: list[Chunk]) -> list[Chunk]:
    """The base with the edits of both. Raises DocumentError where they meet."""
    merged: list[Chunk] = []
    here, there = ours[0], theirs[0]
    each = zip(places(base, base), places(base, ours), places(base, theirs), strict=True)
    for old, our, their in each:
        here, there = [*our, here][0], [*their, there][0]
        if our in (old, their):
            merged += their
        elif their == old:
            merged += our
        else:
            message = (
                f"edited here, and in another way at {here.place}; "
                "let both say the same, or undo one of them"
            )
            shown = "\n".join([*diff(join(our), join(their), here.place, there.place), "", ""])
            raise DocumentError(1, message, shown, there.place)
    return merged


def check_shares(
    blocks: list[Block], shares: dict[int, list[Chunk]], row: list[Chunk], document: Path
) -> None:
    """Raise DocumentError for a block that is left without code."""
    before = 0
    for block in blocks:
        if not join(shares[block.line]).strip():
            here = row[min(before, len(row) - 1)]
            message = (
                f"the code of {document.name}:{block.line} belongs here, two blank lines from "
                f"the next; put it back, or remove its block from {document.name}"
            )
            raise DocumentError(1, message, place=here.place)
        before += len(shares[block.line])


def check_bounds(owned: list[tuple[Block, Chunk]], theirs: list[Chunk], document: Path) -> None:
    """Raise DocumentError where two blocks' code is not two blank lines apart any more."""
    known = {chunk.text for _, chunk in owned}
    left = {chunk.text for chunk in theirs}
    for (block, above), (after, below) in zip(owned, owned[1:], strict=False):
        if block is after or above.text in left or below.text in left:
            continue
        first, own = below.text.split("\n")[0], above.text.split("\n")
        ends = {own[0], own[-1]}
        for chunk in theirs:
            rows = chunk.text.split("\n") if chunk.text not in known else []
            at = next(
                (i for i, row in enumerate(rows) if row == first and ends & {*rows[:i]}), 0
            )
            if at:
                file, line = chunk.place.rsplit(":", 1)
                message = (
                    f"the code of {document.name}:{after.line} begins here; leave two lines "
                    "without anything above it, and no more"
                )
                raise DocumentError(1, message, place=f"{file}:{int(line) + at}")


def places(old: list[Chunk], new: list[Chunk]) -> list[list[Chunk]]:
    """The new chunks: those before the first old one, in its place, behind it, and so on."""
    found: list[list[Chunk]] = [[] for _ in range(2 * len(old) + 1)]
    for _, i, j, k, m in opcodes(old, new):
        partner = {b: a for a, b in pairs(old[i:j], new[k:m])}
        place = 2 * i
        for b, chunk in enumerate(new[k:m]):
            if b in partner:
                place = 2 * (i + partner[b]) + 1
            found[place].append(chunk)
            place += place % 2
    return found


def pairs(old: list[Chunk], new: list[Chunk]) -> tuple[tuple[int, int], ...]:
    """Which old chunk became which new one: in order, as many as can be, the likest of them."""
    sizes = [sum(chunk.text.count("\n") + 1 for chunk in row) for row in (old, new)]
    if len(old) == len(new) or sizes[0] * sizes[1] > 300_000:
        return tuple((i, i) for i in range(min(len(old), len(new))))
    # Row by row, for the old chunks so far and the first 0, 1, ... new ones: the best pairs.
    best: list[tuple[float, tuple[tuple[int, int], ...]]] = [(0, ())] * (len(new) + 1)
    for a, one in enumerate(old):
        row = best[:1]
        for b, other in enumerate(new):
            both = one.text.split("\n"), other.text.split("\n")
            like = 1 + difflib.SequenceMatcher(None, *both, autojunk=False).ratio()
            score, chosen = best[b]
            row.append(max(best[b + 1], row[b], (score + like, (*chosen, (a, b)))))
        best = row
    return best[-1][1]


def with_code(block: Block, code: str) -> str:
    """The block's text with other code in it. Lines that stay are left as they are."""
    if code == bare(block):
        return block.text
    lines = block.text.split("\n")
    start = first_line(block) - block.line
    end = start + bare(block).count("\n") + 1
    old = block.code.split("\n")[start - 1 : end - 1]
    new = code.split("\n")
    if new[-1] == old[-1].rstrip():
        new[-1] = old[-1]  # tangling drops the blanks behind it, and so they may stay
    body: list[str] = []
    for kind, i, j, k, m in opcodes(old, new):
        same = kind == "equal"
        body += lines[start + i : start + j] if same else map(escape, new[k:m])
    return "\n".join([*lines[:start], *body, *lines[end:]])


def detangle_command(document: Path) -> int:
    """Take the edits of tangled files into the document. Gives the exit status."""
    elements = load(document)
    text, files, said = detangle(elements, document)
    changed = write({document.name: text.encode(), **files}, document.parent)
    remember(files, document)
    print("\n".join([*said, ""]), end="")
    say_changed(changed, document)
    if changed:
        print("`make` refreshes the results")
    return 0
