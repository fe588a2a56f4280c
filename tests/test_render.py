"""README.org as GitHub renders it, by the Ruby gem org-ruby: nothing is lost, nothing leaks."""

import html.parser
import os
import re
import subprocess
from pathlib import Path

import pytest

from literate.org import SENTENCES, Block, DocumentError, anchors, parse, without_code

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.org"


def has_org_ruby():
    try:
        return subprocess.run(["ruby", "-e", "require 'org-ruby'"], stderr=-3).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not has_org_ruby() and not os.environ.get("CI"),
    reason="org-ruby (ruby-org) is not installed",
)


class Page(html.parser.HTMLParser):
    """What a reader sees of a page: `prose` with … for code, `blocks` of code, and so on."""

    def __init__(self, text):
        super().__init__()
        self.inside = []
        self.prose = ""
        self.blocks = []
        self.headings = []
        self.images = []
        self.links = []
        self.tables = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "img":
            self.images.append(values["src"])
            return
        self.inside.append(tag)
        self.tables += tag == "table"
        if tag == "pre":
            self.blocks.append("")
        if re.match(r"h[1-6]$", tag):
            self.headings.append("")
        if "href" in values:
            self.links.append(values["href"])

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass
        if tag in ("p", "li", "td", "th", "summary", "h1", "h2", "h3", "h4", "h5", "h6"):
            self.prose += "\n"

    def handle_data(self, data):
        if any(tag.startswith("h") and tag[1:].isdigit() for tag in self.inside):
            self.headings[-1] += data
        if "pre" in self.inside:
            self.blocks[-1] += data
        else:
            self.prose += "…" if "code" in self.inside else data


def render(text):
    command = ["ruby", str(HERE / "render.rb")]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return Page(done.stdout)


@pytest.fixture(scope="module")
def page():
    return render(README.read_text("utf-8"))


LEAKS = [
    r"^\s*#",  # keywords and comments
    r"^\s*:\w*:?",  # drawers and results
    r"(?<![\w=~])[=~](?=\S)[^=~\n]{1,60}(?<=\S)[=~](?![\w=~])",  # code
    r"(?<![\w*/])([*/])(?=[^\s*/])(?:[^*/\n]|\n(?!\n)){1,400}(?<=[^\s*/])\1(?![\w*/])",
    r"^\s*/\S",  # a caption whose emphasis is too long
    r"\[\[|\]\]",
    r"^\s*\|",  # tables
    r"\[fn:|\[cite|\{\{\{|<<|@@|\\[\w(\[]|src_|call_",
]


@pytest.mark.parametrize("pattern", LEAKS)
def test_no_markup_is_visible(page, pattern):
    assert [found[0] for found in re.finditer(pattern, page.prose, re.MULTILINE)] == []


@pytest.mark.parametrize(
    "text",
    [
        "#",
        ":",
        "*a, b,*",
        "/a 2/3\nb\nc/",
        r"\(x\)",
        "[[a]",
        "{{{a}}}",
        "a @@b",
        "src_python{1}",
    ],
)
def test_visible_markup_would_be_found(text):
    prose = render(f"{text}\n").prose
    assert any(re.search(pattern, prose, re.MULTILINE) for pattern in LEAKS)


@pytest.mark.parametrize(
    "text, hidden",
    [
        *[(f"* {word} a", word) for word in ("TODO", "DONE", "COMMENT")],
        ("* a :tag:", "tag"),
        *[(f"* a\n{word}: <2026-01-02 Fri>", word) for word in ("SCHEDULED", "CLOSED")],
    ],
)
def test_what_would_vanish_is_refused(text, hidden):
    page = render(f"{text}\n\nText.\n")
    assert hidden not in " ".join([page.prose, *page.headings])
    with pytest.raises(DocumentError, match="GitHub hides"):
        parse(f"{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "Use --force.",
        "Use (--force).",
        "a ---b",
        r"hyphen\-ated",
        r"section \S 3",
        "See file:images/one.svg there.",
        "- [@5] five",
        "1. [@5] five",
        "- std :: vector",
        "a\nCLOCK: [2024-01-01 Mon 10:00]",
        "%%(diary-date 1)",
        "$$\nx\n$$",
        "$a\nb$ c",
        "| op | name |\n|----+------|\n| /  | divide |",
        "| *  | times |\n| ^  | power |",
        "| # | name |",
        "| a   | b    |\n| <l> | <10> |",
    ],
)
def test_what_emacs_hides_or_reads_otherwise_is_refused(text):
    with pytest.raises(DocumentError, match="between tildes|; use |; write "):
        parse(f"{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "From 1 -- or 2 -- to 3 - 4.",
        "| ~/~ | divide |\n| ~<l>~ | ~*~ times |",
        "| / or * | 2 |\n| a | / |",
        "* A heading :: of two parts",
        "- a::b",
        "a < 10 > 3, 5 --> 6, C++ and i-- here",
        "See https://example.org/--a and word--word.",
        "It costs $5\nand $6.",
        "[[file:images/one.svg]] a file: see",
    ],
)
def test_what_only_looks_like_it_is_accepted(text):
    parse(f"{text}\n")


RAW = {
    '~"relu"~': "comma or quote",
    "='a'=": "comma or quote",
    "/a, b,/": "comma or quote",
    "~~/.bashrc~": "write =…=",
    "==a=": "write ~…~",
    "**a**": "write it once",
    "a-~b~": "`-` touches it",
    "~b~[1]": "`[` touches it",
    "[[https://a.b][~a~]]": "`[` touches it",
    "[[https://a.b][see ~a~]]": "`]` touches it",
    "| a |/b/|": "`|` touches it",
    "a *b\nc\nd* e": "more than a line apart",
    "a ~b\nc\nd~ e": "more than a line apart",
    "/see ~a~ it/": "marks within marks",
    "*see /a/ it*": "marks within marks",
}
SHOWN = """\
(~a~), "*b*", '~c~', {/d/}: ~e~\\ *f*! +g+? ~h~; ~a~~, =~/.bashrc=, [[https://a.b][see ~a~ it]],
*see [[https://a.b][a]], or
not* | /two\nlines/ *-a-* ~see *a* it~

| ~a, b~ | /c/ |
"""


@pytest.mark.parametrize("text", RAW)
def test_marks_that_github_shows_are_refused(text):
    page = render(f"{text}\n")
    assert re.search("[~=*/+]", page.prose)
    with pytest.raises(DocumentError, match=re.escape(RAW[text])):
        parse(f"{text}\n")


def test_marks_that_github_does_not_show_are_accepted():
    parse(SHOWN)
    assert not re.search("[~=*/+_]", render(SHOWN).prose)


@pytest.mark.parametrize(
    "text", ["$5 and $6", "$HOME and $PATH", "a << b >> c", "[[1, 2], [3, 4]]", "a\n:) b\n:c d"]
)
def test_plain_signs_are_shown_as_they_are(text):
    parse(f"{text}\n")
    assert " ".join(render(f"{text}\n").prose.split()) == " ".join(text.split())


def shown(block):
    return getattr(block, "args", {}).get("exports") != "results"


def test_all_code_and_every_result_is_shown_in_order(elements, page):
    expected = []
    for element in elements:
        lines = element.text.split("\n")[1:-1]
        if isinstance(element, Block) and shown(element):
            expected.append(element.code)
        elif element.kind == "example" or (element.kind == "result" and lines[0][0] == "#"):
            body = lines[:-1] if element.kind == "example" else lines[1:-1]
            expected.append("\n".join(re.sub(r"^(\s*),(?=[*#])", r"\1", x) for x in body))
        elif element.kind == "result" and lines[0].startswith(": "):
            expected.append("\n".join(line[2:] for line in lines))
    assert [block.strip("\n") for block in page.blocks] == [
        block.strip("\n") for block in expected
    ]


def figures(elements):
    """The path of each figure in the document, in order."""
    found = []
    for element in elements:
        if element.kind in (*SENTENCES, "result"):
            plain = without_code(element.text)
            found += re.findall(r"\[\[file:([^][]+\.(?:svg|png))\]\]", plain)
    return found


def test_every_image_is_shown_and_exists(elements, page):
    assert page.images == figures(elements)
    assert all((README.parent / name).is_file() for name in figures(elements))


def test_every_heading_and_table_is_shown(elements, page):
    headings = [e for e in elements if e.kind == "heading" or e.text.startswith("#+title:")]
    assert len(page.headings) == len(headings)
    assert page.tables == sum(element.kind == "table" for element in elements)


def test_every_link_leads_somewhere(elements, page):
    slugs = []
    ours = []
    for heading in page.headings:
        text = (c for c in heading.strip().lower() if c in "-_ " or c.isalnum())
        slugs.append("".join(text).replace(" ", "-"))
        repeated = slugs.count(slugs[-1]) - 1
        ours.append(slugs[-1] + (f"-{repeated}" if repeated else ""))
    assert ours == list(anchors(elements).values())
    inside = [link for link in page.links if not re.match(r"[a-z]+:", link)]
    dead = [x for x in inside if x[0] == "#" and x[1:] not in ours]
    dead += [x for x in inside if x[0] != "#" and not (README.parent / x).exists()]
    assert dead == []


def test_the_readme_is_not_cut():
    assert len(README.read_bytes()) < 500_000
