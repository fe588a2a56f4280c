"""Edits in a copy come back into README.org: only they, all of them, or none with a reason."""

import contextlib
import difflib
import io
import json
import logging
import os
import random
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import jupytext
import nbformat
import orgs
import pytest
from fresh import ROOT, TOOL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from literate import fold, notebook
from literate.__main__ import main
from literate.files import opcodes
from literate.nodes import key
from literate.org import DocumentError, parse
from literate.pieces import split

README = ROOT / "README.org"
MANY = settings(
    deadline=None,
    max_examples=30,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
SAMPLE = """\
#+title: Small
#+options: toc:nil
#+property: header-args:python :session small

The first paragraph, with a [[#second-part][link]] to the second part, and goes on for a
second line.


The *second* paragraph.

#+begin_src python  :results output :exports both
print(6 * 7)
#+end_src

#+RESULTS:
: 42

Text between.

#+begin_src python :tangle small.py :exports code :results silent
def f(*xs):
    return g(
        *xs,
    )
#+end_src

* Second part
:PROPERTIES:
:CUSTOM_ID: second-part
:END:

- one
- two

| a | b |
|---+---|
| 1 | 2 |

#+HTML: <details><summary>More</summary>

#+begin_src python :results file :exports results
draw("images/one.svg")
#+end_src

#+RESULTS:
[[file:images/one.svg]]

#+HTML: </details>

The end.

# Local Variables:
# eval: (load-file "tangle.el")
# End:
"""


def run(folder, *arguments):
    """Run a verb on folder/README.org; its exit status, and what it says."""
    command = ["literate", *arguments, str(folder / "README.org")]
    with mock.patch("sys.argv", command), contextlib.redirect_stdout(io.StringIO()) as said:
        with contextlib.redirect_stderr(said):
            status = main()
    return status, said.getvalue()


def files(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(path, *changes):
    text = path.read_text("utf-8")
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


def refused(copy, row, below=0):
    """What folding a copy says that is refused at the line of this row, or so many below it."""
    line = copy.read_text().split("\n").index(row) + 1 + below
    status, said = run(copy.parent, "fold", str(copy))
    assert status == 1 and said.startswith(f"micrograd.md:{line}: "), said
    return said


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "README.org").write_text(SAMPLE, "utf-8")
    return tmp_path


@pytest.fixture
def copy(folder):
    assert run(folder, "markdown") == (0, "wrote micrograd.md\n")
    return folder / "micrograd.md"


@pytest.fixture
def readme(folder):
    return folder / "README.org"


def fold_ok(copy, *changes):
    """What README.org is after these edits of its copy."""
    edit(copy, *changes)
    status, said = run(copy.parent, "fold", str(copy))
    assert status == 0, said
    return (copy.parent / "README.org").read_text("utf-8")


def sample(*changes):
    """SAMPLE with some parts replaced, each of which is there once."""
    text = SAMPLE
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


# Laws, on random documents and random edits.


@st.composite
def edited(draw, text):
    """The document after some of its pieces were removed, added, moved or replaced."""
    pieces = [piece for piece in split(parse(text)) if piece.line > 2]
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.integers(0, len(pieces)))
        do = draw(st.sampled_from(["remove", "add", "move"]))
        if do == "add" or not pieces:
            new = draw(orgs.elements(orgs.WORDS))
            if not orgs.accepted(orgs.HEAD + "\n" + new):
                continue
            pieces[where:where] = split(parse(orgs.HEAD + "\n" + new))[2:]
        elif do == "move":
            pieces.insert(where, pieces.pop(where % len(pieces)))
        else:
            del pieces[where % len(pieces)]
    return orgs.HEAD + "".join(f"\n{piece.org}{piece.result}" for piece in pieces)


def keys(text):
    return [key(piece.node) for piece in split(parse(text))]


def nameless(text):
    """The keys, but for the names of headings, which links follow."""
    found = [replace(key, text="") if key.kind == "heading" else key for key in keys(text)]
    return [re.sub(r"text='#[^']*'|line=\d+, end=\d+", "", repr(key)) for key in found]


@MANY
@given(st.data())
def test_any_edit_arrives_and_all_else_keeps_its_bytes(data):
    before = data.draw(orgs.documents(gaps=("\n", "\n", "\n\n")))
    after = data.draw(edited(before))
    if not orgs.accepted(after):
        return
    copy = notebook.notebook(after, README)
    path = Path("copy.ipynb")
    try:
        result, _ = fold.fold(before, before, copy, path, "README.org")
    except DocumentError as error:
        assert "run into" in str(error)  # two lists, say, that became neighbours
        return
    assert nameless(result) == nameless(after)
    old = {key(p.node): p.org + p.result for p in split(parse(before))}
    for piece in split(parse(result)):
        if piece.node.kind != "heading" and key(piece.node) in old:
            same = [p for p in split(parse(before)) if key(p.node) == key(piece.node)]
            assert piece.org in [p.org for p in same]


@MANY
@given(st.data())
def test_edits_of_different_parts_are_merged_and_of_the_same_part_refused(data):
    parts = [f"Paragraph {name} is here.\n" for name in "abcdefgh"]
    base = orgs.HEAD + "\n" + "\n".join(parts)
    ours = data.draw(st.sets(st.integers(0, 7), min_size=1))
    theirs = data.draw(st.sets(st.integers(0, 7), min_size=1))

    def changed(which, word):
        lines = [p.replace("here", word) if i in which else p for i, p in enumerate(parts)]
        return orgs.HEAD + "\n" + "\n".join(lines)

    copy = notebook.notebook(changed(theirs, "theirs"), README)
    path = Path("copy.ipynb")
    if ours & theirs:
        with pytest.raises(DocumentError, match="was changed, too") as error:
            fold.fold(base, changed(ours, "ours"), copy, path, "README.org")
        first = min(ours & theirs)
        assert f"README.org:{4 + 2 * first} has" in error.value.trace
    else:
        merged, only = fold.fold(base, changed(ours, "ours"), copy, path, "README.org")
        expected = [
            p.replace("here", "ours" if i in ours else "theirs" if i in theirs else "here")
            for i, p in enumerate(parts)
        ]
        assert merged == orgs.HEAD + "\n" + "\n".join(expected)
        assert only == changed(theirs, "theirs")


def test_one_edited_cell_of_the_readme_changes_only_its_lines():
    text = README.read_text("utf-8")
    book = notebook.notebook(text, README)
    chosen = random.Random(1)
    for cell in chosen.sample(book.cells, 8):
        if "figures" in cell.metadata:
            continue
        copy = nbformat.from_dict(json.loads(json.dumps(book)))
        same = next(c for c in copy.cells if c.id == cell.id)
        same.source += "\n\nA *new* end." if cell.cell_type == "markdown" else "\nx = 1"
        result, _ = fold.fold(text, text, copy, Path("copy.ipynb"), "README.org")
        new = "\n\nA *new* end.".replace("*", "/") if cell.cell_type == "markdown" else "x = 1"
        old_lines, new_lines = text.split("\n"), result.split("\n")
        start = next(
            i for i, (a, b) in enumerate(zip(old_lines, new_lines, strict=False)) if a != b
        )
        rest = len(new_lines) - len(old_lines)
        assert new.strip() in result
        gone = set(old_lines) - set(new_lines)
        if cell.cell_type == "markdown":
            assert rest == 2 and not gone
            assert new_lines[:start] + new_lines[start + 2 :] == old_lines
        else:
            row = start if new_lines[start] == "x = 1" else new_lines.index("x = 1", start - 1)
            without = new_lines[:row] + new_lines[row + 1 :]
            dropped = len(old_lines) - len(without)
            end = old_lines.index("#+end_src", row) + 1
            assert without == old_lines[:end] + old_lines[end + dropped :]


# One edit after another, as people make them.


def test_an_unedited_copy_changes_nothing(folder, copy, readme):
    run(folder, "notebook")
    before = files(folder)
    for name in ("micrograd.md", "micrograd.ipynb"):
        assert run(folder, "fold", str(folder / name)) == (0, "README.org: nothing changed\n")
    assert files(folder) == before


def test_an_edited_paragraph_keeps_its_line_breaks_where_they_fit(copy):
    assert fold_ok(
        copy, "and goes on for a\nsecond line", "and *goes* on for a\nvery `long` line"
    ) == sample(
        "and goes on for a\nsecond line", "and /goes/ on for a\nvery ~long~ line"
    ).replace(
        "to the second part, and /goes/ on for a\n", "to the second part, and /goes/ on for a\n"
    )


def test_edited_code_loses_its_result_and_nothing_else(copy):
    text = fold_ok(copy, "print(6 * 7)", "print(6 * 8)")
    assert text == sample("print(6 * 7)", "print(6 * 8)", "\n#+RESULTS:\n: 42\n", "")


def test_changed_header_arguments_arrive_and_the_result_stays(copy):
    text = fold_ok(
        copy, 'exports="both" results="output"', 'exports="results" results="output"'
    )
    old = "#+begin_src python  :results output :exports both"
    assert text == sample(old, "#+begin_src python :results output :exports results")


def test_lines_of_code_that_were_not_edited_keep_their_bytes(copy):
    text = fold_ok(copy, "def f(*xs):", "def f(*xs, n):")
    assert text == sample("def f(*xs):", "def f(*xs, n):")


def test_new_cells_get_the_header_arguments_that_fit_them(copy):
    new = """Text between.

```python
print("new")
```

```python
def helper():
    print(1)
```

```python
draw("images/two.svg")
```

```bash
ls
```
"""
    org = """Text between.

#+begin_src python :results output :exports both
print("new")
#+end_src

#+begin_src python :exports code :results silent
def helper():
    print(1)
#+end_src

#+begin_src python :results file :exports both
draw("images/two.svg")
#+end_src

#+begin_src bash :eval no :exports code
ls
#+end_src
"""
    assert fold_ok(copy, "Text between.\n", new) == sample("Text between.\n", org)


def test_removed_parts_are_gone(copy):
    text = fold_ok(copy, "Text between.\n\n", "", "- one\n- two\n", "- two\n")
    assert text == sample("Text between.\n\n", "", "- one\n- two\n", "- two\n")


def test_moved_code_takes_its_result_along(copy):
    cell = '```python exports="both" results="output"\nprint(6 * 7)\n```\n\n'
    text = fold_ok(copy, cell, "", "- one\n", f"{cell}- one\n")
    block = SAMPLE[SAMPLE.index("#+begin_src") : SAMPLE.index("Text between.")]
    assert text == sample(block, "", "- one\n", f"{block}- one\n")


def test_a_renamed_heading_takes_its_links_along(copy):
    text = fold_ok(copy, "## Second part <a", "## Part two <a")
    assert text == sample(
        "[[#second-part][link]]",
        "[[#part-two][link]]",
        "* Second part\n:PROPERTIES:\n:CUSTOM_ID: second-part",
        "* Part two\n:PROPERTIES:\n:CUSTOM_ID: part-two",
    )


def test_new_chapters_and_linked_headings_get_their_names(copy):
    text = fold_ok(
        copy,
        "The end.\n",
        "## New, *here*\n\nSee [below](#part-of-it).\n\n"
        "### Part of it\n\n### Other\n\nThe end.\n",
    )
    new = """* New, /here/
:PROPERTIES:
:CUSTOM_ID: new-here
:END:

See [[#part-of-it][below]].

** Part of it
:PROPERTIES:
:CUSTOM_ID: part-of-it
:END:

** Other

The end.
"""
    assert text == sample("The end.\n", new)


def test_a_link_whose_heading_is_renamed_without_its_anchor_is_reported(copy):
    edit(copy, '## Second part <a id="second-part"></a>', "## Else")
    status, said = run(copy.parent, "fold", str(copy))
    assert status == 0 and "README.org:5: the link to #second-part is dead; correct it" in said


def test_two_headings_with_one_anchor_are_reported(copy, readme):
    more = "## Second part\n\nA [link](#second-part-1).\n\n## Second part 1\n\nThe end.\n"
    edit(copy, "The end.\n", more)
    status, said = run(copy.parent, "fold", str(copy))
    assert status == 0 and "CUSTOM_ID second-part-1 is there twice" in said


def test_a_fence_of_four_backticks_is_read_or_refused_at_its_line(folder, copy):
    edit(copy, "The end.\n", "````text\n```\nx\n```\n````\n\nThe end.\n")
    assert ": a fence of more than three" in refused(copy, "````text")


def test_links_follow_a_heading_that_has_another_of_its_name_above_it_now(copy):
    text = fold_ok(copy, "## Second part <a", "## Second part\n\nNew.\n\n## Second part <a")
    assert text == sample(
        "[[#second-part][link]]",
        "[[#second-part-1][link]]",
        "* Second part\n:PROPERTIES:\n:CUSTOM_ID: second-part\n:END:\n",
        "* Second part\n:PROPERTIES:\n:CUSTOM_ID: second-part\n:END:\n\nNew.\n\n"
        "* Second part\n:PROPERTIES:\n:CUSTOM_ID: second-part-1\n:END:\n",
    )


# Blanks that are no line breaks and no indentation: a comparison must see each of them.
BLANKS = ["\u00a0", "\u202f", "\u2009", "\u3000"]


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_of_another_kind_is_an_edit(folder, copy, readme, blank):
    assert fold_ok(copy, "The end.", f"The{blank}end.") == sample("The end.", f"The{blank}end.")
    run(folder, "markdown")
    assert fold_ok(copy, f"The{blank}end.", "The end.") == SAMPLE
    edit(readme, "The *second* p", f"The *second*{blank}p")
    edit(copy, "**second** p", "**second** and last p")
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and "was changed, too; make both alike" in said


@pytest.mark.parametrize("text", ["~C.", "C.~", "- C~", "> ~C", "| ~ | 1 |", "| 1 | a ~|"])
@pytest.mark.parametrize("blank", ["\u00a0", "&nbsp;", "\u2003", "&emsp;"])
def test_a_blank_of_another_kind_at_an_edge_is_refused(folder, copy, readme, text, blank):
    text = text.replace("~", blank)
    if "|" in text:
        text = f"| a | b |\n|---|---|\n{text}"
    edit(copy, "The end.\n", f"{text}\n")
    said = refused(copy, text.split("\n")[-1])
    assert "a blank of another kind at an edge" in said or "something else in Org" in said


@pytest.mark.parametrize("separator", ["\u2028", "\u2029"])  # a line's end for some tools only
def test_a_separator_of_lines_or_paragraphs_is_refused(folder, copy, separator):
    edit(copy, "The end.", f"The{separator}end.")
    assert "control char" in refused(copy, f"The{separator}end.")


@pytest.mark.parametrize("name", ["micrograd.md", "micrograd.ipynb"])
def test_blanks_at_the_end_of_a_line_of_code_are_an_edit(folder, readme, name):
    edit(readme, "print(6 * 7)", 'print("""a\nb""")')
    verb = "markdown" if name.endswith("md") else "notebook"
    run(folder, verb)
    copy = folder / name
    line = "a\\nb" if verb == "notebook" else "a\nb"
    copy.write_text(copy.read_text().replace('print(\\"\\"\\"a\\n', 'print(\\"\\"\\"a  \\n'))
    copy.write_text(copy.read_text().replace(line, line.replace("a", "a  ")))
    assert run(folder, "fold", str(copy))[0] == 0
    assert 'print("""a  \nb""")' in readme.read_text()


FENCES = {
    "~~~\n```python\nx = 1\n```\n~~~": 1,
    "```python\nprint(3)\n  ```\n\nProse, *marked*.\n\n```python\nprint(4)\n```": 0,
    "```python\nprint(3)\n ```\n\nProse.": 0,
    "<details>\n```python\nx = 1\n```\n</details>": 1,
    "> ```python\n> x = 1\n> ```": 0,
}


@pytest.mark.parametrize("fence", FENCES)
def test_code_that_github_reads_otherwise_than_jupytext_is_refused_at_its_line(
    folder, copy, readme, fence
):
    edit(copy, "The end.\n", f"{fence}\n\nThe end.\n")
    refused(copy, fence.split("\n")[0], FENCES[fence])
    assert readme.read_text() == SAMPLE


UNUSED = ["[wip]: https://a.b", "[//]: # (todo: check)", "`[wip]`\n\n[wip]: https://a.b"]
UNUSED += ["\\[wip]\n\n[wip]: https://a.b", "[E]: https://a.b"]


@pytest.mark.parametrize("unused", UNUSED)
def test_a_definition_that_no_link_uses_is_refused_at_its_line(folder, copy, readme, unused):
    edit(copy, "The end.\n", f"The [end] of [it][E].\n\n[end]: b/\n[e]: <c/>\n{unused}\n")
    assert ": no link uses" in refused(copy, unused.split("\n")[-1])
    edit(copy, unused, "")
    assert run(folder, "fold", str(copy))[0] == 0
    assert "The [[file:b/][end]] of [[file:c/][it]]." in readme.read_text()


APART = {
    "- item one\n\n\n  its second paragraph": 2,
    "- a\n\n\n- b": 2,
    "<!-- draft\n\n\nsecret -->": 2,
    "> a\n\n\n> b": 0,
    "- a\n\n\nb": 0,
}


@pytest.mark.parametrize("text", APART)
def test_two_blank_lines_within_a_part_are_refused_at_their_line(folder, copy, readme, text):
    edit(copy, "The end.\n", f"{text}\n\nThe end.\n")
    if APART[text]:
        assert ": two blank lines" in refused(copy, text.split("\n")[0], APART[text])
    else:
        assert run(folder, "fold", str(copy))[0] == 0


CELLS = {"| 3 | ~bad~ |": "means something else", "| 3 | `x\\|y` |": "can hold a `|`"}


@pytest.mark.parametrize("row", CELLS)
@pytest.mark.parametrize("quoted", ["", "> "])
def test_what_a_cell_cannot_hold_is_refused_at_its_row(folder, copy, row, quoted):
    rows = ["| a | b |", "|---|---|", "| 1 | 2 |", row]
    edit(copy, "The end.\n", "".join(f"{quoted}{row}\n" for row in rows))
    assert CELLS[row] in refused(copy, quoted + row)


INFOS = ["js {1,3}", 'js title="a.js"', "python {1,3}", "toml x", 'python Tangle="x.py"']
INFOS += ['python exports="both" results="output" # note', 'python title="The loop"']


@pytest.mark.parametrize("info", INFOS)
def test_what_stands_behind_a_language_is_refused_at_its_line(folder, copy, readme, info):
    edit(copy, "The end.\n", f"```{info}\nx\n```\n\nThe end.\n")
    said = refused(copy, f"```{info}")
    assert ": `" in said and "has no place behind the language" in said


def test_a_dead_link_is_reported(copy, readme):
    edit(copy, "The end.", "The [end](#nowhere).")
    status, said = run(copy.parent, "fold", str(copy))
    line = readme.read_text().split("\n").index("The [[#nowhere][end]].") + 1
    assert f"README.org:{line}: the link to #nowhere is dead; correct it" in said
    assert status == 0 and "Now run `make`" in said


def test_a_second_fold_counts_only_what_was_edited_since(copy, readme):
    fold_ok(copy, "The end.", "The very end.")
    fold_ok(copy, "The very end.", "The very, very end.")
    edit(readme, "Text between.", "Text in between.")
    text = fold_ok(copy, "The very, very end.", "The last line.")
    assert text == sample("The end.", "The last line.", "Text between.", "Text in between.")


def test_new_results_in_the_readme_are_no_conflict(copy, readme):
    edit(readme, ": 42", ": 43")
    assert fold_ok(copy, "The end.", "End.") == sample(": 42", ": 43", "The end.", "End.")
    edit(copy, "print(6 * 7)", "print(1)")
    assert run(copy.parent, "fold", str(copy))[0] == 0
    assert "#+RESULTS:\n:" not in readme.read_text()


def test_the_same_edit_on_both_sides_is_made_once(copy, readme):
    edit(readme, "The end.", "The very end.")
    assert fold_ok(copy, "The end.", "The very end.") == sample("The end.", "The very end.")


def test_a_conflict_shows_both_sides_and_changes_nothing(folder, copy, readme):
    edit(copy, "The end.", "The /copy/.")
    edit(readme, "The end.", "The document.")
    before = files(folder)
    status, said = run(folder, "fold", str(copy))
    one = readme.read_text().split("\n").index("The document.") + 1
    two = copy.read_text().split("\n").index("The /copy/.") + 1
    assert status == 1
    assert f"README.org:{one} has\n    The document.\n" in said
    assert f"micrograd.md:{two} has\n    The /copy/.\n" in said
    assert f"micrograd.md:{two}: README.org:{one} was changed, too; make both alike" in said
    assert files(folder) == before


WRONG = {
    "The end[^1].": "footnote",
    "The <b>end</b>.": "HTML",
    "The $x$ end.": "LaTeX",
    "![](https://example.org/x.png)": "is not a file here",
    "\\*The end.\\*": "something else in Org",
    "***": "line across",
    "# Another": "a second title",
    "```python\n%matplotlib inline\n```": "for notebooks only",
    '```python exports="both" results="silent"\nx = 1\n```': "contradicts itself",
    '```python exports="both" results="table"\nx = 1\n```': "unknown",
    '```python exports="code" results="silent"\n\tx = 1\n```': "tab",
    "```C#\nx = 1;\n```": "needs a language",
    '```python exports="code" results="silent" tangle="../x.py"\nx = 1\n```': "outside",
    "```python\n2 + 3\n```": "print it",
    "```python\nlen.__doc__\n```": "print it",
}


@pytest.mark.parametrize("end", [".md", ".ipynb"])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_has_no_place_is_refused_at_its_line_and_nothing_is_changed(
    folder, copy, wrong, end
):
    edit(copy, "The end.\n", f"{wrong}\n\n{'' if end == '.md' else 'Z.'}\n")
    line = copy.read_text().split("\n").index(wrong.split("\n")[0]) + 1
    place = f"micrograd.md:{line + wrong.startswith('```')}: "
    if end == ".ipynb":
        book = jupytext.read(copy)
        copy = folder / "micrograd.ipynb"
        nbformat.write(book, copy)
        sources = [cell.source for cell in nbformat.read(copy, 4).cells]
        code = wrong.split("\n")[1] if "\n" in wrong else wrong
        number = next(i for i, source in enumerate(sources, 1) if code in source)
        row = sources[number - 1].split("\n").index(code) + 1
        place = f"micrograd.ipynb: cell {number}, line {row}: "
    before = files(folder)
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and said.startswith(place), said
    assert WRONG[wrong] in said and said.endswith("; nothing was changed\n")
    assert files(folder) == before


MAGIC = ["%%time", "%%timeit -n 3", "%%capture out", "%%bash", "%timeit f()", "x = !ls", "f?"]


@pytest.mark.parametrize("magic", MAGIC)
@pytest.mark.parametrize("lost", [False, True])
def test_a_cell_of_the_program_with_a_magic_is_refused_at_that_line(folder, copy, magic, lost):
    edit(copy, "def f(*xs):", f"{magic}\ndef f(*xs):")
    if lost and magic != "%%bash":  # then Jupytext reads a fence in Bash
        edit(copy, 'python exports="code" results="silent" tangle="small.py"', "python")
    line = copy.read_text().split("\n").index(magic) + 1
    before = files(folder)
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and said.startswith(f"micrograd.md:{line}: `{magic}` is for notebooks")
    assert files(folder) == before


def test_a_new_fence_in_another_language_is_code_that_does_not_run(copy):
    new = "```bash\nls\n```\n\nThe end.\n"
    block = "#+begin_src bash :eval no :exports code\nls\n#+end_src\n\nThe end.\n"
    assert fold_ok(copy, "The end.\n", new) == sample("The end.\n", block)


TABLE = """\
| name                         | value |
|------------------------------+-------|
| [[#second-part][The second part, a long name]] |     1 |
| [[https://example.org/a/long/address][one]]                          |    20 |
| three                        |   300 |
"""


@pytest.mark.parametrize("old, new", [("   20 |", "   21 |"), ("| three ", "| 3 & 4 ")])
def test_an_edited_cell_changes_its_row_of_a_table_only(folder, readme, old, new):
    edit(readme, "| a | b |\n|---+---|\n| 1 | 2 |\n", TABLE)
    text = readme.read_text()
    assert run(folder, "markdown")[0] == 0
    copy = folder / "micrograd.md"
    edit(copy, old.strip(" |"), new.strip(" |"))
    assert run(folder, "fold", str(copy))[0] == 0
    assert readme.read_text() == text.replace(old, new)


CONFLICT = "<<<<<<< HEAD\n{0}\n=======\n{0}!\n>>>>>>> branch\n"


@pytest.mark.parametrize("mark", ["", "<<<<<<<", "=======", ">>>>>>>", "||||||| base"])
@pytest.mark.parametrize("row", ["The end.", "    return g(", "| 1 | 2 |", ": 42"])
@pytest.mark.parametrize("name", ["README.org", "micrograd.md"])
def test_what_a_merge_left_is_refused_at_its_line(folder, copy, row, name, mark):
    path = folder / name
    if row not in path.read_text():
        return
    edit(path, f"{row}\n", f"{mark}\n{row}\n" if mark else CONFLICT.format(row))
    line = path.read_text().split("\n").index(mark or "<<<<<<< HEAD") + 1
    before = files(folder)
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and said.startswith(f"{name}:{line}: ") and "left from a merge" in said
    assert files(folder) == before


def test_what_a_merge_left_in_a_notebook_is_refused_at_its_line(folder):
    run(folder, "notebook")
    copy = folder / "micrograd.ipynb"
    good = copy.read_text()
    edit(copy, '    "The end.', '<<<<<<< a\n    "End.\\n",\n=======\n>>>>>>> b\n    "The end.')
    line = copy.read_text().split("\n").index("<<<<<<< a") + 1
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and said.startswith(f"micrograd.ipynb:{line}: `<<<<<<< a` is left from")
    copy.write_text(good)  # and as nbdime writes it, in a cell
    edit(copy, '"The end.', '"A\\n<<<<<<< local\\nThe end.')
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and said.startswith("micrograd.ipynb: cell ")
    assert "cell 10, line 2: `<<<<<<< local` is left from a merge" in said


@pytest.mark.parametrize("verb", ["markdown", "notebook"])
def test_a_byte_order_mark_is_no_edit_of_a_copy_and_refused_in_the_document(
    folder, readme, verb
):
    _, said = run(folder, verb)
    copy = folder / said.split()[1]
    edit(copy, "The end.", "End.")
    copy.write_bytes(b"\xef\xbb\xbf" + copy.read_bytes())
    status, said = run(folder, "fold", str(copy))
    assert status == 0 and readme.read_text() == sample("The end.", "End."), said
    readme.write_bytes(b"\xef\xbb\xbf" + readme.read_bytes())
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and said.startswith("README.org:1: ") and "byte order mark" in said


def without_arguments(folder, *changes):
    """A notebook of SAMPLE whose cells have lost their metadata, with changes in the code."""
    run(folder, "notebook")
    path = folder / "micrograd.ipynb"
    book = nbformat.read(path, 4)
    for cell in book.cells:
        cell.metadata = {}
        for old, new in zip(changes[::2], changes[1::2], strict=True):
            cell.source = cell.source.replace(old, new)
    nbformat.write(book, path)
    return path


def test_an_edited_cell_that_lost_its_arguments_keeps_those_of_the_one_it_replaces(
    folder, readme
):
    copy = without_arguments(folder, "return g(", "return h(", "6 * 7", "6 * 8")
    status, said = run(folder, "fold", str(copy))
    assert status == 0, said
    result = ": 42\n\n"
    assert readme.read_text() == sample("return g(", "return h(", "6 * 7", "6 * 8").replace(
        f"#+RESULTS:\n{result}", ""
    )


def test_a_cell_without_arguments_that_may_be_the_program_or_new_is_refused(folder):
    new = "for name in sorted(names):\n    print(name)"
    copy = without_arguments(folder, "def f(*xs):\n    return g(\n        *xs,\n    )", new)
    before = files(folder)
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and said.startswith("micrograd.ipynb: cell 4, line 1: "), said
    assert 'tangle="small.py"`, or `exports="both" results="output"`' in said
    assert files(folder) == before


def test_a_copy_of_an_unknown_document_is_refused(folder, copy):
    for path in (folder / ".literate").iterdir():
        path.unlink()
    before = files(folder)
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and "not known here; rename it, make a new copy" in said
    assert files(folder) == before
    status, said = run(folder, "markdown")  # which doesn't send its user back
    assert status == 1 and "rename it" in said
    copy.rename(folder / "renamed.md")
    assert run(folder, "markdown") == (0, "wrote micrograd.md\n")


def headless(text, how):
    """A copy in Markdown after an editor or a cleaner has been at its header."""
    header, body = re.findall(r"(---\n[\s\S]*?\n---\n)\n*([\s\S]*)", text)[0]
    if how == "more keys":
        return header.replace("---\n", "---\ntags: [a, b]\naliases:\n- c\n", 1) + "\n" + body
    if how == "mangled":  # to CommonMark it is a line across the page, and a heading
        return "_" * 70 + "\n\n## " + " ".join(header.strip("-\n").split()) + "\n\n" + body
    return body


@pytest.mark.parametrize("how", ["more keys", "mangled", "lost"])
def test_a_copy_with_another_header_is_known(folder, copy, readme, how):
    copy.write_text(headless(copy.read_text(), how))
    for old, new in (("The end.", "An end."), ("An end.", "The last end.")):
        edit(copy, old, new)
        status, said = run(folder, "fold", str(copy))
        assert status == 0, said
        assert ("does not say what it was made from" in said) == (how == "lost")
    assert readme.read_text() == sample("The end.", "The last end.")
    line = copy.read_text().split("\n").index("- two") + 1
    edit(copy, "- two", "- $x$")
    assert f"micrograd.md:{line}: `$x$` is LaTeX" in run(folder, "fold", str(copy))[1]


def test_a_notebook_whose_metadata_a_cleaner_removed_is_known(folder, readme):
    run(folder, "notebook")
    copy = folder / "micrograd.ipynb"
    book = json.loads(copy.read_text())
    book["metadata"] = {}
    copy.write_text(json.dumps(book))
    assert fold_ok(copy, "The end.", "An end.") == sample("The end.", "An end.")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("c++", "such as cpp"),
        ("python3", "code cell"),
        ("py", "code cell"),
        ("Python", "python"),
    ],
)
def test_a_language_of_another_name_is_refused_at_its_fence(folder, copy, name, message):
    edit(copy, "The end.\n", f"```{name}\nx = 1\n```\n")
    line = copy.read_text().split("\n").index(f"```{name}") + 1
    status, said = run(folder, "fold", str(copy))
    assert status == 1 and said.startswith(f"micrograd.md:{line}: ") and message in said


def cell(source, *outputs):
    made = {"source": source, "outputs": [*outputs], "metadata": {}, "execution_count": 1}
    return {"cell_type": "code", "id": "new", **made}


VALUE = {"output_type": "execute_result", "data": {"text/plain": "5"}, "execution_count": 1}
PLOT = {"output_type": "display_data", "data": {"image/png": "aGk="}}
PRINTED = {"output_type": "stream", "name": "stdout", "text": "5\n"}


@pytest.mark.parametrize(
    ("new", "wrong"),
    [
        (cell("f(2)", VALUE | {"metadata": {}}), "`f(2)` shows its value in Jupyter only"),
        (cell("x = 1\nplt.show()", PLOT | {"metadata": {}}), "line 2: `plt.show()` shows"),
        (cell("f(2)", PRINTED), ""),
        (cell("f(2)"), ""),
        (cell("x = f(2)", PLOT | {"metadata": {}}), ""),
    ],
    ids=["value", "plot", "printed", "not run", "no value of its own"],
)
def test_a_new_cell_whose_value_only_jupyter_shows_is_refused_by_its_outputs(
    folder, readme, new, wrong
):
    run(folder, "notebook")
    copy = folder / "micrograd.ipynb"
    book = json.loads(copy.read_text())
    book["cells"].insert(1, new)
    copy.write_text(json.dumps(book))
    status, said = run(folder, "fold", str(copy))
    assert (status, wrong in said) == (1 if wrong else 0, True), said
    assert (new["source"] in readme.read_text()) == (not wrong)


def test_code_in_another_language_never_becomes_python(folder, readme):
    run(folder, "notebook")
    copy = folder / "micrograd.ipynb"
    book = json.loads(copy.read_text())
    new = cell("x = 1;") | {"metadata": {"vscode": {"languageId": "csharp"}}}
    book["cells"].insert(1, new)
    copy.write_text(json.dumps(book))
    assert run(folder, "fold", str(copy))[0] == 0
    assert "#+begin_src csharp :eval no :exports code\nx = 1;\n" in readme.read_text()


@pytest.mark.parametrize("size", [8, 3_000])
def test_a_comparison_makes_new_from_old_and_keeps_what_difflib_keeps_of_short_input(size):
    rng = random.Random(size)
    for _ in range(60 if size < 9 else 6):
        old, new = ([rng.choice("ab") for _ in range(rng.randrange(size))] for _ in range(2))
        codes = opcodes(old, new)
        made = []
        for (tag, i, j, k, m), before in zip(codes, [(0,) * 5, *codes], strict=False):
            assert (i, k) == (before[2], before[4]), "no gaps"
            assert (old[i:j] == new[k:m]) == (tag == "equal")
            assert (i < j, k < m) == {"insert": (False, True), "delete": (True, False)}.get(
                tag, (True, True)
            )
            made += new[k:m]
        assert made == new and (not codes or codes[-1][2] == len(old))
        if size < 9:
            kept = sum(j - i for tag, i, j, _, _ in codes if tag == "equal")
            matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
            assert kept >= sum(block.size for block in matcher.get_matching_blocks())


def test_a_copy_that_repeats_itself_is_folded_in_time(folder):
    many = "".join(f"{'same' if i % 3 else 'other'}\n\n" for i in range(6_000))
    (folder / "README.org").write_text("Text.\n\n" + many + "The end.\n")
    run(folder, "markdown")
    copy = folder / "micrograd.md"
    copy.write_text(
        copy.read_text().replace("Text.", "A text.\n\nsame").replace("The end", "An end")
    )
    before = time.process_time()
    assert run(folder, "fold", str(copy))[0] == 0
    assert time.process_time() - before < 30  # difflib alone took minutes


def test_a_committed_document_is_known(folder, copy, readme):
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "README.org"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    for path in (folder / ".literate").iterdir():
        path.unlink()
    edit(readme, "Text between.", "Text.")
    assert fold_ok(copy, "The end.", "End.") == sample(
        "Text between.", "Text.", "The end.", "End."
    )


@pytest.mark.parametrize("data", [b"{", b"\xff", b"---\njupyter: [\n---\n", b"no header"])
@pytest.mark.parametrize("name", ["micrograd.md", "micrograd.ipynb"])
def test_a_broken_copy_is_refused(folder, name, data):
    (folder / name).write_bytes(data)
    status, said = run(folder, "fold", str(folder / name))
    assert status == 1 and said.startswith(f"{name}: ") and "Traceback" not in said
    assert run(folder, "fold", "none.md")[0] == 1


def places(value, at=()):
    """The place of each value in JSON, of the first two in each list."""
    yield at
    keys = (
        value
        if isinstance(value, dict)
        else range(min(len(value), 2) if isinstance(value, list) else 0)
    )
    for key_ in keys:
        yield from places(value[key_], (*at, key_))


@pytest.mark.parametrize(
    "wrong",
    [None, 5, [], {}, "\ud800", ["\ud800"], {"line": "x"}],
    ids=["null", "5", "list", "object", "surrogate", "surrogates", "line"],
)
def test_a_notebook_with_anything_else_in_any_place_is_read_or_refused(
    folder, readme, wrong, caplog
):
    caplog.set_level(logging.CRITICAL, "traitlets")  # a surrogate in a log ends xdist
    assert run(folder, "notebook")[0] == 0
    copy = folder / "micrograd.ipynb"
    good = copy.read_text()
    refused = set()
    for place in places(json.loads(good)):
        book = {"": json.loads(good)}
        at = book
        for key_ in ("", *place)[:-1]:
            at = at[key_]
        at[("", *place)[-1]] = wrong
        copy.write_text(json.dumps(book[""]))
        status, said = run(folder, "fold", str(copy))  # which is to raise nothing
        if status:
            assert readme.read_text() == SAMPLE
            assert said.startswith((f"{copy.name}: ", "README.org:")), said
            assert said.count("\n") == 1 and "; nothing was changed" in said, said
            refused.add(place)
        readme.write_text(SAMPLE)
    assert {(), ("cells",)} <= refused
    assert ("cells", 0, "source") in refused or wrong == []


def test_an_edited_copy_is_not_overwritten(folder, copy):
    edit(copy, "The end.", "The very end.")
    status, said = run(folder, "markdown")
    assert status == 1 and "make fold FROM=micrograd.md" in said
    assert "The very end." in copy.read_text()
    assert run(folder, "fold", str(copy))[0] == 0
    assert run(folder, "markdown")[0] == 0


def test_old_documents_are_forgotten(folder, readme):
    for number in range(notebook.KEPT + 5):
        readme.write_text(SAMPLE.replace("The end.", f"End {number}."))
        assert run(folder, "markdown")[0] == 0
    assert len(list((folder / ".literate").iterdir())) <= notebook.KEPT
    assert run(folder, "fold", str(folder / "micrograd.md"))[0] == 0


# What editors do to a copy by themselves.


def test_what_editors_do_by_themselves_is_no_edit(folder, copy, readme):
    text = copy.read_text()
    text = text.replace("- one\n- two", "* one\n\n* two").replace("|---+---|", "| :--- |")
    text = text.replace("**second**", "__second__").replace("## Second", "\n\n##  Second")
    text = text.replace("goes on for a\nsecond", "goes on for a second").replace("\n", "\r\n")
    copy.write_bytes(text.encode() + b"\r\n\r\n")
    assert run(folder, "fold", str(copy)) == (0, "README.org: nothing changed\n")
    assert readme.read_text() == SAMPLE


def test_what_jupyter_does_by_itself_is_no_edit(folder, readme):
    run(folder, "notebook")
    path = folder / "micrograd.ipynb"
    book = nbformat.read(path, 4)
    for number, cell in enumerate(book.cells):
        cell.id = f"other-{number}"
        cell.metadata |= {
            "trusted": True,
            "collapsed": False,
            "vscode": {"languageId": "python"},
        }
        if cell.cell_type == "code":
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", text="other\n")]
    book.metadata |= {"language_info": {"name": "python", "version": "3.12"}}
    book.metadata.kernelspec.name = "other"
    book.cells.append(nbformat.v4.new_code_cell(""))
    nbformat.write(book, path)
    assert run(folder, "fold", str(path)) == (0, "README.org: nothing changed\n")
    for cell in book.cells:  # an editor that keeps no metadata
        cell.metadata = {}
    nbformat.write(book, path)
    assert run(folder, "fold", str(path)) == (0, "README.org: nothing changed\n")


# A kill at any moment.


@pytest.mark.parametrize("verb", ["fold", "markdown", "notebook"])
def test_a_kill_at_any_moment_leaves_every_file_whole(folder, copy, readme, verb):
    name = "micrograd.ipynb" if verb == "notebook" else "micrograd.md"
    run(folder, "notebook")
    if verb == "fold":
        edit(copy, "The end.", "The very end.")
    else:
        edit(readme, "The end.", "The very end.")
    before = files(folder)
    command = [*TOOL, verb, *([str(copy)] if verb == "fold" else []), str(readme)]
    start = time.monotonic()
    assert subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
    whole = time.monotonic() - start
    after = files(folder)
    assert after != before
    chosen = random.Random(verb)
    for _ in range(4):
        for path in files(folder):
            if path not in before:
                path.unlink()
        for path, data in before.items():
            path.write_bytes(data)
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        time.sleep(chosen.uniform(0.5, 1.05) * whole)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for path, data in files(folder).items():
            if not path.name.endswith(".tmp"):
                assert data in (before.get(path), after.get(path)), path
        # Whatever was reached, doing it again ends in the same.
        assert subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
        assert readme.read_bytes() == after[readme]
        assert (folder / name).read_bytes() == after[folder / name]
