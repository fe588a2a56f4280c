"""What prose is made of, in Org as in Markdown: nodes, and the spans of their sentences.

Both are read into the same nodes and written from them, and here is what they write alike.
Line breaks are kept, so that text which nobody edits comes back as it was. Nothing here knows
how either marks a heading, a link or a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Span:
    """A part of a sentence: `text`, `code`, `verbatim`, or one of KINDS with more `inside`.

    Or a `link`, whose `text` is Org's target, and whose description, if any, is `inside`.
    """

    kind: str
    text: str = ""
    inside: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Node:
    """A part of the document.

    A `title` or `heading` (`text` its CUSTOM_ID), `para`, `list` of `item`s (`text` their
    markers), `quote`, `table` of `row`s of `cell`s, `fence` (`text` its code, `info` its
    language), `html`, `comment` or `keyword` (`text` their lines), or `code` (in Python; `info`
    its header arguments).
    """

    kind: str
    text: str = ""
    spans: tuple[Span, ...] = ()
    nodes: tuple[Node, ...] = ()
    level: int = 0  # a heading's number of stars; 1 for a table with a heading
    info: Any = ""
    gap: bool = False  # whether there is a blank line above it
    line: int = field(default=1, compare=False)
    end: int = field(default=1, compare=False)  # the line after its last


def key(node: Node) -> Node:
    """The node without what says nothing: line breaks, blank lines, which bullet."""

    def loose(span: Span) -> Span:
        # A blank that is not to break is another character, and so are Unicode's other blanks.
        text = re.sub(r"[ \n]+", " ", span.text) if span.kind == "text" else span.text
        return Span(span.kind, text.replace("\n", " "), tuple(map(loose, span.inside)))

    text = node.text
    if node.kind == "item":
        text = re.sub(r"[+*]", "-", text)
    if node.kind in ("code", "fence"):
        text = text.strip("\n")  # but blanks at the end of a line may be in a string
    spans = tuple(map(loose, node.spans))
    return replace(node, text=text, spans=spans, nodes=tuple(map(key, node.nodes)), gap=False)


def walk(spans: Iterable[Span]) -> Iterable[Span]:
    for span in spans:
        yield span
        yield from walk(span.inside)


# Writing what Org and Markdown write alike.


def write_items(node: Node, inside: Callable[[Node, int], str]) -> str:
    """A list, which Org and Markdown write alike."""
    text = ""
    for item in node.nodes:
        blank = " " * (len(item.text) + 1)
        rows = inside(item, len(blank)).split("\n")[:-1] or [""]
        rows = [f"{blank}{row}" if row else "" for row in rows]
        rows[0] = item.text + rows[0][len(item.text) :]
        text += "\n" * item.gap + "".join(f"{row.rstrip() or row}\n" for row in rows)
    return text


NUMBER = re.compile(r"[<>]?[-+^.]*[0-9][-+^.0-9eEdDx()%:]*|[-+]?(?:inf|nan)")


def write_table(
    node: Node,
    write: Callable[[Iterable[Span]], str],
    cross: str,
    shown: Callable[[str], str] = str,
) -> str:
    """A table, aligned as Org does: columns of numbers to the right, cells wide as `shown`."""

    def wide(cell: str) -> int:
        return sum(
            0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
            for c in shown(cell)
        )

    rows = [[write(cell.spans) for cell in row.nodes] for row in node.nodes]
    count = max(map(len, rows))
    columns = [[row[i] for row in rows if i < len(row)] for i in range(count)]
    widths = [max(1, *map(wide, column), 1) for column in columns]
    right = []
    for column in columns:
        full = [cell for cell in column if cell]
        numbers = [cell for cell in full if NUMBER.fullmatch(cell)]
        right.append(bool(full) and 2 * len(numbers) >= len(full))
    lines = []
    for row in rows:
        blanks = [" " * (widths[i] - wide(cell)) for i, cell in enumerate(row)]
        cells = [
            b + c if right[i] else c + b
            for i, (b, c) in enumerate(zip(blanks, row, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |\n")
    rule = f"|{cross.join('-' * (width + 2) for width in widths)}|\n"
    if node.level:
        lines.insert(1, rule)
    elif cross == "|":  # Markdown has no table without a heading: leave it empty
        lines = [f"| {' | '.join(' ' * width for width in widths)} |\n", rule, *lines]
    return "".join(lines)
