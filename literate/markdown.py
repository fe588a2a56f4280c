"""Markdown, written from nodes and read into them.

It is read by markdown-it, as CommonMark with tables and strike-through; so it may be written in
any of the ways that Markdown has. What has no place in Org is refused here, at its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline, backtick
from markdown_it.tree import SyntaxTreeNode

from .nodes import Node, Span, walk, write_items, write_table
from .org import DocumentError, fits

# Writing.


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


# Reading.


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
MARKDOWN.options["maxNesting"] = 200  # deeper, it drops text; DEEPEST refuses long before
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


DEEPEST = 60
REAL = "make it a code cell, whose fence in Markdown begins with ```python"


def read_markdown(text: str, references: dict[str, Any]) -> list[Node]:
    """The nodes of a text. `references` are the links that it, or another, gives at its end.

    Raises DocumentError, at the line in this text, for what has no place in Org."""
    tokens = MARKDOWN.parse(text, references)
    for token in tokens:
        if token.map and max(t.level for t in [token, *(token.children or [])]) >= DEEPEST:
            where = token.map[0] + 1
            raise DocumentError(where, f"marks or lists {DEEPEST} deep; write it with fewer")
    tree = SyntaxTreeNode(tokens)
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
        raise DocumentError(start + 1, f"Python that does not run; {REAL}")
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
        line = row.map[0] + 1 if row.map else node.line
        for cell in row.children:
            if cell.attrs:
                raise DocumentError(node.line, "a column is aligned; write its line as ---")
            spans = read_spans(cell, line)
            if any("|" in span.text for span in walk(spans)):
                raise DocumentError(line, "no cell of Org can hold a `|`; use another sign")
            cells.append(Node("cell", spans=spans, line=line))
        rows.append(Node("row", nodes=tuple(cells), line=line))
    headed = any(cell.spans for cell in rows[0].nodes)
    return replace(node, kind="table", nodes=tuple(rows if headed else rows[1:]), level=headed)


def read_spans(part: SyntaxTreeNode, line: int) -> tuple[Span, ...]:
    """The sentence in a paragraph or a cell, whose first line is `line`."""
    spans: list[Span] = []
    for inline in part.children:
        for child in inline.children:
            new = read_span(child, line)
            line += sum(span.text.count("\n") for span in walk(new))
            spans += new
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
        if kind == "code" and not fits(part.content, "~") and fits(part.content, "="):
            kind = "verbatim"
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
            remedy = "save it as images/NAME.png, and write ![](images/NAME.png)"
            raise DocumentError(line, f"the image {path} is not a file here; {remedy}")
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
