"""Paragraphs, lists, tables and sentences in Org, read into nodes and written from them.

Lines come in and nodes go out, or the other way; which lines of a document are text, org.py
has told. What is written here is not proved: pieces.py reads it again before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from .nodes import Node, Span, write_items, write_table
from .org import LINK, DocumentError, escape, marked

WIDTH = 100


# Reading.


KINDS = {"*": "bold", "/": "italic", "+": "strike", "_": "underlined"}
KINDS |= {"~": "code", "=": "verbatim"}
MARKS = {kind: mark for mark, kind in KINDS.items()}
ITEM = re.compile(r"( *)([-+]|(?<= )\*|\d+[.)])(?: +(.*))?$")


def read_org_spans(text: str, marks: str = "".join(KINDS)) -> tuple[Span, ...]:
    """The parts of a sentence in Org, in which only these marks count."""
    spans: list[Span] = []
    start = 0
    for begin, end, mark in marked(text, marks):
        if begin > start:
            spans.append(Span("text", text[start:begin]))
        start, inside = end, text[begin + 1 : end - 1]
        if link := LINK.fullmatch(text, begin, end):
            spans.append(Span("link", link[1], read_org_spans(link[2] or "", marks)))
        elif mark in "~=":
            spans.append(Span(KINDS[mark], inside))
        else:
            spans.append(
                Span(KINDS[mark], inside=read_org_spans(inside, marks.replace(mark, "")))
            )
    return (*spans, Span("text", text[start:])) if start < len(text) else tuple(spans)


def read_org_text(lines: list[str], line: int, first: bool = False) -> list[Node]:
    """The paragraphs, lists and tables in lines, which begin at number `line`.

    `first` says that a paragraph must come first, as after the marker of a list's item.
    """
    nodes: list[Node] = []
    i = 0
    while i < len(lines):
        start = i
        i += 1
        gap = start > 0 and not lines[start - 1].strip()
        if not lines[start].strip():
            continue
        node = Node("para", gap=gap, line=line + start)
        item = None if first else ITEM.match(lines[start])
        if item:
            items, i = read_org_items(lines, start, item, line)
            node = replace(node, kind="list", nodes=tuple(items))
        elif lines[start].lstrip().startswith("|"):
            while i < len(lines) and lines[i].lstrip().startswith("|"):
                i += 1
            node = read_org_table(node, lines[start:i])
        else:
            while (
                i < len(lines) and re.match(r" *[^ |]", lines[i]) and not ITEM.match(lines[i])
            ):
                i += 1
            text = "\n".join(row.strip(" ") for row in lines[start:i])
            node = replace(node, spans=read_org_spans(text))
        nodes.append(replace(node, end=line + i))
        first = False
    return nodes


def read_org_items(
    lines: list[str], start: int, item: re.Match[str], line: int
) -> tuple[list[Node], int]:
    """The items of the list that begins at lines[start], and where it ends."""
    items: list[Node] = []
    indent, ordered = len(item[1]), item[2][0].isdigit()
    number = int(item[2][:-1]) if ordered else 0
    while True:
        until = end = start + 1
        while until < len(lines) and until - end < 2:
            if lines[until].strip():
                if len(lines[until]) - len(lines[until].lstrip(" ")) <= indent:
                    break
                end = until + 1
            until += 1
        inside = [item[3] or "", *lines[start + 1 : end]]
        nodes = read_org_text(inside, line + start, first=bool(item[3]))
        gap = bool(items) and not lines[start - 1].strip()
        marker = f"{number + len(items)}{item[2][-1]}" if ordered else item[2]
        items.append(Node("item", marker, nodes=tuple(nodes), gap=gap))
        again = ITEM.match(lines[until]) if until < len(lines) and until - end < 2 else None
        if not again or len(again[1]) != indent or again[2][0].isdigit() != ordered:
            return items, end
        start, item = until, again


def read_org_table(node: Node, lines: list[str]) -> Node:
    """The node, of which these are the lines, as a table."""
    rules = [i for i, row in enumerate(lines) if row.lstrip().startswith("|-")]
    if rules not in ([], [1]) or len(lines) == len(rules):
        message = "a table needs its only line |---| below its first row; move or remove others"
        raise DocumentError(node.line, message)
    rows = []
    for i, row in enumerate(lines):
        if i not in rules:
            cells = re.sub(r"\|$", "", row.strip()[1:]).split("|")
            spans = [read_org_spans(cell.strip(" ")) for cell in cells]
            rows.append(Node("row", nodes=tuple(Node("cell", spans=cell) for cell in spans)))
    return replace(node, kind="table", nodes=tuple(rows), level=len(rules))


# Writing, as a person would write it.


def org_spans(spans: Iterable[Span], hard: str = " ") -> str:
    """A sentence in Org; `hard` stands for each blank at which no line may end."""

    def one(span: Span) -> str:
        if span.kind == "text":
            return span.text
        if span.kind == "link":
            inside = f"[{org_spans(span.inside, hard)}]" if span.inside else ""
            return f"[[{span.text.replace(' ', hard)}]{inside}]"
        mark = MARKS[span.kind]
        inside = org_spans(span.inside, hard) or span.text.replace(" ", hard)
        return f"{mark}{inside}{mark}"

    return "".join(map(one, spans))


def seen(text: str) -> str:
    """A sentence as Emacs shows it: links by their text."""
    return LINK.sub(lambda link: link[2] or link[1], text)


def org_lines(node: Node, wrap: bool = False, width: int = WIDTH) -> str:
    """The node's lines in Org, unproved. Sentences with a line too long are wrapped, or all."""

    def inside(nodes: Iterable[Node], width: int) -> str:
        return "".join("\n" * part.gap + org_lines(part, wrap, width) for part in nodes)

    if node.kind == "para":
        text = org_spans(node.spans) + "\n"
        if not wrap and all(len(row) <= width for row in seen(text).split("\n")):
            return text
        return fill(org_spans(node.spans, "\0"), width)
    if node.kind == "list":
        return write_items(node, lambda item, used: inside(item.nodes, width - used))
    if node.kind == "quote":
        return f"#+begin_quote\n{inside(node.nodes, width)}#+end_quote\n"
    if node.kind == "table":
        return write_table(node, org_spans, "+", seen)
    if node.kind == "title":
        return f"#+title: {org_spans(node.spans)}\n"
    if node.kind == "heading":
        drawer = f":PROPERTIES:\n:CUSTOM_ID: {node.text}\n:END:\n" if node.text else ""
        return f"{'*' * node.level} {org_spans(node.spans)}\n{drawer}"
    if node.kind == "html":
        return "".join(f"#+HTML: {row}\n" for row in node.text.split("\n"))
    if node.kind in ("comment", "keyword"):
        return node.text + "\n"
    body = escape(node.text)
    if node.kind == "fence" and not node.info:
        return f"#+begin_example\n{body}#+end_example\n"
    info = node.info if node.kind == "fence" else header(dict(node.info))
    return f"#+begin_src {info}\n{body}#+end_src\n"


def header(args: dict[str, str]) -> str:
    """The language and the header arguments of a Python block, in the usual order."""
    silent = ("exports", "results") if args.get("results") == "silent" else ()
    order = ("tangle", *silent, "results", "exports", "session", "eval")
    names = sorted(args, key=lambda name: order.index(name) if name in order else len(order))
    return "python" + "".join(f" :{name} {args[name]}" for name in names)


def fill(text: str, width: int) -> str:
    """The sentence in lines of at most `width` characters, where it has blanks to break at."""
    words = re.split(r"[ \n]+(?![-+*#|:]|\d+[.)])", text)
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(line.replace("\n", " ") for line in lines).replace("\0", " ") + "\n"
