"""The document as one page, micrograd.html, which needs no other file and no network.

Pieces come in, as for the copies to edit, and HTML goes out: markdown-it makes it, and Pygments
colours the code. page.html says how all that looks. Links to files of the repository are
relative: they work where the page lies beside these. Nothing comes back from a page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name
from pygments.util import ClassNotFound

from . import notebook
from .check import check_links
from .files import read, write
from .live import scripts
from .markdown import markdown_spans, write_markdown
from .nodes import Node
from .org import DocumentError, Element, anchors, drawn, present_results
from .pieces import Piece, split
from .tangle import load

NAME = "micrograd.html"
LIVE = '<div class="play"></div>\n'
TYPES = {"svg": "svg+xml", "jpg": "jpeg"}
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def html_command(document: Path) -> int:
    """Write the document's page. Gives the exit status."""
    data = page(load(document), document).encode()
    changed = write({NAME: data}, document.parent)
    print(f"wrote {NAME}" if changed else f"{NAME}: nothing changed")
    return 0


def page(elements: list[Element], document: Path) -> str:
    """The page's text. Raises DocumentError for a dead link, or a result that is missing."""
    for problem in check_links(elements, document, {*drawn(present_results(elements))}):
        place, _, message = problem.partition(": ")
        if place.startswith(f"{document.name}:"):
            raise DocumentError(1, message, place=place)
    figures = scripts(elements, document)
    hidden = ("comment", "keyword")
    pieces = [p for p in split(elements) if p.node.kind not in hidden or p.line in figures]
    slugs = anchors(elements)
    body = ""
    i = 0
    while i < len(pieces):
        node = pieces[i].node
        if node.kind == "comment":
            shown, folded = f'<figure class="alone">\n{LIVE}</figure>\n', ""
        elif node.kind == "code":
            shown, folded = example(pieces[i], document)
        else:
            shown, folded = html_of(node, slugs, document), ""
        i += 1
        if '<p class="image"' in shown:
            if i < len(pieces) and pieces[i].line in figures:
                shown += LIVE
                i += 1
            if i < len(pieces) and is_caption(pieces[i].node):
                alt = f'<img alt="{words(pieces[i].node)}"'
                shown = alt.join(re.split('<img alt=".*?"', shown))
                shown += f"<figcaption>{sentence(pieces[i].node)}</figcaption>\n"
                i += 1
            shown = f"<figure>\n{shown}{folded}</figure>\n"
            folded = ""
        body += shown + folded
    title = next((words(p.node) for p in pieces if p.node.kind == "title"), document.name)
    heads = [p.node for p in pieces if p.node.kind in ("title", "heading") and p.node.level < 3]
    script = part("page.js")
    if figures:
        script += part("live.js").replace("/* here */", "\n" + "".join(figures.values()))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    made = {"title": title, "contents": contents(heads, slugs), "body": body}
    return Template(part("page.html")).substitute(made, script=script, hash=f"sha256-{digest}")


def part(name: str) -> str:
    """One of the files beside this one, that a page is made from."""
    return Path(__file__).with_name(name).read_text("utf-8")


def is_caption(node: Node) -> bool:
    """Whether a paragraph is all in italics, but for code and the marks and spaces between."""
    kinds = [span.kind for span in node.spans if re.search(r"\w", span.text) or span.inside]
    return node.kind == "para" and kinds[:1] == ["italic"] and not {*kinds} - {"italic", "code"}


def contents(heads: list[Node], slugs: dict[int, str]) -> str:
    """The list of chapters, with the list of its sections in each."""
    chapters: list[list[str]] = []
    for head in heads:
        if head.level < 2 or not chapters:
            chapters.append([])
        chapters[-1].append(f'<a href="#{slugs[head.line]}">{words(head)}</a>')
    text = ""
    for chapter, *sections in chapters:
        inside = "".join(f"<li>{section}</li>\n" for section in sections)
        text += f"<li>{chapter}" + (f"\n<ul>\n{inside}</ul>" if inside else "") + "</li>\n"
    return f"<ul>\n{text}</ul>\n"


def words(node: Node) -> str:
    """The node's sentence, without marks and links."""
    return re.sub("<.*?>", "", sentence(node))


def sentence(node: Node) -> str:
    return str(MARKDOWN.renderInline(markdown_spans(node.spans)))


def html_of(node: Node, slugs: dict[int, str], document: Path) -> str:
    """The HTML of a node, other than Python code."""
    if node.kind in ("title", "heading"):
        tag, anchor = f"h{node.level + 1}", slugs[node.line]
        link = f'<a class="anchor" href="#{anchor}" aria-label="Link to this part"></a>'
        return f'<{tag} id="{anchor}">{sentence(node)}{link}</{tag}>\n'
    if node.kind == "html":
        return f"{node.text}\n"
    if node.kind == "fence":
        language, *args = node.info.split(" ") if node.info else ["text"]
        tangled = args[args.index(":tangle") + 1] if ":tangle" in args else None
        return block(coloured(language, node.text), tangled)
    return markdown(write_markdown(node), node, document)


def example(piece: Piece, document: Path) -> tuple[str, str]:
    """The HTML of a Python block and its result, and that of its code to fold away, if any."""
    node = piece.node
    args = dict(node.info)
    code = coloured("python", node.text)
    if args["results"] == "silent":
        return block(code, args.get("tangle")), ""
    if not piece.result:
        raise DocumentError(node.line, "this block has no result yet; run `make`")
    output = notebook.code_cell(piece, document, False).outputs[0]
    hidden, summary = args["exports"] == "results", "<details><summary>Code</summary>\n"
    if output.output_type == "stream":
        shown = f"{summary}{code}</details>\n" if hidden else code
        text = f'<pre class="result"><samp>{escape(output.text)}</samp></pre>\n'
        return block(shown + text), ""
    image = markdown(output.data["text/markdown"], node, document)
    if hidden:
        return image, f"{summary}{block(code)}</details>\n"
    return block(code) + image, ""


def block(inside: str, tangled: str | None = None) -> str:
    """A box around code and results, which says to which file they are tangled."""
    file = f' data-file="{escape(tangled)}"' if tangled else ""
    return f'<div class="block"{file}>\n{inside}</div>\n'


def coloured(language: str, code: str) -> str:
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    code = highlight(code.strip("\n") + "\n", lexer, HtmlFormatter(nowrap=True))
    return f"<pre><code>{code}</code></pre>\n"


def markdown(text: str, node: Node, document: Path) -> str:
    """The HTML of Markdown, with the images in it."""
    text = MARKDOWN.render(text, {"line": node.line, "folder": document.parent})
    return re.sub("^<p>(<img .*>)</p>$", r'<p class="image" tabindex="0">\1</p>', text)


def image(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """markdown-it's rule for an image: inline, as the page needs no other file."""
    path = unquote(tokens[index].attrs["src"])
    data = read(env["folder"] / path)
    if data is None:
        raise DocumentError(env["line"], f"{path} is missing; run `make`")
    kind = path.rsplit(".", 1)[1]
    source = f"data:image/{TYPES.get(kind, kind)};base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{escape(Path(path).stem)}" src="{source}">'


MARKDOWN.add_render_rule("image", image)
