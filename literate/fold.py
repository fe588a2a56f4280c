"""Edits made in a copy of the document, micrograd.md or micrograd.ipynb, brought back into it.

A copy names the document that it was made from. Copy and document are both compared with that,
piece by piece; a piece that is as it was there counts as not edited, and keeps its bytes. No
edit wins over another of the same part: both are shown, and nothing is written.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from . import notebook
from .check import check_links
from .files import need, opcodes, read, write
from .nodes import Node, key
from .org import DocumentError, anchors, drawn, links, parse, present_results
from .orgtext import org_lines
from .pieces import Piece, split, write_org
from .tangle import load, targets


@dataclass(frozen=True)
class Hunk:
    """The pieces base[start:end] were replaced by `new`."""

    start: int
    end: int
    new: list[Piece]
    at: int  # the index of the first of them, on their side
    copy: bool  # whether it was in the copy, or in the document


# Comparing, and putting together.


def compare(
    base: list[Piece], other: list[Piece], copy: bool
) -> tuple[list[Hunk], dict[int, Piece]]:
    """What was changed; and the pieces that were not, by their index in base."""
    before, after = ([key(piece.node) for piece in side] for side in (base, other))
    hunks: list[Hunk] = []
    kept: dict[int, Piece] = {}
    for tag, a, b, c, d in opcodes(before, after):
        if tag == "equal":
            kept |= zip(range(a, b), other[c:d], strict=True)
        elif b - a == d - c:
            hunks += [Hunk(a + i, a + i + 1, [other[c + i]], c + i, copy) for i in range(b - a)]
        else:
            hunks.append(Hunk(a, b, other[c:d], c, copy))
    return hunks, kept


def overlap(one: Hunk, two: Hunk) -> bool:
    """Whether two hunks touch the same part; neighbours do not."""
    if one.start == one.end and two.start == two.end:
        return one.start == two.start
    return one.start < two.end and two.start < one.end


def same(one: Hunk, two: Hunk) -> bool:
    new = [[key(piece.node) for piece in hunk.new] for hunk in (one, two)]
    return (one.start, one.end, new[0]) == (two.start, two.end, new[1])


def write_new(hunks: list[Hunk], base: list[Piece]) -> list[Hunk]:
    """The hunks of a copy, with the Org of their pieces.

    A piece that was moved keeps its text; code that is the same keeps its result.
    """
    gone = [base[i] for hunk in hunks for i in range(hunk.start, hunk.end)]
    moved = {key(piece.node): piece for piece in reversed(gone)}
    ran = {key(p.node).text: p for p in reversed(gone) if p.node.kind == "code"}
    written = []
    for hunk in hunks:
        new = []
        for i, piece in enumerate(hunk.new):
            node, result = piece.node, ""
            old = moved.pop(key(node), None)
            if old:
                org, result = old.org, old.result
            elif node.kind == "code":
                old = ran.get(key(node).text)
                if old and dict(old.node.info)["results"] == dict(node.info).get("results"):
                    result = old.result
                paired = hunk.end - hunk.start == len(hunk.new)
                org = write_code(node, old or (base[hunk.start + i] if paired else None))
            else:
                try:
                    org = write_org(node)
                    if node.kind == "table" and hunk.end - hunk.start == len(hunk.new):
                        org = keep_rows(org, base[hunk.start + i])
                except DocumentError as error:
                    raise at(piece, str(error), error.line - node.line) from None
            new.append(replace(piece, org=org, result=result))
        written.append(replace(hunk, new=new))
    return written


def write_code(node: Node, old: Piece | None) -> str:
    """A block of Python in Org; its lines are as in the `old` one, where that has them."""
    org = org_lines(node)
    if not old or old.node.kind != "code":
        return org
    lines, rows = (text.split("\n")[:-1] for text in (org, old.org))
    if old.node.info == node.info:
        lines[0] = rows[0]
    as_before = dict(zip(old.node.text.split("\n")[:-1], rows[1:-1], strict=True))
    code = node.text.split("\n")[:-1]
    lines[1:-1] = [as_before.get(a, b) for a, b in zip(code, lines[1:-1], strict=True)]
    return "".join(f"{line}\n" for line in lines)


def keep_rows(org: str, old: Piece) -> str:
    """A table in Org; its lines are as in the `old` one, where that has them."""
    if old.node.kind != "table":
        return org
    lines = zip(org_lines(old.node).split("\n"), old.org.split("\n"), strict=True)
    as_before = dict(lines)
    return "\n".join(as_before.get(line, line) for line in org.split("\n"))


def put_together(base: list[Piece], hunks: list[Hunk], kept: dict[int, Piece]) -> list[Piece]:
    """The pieces of base, as they are in `kept`, with the hunks in place of theirs."""
    out: list[Piece] = []
    done = 0
    for hunk in sorted(hunks, key=lambda hunk: (hunk.start, hunk.end)):
        out += [kept[i] for i in range(done, hunk.start)]
        done = hunk.end
        if hunk.copy:
            # What was replaced leaves the blank lines below it, and what was removed, the more.
            above = out[-1].gap if out else ""
            below = base[hunk.end - 1].gap if hunk.end > hunk.start else above or "\n"
            if out and hunk.start == hunk.end:
                out[-1] = replace(out[-1], gap=above or "\n")
                below = above if hunk.end == len(base) else "\n"
            elif out and not hunk.new:
                gap = below if hunk.end == len(base) else max(above, below, key=len)
                out[-1] = replace(out[-1], gap=gap)
            out += [*hunk.new[:-1], *(replace(piece, gap=below) for piece in hunk.new[-1:])]
        else:
            out += hunk.new
    out += [kept[i] for i in range(done, len(base))]
    for i, (piece, after) in enumerate(zip(out, out[1:], strict=False)):
        if not piece.gap and not follows(piece, after) and not stacks(piece.node, after.node):
            out[i] = replace(piece, gap="\n")
    return out


def follows(piece: Piece, after: Piece) -> bool:
    """Whether the two are neighbours in the document already."""
    end = piece.line + text_of([piece]).count("\n")
    return not piece.place and not after.place and end == after.line


def stacks(node: Node, after: Node) -> bool:
    """Whether no blank line is needed between two that are new neighbours."""
    if node.kind == "heading":
        return not node.text
    if node.kind in ("comment", "para"):
        return node.kind != after.kind
    return node.kind in ("title", "keyword")


def text_of(pieces: Iterable[Piece]) -> str:
    return "".join(piece.org + piece.result + piece.gap for piece in pieces)


def starts(pieces: list[Piece]) -> list[int]:
    """The line at which each piece begins, and the line after the last."""
    sizes = [text_of([piece]).count("\n") for piece in pieces]
    return list(accumulate(sizes, initial=1))


def renew_names(pieces: list[Piece], before: dict[int, str]) -> list[Piece]:
    """The pieces with the CUSTOM_ID that each new or edited heading should have.

    Chapters get one, and each heading that a link names. Links follow a heading's new name,
    also where another heading, above it, has its old one now. before: the anchors that the
    document had, by line.
    """
    elements = parse(text_of(pieces))
    slugs = anchors(elements)
    linked = {target for _, target in links(elements)}
    renamed: dict[str, str] = {}
    held: set[str] = set()  # the names that a heading had, and still has
    out: list[Piece] = []
    for piece, line in zip(pieces, starts(pieces), strict=False):
        node, slug = piece.node, slugs.get(line, "")
        if node.kind == "heading" and slug == node.text:
            held.add(slug)
        elif node.kind == "heading" and (
            piece.place or not node.text or before.get(piece.line) == node.text
        ):
            if node.text or (piece.place and node.level == 1) or f"#{slug}" in linked:
                renamed.setdefault(node.text, slug)
                node = replace(node, text=slug)
                org = org_lines(node)
                piece = replace(piece, node=node, org=org, gap=piece.gap or "\n")
        out.append(piece)
    names = "|".join(re.escape(name) for name in sorted(renamed.keys() - held) if name)
    for i, piece in enumerate(out):
        if names and piece.node.kind in ("para", "list", "quote", "table", "heading"):
            org = re.sub(rf"\[\[#({names})\]", lambda m: f"[[#{renamed[m[1]]}]", piece.org)
            out[i] = replace(piece, org=org)
    return out


def prove(pieces: list[Piece], document: Path) -> None:
    """Raise DocumentError, at its place in the copy, for what the document could not hold."""
    try:
        elements = parse(text_of(pieces))
        targets(elements, document)
        back = split(elements)
    except DocumentError as error:
        lines = starts(pieces)
        i = min(bisect(lines, error.line), len(pieces)) - 1
        code = pieces[i].node.kind == "code"  # whose first line is no line of the copy
        raise at(pieces[i], str(error), max(0, error.line - lines[i] - code)) from None
    for piece, again in zip(pieces, back, strict=False):
        if key(piece.node) != key(again.node):
            what = piece.org.split("\n")[0][:50]
            raise at(piece, f"`{what}` would run into what is beside it; put text between", 0)


def at(piece: Piece, message: str, offset: int) -> DocumentError:
    """The error at a line of a piece: of the copy, or of the document."""
    line = piece.line + offset
    return DocumentError(line, message, place=f"{piece.place}{line}" if piece.place else "")


def clash(one: Hunk, two: Hunk, now: list[Piece], new: list[Piece], name: str) -> DocumentError:
    """The error for hunks of the document and of its copy that touch the same part."""
    sides = []
    for hunk, pieces in ((one, now), (two, new)):
        piece = pieces[min(hunk.at, len(pieces) - 1)]
        place = f"{piece.place or name + ':'}{piece.line}"
        texts = [p.org or org_lines(p.node) for p in hunk.new] or ["(removed)"]
        lines = "\n".join(texts).rstrip("\n").split("\n")
        sides.append((place, "".join(f"    {line}\n" for line in lines)))
    shown = "".join(f"{place} has\n{text}" for place, text in sides)
    message = f"{sides[0][0]} was changed, too; make both alike there, then fold again"
    return DocumentError(1, message, shown, place=sides[1][0])


# The commands: each gives the exit status.


def notebook_command(document: Path) -> int:
    return write_copy(document, "micrograd.ipynb", notebook.as_ipynb)


def markdown_command(document: Path) -> int:
    return write_copy(document, "micrograd.md", notebook.as_markdown)


def write_copy(document: Path, name: str, written: Callable[[Any], str]) -> int:
    """Write the document's copy, unless one is there that has edits."""
    text = "".join(element.text for element in load(document))
    data = written(notebook.notebook(text, document))
    notebook.check_copy(text, Path(name), data.encode())
    copy = document.with_name(name)
    old = read(copy)
    if old is not None and has_edits(document, copy, old):
        message = f"has edits; bring them back first: make fold FROM={name}, or rename it"
        raise DocumentError(1, message, place=name)
    files = {**notebook.keep_source(text, document), name: data.encode()}
    changed = name in write(files, document.parent)
    print(f"wrote {name}" if changed else f"{name}: nothing changed")
    return 0


def has_edits(document: Path, copy: Path, data: bytes) -> bool:
    """Whether a copy has anything that the document that it was made from has not."""
    try:
        book = notebook.read_notebook(copy, data)
        base_text = notebook.recall(notebook.made_from(book), document)
        base = split(parse(base_text or ""))
        return base_text is None or bool(
            compare(base, notebook.pieces_of(book, copy, base), True)[0]
        )
    except DocumentError:
        return True


def fold_command(document: Path, copy: Path) -> int:
    """Bring the edits made in a copy into the document."""
    text = "".join(element.text for element in load(document))
    book = notebook.read_notebook(copy, need(copy))
    name = notebook.made_from(book)
    base_text = notebook.recall(name, document)
    if base_text is None:
        what = (
            f"the {document.name} ({name[:12] or '?'}) that it was made from is not known here"
        )
        message = f"{what}; rename it, make a new copy, and carry your edits over"
        raise DocumentError(1, message, place=copy.name)
    if not name:
        last = f"as a copy of the {document.name} from which the last one was made"
        print(f"{copy.name}: does not say what it was made from; taken {last}")
    new_text, new_base = fold(base_text, text, book, copy, document.name)
    files = notebook.keep_source(new_base, document)
    if new_text != text:
        files[document.name] = new_text.encode()
    if name and new_base != base_text:  # the next time, only what was edited since counts
        data = need(copy).replace(name.encode(), notebook.blob(new_base).encode())
        files[str(copy.resolve())] = data
    write(files, document.parent)
    print("\n".join(what_changed(text, new_text, document)))
    return 0


def fold(base_text: str, text: str, book: Any, copy: Path, name: str) -> tuple[str, str]:
    """The text of the document `name` with the edits of a copy that was made from base_text.

    Also what base_text becomes by these edits alone. Raises DocumentError where an edit has no
    place in the document, or the document was edited in the same part.
    """
    base, now = (split(parse(side)) for side in (base_text, text))
    new = notebook.pieces_of(book, copy, base)
    if not new:
        raise DocumentError(1, "nothing is left in it; undo what broke it", place=copy.name)
    ours, kept = compare(base, now, False)
    theirs, _ = compare(base, new, True)
    alone = []
    for two in theirs:
        both = [one for one in ours if overlap(one, two)]
        for one in both:
            if not same(one, two):
                raise clash(one, two, now, new, name)
        if not both:  # else the document has this edit already
            alone.append(two)
    current = [kept.get(i, piece) for i, piece in enumerate(base)]
    pieces = put_together(base, [*ours, *write_new(alone, current)], kept)
    prove(pieces, Path(name))
    new_base = put_together(base, write_new(theirs, base), dict(enumerate(base)))
    pieces = renew_names(pieces, anchors(parse(text)))
    return top(text) + text_of(pieces), top(base_text) + text_of(new_base)


def top(text: str) -> str:
    """The blank lines that the text begins with."""
    found = re.match(r"(?:[ ]*\n)*", text)
    return found[0] if found else ""


def what_changed(old: str, new: str, document: Path) -> list[str]:
    """What to say after folding: each piece that changed, and each link that is now dead."""
    now, pieces = (split(parse(text)) for text in (old, new))
    said = []
    for hunk in compare(now, pieces, False)[0]:
        for piece in hunk.new:
            word = "changed" if hunk.end > hunk.start else "added"
            what = piece.org.split("\n")[1 if piece.node.kind == "code" else 0][:60]
            said.append(f"{document.name}:{piece.line}: {word} `{what}`")
        if not hunk.new:
            line = pieces[hunk.at].line if hunk.at < len(pieces) else new.count("\n")
            said.append(f"{document.name}:{line}: removed {hunk.end - hunk.start} above")
    if not said:
        return [f"{document.name}: nothing changed"]
    elements = parse(new)
    was = parse(old)
    before = check_links(was, document, {*drawn(present_results(was))})
    known = {problem.split(": ", 1)[-1] for problem in before}
    for problem in check_links(elements, document, {*drawn(present_results(elements))}):
        what = problem.split(": ", 1)[-1]
        if what not in known and re.search("is dead|is there twice", what):
            said.append(problem)
    return [*said, "Now run `make`: it runs the code, and refreshes every result"]
