"""Org prose to Markdown and back, for the part of Org that literate.py accepts.

Both are read into the same nodes and written from them. Line breaks are kept, so that text
which nobody edits comes back as it was. Markdown is read by markdown-it, as CommonMark with
tables and strike-through; so it may be written in any of the ways that Markdown has.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline, backtick
from markdown_it.tree import SyntaxTreeNode

import literate
from literate import DocumentError

WIDTH = 100


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
        text = re.sub(r"\s+", " ", span.text) if span.kind == "text" else span.text
        return Span(span.kind, text.replace("\n", " "), tuple(map(loose, span.inside)))

    text = node.text
    if node.kind == "item":
        text = re.sub(r"[+*]", "-", text)
    if node.kind in ("code", "fence"):
        text = "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))
    spans = tuple(map(loose, node.spans))
    return replace(node, text=text, spans=spans, nodes=tuple(map(key, node.nodes)), gap=False)


def walk(spans: Iterable[Span]) -> Iterable[Span]:
    for span in spans:
        yield span
        yield from walk(span.inside)


# Reading Org. Its elements are literate.py's; here are the parts of text, lists and sentences.

KINDS = {"*": "bold", "/": "italic", "+": "strike", "_": "underlined"}
KINDS |= {"~": "code", "=": "verbatim"}
MARKS = {kind: mark for mark, kind in KINDS.items()}
EMPHASIS = re.compile(
    r"(?<![^\s\-({'\"|])([*/+_])(?=\S)(.+?(?:\n.+?)??)(?<=\S)\1(?![^\s\-.,:;!?'\")}\[\\|])"
)
ITEM = re.compile(r"( *)([-+]|(?<= )\*|\d+[.)])(?: +(.*))?$")


def read_org_spans(text: str) -> tuple[Span, ...]:
    """The parts of a sentence in Org."""
    spans: list[Span] = []
    start = 0
    while start < len(text):
        matches = [p.search(text, start) for p in (literate.VERBATIM, literate.LINK, EMPHASIS)]
        found = min((m for m in matches if m), key=lambda m: m.start(), default=None)
        until = found.start() if found else len(text)
        if until > start:
            spans.append(Span("text", text[start:until]))
        if not found:
            break
        if found.re is literate.LINK:
            spans.append(Span("link", found[1], read_org_spans(found[2] or "")))
        elif found.re is EMPHASIS:
            spans.append(Span(KINDS[found[1]], inside=read_org_spans(found[2])))
        else:
            spans.append(Span(KINDS[found[1]], found[0][1:-1]))
        start = found.end()
    return tuple(spans)


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
            spans = [read_org_spans(cell.strip()) for cell in cells]
            rows.append(Node("row", nodes=tuple(Node("cell", spans=cell) for cell in spans)))
    return replace(node, kind="table", nodes=tuple(rows), level=len(rules))


def plain_body(text: str) -> str:
    """The lines between #+begin and #+end, without the commas that protect them in Org."""
    return literate.unescape(text.split("\n", 1)[1].rsplit("#+end_", 1)[0].rstrip(" "))


# Writing Org, as a person would write it.


def write_org(node: Node) -> str:
    """The node's lines in Org. Raises DocumentError, at the node's line, if Org has none."""
    check_flat(node)
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


def check_flat(node: Node) -> None:
    """Raise a DocumentError for marks within marks."""
    for span in node.spans:
        for inner in walk(span.inside):
            if inner.kind != "text" and (inner.kind != "link" or span.kind == "link"):
                what = markdown_spans((span,)).replace("\n", " ")[:50]
                message = "has marks within marks, which GitHub's Org would show; end one first"
                raise DocumentError(node.line, f"`{what}` {message}")
    for part in node.nodes:
        check_flat(part if part.line > node.line else replace(part, line=node.line))


def proves(node: Node, text: str) -> bool:
    """Whether the text, read as Org, gives just this node."""
    try:
        return [key(back) for back in read_org(text)] == [key(node)]
    except DocumentError:
        return False


def refuse(node: Node) -> None:
    """Raise a DocumentError that names the part of the node that Org cannot hold."""
    try:
        literate.parse(org_lines(node))
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
    return [piece.node for piece in split(literate.parse(text))]


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


def org_lines(node: Node, wrap: bool = False, width: int = WIDTH) -> str:
    """The node's lines in Org, unproved. Sentences with a line too long are wrapped, or all."""

    def inside(nodes: Iterable[Node], width: int) -> str:
        return "".join("\n" * part.gap + org_lines(part, wrap, width) for part in nodes)

    if node.kind == "para":
        text = org_spans(node.spans) + "\n"
        seen = literate.LINK.sub(lambda link: link[2] or link[1], text)
        if not wrap and all(len(row) <= width for row in seen.split("\n")):
            return text
        return fill(org_spans(node.spans, "\0"), width)
    if node.kind == "list":
        return write_items(node, lambda item, used: inside(item.nodes, width - used))
    if node.kind == "quote":
        return f"#+begin_quote\n{inside(node.nodes, width)}#+end_quote\n"
    if node.kind == "table":
        return write_table(node, org_spans, "+")
    if node.kind == "title":
        return f"#+title: {org_spans(node.spans)}\n"
    if node.kind == "heading":
        drawer = f":PROPERTIES:\n:CUSTOM_ID: {node.text}\n:END:\n" if node.text else ""
        return f"{'*' * node.level} {org_spans(node.spans)}\n{drawer}"
    if node.kind == "html":
        return "".join(f"#+HTML: {row}\n" for row in node.text.split("\n"))
    if node.kind in ("comment", "keyword"):
        return node.text + "\n"
    body = literate.escape(node.text)
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


NUMBER = re.compile(r"[<>]?[-+^.0-9]*[0-9][-+^.0-9eEdDx()%:]*|[-+]?(?:inf|nan)")


def write_table(node: Node, write: Callable[[Iterable[Span]], str], cross: str) -> str:
    """A table, aligned as Org does: columns of numbers to the right."""

    def wide(cell: str) -> int:
        return sum(
            0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
            for c in cell
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


# Writing Markdown.

IMAGE = re.compile(r"file:(.*\.(?:svg|png|jpe?g|gif))")
ESCAPES = re.compile(
    r"[\\`$~]|(?<! )\*|\*(?! )|(?<![a-zA-Z0-9])_|_(?![a-zA-Z0-9])"
    r"|<(?=[a-zA-Z/!?])|&(?=#?\w+;)|](?=[\[(:])|!(?=\Z)"
)
LINE_ESCAPES = re.compile(
    r"^(?:(?=(?:=+|[-:| ]+)$)|(?=#{1,6}(?:\s|$))|(?=>)|(?=[-+*](?:\s|$))"
    r"|(\d{1,9})(?=[.)](?:\s|$)))",
    re.MULTILINE,
)


def markdown_spans(spans: Iterable[Span]) -> str:
    """A sentence in Markdown."""

    def one(span: Span) -> str:
        inside = markdown_spans(span.inside)
        if span.kind == "text":
            return ESCAPES.sub(r"\\\g<0>", span.text)
        if span.kind == "link":
            return markdown_link(span.text, inside)
        if span.kind in ("code", "verbatim"):
            # An even number of backticks tells Org's =verbatim= from its ~code~.
            count = 2 if span.kind == "verbatim" else 1
            while re.search(rf"(?<!`)`{{{count}}}(?!`)", span.text):
                count += 2
            pad = " " if span.text[0] == "`" or span.text[-1] == "`" else ""
            return f"{'`' * count}{pad}{span.text}{pad}{'`' * count}"
        mark = {"bold": "**", "italic": "*", "strike": "~~"}.get(span.kind)
        if not mark:
            raise DocumentError(0, "underlined text has no Markdown; use *bold* or /italic/")
        return f"{mark}{inside}{mark}"

    return "".join(map(one, spans))


def markdown_link(target: str, inside: str) -> str:
    image = IMAGE.fullmatch(target)
    if target.startswith("http") and not inside and not re.search(r"[\s<>\\]", target):
        return f"<{target}>"
    path = target.removeprefix("file:")
    where = re.sub(r"[\\<>]|&(?=#?\w+;)", r"\\\g<0>", path)
    where = where if re.fullmatch(r"[^\s()<>]+", path) else f"<{where}>"
    text = inside or ESCAPES.sub(r"\\\g<0>", path if image else target)
    return f"{'!' if image and not inside else ''}[{text}]({where})"


def write_markdown(node: Node) -> str:
    """The node's lines in Markdown. Raises DocumentError at its line if there are none."""
    try:
        text = markdown_lines(node)
    except DocumentError as error:
        raise DocumentError(node.line, str(error)) from None
    # To Jupytext three backticks in the first column begin a fence, whatever stands behind.
    return re.sub(r"^(?=```)", " ", text, flags=re.MULTILINE) if node.kind == "para" else text


def markdown_lines(node: Node) -> str:
    """The node's lines in Markdown; an error in them has no line yet."""

    def inside(nodes: Iterable[Node]) -> str:
        return "".join("\n" * part.gap + markdown_lines(part) for part in nodes)

    if node.kind == "para":
        return LINE_ESCAPES.sub(r"\1\\", markdown_spans(node.spans)) + "\n"
    if node.kind == "list":
        return write_items(node, lambda item, used: inside(item.nodes))
    if node.kind == "quote":
        rows = inside(node.nodes).split("\n")[:-1]
        return "".join(f"> {row}".rstrip() + "\n" for row in rows)
    if node.kind == "table":
        return write_table(node, markdown_spans, "|")
    if node.kind in ("title", "heading"):
        text = re.sub(r"#+$", r"\\\g<0>", markdown_spans(node.spans))
        anchor = f' <a id="{node.text}"></a>' if node.text else ""
        return f"{'#' * (node.level + 1)} {text}{anchor}\n"
    if node.kind == "html":
        return node.text + "\n"
    if node.kind in ("comment", "keyword"):
        rows = [re.sub(r"^# (?=[^# ])", "", row) for row in node.text.split("\n")]
        return (
            f"<!-- {rows[0]} -->\n" if len(rows) == 1 else "\n".join(["<!--", *rows, "-->\n"])
        )
    longest = max(map(len, re.findall(r"~{3,}", node.text)), default=2)
    fence = "~" * (longest + 1)
    info = str(node.info).replace(" :eval no", "").replace(" :exports code", "")
    return f"{fence}{info}\n{node.text}{fence}\n"


# Reading Markdown.


def code_span(state: StateInline, silent: bool) -> bool:
    """markdown-it's rule, but for line breaks, which it would turn into blanks."""
    start, count = state.pos, len(state.tokens)
    found = backtick(state, silent)
    if found and not silent and state.tokens[count:] and state.tokens[-1].type == "code_inline":
        token = state.tokens[-1]
        size = len(token.markup)
        text = state.src[start + size : state.pos - size]
        token.content = text if len(text) == len(token.content) else text[1:-1]
    return found


MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKDOWN.inline.ruler.at("backticks", code_span)
MARKDOWN.normalizeLink = lambda url: url  # type: ignore[method-assign]
MARKDOWN.validateLink = lambda url: True  # type: ignore[method-assign]
ANCHOR = re.compile(r'\s*<a id="([^"<>\s]+)">\s*</a>\s*$')

# What Org has no place for, by markdown-it's name of it.
NO_MARKDOWN = {
    "hr": "a line across the page has no place here; use a heading",
    "hardbreak": "a forced line break has no place here; begin a new paragraph",
    "html_inline": "HTML in a sentence has no place here; use Markdown's own marks",
    "blockquote": "a quote within a list or a quote has no place here; end that first",
    "fence": "code within a list or a quote has no place here; end that first",
    "code_block": "code within a list or a quote has no place here; end that first",
    "heading": "a heading within a list or a quote has no place here; end that first",
    "html_block": "HTML within a list or a quote has no place here; end that first",
    "table": "a table within a list has no place here; end the list first",
}


def read_markdown(text: str, references: dict[str, Any]) -> list[Node]:
    """The nodes of a text. `references` are the links that it, or another, gives at its end.

    Raises DocumentError, at the line in this text, for what has no place in Org."""
    tree = SyntaxTreeNode(MARKDOWN.parse(text, references))
    lines = text.split("\n")
    nodes: list[Node] = []
    for part in tree.children:
        nodes += read_markdown_block(part, lines, "")
    return nodes


def read_markdown_block(part: SyntaxTreeNode, lines: list[str], container: str) -> list[Node]:
    """The nodes of a part of a text; `container` is the `list` or `quote` that it is in."""
    start, end = part.map or (0, 0)
    gap = start > 0 and not lines[start - 1].strip(" >\t")
    node = Node("para", gap=gap, line=start + 1, end=end + 1)
    if part.type == "paragraph":
        return [replace(node, spans=read_spans(part, start + 1))]
    if part.type in ("bullet_list", "ordered_list"):
        return [replace(node, kind="list", nodes=tuple(read_items(part, lines)))]
    if part.type == "table" and container != "list":
        return [read_table(node, part)]
    if container or part.type not in NO_MARKDOWN or part.type == "hr":
        raise DocumentError(start + 1, NO_MARKDOWN.get(part.type, f"{part.type} is unknown"))
    if part.type == "blockquote":
        nodes = [
            n for child in part.children for n in read_markdown_block(child, lines, "quote")
        ]
        if not nodes:
            return []
        nodes[0] = replace(nodes[0], gap=False)
        return [replace(node, kind="quote", nodes=tuple(nodes))]
    if part.type == "heading":
        return [read_heading(node, part)]
    if part.type == "html_block":
        return read_html(node, part.content.rstrip("\n"))
    info = re.sub(r"\s+", " ", part.info.strip()) if part.type == "fence" else ""
    if info.split(" ")[0] in ("python", "py", "python3"):
        raise DocumentError(start + 1, "Python that does not run; make it a code cell")
    if info:
        language, *words = info.split(" ")
        info = " ".join([language, *words, ":eval no :exports code"])
    return [replace(node, kind="fence", text=part.content, info=info)]


def read_heading(node: Node, part: SyntaxTreeNode) -> Node:
    """The node as a heading or title; a link's target at its end becomes its CUSTOM_ID."""
    inline = part.children[0]
    children = list(inline.children)
    found = ANCHOR.search(inline.content)
    if found and len(children) >= 2 and children[-1].content == "</a>":
        children = children[:-2]
    else:
        found = None
    spans = merge([s for child in children for s in read_span(child, node.line)])
    if spans and spans[-1].kind == "text":
        spans = (*spans[:-1], replace(spans[-1], text=spans[-1].text.rstrip(" ")))
        spans = spans if spans[-1].text else spans[:-1]
    if any("\n" in span.text for span in walk(spans)):
        raise DocumentError(node.line, "a heading of two lines; write it in one")
    level = int(part.tag[1]) - 1
    kind = "heading" if level else "title"
    return replace(node, kind=kind, text=found[1] if found else "", spans=spans, level=level)


def read_html(node: Node, text: str) -> list[Node]:
    """Org's comments and keywords, which Markdown writes as comments, or HTML lines."""
    if not re.fullmatch(r"<!--(?:(?!-->)[\s\S])*-->\s*", text):
        if "<!--" in text:
            raise DocumentError(node.line, "a comment beside other text; give it its own line")
        rows = [row.rstrip() for row in text.split("\n")]
        return [replace(node, kind="html", text="\n".join(rows))]
    rows = [row.strip() for row in text.strip()[4:-3].strip().split("\n")]
    rows = [row if row.startswith("#") else f"# {row}" for row in rows]
    if all(re.match(r"#\+\w", row) for row in rows):
        nodes = [replace(node, kind="keyword", text=row) for row in rows]
        return [replace(n, gap=n.gap and i == 0) for i, n in enumerate(nodes)]
    return [replace(node, kind="comment", text="\n".join(rows))]


def read_items(part: SyntaxTreeNode, lines: list[str]) -> list[Node]:
    """The items of a list; which of Markdown's bullets they have says nothing."""
    items: list[Node] = []
    first = int(part.attrs.get("start", 1)) if part.type == "ordered_list" else None
    for i, child in enumerate(part.children):
        start, end = child.map or (0, 0)
        nodes = [
            n for inner in child.children for n in read_markdown_block(inner, lines, "list")
        ]
        if nodes:
            nodes[0] = replace(nodes[0], gap=False)
        marker = f"{first + i}{child.markup}" if first is not None else child.markup
        marker = marker.replace("*", "-")
        gap = i > 0 and not lines[start - 1].strip(" >\t")
        items.append(
            Node("item", marker, nodes=tuple(nodes), gap=gap, line=start + 1, end=end + 1)
        )
    return items


def read_table(node: Node, part: SyntaxTreeNode) -> Node:
    """The node as a table; an empty heading, which Markdown needs, is none."""
    rows = []
    for row in (row for group in part.children for row in group.children):
        cells = []
        for cell in row.children:
            if cell.attrs:
                raise DocumentError(node.line, "a column is aligned; write its line as ---")
            cells.append(Node("cell", spans=read_spans(cell, node.line), line=node.line))
        rows.append(Node("row", nodes=tuple(cells)))
    headed = any(cell.spans for cell in rows[0].nodes)
    return replace(node, kind="table", nodes=tuple(rows if headed else rows[1:]), level=headed)


def read_spans(part: SyntaxTreeNode, line: int) -> tuple[Span, ...]:
    """The sentence in a paragraph or a cell, whose first line is `line`."""
    spans: list[Span] = []
    for inline in part.children:
        for child in inline.children:
            row = line + sum(span.text.count("\n") for span in walk(spans))
            spans += read_span(child, row)
    return merge(spans)


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans with neighbouring texts in one."""
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].kind == span.kind == "text":
            merged[-1] = Span("text", merged[-1].text + span.text)
        elif span != Span("text"):
            merged.append(span)
    return tuple(merged)


def read_span(part: SyntaxTreeNode, line: int) -> list[Span]:
    """One part of a sentence. Raises DocumentError, at this line, for what Org has not."""
    if part.type in NO_MARKDOWN:
        raise DocumentError(line, f"`{part.content.strip()}`: {NO_MARKDOWN[part.type]}")
    if part.type == "text":
        if note := re.search(r"\[\^[^\]\s]+\]", part.content):
            raise DocumentError(line, f"`{note[0]}` is a footnote; write it into the text")
        return [Span("text", part.content)]
    if part.type == "softbreak":
        return [Span("text", "\n")]
    if part.type == "code_inline":
        kind = "verbatim" if len(part.markup) % 2 == 0 else "code"
        return [Span(kind, part.content)]
    inside = merge([span for child in part.children for span in read_span(child, line)])
    if part.type == "link":
        if inside and inside[0].text.startswith("^"):
            raise DocumentError(
                line, f"`[{inside[0].text}]` is a footnote; write it into the text"
            )
        return [read_link(part, inside, line)]
    if part.type == "image":
        path = unquote(str(part.attrs["src"]))
        alt = part.content
        image = Span("link", f"file:{path}")
        if re.match(r"[a-z]+:|/", path) or not IMAGE.fullmatch(image.text):
            raise DocumentError(line, f"the image {path} is not a file here; put it in images/")
        if part.attrs.get("title") or alt not in ("", path):
            message = f"the image's text `{alt}` has no place in Org; write it as text below"
            raise DocumentError(line, f"{message}, and ![]({path})")
        return [image]
    return [Span({"em": "italic", "strong": "bold", "s": "strike"}[part.type], inside=inside)]


def read_link(part: SyntaxTreeNode, inside: tuple[Span, ...], line: int) -> Span:
    """A link with the description `inside`, unless that only repeats where it leads."""
    url = str(part.attrs["href"])
    if part.attrs.get("title"):
        raise DocumentError(
            line, f"the link to {url} has a title, which Org has not; remove it"
        )
    if not url or not re.match(r"https?://|mailto:|#.|(?!\w+:|/|~)", url):
        raise DocumentError(line, f"no link to {url} is known here; use https://…, # or a path")
    target = url if re.match(r"https?://|mailto:|#", url) else f"file:{unquote(url)}"
    if part.markup == "autolink" or inside == (Span("text", target),):
        if not part.markup == "" or not url.startswith("http"):
            return Span("link", target)
    if not inside:
        raise DocumentError(line, f"the link to {url} has no text; give it one")
    return Span("link", target, inside)


# A document in pieces: one for each node, with its own text in Org.


@dataclass(frozen=True)
class Piece:
    """A node, the `org` text that it has or gets, its result, and the blank lines below it."""

    node: Node
    org: str
    gap: str = "\n"
    result: str = ""
    place: str = ""  # of the copy that it was read from, up to the line's number
    line: int = 0  # the number of its first line there


def split(elements: list[literate.Element]) -> list[Piece]:
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
        elif isinstance(first, literate.Block) and first.runs:
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


def nodes_of(elements: list[literate.Element], text: str) -> list[Node]:
    """The nodes of some elements: of a run of text, a heading with its drawer, or of one."""
    first = elements[0]
    line = first.line
    rest = text.split(" ", 1)[-1].split("\n")[0].strip()
    if isinstance(first, literate.Block):
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
