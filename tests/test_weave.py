"""README.org as a notebook and as Markdown, and back: nothing is lost on the way."""

import os
import re
import shutil
from pathlib import Path

import nbformat
import orgs
import pytest
from fresh import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from literate import fold, notebook
from literate.markdown import read_markdown, write_markdown
from literate.nodes import key
from literate.org import Block, DocumentError, figure_in, linked_files, parse, present_results
from literate.pieces import read_org, split, write_org
from literate.run import format_output
from literate.tangle import targets

README = ROOT / "README.org"
TEXT = README.read_text("utf-8")
MD, IPYNB = Path("copy.md"), Path("copy.ipynb")
MANY = settings(
    deadline=None,
    max_examples=40,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def markdown_of(text):
    return notebook.as_markdown(notebook.notebook(text, README))


def ipynb_of(text):
    return notebook.as_ipynb(notebook.notebook(text, README))


def folded(base, copy, path, text=None):
    book = notebook.read_notebook(path, copy.encode())
    return fold.fold(base, base if text is None else text, book, path, "README.org")[0]


def converted(text):
    """A document, through Markdown and back, by the converter alone: nothing is looked up."""
    pieces = notebook.pieces_of(notebook.read_notebook(MD, markdown_of(text).encode()), MD, [])
    return [write_org(piece.node) for piece in pieces]


def both_ways(text):
    """Fold unedited copies, by each route; all must give the document."""
    markdown, ipynb = markdown_of(text), ipynb_of(text)
    assert folded(text, markdown, MD) == text
    assert folded(text, ipynb, IPYNB) == text
    through = notebook.as_ipynb(notebook.read_notebook(MD, markdown.encode()))
    again = notebook.as_markdown(notebook.read_notebook(IPYNB, through.encode()))
    assert again == markdown
    assert notebook.as_markdown(notebook.read_notebook(IPYNB, ipynb.encode())) == markdown


def test_the_readme_comes_back_by_every_route():
    both_ways(TEXT)


def test_the_readme_comes_back_by_the_converter_alone():
    pieces = split(parse(TEXT))
    back = converted(TEXT)
    assert len(back) == len(pieces)
    for piece, org in zip(pieces, back, strict=True):
        if piece.node.kind == "table":  # Org aligns it, which its author need not
            assert re.sub("[ -]+", " ", org) == re.sub("[ -]+", " ", piece.org)
        else:
            assert org == piece.org


@MANY
@given(orgs.documents(gaps=("\n", "\n", "\n\n", " \n\n", "")))
def test_a_document_of_plain_words_comes_back_by_every_route(text):
    try:
        notebook.notebook(text, README)
    except DocumentError:
        assert "|" in text  # an uneven table, or one with a rule below another row
    else:
        both_ways(text)


@MANY
@given(orgs.documents(words=orgs.NOISE, size=3))
def test_a_document_of_signs_comes_back_or_is_refused_at_its_line(text):
    try:
        notebook.notebook(text, README)
    except DocumentError as error:
        assert 1 <= error.line <= text.count("\n")
    else:
        both_ways(text)


SIGNS = st.text(orgs.SIGNS + "xy \n", max_size=25)
AROUND = st.sampled_from(["{}", "- {}", "> {}", "| a |\n|---|\n| {} |", "## {}", "*{}*"])


@settings(MANY, max_examples=400)
@given(st.builds(str.format, AROUND, SIGNS))
def test_any_markdown_becomes_org_that_means_the_same_or_is_refused(markdown):
    try:
        nodes = read_markdown(markdown, {})
        orgs_ = [write_org(node) for node in nodes]
    except DocumentError as error:
        assert error.line <= markdown.count("\n") + 1
        return
    for node, org in zip(nodes, orgs_, strict=True):
        if node.kind == "fence":
            continue
        (back,) = read_org(org)
        (again,) = read_markdown(write_markdown(back), {})
        assert key(back) == key(node) == key(again)


@pytest.mark.parametrize(
    "org",
    [
        "a * b, 2*3, _x_y, c_d_e, ~a ~b and \\ with ` in it",
        "<b> and </b>, a < b, &amp; and & and AT&T",
        "a[0](x), [a]: b, ![x] and [ ]",
        "a line of\n#hash or\n=====, or\n=====\n> b",
        "~a `b` c~, =~x~=, ~`~ and =``=",
        "~over two\nlines~",
        "costs $5",
        "[[https://example.org/a_(b)?c&amp;d][it]], [[https://example.org/_a_]]",
        "[[file:a b.py][a b]] and [[file:LICENSE]] and [[file:LICENSE][LICENSE]]",
        "*bold* /italic/ +gone+ (/in/), “/x/”",
    ],
)
def test_signs_that_mean_something_in_markdown_are_protected(org):
    text = f"{orgs.HEAD}\n{org}\n"
    both_ways(text)
    assert converted(text)[-1] == org + "\n"


@pytest.mark.parametrize("head", ["", "- ", "1. ", "  - a\n    ", "Text\n"])
@pytest.mark.parametrize("code", ["~a `b` c~", "~`x~", "=a ``b=", "~a ``` b `c~ and ~`~"])
def test_code_that_needs_three_backticks_comes_back_above_code_that_runs(head, code):
    block = "#+begin_src python :results silent :exports code\nx = 1\n#+end_src\n"
    both_ways(f"{orgs.HEAD}\n{head}{code}\n\n{block}\n{code}\n\n{block}")


WRITTEN = {
    "* one\n* two\n  more": "- one\n- two\n  more\n",
    "+ one\n\n+ two": "+ one\n\n+ two\n",
    "3) a\n1) b": "3) a\n4) b\n",
    "- a\n\n  b\n  - c": "- a\n\n  b\n  - c\n",
    "__bold__ and _italic_ and ~~gone~~": "*bold* and /italic/ and +gone+\n",
    "Part\n----": "* Part\n",
    "## Part ##": "* Part\n",
    "[a][1], `` a`b ``\n\n[1]: https://example.org": "[[https://example.org][a]], =a`b=\n",
    "<https://example.org>": "[[https://example.org]]\n",
    "![](images/one.svg)": "[[file:images/one.svg]]\n",
    "`~/.bashrc`, `=`, `a~ b`": "=~/.bashrc=, ~=~, =a~ b=\n",
    "$5 and $6, a << b >> c\n:) [[1, 2], [3]]": "$5 and $6, a << b >> c\n:) [[1, 2], [3]]\n",
    "[tests](tests/)": "[[file:tests/][tests]]\n",
    "a|b\n-|-\nx | 10": "| a |  b |\n|---+----|\n| x | 10 |\n",
    "> a\n> b": "#+begin_quote\na\nb\n#+end_quote\n",
    "> a\nb\n>\n> - c": "#+begin_quote\na\nb\n\n- c\n#+end_quote\n",
    "```\n* x\n```": "#+begin_example\n,* x\n#+end_example\n",
    "    x": "#+begin_example\nx\n#+end_example\n",
    "``` toml\nx = 1\n```": "#+begin_src toml :eval no :exports code\nx = 1\n#+end_src\n",
    "<details>\n<summary>A</summary>": "#+HTML: <details>\n#+HTML: <summary>A</summary>\n",
    "<!-- later -->": "# later\n",
    "<!--\na\n# b\n-->": "# a\n# b\n",
    "&lt;b&gt; &eacute; \\_": "<b> é _\n",
    " ".join(["word"] * 25): " ".join(["word"] * 20) + "\n" + " ".join(["word"] * 5) + "\n",
    "x " * 50 + "- y z": ("x " * 49).strip() + "\nx - y z\n",
}


@pytest.mark.parametrize("markdown", WRITTEN)
def test_markdown_as_people_write_it_becomes_org_as_people_write_it(markdown):
    nodes = read_markdown(markdown, {})
    assert "".join(write_org(node) for node in nodes) == WRITTEN[markdown]


REFUSED = {
    "a\n<b>b</b>": (2, "HTML in a sentence"),
    "a[^1]": (1, "footnote"),
    "a  \nb": (1, "line break"),
    "a\n\n***": (3, "line across"),
    "![x](https://example.org/x.png)": (1, "is not a file here"),
    "![A curve](images/one.svg)": (1, "has no place in Org"),
    '[a](b "title")': (1, "title"),
    "[a](/etc/passwd)": (1, "no link"),
    "[a](javascript:x)": (1, "no link"),
    "a\n$x^2$": (2, "LaTeX"),
    "a\nwh*o*le": (2, "means something else in Org"),
    "a\n\\*b\\*": (2, "means something else in Org"),
    "***a***": (1, "marks within marks"),
    "[`a`](b)": (1, r"`\[` touches it"),
    "a `'b'`": (1, "a comma or quote is first"),
    "a-`b`": (1, "`-` touches it"),
    "a\n**b `c`**": (2, "marks within marks"),
    "**" + "word " * 50 + "b**": (1, "more than a line apart"),
    "- [ ] todo": (1, "checkbox"),
    "- a\n\n  ```\n  b\n  ```": (3, "end that first"),
    "| a |\n|:-:|\n| b |": (1, "aligned"),
    "```python\n1\n```": (1, "code cell"),
    "a\n\n\\* x": (3, "something else in Org"),
}


@pytest.mark.parametrize("markdown", REFUSED)
def test_markdown_that_org_has_no_place_for_is_refused_at_its_line(markdown):
    line, why = REFUSED[markdown]
    with pytest.raises(DocumentError, match=why) as error:
        for node in read_markdown(markdown, {}):
            write_org(node)
    assert error.value.line == line


NO_MARKDOWN = {
    "_under_": "underlined",
    "****** Six": "five stars",
    "| a |\n| b |\n|---|\n| c |": "only line",
    "- a\n\n\n- b": "would not come back",
    "* a\n\n#+HTML: text": "would not come back",
}


@pytest.mark.parametrize("org", NO_MARKDOWN)
def test_org_that_markdown_has_no_place_for_is_refused_at_its_line(org):
    with pytest.raises(DocumentError, match=NO_MARKDOWN[org]) as error:
        notebook.notebook(f"{orgs.HEAD}\n{org}\n", README)
    assert 4 <= error.value.line <= 7


def test_header_arguments_and_results_are_in_the_notebook():
    blocks = [e for e in parse(TEXT) if isinstance(e, Block) and e.runs]
    results = present_results(parse(TEXT))
    book = nbformat.reads(ipynb_of(TEXT), as_version=4)
    nbformat.validate(book)
    cells = [c for c in book.cells if c.cell_type == "code" and "figures" not in c.metadata]
    for block, cell in zip(blocks, cells, strict=True):
        assert cell.source + "\n" == block.code
        assert {name: cell.metadata[name] for name in block.args} == block.args
        assert len(cell.outputs) == (block.line in results)
        if block.results == "output":
            output = cell.outputs[0]["text"].encode()
            assert format_output(block, output) == results[block.line]
        elif block.results == "file":
            figure = README.parent / figure_in(results[block.line])
            assert cell.outputs[0].data["image/svg+xml"] == figure.read_text("utf-8")


def test_nothing_in_a_copy_depends_on_the_machine():
    for copy in (markdown_of(TEXT), ipynb_of(TEXT)):
        assert str(README.parent) not in copy
        assert not re.search(r"jupytext_version|execution_count\": \d|language_info", copy)


def test_solutions_are_folded_and_headings_can_be_linked_to():
    book = notebook.notebook(TEXT, README)
    inside = False
    for cell in book.cells:
        inside = inside or "<details" in cell.source
        hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        if inside and "details>" not in cell.source:
            assert hidden
        inside = inside and "</details>" not in cell.source
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links and links <= set(re.findall(r'<a id="([^"]+)"></a>', text))


def test_other_languages_are_shown_and_never_run():
    shell = "#+begin_src sh :eval no :exports code\nmake\n#+end_src\n"
    book = notebook.notebook(f"{orgs.HEAD}\n{shell}", README)
    assert [cell.cell_type for cell in book.cells] == ["markdown"]
    assert "~~~sh\nmake\n~~~" in markdown_of(f"{orgs.HEAD}\n{shell}")


def execute(folder):
    """The notebook, run from top to bottom by a kernel, where its links lead somewhere."""
    from nbclient import NotebookClient

    (folder / "images").mkdir()
    elements = parse(TEXT)
    for name in linked_files(elements) | set(targets(elements, README)):
        if (README.parent / name).is_file() and not name.startswith("images/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(README.parent / name, folder / name)
    shutil.copy(README, folder)
    book = nbformat.reads(ipynb_of(TEXT), as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    near = README.parent / ".venv" / "bin"
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{near}{os.pathsep}{path}"
    try:
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(book, timeout=600, resources=resources).execute()
    finally:
        os.environ["PATH"] = path
    return book


@pytest.mark.dear
def test_a_kernel_gives_the_outputs_that_the_document_has_and_what_it_adds_is_no_edit(
    tmp_path,
):
    executed = execute(tmp_path)
    cells = notebook.notebook(TEXT, README).cells
    for made, cell in zip(executed.cells, cells, strict=True):
        if cell.cell_type == "code" and "figures" not in cell.metadata:
            assert shown(made, cell) == shown(cell, cell), cell.source
    assert folded(TEXT, nbformat.writes(executed), IPYNB) == TEXT


def shown(cell, expected):
    """What a cell printed, without the blanks that the document leaves out, and its figures."""
    printed = "".join(o["text"] for o in cell.outputs if o.output_type == "stream")
    figures = [o.data["image/svg+xml"] for o in cell.outputs if o.output_type != "stream"]
    silent = expected.metadata["results"] == "file"  # prints are not shown in the document
    return "" if silent else printed.rstrip(" \n"), figures
