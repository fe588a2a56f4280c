"""The part of Org that is known here: a document's text as a list of elements.

Text comes in and elements go out, whose texts add up to it; results go into them the same way.
What is not known is refused, with its line and with what to write instead; nothing is guessed.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

IMAGES = "images"
CONTROL = r"[^\n -~\xa0-\u2027\u202a-\ufefe\uff00-\U0010ffff]"
BLANK = "[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"  # but the plain one
AT_EDGE = "a blank of another kind at an edge, where it gets lost; leave it out"
# What git and others write between two sides of a conflict.
MERGE = re.compile(
    r"^(?:(?:<{7,}|>{7,})(?:[ ].*)?|={7}|\|{7,}(?:[ ][^|\n]*)?)[ ]*$", re.MULTILINE
)


class DocumentError(Exception):
    """What is wrong at a `line` of the document; `trace` is Python's traceback, or a diff.

    If it is wrong in another file, `place` says where. If running the block at line `block`
    showed it, the wrong line may stand in a block above, which that one calls.
    """

    def __init__(
        self, line: int, message: str, trace: str = "", place: str = "", block: int = 0
    ) -> None:
        super().__init__(message)
        self.block = block
        self.line = line
        self.trace = trace
        self.place = place


# Parsing: a document is a list of elements, whose texts add up to it.


@dataclass(frozen=True)
class Element:
    """Whole lines: their `kind` (of GRAMMAR), the number of the first `line`, their `text`."""

    kind: str
    line: int
    text: str


@dataclass(frozen=True)
class Block(Element):
    """A source block: its `language`, and its header arguments by name, without the colon."""

    language: str
    args: dict[str, str]

    @property
    def code(self) -> str:
        """The code in it."""
        body = self.text.split("\n", 1)[1].rsplit("#+end_src", 1)[0]
        return unescape(body)

    @property
    def runs(self) -> bool:
        return self.language == "python"

    @property
    def results(self) -> str:
        """What a run leaves below it: `output`, `file` (a figure) or `silent` (nothing)."""
        return self.args["results"] if self.runs else "silent"


def escape(text: str) -> str:
    """Lines of code as a block holds them: a comma keeps Org from taking them for its own."""
    return re.sub(r"^([ \t]*,*)(?=\*|#\+)", r"\1,", text, flags=re.MULTILINE)


def unescape(text: str) -> str:
    """The lines of code that a block holds, without these commas."""
    return re.sub(r"^([ \t]*,*),(?=\*|#\+)", r"\1", text, flags=re.MULTILINE)


def figure_in(result: str) -> str:
    """The path of the figure that a result shows, or "" if it shows none."""
    found = re.fullmatch(r"\[\[file:(.*)\]\]\s*", result)
    return found[1] if found else ""


def block_of(kind: str, inside: str) -> str:
    return rf"\#\+begin_{kind}(?![^ \n]).*\n(?:(?!{inside}).*\n)*\#\+end_{kind}[ ]*\n"


COLON = r":(?:[ \n]|[\w+-]+:)"  # of a result or a drawer; a line may begin with any other
ORG_LINE = r"\*+[ ]|[ \t]*\#\+(?i:begin|end)_"  # what a block can hold only after a comma
QUOTE = block_of("quote", r"\*+[ ]|[ ]*[#:]")
EXAMPLE = block_of("example", ORG_LINE)
GRAMMAR = re.compile(
    rf"""
      (?P<blank>   (?:[ ]*\n)+ )
    | (?P<src>     {block_of("src", ORG_LINE)} )
    | (?P<example> {EXAMPLE} )
    | (?P<quote>   {QUOTE} )
    | (?P<result>  \#\+RESULTS:[ ]*\n
                   (?: {EXAMPLE} | \[\[.*\n | (?::[ ].*\n)* ) (?=[ ]*\n|\Z) )
    | (?P<heading> \*{{1,6}}[ ].*\n )
    | (?P<drawer>  :PROPERTIES:[ ]*\n:CUSTOM_ID:[ ]+\S+[ ]*\n:END:[ ]*\n(?=[ ]*\n|\Z) )
    | (?P<html>    (?:\#\+HTML:.*\n)+ )
    | (?P<keyword> \#\+(?:title|options|property|startup):.*\n )
    | (?P<comment> (?:\#[ ].*\n)+ )
    | (?P<table>   (?:[ ]*\|.*\n)+ )
    | (?P<text>    (?:(?![ ]*(?:\n|\||{COLON}|\#\+|\#[ \n]|-{{5}})|\*+[ ]).+\n)+ )
    """,
    re.VERBOSE,
)

# Why no element begins with a line: the first of these that the line matches.
NO_ELEMENT = {
    r"#\+begin_(src|example|quote)\b": "is not closed; add #+end_… (comma before Org inside)",
    r"#\+end": "ends nothing; remove it",
    r"(?i)#\+(title|options|property|startup|(begin|end)_(src|example|quote)\b)": (
        "is known in lower case only; write it so"
    ),
    r"(?i)#\+begin": "would vanish; use #+begin_src, example or quote, or #+HTML: lines",
    r"(?i)#\+end": "ends nothing; remove it",
    r"#\+RESULTS:": "needs `: ` lines, an example or a link, and then a blank line",
    r"#\+": "is unknown; known: title, options, property, startup, HTML, RESULTS",
    r"[ ]+#\+": "is indented; begin it in the first column",
    r":PROPERTIES:": "needs one line `:CUSTOM_ID: name`, then `:END:`, then a blank line",
    r"[ ]*:": "belongs to no result or drawer; use #+begin_example",
    r"[ ]*#": "would be shown; write `# comment` in the first column",
    r"\*": "is too deep a heading; use six stars at most",
    r"": "is no Org known here; use a heading",
}

# What a sentence may not hold, since it is shown as it stands, or not at all.
NO_TEXT = {
    r"\t": "a tab; use blanks",
    r"\[fn:": "a footnote; write it into the text",
    r"\[cite[/:]": "a citation; write a link",
    r"\{\{\{": "a macro; write what it stands for",
    r"<<(?! )[^<>\n]+(?<! )>>": "a target; give a heading a CUSTOM_ID and link to that",
    r"\b(?:src|call)_\w+[\[({]": "code that runs in a sentence; use a block",
    r"\\[(\[]|\\[a-zA-Z]{2,}|\\[SP]\b": "LaTeX; use Unicode characters or a figure",
    r"\\-": "a mark for hyphenation, which is not shown; put it between tildes",
    r"\$(?![\s,.;$])[^$\n]*\n?[^$\n]*(?<![\s,.])\$(?!\w)|\$\$": (
        "LaTeX between dollars; use Unicode characters or a figure"
    ),
    r"(?<![^\s({'\"])-{2,3}(?=\w)": "shown as a dash; put it between tildes",
    rf"^[ ]*(?:[-+*]|\d+[.)])?[ ]*{BLANK}|{BLANK}[ ]*$|\|[ ]*{BLANK}|{BLANK}[ ]*\|": AT_EDGE,
    r"(?<!\[)\bfile:[\w./]": "a link in Emacs alone; write [[file:…]] or ~file:…~",
    r"@@": "an export snippet; use #+HTML: lines",
    r"\\\\[ ]*$": "a forced line break; begin a new paragraph",
    r"^[ ]*(?:[-+]|\d+[.)])[ ]\[[ xX-]\]": "a checkbox; use words",
    r"^(?:[ ]*(?:[-+]|\d+[.)])|[ ]+\*)[ ]\[@": "a counter, which Emacs hides; use words",
    r"^(?:[ ]*[-+]|[ ]+\*)[ ].*[ ]::(?:[ ]|$)": "a definition; write a colon",
    r"^[ ]*\|[ ]*[/#!$*_^][ ]*(?=\||$)": (
        "a mark that hides this row or column in Emacs; put it between tildes"
    ),
    r"^[ ]*\|.*?<(?:[lrc]\d*|\d+)>[ ]*(?=\||$)": (
        "a column's width, whose row Emacs hides; put it between tildes"
    ),
    r"\[(?:\d*/\d*|\d*%)\]": "a counter; use words",
    r"\[#[A-Z]\]": "a priority; leave it out",
    r"^\*+ (?:TODO|DONE|COMMENT)\b": "a task or a comment, which GitHub hides; use other words",
    r"^\*+ .*[ ]:[\w@#%:]+:[ ]*$": "a tag, which GitHub hides; leave it out",
    r"^[ ]*(?:SCHEDULED|DEADLINE|CLOSED):": "a date of a task, which GitHub hides; use words",
    r"^[ ]*CLOCK:|^%%\(": "a line of Emacs's calendar, which Emacs hides; use words",
    r"\[\[(?:#|file:|https?:|mailto:|[^][\n]*\n[^][]*\])": (
        "no link that ends on its line; end it there"
    ),
}
OPEN = re.compile(r"(?<![^\s\-({'\"|])[~=*/+_](?=\S)|\[\[")
CLOSE = re.compile(r"(?<=\S)[~=*/+_](?![^\s\-.,:;!?'\")}\[\\|])")
LINK = re.compile(r"\[\[([^][\n]+)\](?:\[([^][]+)\])?\]")
SENTENCE = re.compile(r"\n(?=[ ]*(?:[-+]|[ ]\*|\d+[.)])[ ]|[ ]*\n)|\Z")
CELL = re.compile(r"^[ ]*\|-.*|\||\n|\Z", re.MULTILINE)
SENTENCES = ("text", "table", "heading", "quote")
ARGUMENTS = (":tangle", ":exports", ":results", ":session", ":eval")
EXPORTS = {"silent": ("code",), "output": ("both", "results"), "file": ("both", "results")}
SESSION = "#+property: header-args:python :session"


def parse(text: str) -> list[Element]:
    """The elements of a document. Raises DocumentError at the first thing not known here."""
    check_characters(text)
    if not text.endswith("\n"):
        raise DocumentError(text.count("\n") + 1, "the last line does not end; add a newline")
    elements: list[Element] = []
    start, line = 0, 1
    while start < len(text):
        found = GRAMMAR.match(text, start)
        if not found:
            wrong = text[start:].split("\n", 1)[0]
            why = next(why for pattern, why in NO_ELEMENT.items() if re.match(pattern, wrong))
            raise DocumentError(line, f"`{wrong[:50]}` {why}")
        kind = str(found.lastgroup)
        read = read_block if kind == "src" else Element
        elements.append(read(kind, line, found[0]))
        start = found.end()
        line += found[0].count("\n")
    check_elements(elements)
    return elements


def check_characters(text: str, place: str = "", tabs: bool = True) -> None:
    """Raise DocumentError, at a line of `place`, for what no document can hold anywhere."""
    what = ""
    if found := MERGE.search(text):
        what = f"`{found[0][:50]}` is left from a merge; keep what is right, without such lines"
    elif found := re.search(CONTROL, text.replace("\t", " ") if tabs else text):
        hint = (
            "save as UTF-8 without a byte order mark"
            if found[0] == "\ufeff"
            else "leave it out"
        )
        what = f"{found[0]!r} is a control character; {hint}"
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise DocumentError(line, what, place=f"{place}:{line}" if place else "")


def read_block(kind: str, line: int, text: str) -> Block:
    """The source block that begins at `line`. Raises DocumentError for a wrong header."""
    header = text.split("\n", 1)[0]
    found = re.fullmatch(r"#\+begin_src ([a-zA-Z][\w-]*)((?: +\S+ +[^\s:]\S*)*) *", header)
    if not found:
        what = "needs a language, such as cpp for C++, and :argument value pairs"
        raise DocumentError(line, f"`{header[:50]}` {what}")
    if found[1] != "python" and re.fullmatch(r"(?i)py(thon)?[\d.]*", found[1]):
        raise DocumentError(line, f"`{found[1]}` is no language here; write python")
    language, words = found[1], found[2].split()
    for name in words[::2]:
        if name not in ARGUMENTS or words[::2].count(name) > 1:
            message = f"is unknown or there twice; use {', '.join(ARGUMENTS)}, once each"
            raise DocumentError(line, f"header argument {name} {message}")
    args = {words[i][1:]: words[i + 1] for i in range(0, len(words), 2)}
    block = Block(kind, line, text, language, args)
    results, exports = block.args.get("results"), block.args.get("exports")
    if not block.runs:
        if block.args.get("eval") != "no" or exports != "code" or results:
            known = [f":{name} {value}" for name, value in args.items() if name == "tangle"]
            write = " ".join(["#+begin_src", language, *known, ":eval no :exports code"])
            raise DocumentError(line, f"{language} never runs here; write `{write}`")
        return block
    if "eval" in block.args:
        raise DocumentError(line, "every Python block runs; leave :eval out")
    if results not in EXPORTS or exports not in EXPORTS[results]:
        kinds = "; ".join(f":results {r} :exports {' or '.join(e)}" for r, e in EXPORTS.items())
        given = f":results {results or '(missing)'} :exports {exports or '(missing)'}"
        message = f"{given} is unknown, or contradicts itself; write {kinds}"
        if not results or not exports:
            likely = "silent" if "tangle" in args else results or usual(block.code)
            args |= {"results": likely, "exports": EXPORTS.get(likely, ("both",))[0]}
            words = [f":{name} {args[name]}" for name in args]
            message = f"incomplete; write `{' '.join(['#+begin_src python', *words])}`"
        raise DocumentError(line, message)
    if "tangle" in block.args and results != "silent":
        raise DocumentError(line, "a tangled block shows no result; write :results silent")
    if "\t" in text:
        line += text.split("\t")[0].count("\n")
        raise DocumentError(line, "a tab in Python code; use blanks")
    return block


def usual(code: str) -> str:
    """The results that a Python block most likely has: a figure, none, or what it prints."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError):
        return "output"
    quiet = (
        *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
        *(ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign),
    )
    last = ast.walk(body[-1]) if body and isinstance(body[-1], ast.Expr) else ()
    strings = [str(node.value) for node in last if isinstance(node, ast.Constant)]
    if any(string.startswith(f"{IMAGES}/") for string in strings):
        return "file"
    return "silent" if body and all(isinstance(one, quiet) for one in body) else "output"


def check_elements(elements: list[Element]) -> None:
    """Raise DocumentError for what no element tells alone: neighbours, session, sentences."""
    session = ""
    above = before = Element("", 0, "")
    for element in elements:
        if element.text.startswith("#+property:"):
            found = re.fullmatch(re.escape(SESSION) + r" (\w+) *\n", element.text)
            if not found:
                raise DocumentError(element.line, f"unknown property; write `{SESSION} NAME`")
            session = found[1]
        if isinstance(element, Block) and element.runs:
            if not session or element.args.get("session", session) != session:
                message = f"Python blocks share one session; write `{SESSION} NAME` above them"
                raise DocumentError(element.line, f"{message}, and no other")
        if element.kind == "result":
            if not shows_result(above) or before.text != "\n":
                message = "a result needs its block, one blank line above; remove it"
                raise DocumentError(element.line, message)
        if shows_result(before) and element.kind != "blank":
            raise DocumentError(element.line, "not part of the block above; add a blank line")
        if element.kind == "drawer" and before.kind != "heading":
            raise DocumentError(element.line, "a drawer without a heading above; move it")
        if element.kind in SENTENCES or element.text.startswith("#+title:"):
            check_sentences(element)
            check_marks(element)
        above, before = before, element


def shows_result(element: Element) -> bool:
    return isinstance(element, Block) and element.results != "silent"


def check_sentences(element: Element) -> None:
    """Raise DocumentError for links and marks in sentences that would be shown otherwise."""

    def fail(start: int, message: str) -> None:
        line = element.line + plain.count("\n", 0, start)
        raise DocumentError(line, f"`{plain[start:].split(chr(10))[0][:50]}` {message}")

    plain = without_code(element.text)
    for link in LINK.finditer(plain):
        if not re.match(r"file:[^/~]|#|https?://|mailto:", link[1]):
            fail(
                link.start(),
                "is no link known here; use file:PATH, #NAME, https://… or =…= around it",
            )
        if re.search(r"\.(svg|png|jpe?g|gif)$", link[2] or ""):
            fail(link.start(), "is a link named like an image; change its text")
    # Links are blanked out, but for their text, so that all offsets stay.
    plain = LINK.sub(lambda link: (link[2] or "").rjust(len(link[0]), "x"), plain)
    for pattern, what in NO_TEXT.items():
        if found := re.search(pattern, plain, re.MULTILINE):
            fail(found.start(), f"is {what}")


def check_marks(element: Element) -> None:
    """Raise DocumentError for marks that GitHub, whose rules are stricter than Org's, shows."""
    start = element.text.find(" ") if element.kind == "heading" else 0
    for end in (CELL if element.kind == "table" else SENTENCE).finditer(element.text, start):
        for begin, why in raw_marks(element.text, start, end.start()):
            line = element.line + element.text.count("\n", 0, begin)
            what = element.text[begin:].split("\n")[0][:50]
            raise DocumentError(line, f"`{what}` would show its marks on GitHub: {why}")
        start = end.end()


def raw_marks(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Where GitHub shows marks in this part of a sentence as they stand, and why."""
    for first, last, mark in marked(text[start:end]):
        first, last = start + first, start + last
        inside = text[first + 1 : last - 1]
        touching = [text[first - 1]] if first and text[first - 1] not in " \n('\"{" else []
        touching += re.findall(r"[^\s\-.,:!?;'\")}\\]", text[last : last + 1])
        if mark == "[":
            link = LINK.fullmatch(text, first, last)
            if link and any(mark != "[" for *_, mark in marked(link[1])):
                yield first, "the link's target holds them; rename it"
            elif link and link[2]:
                yield from raw_marks(text, *link.span(2))
        elif inside.count("\n") > 1:
            yield first, "they are more than a line apart; fill these lines anew, or mark less"
        elif touching:
            yield first, f"`{touching[0]}` touches it; put a blank between"
        elif inside[0] in ",'\"" or inside[-1] in ",'\"":
            yield first, "a comma or quote is first or last in it; move that out"
        elif inside[0] == mark and inside.strip(mark):
            other = {"~": "=…=", "=": "~…~"}.get(mark, "it once")
            yield first, f"it begins with its own mark; write {other}"
        elif mark not in "~=":
            marks = "~=*/+_".replace(mark, "")
            if any(inner != "[" for *_, inner in marked(inside, marks)):
                yield first, "there are marks within marks; end one before the next"


def fits(text: str, mark: str) -> bool:
    """Whether code can stand between two of this mark."""
    whole = f"{mark}{text}{mark}".replace("\n", " ")
    return [*marked(whole)] == [(0, len(whole), mark)] and not [
        *raw_marks(whole, 0, len(whole))
    ]


def marked(text: str, marks: str = "~=*/+_") -> Iterator[tuple[int, int, str]]:
    """The parts of a sentence that Org marks: where each begins and ends, and its mark.

    A link's mark is `[`. Each part ends at the first place where it can; what is marked within
    a part is not told. Every character is looked at once, however many marks have no partner.
    """
    closes: dict[str, list[int]] = {mark: [] for mark in "~=*/+_"}
    for found in CLOSE.finditer(text):
        closes[found[0]].append(found.start())
    paragraphs = [*(found.start() for found in re.finditer("\n\n", text)), len(text)]
    start = 0
    while opened := OPEN.search(text, start):
        start, mark = opened.start(), opened[0][0]
        if mark == "[":
            link = LINK.match(text, start)
            end = link.end() if link else 0
        elif mark in marks:
            ends = closes[mark]
            i = bisect_left(ends, start + 2)
            last = paragraphs[bisect_left(paragraphs, start)]
            end = ends[i] + 1 if i < len(ends) and ends[i] < last else 0
        else:
            end = 0
        if end:
            yield start, end, mark
        start = end or start + 1


def rewrite(
    text: str, change: Callable[[str, str], str], marks: str = "~=*/+_", start: int = 0
) -> str:
    """The text with each of its marked parts as `change(part, mark)` makes it."""
    parts = []
    for begin, end, mark in marked(text, marks):
        parts += [text[start:begin], change(text[begin:end], mark)]
        start = end
    return "".join([*parts, text[start:]])


def without_code(text: str, marks: str = "~=*/+_") -> str:
    """The text with x's in place of each ~code~ and =verbatim=, so that all offsets stay."""

    def blank(part: str, mark: str) -> str:
        if mark in "~=":
            return re.sub(r"[^\n]", "x", part)
        if mark == "[":
            link = LINK.fullmatch(part)
            return (
                part
                if not link or not link[2]
                else (part[: link.start(2)] + without_code(link[2], marks) + "]]")
            )
        return mark + without_code(part[1:-1], marks.replace(mark, "")) + mark

    return rewrite(text, blank, marks)


def unmarked(text: str, code: str = "", marks: str = "~=*/+_") -> str:
    """The text as it is read, without marks and targets; `code` stands around each code."""

    def bare(part: str, mark: str) -> str:
        if mark in "~=":
            return f"{code}{part[1:-1]}{code}"
        if mark == "[":
            return LINK.sub(lambda link: unmarked(link[2] or link[1], code, marks), part)
        return unmarked(part[1:-1], code, marks.replace(mark, ""))

    return rewrite(text, bare, marks)


def links(elements: list[Element]) -> list[tuple[int, str]]:
    """The line and the target, `#name` or `file:path`, of each link inside the repository."""
    return [
        (element.line + plain.count("\n", 0, link.start()), link[1])
        for element in elements
        if element.kind in (*SENTENCES, "result")
        for plain in [without_code(element.text)]
        for link in LINK.finditer(plain)
        if link[1].startswith(("#", "file:"))
    ]


def anchors(elements: list[Element]) -> dict[int, str]:
    """The anchor that GitHub gives to each heading, by the heading's line."""
    found: dict[int, str] = {}
    slugs: Counter[str] = Counter()
    for element in elements:
        if element.kind == "heading" or element.text.startswith("#+title:"):
            text = unmarked(element.text.split(" ", 1)[1].strip().lower())
            slug = re.sub(r"[^\w\- ]|-{2,3}", "", text).replace(" ", "-")
            found[element.line] = slug + (f"-{slugs[slug]}" if slug in slugs else "")
            slugs[slug] += 1
    return found


def linked_files(elements: list[Element]) -> set[str]:
    """The files that the document links to, but for figures: its blocks may read them."""
    names = {target[5:] for _, target in links(elements) if target[0] != "#"}
    return {name for name in names if name.split("/")[0] not in (IMAGES, "..")}


def chapter(elements: list[Element], line: int) -> str:
    """The heading of the chapter that a line of the document is in, or "" above the first."""
    above = [e.text for e in elements if e.line <= line and e.text.startswith("* ")]
    return above[-1][2:].strip() if above else ""


def plain_body(text: str) -> str:
    """The lines between #+begin and #+end, without the commas that protect them in Org."""
    return unescape(text.split("\n", 1)[1].rsplit("#+end_", 1)[0].rstrip(" "))


# Results: each below its block, one blank line between.


def with_results(elements: list[Element], results: dict[int, str]) -> str:
    """The document's text with these results, by block's line, in place of those it has."""
    parts: list[str] = []
    owner = 0
    for element in elements:
        if element.kind == "result" and owner in results:
            parts.pop()  # the blank line above, which came with the new result
            continue
        parts.append(element.text)
        if isinstance(element, Block):
            owner = element.line
            if owner in results:
                parts.append(f"\n#+RESULTS:\n{results[owner]}")
    return "".join(parts)


def present_results(elements: list[Element]) -> dict[int, str]:
    """The results that the document has, by their block's line."""
    return {
        elements[i - 2].line: element.text.split("\n", 1)[1]
        for i, element in enumerate(elements)
        if element.kind == "result"
    }


def drawn(results: dict[int, str]) -> dict[str, int]:
    """The figures among the results: the line of each one's block, by its path."""
    return {path: line for line, result in results.items() if (path := figure_in(result))}
