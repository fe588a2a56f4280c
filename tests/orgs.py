"""Random documents in the part of Org that this project accepts, for hypothesis."""

import re

from hypothesis import strategies as st

from literate.org import EXPORTS, DocumentError, parse

HEAD = "#+title: Small\n#+property: header-args:python :session small\n"
WORDS = st.sampled_from(
    "a B2 word words naïve x_1 c++ (in) 1. 3x² - + :: “so” it's end.".split()
)
SIGNS = "*_/+~=`<>&\\|![](){}#-.:$^'\"1a é"
NOISE = st.text(SIGNS, min_size=1, max_size=6).filter(lambda text: text.strip() == text)
CODE = st.text(SIGNS.replace("~", "").replace("=", ""), min_size=1, max_size=8)
CODE = CODE.filter(lambda text: text.strip(" '\"") == text)
TARGETS = ["https://example.org/a_b?c=d&copy=1", "#first", "file:a b.py", "file:LICENSE"]


def joined(parts, low=1, high=5, by=" "):
    return st.lists(parts, min_size=low, max_size=high).map(by.join)


def sentences(words, lines=3):
    """Some lines of words with code, emphasis and links among them."""
    phrase = joined(words, 1, 3)
    span = st.one_of(
        phrase,
        phrase,
        CODE.map("~{}~".format),
        CODE.map("={}=".format),
        phrase.map("*{}*".format),
        phrase.map("/{}/".format),
        phrase.map("+{}+".format),
        st.tuples(
            st.sampled_from(TARGETS), phrase.filter(lambda p: not set(p) & set("[]"))
        ).map(lambda link: "[[{}][{}]]".format(*link)),
        st.sampled_from(TARGETS).map("[[{}]]".format),
        st.just("[[file:images/one.svg]]"),
    )
    # A line that begins like a list is one in Org, but seldom in Markdown.
    line = joined(span, 1, 4).filter(lambda text: not re.match(r"([-+]|\d+[.)])( |$)", text))
    return joined(line, 1, lines, "\n")


def paragraphs(words):
    return sentences(words).map(lambda text: text + "\n")


@st.composite
def lists(draw, words, deep=1):
    ordered = draw(st.booleans())
    text = ""
    for number in range(draw(st.integers(1, 3))):
        marker = f"{number + 1}. " if ordered else "- "
        inside = draw(sentences(words, 2)) + "\n"
        if draw(st.booleans()):
            inside += "\n" + draw(paragraphs(words))
        if deep and draw(st.booleans()):
            inside += draw(st.sampled_from(["", "\n"])) + draw(lists(words, deep - 1))
        rows = [" " * len(marker) + row if row else "" for row in inside.split("\n")[:-1]]
        gap = "\n" if text and draw(st.booleans()) else ""
        text += gap + marker + "\n".join(rows)[len(marker) :] + "\n"
    return text


@st.composite
def tables(draw, words):
    width = draw(st.integers(1, 3))
    cells = st.one_of(joined(words, 0, 2), CODE.map("~{}~".format), st.just("1.5"))
    row = st.lists(cells.filter(lambda c: "|" not in c), min_size=width, max_size=width)
    rows = draw(st.lists(row, min_size=2, max_size=4))
    rows[0][0] = rows[0][0] or "a"  # a heading without a word is none
    lines = [f"| {' | '.join(cells)} |\n" for cells in rows]
    if draw(st.booleans()):
        lines.insert(1, f"|{'+'.join(['---'] * width)}|\n")
    return "".join(lines)


def quotes(words):
    inside = st.lists(st.one_of(paragraphs(words), lists(words)), min_size=1, max_size=2)
    return inside.map(lambda parts: "#+begin_quote\n" + "\n".join(parts) + "#+end_quote\n")


def bodies(words):
    lines = st.one_of(
        sentences(words, 1), st.sampled_from(["", "", "  x", "```python", "~~~", ",* a"])
    )
    return joined(lines, 1, 5, "\n").map(lambda text: text.replace("* ", ",* ") + "\n")


@st.composite
def headings(draw, words):
    text = "*" * draw(st.integers(1, 5)) + " " + draw(sentences(words, 1)) + "\n"
    name = draw(st.sampled_from(["", "", "first", "naïve"]))
    return text + (f":PROPERTIES:\n:CUSTOM_ID: {name}\n:END:\n" if name else "")


PYTHON = [
    "x = 1\n",
    "print(1)\n",
    '"""A\n\n\n```\n~~~\n"""\n',
    "f(\n    ,*x,\n)\n",
    "\nx = 2  \n\n\ny = 3\n\n",
    "# %% not a cell\n",
]
RESULTS = [": 1\n", ": a\n: \n: b\n", "#+begin_example\n1\n,* 2\n\n#+end_example\n"]


@st.composite
def python(draw):
    code = draw(st.sampled_from(PYTHON))
    kind = draw(st.sampled_from(["silent", "silent", "output", "file"]))
    exports = draw(st.sampled_from(EXPORTS[kind]))
    args = [f":results {kind}", f":exports {exports}"]
    if kind == "silent" and draw(st.booleans()):
        args.append(":tangle small.py")
    text = f"#+begin_src python {' '.join(draw(st.permutations(args)))}\n{code}#+end_src\n"
    result = "[[file:images/one.svg]]\n" if kind == "file" else draw(st.sampled_from(RESULTS))
    if kind != "silent" and draw(st.booleans()):
        text += f"\n#+RESULTS:\n{result}"
    return text


def elements(words):
    return st.one_of(
        paragraphs(words),
        paragraphs(words),
        lists(words),
        tables(words),
        quotes(words),
        headings(words),
        python(),
        python(),
        bodies(words).map("#+begin_src sh :eval no :exports code\n{}#+end_src\n".format),
        bodies(words).map("#+begin_example\n{}#+end_example\n".format),
        st.sampled_from(["Solution", "More"]).map(
            "#+HTML: <details><summary>{}</summary>\n".format
        ),
        st.just("#+HTML: </details>\n"),
        joined(words, 1, 3).map("# {}\n".format),
        st.just("#+options: toc:nil\n"),
    )


def accepted(text):
    try:
        parse(text)
    except DocumentError:
        return False
    return True


@st.composite
def documents(draw, words=WORDS, gaps=("\n",), size=6):
    """A document; `gaps` are the blank lines that may stand between two of its elements."""
    text = HEAD
    for element in draw(st.lists(elements(words), max_size=size)):
        gap = draw(st.sampled_from(gaps))
        if accepted(f"{text}{gap}{element}"):
            text += gap + element
        elif accepted(f"{text}\n{element}"):
            text += "\n" + element
    return text
