"""The document as a notebook: micrograd.ipynb, for Jupyter, or micrograd.md, for any editor.

Pieces become cells and cells become pieces: prose is Markdown; a Python block is a code cell,
whose metadata are its header arguments; its result is the cell's output. Jupytext writes and
reads the Markdown, nbformat the .ipynb. What is written here is proved to come back.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import difflib
import hashlib
import json
import re
import subprocess
from bisect import bisect
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupytext.languages import _JUPYTER_LANGUAGES
from markdown_it.token import Token
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from .files import on_disk, opcodes, read
from .markdown import MARKDOWN, REAL, read_markdown, write_markdown
from .nodes import Node, key
from .org import (
    ARGUMENTS,
    AT_EDGE,
    BLANK,
    EXPORTS,
    IMAGES,
    DocumentError,
    check_characters,
    figure_in,
    parse,
    plain_body,
    usual,
)
from .orgtext import org_lines
from .pieces import Piece, split

# Of a fence in one of these languages, Jupytext makes a cell whose first line is `%%` and that.
LANGUAGES = {name for name in _JUPYTER_LANGUAGES if not re.match("py|cython|sage", name)}
# What IPython adds to Python: a line such as `%time f()`, `x = !ls` or `f?`.
NOTEBOOK_ONLY = re.compile(r"\s*[%!?]|[\w\s,.\[\]*]+=\s*[!%]|.*\?\s*$")
# What may stand behind ```python: header arguments, and what editors note of a cell.
NOTES = "figures|jupyter|vscode|tags|id|collapsed|scrolled|trusted|editable|deletable|execution"
ARGUMENT = re.compile(
    rf"""\b(?:{"|".join(name[1:] for name in ARGUMENTS)}|{NOTES}|slideshow)="""
    r"""("(?:[^"\\]|\\.)*"|\{.*\}|\[.*\]|[\w.-]+)(?=\s|$)"""
)
EDGE = rf"^[ >]*(?:[-+*#]+|\d+[.)]|\|)?[ ]*{BLANK}|{BLANK}[ ]*(?:$|\|)|\|[ ]*{BLANK}"
STORE = ".literate"  # the documents that copies were made from, by git's name of their content
KEPT = 20
NAMES = [name[1:] for name in ARGUMENTS]
METADATA: dict[str, Any] = {
    "jupytext": {
        "cell_metadata_filter": ",".join(sorted([*NAMES, "figures"])) + ",-all",
        "notebook_metadata_filter": "jupytext,kernelspec,literate,-all",
        "text_representation": {
            "extension": ".md",
            "format_name": "markdown",
            "format_version": "1.3",
        },
    },
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
}
# What begins a copy in Markdown. Editors that don't know it make a line and a heading of it.
HEADER = re.compile(r"\s*(?:---\n([\s\S]*?)\n---\n|_{3,}\n+([^\n]*\bliterate:[^\n]*)\n)")
FIGURES = """\
# This cell is not part of the document. It lets a notebook show a figure, given its path.
get_ipython().display_formatter.formatters["image/svg+xml"].for_type(
    str, lambda path: open(path).read() if path.startswith("images/") else None
);"""


# From the document to a notebook.


def blob(text: str) -> str:
    """The name that git gives to a file with this text."""
    data = text.encode()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def notebook(text: str, document: Path) -> Any:
    """The document's text as a notebook. Raises DocumentError for what Markdown cannot say."""
    cells: list[Any] = []
    folded = shown = False
    for group in groups(split(parse(text))):
        if group[0].node.kind == "code":
            if not shown and group[0].result.endswith("]]\n"):
                shown = True
                hidden = {"jupyter": {"source_hidden": True}}
                cells.append(new_code_cell(FIGURES, metadata={"figures": True, **hidden}))
            cells.append(code_cell(group[0], document, folded))
            continue
        cell = new_markdown_cell(markdown(group))
        opens, closes = opening(group[0]), closing(group[-1])
        if folded and not opens and not (closes and len(group) == 1):
            cell.metadata["jupyter"] = {"source_hidden": True}
        folded = (folded or opens) and not closes
        cells.append(cell)
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    source = {"blob": blob(text), "document": document.name}
    return new_notebook(cells=cells, metadata={**METADATA, "literate": source})


def groups(pieces: list[Piece]) -> list[list[Piece]]:
    """The pieces of each cell: one block of code, or prose up to a heading or a fold."""
    found: list[list[Piece]] = []
    for piece in pieces:
        last = found[-1][-1] if found else None
        starts = piece.node.kind in ("code", "heading") or opening(piece)
        if not last or last.node.kind == "code" or closing(last) or starts:
            found.append([])
        found[-1].append(piece)
    return found


def opening(piece: Piece) -> bool:
    return piece.node.kind == "html" and "<details" in piece.node.text


def closing(piece: Piece) -> bool:
    return piece.node.kind == "html" and "</details" in piece.node.text


def markdown(group: list[Piece]) -> str:
    """A Markdown cell, proved: reading it gives the same nodes, and these the same Org."""
    for piece in group:
        again = org_lines(piece.node)
        if piece.node.kind != "fence" and squeezed(again) != squeezed(piece.org):
            raise unlike(piece)
    for close in (True, False):
        text = ""
        for piece in group:
            text += write_markdown(piece.node)
            text += "" if close and not piece.gap else "\n"
        text = text.rstrip("\n")
        back = read_markdown(text, {})
        if [as_piece(node) for node in back] == [as_piece(piece.node) for piece in group]:
            return text
    for piece, node in zip(group, [*back, *[Node("none")] * len(group)], strict=False):
        if as_piece(piece.node) != as_piece(node):
            raise unlike(piece)
    raise unlike(group[-1])


def as_piece(node: Node) -> Node:
    """The node without what is known from its place."""
    return replace(node, gap=False)


def squeezed(org: str) -> str:
    """The text without what may differ: blanks, a table's line, the numbers of a list."""
    org = re.sub(r"^ *(?:(\|-).*|\d+(?=[.)] ))", r"\1", org, flags=re.MULTILINE)
    return re.sub(r"[ \n]+", "", org)


def unlike(piece: Piece) -> DocumentError:
    what = piece.org.split("\n")[0][:50]
    message = "would not come back from Markdown as it is; write it more plainly"
    return DocumentError(piece.node.line, f"`{what}` {message}")


def code_cell(piece: Piece, document: Path, folded: bool) -> Any:
    cell = new_code_cell(piece.node.text.removesuffix("\n"), metadata=dict(piece.node.info))
    if result := piece.result:
        cell.outputs = [output(result.split("#+RESULTS:", 1)[1].split("\n", 1)[1], document)]
    if folded or cell.metadata.get("exports") == "results":
        cell.metadata["jupyter"] = {"source_hidden": True}
    if folded and cell.outputs:
        cell.metadata["jupyter"]["outputs_hidden"] = True
    return cell


def output(result: str, document: Path) -> Any:
    """The output that a kernel gives for a result: what was printed, or a figure."""
    if path := figure_in(result):
        # Jupyter shows no SVG of a notebook that it did not run itself, but it follows a link.
        data = {"text/plain": repr(path), "text/markdown": f"![]({path})"}
        figure = read(document.parent / path)
        if figure and path.endswith(".svg"):
            data["image/svg+xml"] = figure.decode()
        elif figure and path.endswith(".png"):
            data["image/png"] = base64.b64encode(figure).decode()
        return new_output("execute_result", data)
    if result.startswith("#+begin_example"):
        return new_output("stream", name="stdout", text=plain_body(result))
    return new_output("stream", name="stdout", text=re.sub("^: ?", "", result, flags=re.M))


# From a notebook to pieces of the document.


def read_notebook(path: Path, data: bytes) -> Any:
    """A copy's bytes as a notebook. Raises DocumentError, at its place, if they are none."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        check_characters(text, path.name)
        if path.suffix == ".ipynb":
            book = nbformat.reads(text, as_version=4)
        else:
            header = HEADER.match(text)
            start = header.end() if header else 0
            tokens = MARKDOWN.parse("\n" * text.count("\n", 0, start) + text[start:])
            fences = fences_of(tokens, path.name)
            own = jupytext.writes(new_notebook(metadata=METADATA), fmt="md")
            book = jupytext.reads(own + text[start:], fmt="md")
            if made := re.search(r"\bblob: (\w{40})\s+document: (.+)", text[:start]):
                book.metadata["literate"] = {"blob": made[1], "document": made[2]}
        for cell in book.cells:
            json.dumps([cell.cell_type, cell.metadata], ensure_ascii=False).encode()
            cell.metadata.update(line=1)
            cell.source.encode()
    except DocumentError:
        raise
    except Exception as error:  # of whatever kind: it is the file that is at fault
        what = str(error).split("\n")[0][:100]
        message = f"cannot be read ({what}); undo what broke it"
        raise DocumentError(1, message, place=path.name) from None
    if path.suffix == ".ipynb":
        return book
    # Jupytext does not say where its cells were: find each one's text below the last.
    line = 1
    for cell in book.cells:
        source = re.sub(r"\A%%.*\n?", "", cell.source)
        found = max(text.find(source, start), start)
        line = text.count("\n", 0, found) + 1
        cell.metadata["line"] = line - (source != cell.source)
        start = found + len(source)
    check_code(book, fences, path.name)
    check_cells(book, tokens, path.name)
    return book


def fences_of(tokens: list[Token], name: str) -> list[tuple[int, str]]:
    """The line and the code of each fence of backticks, as GitHub reads a copy.

    Raises DocumentError for what stands behind a language and would be dropped.
    """
    found = []
    for token in tokens:
        if token.type == "fence" and token.level == 0 and token.markup[0] == "`":
            line = (token.map or [0])[0] + 1
            language, _, more = token.info.strip().partition(" ")
            more = ARGUMENT.sub("", more) if language == "python" else more
            message = ""
            if more.strip():
                message = f"`{more.strip()[:50]}` has no place behind the language; remove it"
            elif len(token.markup) > 3 and language not in _JUPYTER_LANGUAGES:
                message = "a fence of more than three backticks; make it one of tildes, ~~~"
            if message:
                raise DocumentError(1, message, place=f"{name}:{line}")
            found.append((line, token.content.rstrip("\n")))
    return found


def check_code(book: Any, fences: list[tuple[int, str]], name: str) -> None:
    """Raise DocumentError unless what Jupytext takes for code is in these fences, in order."""
    left = iter(fences)
    for cell in book.cells:
        if cell.cell_type == "code":
            source = cell.source.rstrip("\n")
            both = (source, re.sub(r"\A%%.*\n?", "", source))
            if not any(code in both for _, code in left):
                line = max(1, cell.metadata["line"] - 1)
                message = (
                    "GitHub's Markdown begins or ends this code elsewhere; let it have ``` in "
                    "the first column above and below, and no fence around it"
                )
                raise DocumentError(1, message, place=f"{name}:{line}")


def check_cells(book: Any, tokens: list[Token], name: str) -> None:
    """Raise DocumentError for a part in which two blank lines, to Jupytext, begin a cell."""
    shown = [c for c in book.cells if c.cell_type == "markdown" and c.source.strip()]
    starts = [cell.metadata["line"] for cell in shown]
    for token in tokens:
        if token.level == 0 and token.map:
            first, last = token.map
            for line in starts[bisect(starts, first + 1) :]:
                if line > last:
                    break
                message = "two blank lines within a list, a comment or a fence; leave one"
                raise DocumentError(1, message, place=f"{name}:{line - 1}")


def pieces_of(book: Any, path: Path, known: list[Piece]) -> list[Piece]:
    """The pieces of a notebook's cells. Raises DocumentError at their place.

    Code without arguments is one of the `known` pieces that lost them, or new.
    """
    references: dict[str, Any] = {}
    for cell in book.cells:
        if cell.cell_type == "markdown":
            MARKDOWN.parse(cell.source, references)
    used: set[Any] = set()
    for cell in book.cells if references else []:  # few texts define links
        if cell.cell_type == "markdown":
            for token in MARKDOWN.parse(cell.source, dict(references)):
                for part in token.children or []:
                    used |= {part.attrs.get("href"), part.attrs.get("src")}
    pieces: list[Piece] = []
    valued: set[int] = set()  # the pieces of code that Jupyter shows a value or a plot of
    for number, cell in enumerate(book.cells, 1):
        first = cell.metadata.get("line", 0) - 1
        place = (
            f"{path.name}:" if path.suffix != ".ipynb" else f"{path.name}: cell {number}, line "
        )
        try:
            check_characters(cell.source)
            if cell.cell_type == "markdown":
                if references:
                    check_definitions(cell.source, used)
                if found := re.search(EDGE, cell.source, re.MULTILINE):
                    line = cell.source.count("\n", 0, found.start()) + 1
                    raise DocumentError(line, AT_EDGE)
                nodes = read_markdown(cell.source, references)
            else:
                nodes = read_code(cell)
        except DocumentError as error:
            where = f"{place}{max(first, 0) + error.line}"
            raise DocumentError(1, str(error), place=where) from None
        if shows(cell):
            valued.add(len(pieces))
        for node, after in zip(nodes, [*nodes[1:], None], strict=False):
            gap = "" if after and not after.gap else "\n"
            pieces.append(Piece(node, "", gap, place=place, line=max(first, 0) + node.line))
    titles = [piece for piece in pieces if piece.node.kind == "title"]
    for piece in titles[1:]:
        message = "a second title; chapters begin with ##"
        raise DocumentError(1, message, place=f"{piece.place}{piece.line}")
    return with_arguments(pieces, known, valued)


def check_definitions(source: str, used: set[Any]) -> None:
    """Raise DocumentError for a link's definition whose target is not used: it would go."""
    own: dict[str, Any] = {}
    MARKDOWN.parse(source, own)
    twice = [(one, False) for one in own.get("duplicate_refs", [])]
    for one, once in [*((one, True) for one in own.get("references", {}).values()), *twice]:
        if not once or one["href"] not in used:
            line = one.get("map", [0])[0] + 1
            message = "no link uses this definition; remove it, or make it a <!-- comment -->"
            raise DocumentError(line, message)


def shows(cell: Any) -> bool:
    """Whether Jupyter shows anything of a cell but what it printed."""
    outputs = cell.get("outputs") if cell.cell_type == "code" else None
    kinds = [isinstance(each, dict) and each.get("output_type") for each in outputs or []]
    return "execute_result" in kinds or "display_data" in kinds


def with_arguments(pieces: list[Piece], known: list[Piece], valued: set[int]) -> list[Piece]:
    """The pieces, with arguments for each code cell that has none. Raises DocumentError.

    Code that is as it was has its own; edited code has those of the cell that it replaces.
    """
    old = [key(piece.node) for piece in known if piece.node.kind == "code"]
    at = [i for i, piece in enumerate(pieces) if piece.node.kind == "code"]
    new = [key(pieces[i].node).text for i in at]
    for _, a, b, c, d in opcodes([node.text for node in old], new):
        for n in range(c, d):
            piece = pieces[at[n]]
            if piece.node.info:
                continue
            same = [node for node in old if node.text == new[n]]
            paired = old[a + n - c : a + n - c + 1] if b - a == d - c else []
            near = [node for node in paired or same or old[a:b] if like(node.text, new[n])]
            try:
                found = [node.info for node in near] or [
                    *(node.info for node in old[a:b]),
                    new_arguments(piece.node.text, at[n] in valued),
                ]
            except DocumentError as error:
                row = piece.line + error.line - 1
                raise DocumentError(1, str(error), place=f"{piece.place}{row}") from None
            if any(info != found[0] for info in found):
                shown = [
                    " ".join(f'{name}="{value}"' for name, value in info)
                    for info in dict.fromkeys(found)
                ]
                message = f"has lost its arguments; give it `{'`, or `'.join(shown)}`"
                raise DocumentError(1, message, place=f"{piece.place}{piece.line}")
            pieces[at[n]] = replace(piece, node=replace(piece.node, info=found[0]))
    return pieces


def like(one: str, two: str) -> bool:
    """Whether one of two pieces of code can be the other, edited."""
    matcher = difflib.SequenceMatcher(None, one, two, autojunk=False)
    return (matcher.ratio if len(one) * len(two) < 1_000_000 else matcher.quick_ratio)() > 0.5


def read_code(cell: Any) -> list[Node]:
    """The node of a code cell, if it has any."""
    source = cell.source.rstrip() + "\n"
    if not source.strip():
        return []
    if cell.cell_type != "code":
        raise DocumentError(1, "a raw cell has no place in the document; make it Markdown")
    if cell.metadata.get("figures") or source.rstrip() == FIGURES:
        if source.rstrip() == FIGURES:
            return []
        raise DocumentError(1, "this cell is not part of the document; use another")
    args = {a: str(cell.metadata[a]) for a in NAMES if a in cell.metadata}
    magic = re.match(r"%%(\S+)[ ]*\n", source)
    if magic and re.fullmatch(r"py(?:thon)?[\d.]*", magic[1]):
        raise DocumentError(1, f"`{magic[1]}` is no language here; {REAL}")
    editor = cell.metadata.get("vscode")
    language = (
        cell.metadata.get("language") or isinstance(editor, dict) and editor.get("languageId")
    )
    if magic and magic[1] in LANGUAGES and not args:
        language, source = magic[1], source[magic.end() :]
    if language and language != "python":
        return [Node("fence", source, info=f"{language} :eval no :exports code")]
    try:
        ast.parse(source)
    except SyntaxError as error:
        line = error.lineno or 1
        row = [*source.split("\n"), ""][line - 1]
        if NOTEBOOK_ONLY.match(row):
            message = f"`{row.strip()[:50]}` is for notebooks only; write it in Python"
            raise DocumentError(line, message) from None
    except ValueError:  # a null byte, which org.py refuses
        pass
    return [Node("code", source, info=tuple(sorted(args.items())))]


def new_arguments(code: str, valued: bool) -> tuple[tuple[str, str], ...]:
    """The header arguments of new code. Raises DocumentError: only Jupyter shows values."""
    results = usual(code)
    try:
        [last] = ast.parse(code).body[-1:]
    except (SyntaxError, ValueError):
        last = ast.Pass()
    calls = any(isinstance(node, (ast.Call, ast.Await)) for node in ast.walk(last))
    if results == "output" and isinstance(last, ast.Expr) and (valued or not calls):
        line = last.lineno
        what = code.split("\n")[line - 1].strip()[:50]
        remedy = f"print it, or save it in {IMAGES}/ and let its path be the last value"
        raise DocumentError(line, f"`{what}` shows its value in Jupyter only; {remedy}")
    return (("exports", EXPORTS[results][0]), ("results", results))


# Files, and the documents that they were made from.


def as_markdown(book: Any) -> str:
    """The notebook as Jupytext's Markdown, without Jupytext's version."""
    text = jupytext.writes(book, fmt="md")
    return re.sub(r"^ +jupytext_version: .*\n", "", text, count=1, flags=re.MULTILINE)


def as_ipynb(book: Any) -> str:
    return nbformat.writes(book) + "\n"


def made_from(book: Any) -> str:
    """What git calls the document that a notebook was made from, or "" if it doesn't say."""
    made = book.metadata.get("literate")
    return str(made.get("blob", "")) if isinstance(made, dict) else ""


def keep_source(text: str, document: Path) -> dict[str, bytes]:
    """The file that keeps a document for those who fold its copies; old ones are removed."""
    for path in by_age(document)[KEPT - 1 :]:
        path.unlink(missing_ok=True)
    kept = document.with_name(STORE) / f"{blob(text)}.org"
    if kept.exists():
        kept.touch()
    return {f"{STORE}/{kept.name}": text.encode()}


def by_age(document: Path) -> list[Path]:
    """The documents that are kept, the newest first."""
    kept = document.with_name(STORE).glob("*.org")
    return sorted(kept, key=lambda path: path.stat().st_mtime, reverse=True)


def recall(name: str, document: Path) -> str | None:
    """The text of the document that git calls `name`: from the store, else from git.

    Without a name, it is the one that was kept last.
    """
    if not name and (kept := by_age(document)):
        name = kept[0].stem
    if not re.fullmatch(r"[0-9a-f]{40}", name):
        return None
    data = on_disk(document.with_name(STORE) / f"{name}.org")
    with contextlib.suppress(OSError):
        command = ["git", "cat-file", "blob", name]
        if data is None:
            done = subprocess.run(command, cwd=document.parent, capture_output=True)
            data = done.stdout if done.returncode == 0 else None
    text = data.decode(errors="replace") if data else ""
    return text if blob(text) == name else None


def check_copy(text: str, copy: Path, data: bytes) -> None:
    """Raise DocumentError if the bytes of a document's copy do not give all its pieces."""
    pieces = split(parse(text))
    back = pieces_of(read_notebook(copy, data), copy, pieces)
    for piece, again in zip_longest(pieces, back):
        if not again or not piece or key(piece.node) != key(again.node):
            raise unlike(piece or pieces[-1])
