"""A document in pieces: one for each node, with its own lines in Org.

Elements come in and pieces go out, whose texts add up to the document; new nodes get their Org
here, proved: read again, it gives just them. What Org cannot hold is refused, never bent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import zip_longest

from .nodes import Node, key
from .org import Block, DocumentError, Element, parse, plain_body
from .orgtext import WIDTH, org_lines, org_spans, read_org_spans, read_org_text


@dataclass(frozen=True)
class Piece:
    """A node, the `org` text that it has or gets, its result, and the blank lines below it."""

    node: Node
    org: str
    gap: str = "\n"
    result: str = ""
    place: str = ""  # of the copy that it was read from, up to the line's number
    line: int = 0  # the number of its first line there


def split(elements: list[Element]) -> list[Piece]:
    """The document in pieces, whose texts and gaps add up to it (but for blanks at its top)."""
    pieces: list[Piece] = []
    i = 0
    while i < len(elements):
        first, start = elements[i], i
        i += 1
        if first.kind == "blank":
            continue
        result = ""
        if first.kind == "text":
            while i < len(elements) and elements[i].kind in ("text", "blank"):
                i += 1
            i -= elements[i - 1].kind == "blank"
        elif first.kind == "heading" and i < len(elements) and elements[i].kind == "drawer":
            i += 1
        elif isinstance(first, Block) and first.runs:
            if i + 1 < len(elements) and elements[i + 1].kind == "result":
                result = "".join(element.text for element in elements[i : i + 2])
                i += 2
        text = "".join(e.text for e in elements[start:i]).removesuffix(result)
        gap = elements[i].text if i < len(elements) and elements[i].kind == "blank" else ""
        nodes = nodes_of(elements[start : start + 1] if result else elements[start:i], text)
        rows = text.split("\n")[:-1]
        for node, after in zip(nodes, [*nodes[1:], None], strict=False):
            end = len(rows) if after is None else after.line - first.line
            own = rows[node.line - first.line : end]
            size = max(i for i, row in enumerate(own, 1) if row.strip())
            org = "".join(f"{row}\n" for row in own[:size])
            blank = "".join(f"{row}\n" for row in own[size:]) + ("" if after else gap)
            pieces.append(Piece(node, org, blank, result, line=node.line))
    return pieces


def nodes_of(elements: list[Element], text: str) -> list[Node]:
    """The nodes of some elements: of a run of text, a heading with its drawer, or of one."""
    first = elements[0]
    line = first.line
    rest = text.split(" ", 1)[-1].split("\n")[0].strip()
    if isinstance(first, Block):
        if first.runs:
            return [Node("code", first.code, info=tuple(sorted(first.args.items())), line=line)]
        args = [f":{k} {v}" for k, v in first.args.items() if k not in ("eval", "exports")]
        info = " ".join([first.language, *args, ":eval no :exports code"])
        return [Node("fence", first.code, info=info, line=line)]
    if first.kind in ("text", "table"):
        return read_org_text(text.split("\n")[:-1], line)
    if first.kind == "heading":
        name = elements[1].text.split()[2] if len(elements) > 1 else ""
        level = len(text.split(" ")[0])
        if level > 5:
            raise DocumentError(line, "Markdown has no heading as deep; use five stars at most")
        return [Node("heading", name, read_org_spans(rest), level=level, line=line)]
    if text.startswith("#+title:"):
        return [Node("title", spans=read_org_spans(text.split(":", 1)[1].strip()), line=line)]
    if first.kind == "quote":
        nodes = read_org_text(text.split("\n")[1:-2], line + 1)
        if nodes:
            nodes[0] = replace(nodes[0], gap=False)
        return [Node("quote", nodes=tuple(nodes), line=line)]
    if first.kind == "example":
        return [Node("fence", plain_body(text), line=line)]
    rows = [row.rstrip() for row in text.split("\n")[:-1]]
    if first.kind == "html":
        rows = [re.sub(r"^#\+HTML: ?", "", row) for row in rows]
    return [Node(first.kind, "\n".join(rows), line=line)]


# Writing a node's Org.


def write_org(node: Node) -> str:
    """The node's lines in Org. Raises DocumentError, at the node's line, if Org has none."""
    if node.kind in ("para", "list", "quote"):
        for wrap in (False, True):
            text = org_lines(node, wrap, WIDTH)
            if proves(node, text):
                return text
        refuse(node)
    text = org_lines(node)
    if node.kind in ("title", "heading", "table") and not proves(node, text):
        refuse(node)
    return text


def proves(node: Node, text: str) -> bool:
    """Whether the text, read as Org, gives just this node."""
    try:
        return [key(back) for back in read_org(text)] == [key(node)]
    except DocumentError:
        return False


def refuse(node: Node) -> None:
    """Raise a DocumentError that names the part of the node that Org cannot hold."""
    try:
        parse(org_lines(node))
    except DocumentError as error:
        line = node.line + error.line - 1 - (node.kind == "quote")
        raise DocumentError(max(node.line, min(line, node.end - 1)), str(error)) from None
    check_marks(node)
    what = org_lines(node).split("\n")[0][:50]
    message = "would be something else in Org; reword it, or put it between backticks"
    raise DocumentError(node.line, f"`{what}` {message}")


def check_marks(node: Node) -> None:
    """Raise a DocumentError for the first part of a sentence that Org would read otherwise."""
    back = read_org_spans(org_spans(node.spans))
    for i, (span, again) in enumerate(zip_longest(node.spans, back)):
        if span != again:
            text = span and again and span.kind == again.kind == "text"
            after = i + 1 if text else i
            wrong = (*back[after:], *node.spans[after:], *node.spans)[0]
            before = org_spans(back[:after])
            what = org_spans([wrong]).replace("\n", " ")[:50]
            message = (
                "in Org, which marks whole words, on two lines at most, and has no escapes; "
                "reword it, or put it between backticks"
            )
            raise DocumentError(
                node.line + before.count("\n"), f"`{what}` means something else {message}"
            )
    for part in node.nodes:
        check_marks(part if part.line > node.line else replace(part, line=node.line))


def read_org(text: str) -> list[Node]:
    """The nodes of a piece of Org."""
    return [piece.node for piece in split(parse(text))]
