"""The tool on small documents: what it makes, and what it refuses, changing nothing."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fresh import ROOT, TOOL

from literate.__main__ import VERBS, command_of, parse_arguments
from literate.org import parse

HEAD = "#+title: Small\n#+property: header-args:python :session small\n\n"
PRINT = "#+begin_src python :results output :exports both\nprint(6 * 7)\n#+end_src\n"
SAMPLE = f"""{HEAD}A [[#second-part][link]], ~a[ ]~ and =$x$=.

#+begin_src python :tangle small.py :exports code :results silent
\"\"\"A module.\"\"\"

import math
#+end_src

#+begin_src python :tangle small.py :exports code :results silent

def square(x):
    return math.prod([
        ,*[x, x],
    ])

#+end_src

{PRINT}
* Second part
:PROPERTIES:
:CUSTOM_ID: second-part
:END:

#+HTML: <details><summary>More</summary>

#+begin_src python :results output :exports results
import small

print("\\n  two", small.square(2), end="\\n\\n* three\\n#+four | é")
#+end_src

#+begin_src python :results output :exports both
for i in range(5):
    print("* star\\n  #+plus", i, end="\\n")
#+end_src

#+begin_src python :results file :exports both
print("not shown")
with open("images/one.svg", "w") as file:
    file.write("<svg/>")

"images/one.svg"
#+end_src

#+HTML: </details>

#+begin_quote
A remark.
#+end_quote

#+begin_src sh :eval no :exports code
make
#+end_src

| a | b |
|---+---|
| 1 | 2 |

# Local Variables:
# fill-column: 100
# End:
"""
SMALL = '''"""A module."""

import math


def square(x):
    return math.prod([
        *[x, x],
    ])
'''
RESULTS = [
    ": 42\n",
    ": \n:   two 4\n: \n: * three\n: #+four | é\n",
    "#+begin_example\n"
    + "".join(f",* star\n  ,#+plus {i}\n" for i in range(5))
    + "#+end_example\n",
    "[[file:images/one.svg]]\n",
]


def literate_py(folder, *arguments, **options):
    """Run the tool on folder/README.org; gives its finished process, with output as text."""
    verb, *flags = arguments
    command = [*TOOL, verb, *flags, str(folder / "README.org")]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, **options
    )


def files(folder):
    """The bytes of every file below a folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def document(tmp_path):
    (tmp_path / "README.org").write_text(SAMPLE, "utf-8")
    return tmp_path / "README.org"


def edit(document, old, new):
    text = document.read_text("utf-8")
    assert old in text
    document.write_text(text.replace(old, new, 1), "utf-8")


def line_of(document, part):
    text = document.read_text("utf-8")
    return text[: text.index(part)].count("\n") + 1


def test_elements_add_up_to_the_text():
    elements = parse(SAMPLE)
    assert "".join(element.text for element in elements) == SAMPLE
    lines = SAMPLE.split("\n")
    assert all(e.text.split("\n")[0] == lines[e.line - 1] for e in elements)


def test_tangling_joins_the_blocks_of_a_file_by_two_blank_lines(document):
    assert literate_py(document.parent, "tangle").stdout == "wrote small.py\n"
    assert document.with_name("small.py").read_text() == SMALL
    assert "nothing changed" in literate_py(document.parent, "tangle").stdout


def test_running_writes_results_figures_and_program(document):
    done = literate_py(document.parent, "run")
    assert (done.returncode, done.stderr) == (0, "")
    *new, figure, program, itself = done.stdout.splitlines()
    assert (figure, program, itself) == (
        "wrote images/one.svg",
        "wrote small.py",
        "wrote README.org",
    )
    text = document.read_text("utf-8")
    blocks = [i for i, line in enumerate(text.split("\n"), 1) if line.startswith("#+begin_src")]
    results = [i for i, line in enumerate(text.split("\n"), 1) if line == "#+RESULTS:"]
    owners = [max(block for block in blocks if block < result) for result in results]
    assert new == [f"README.org:{line}: new result" for line in owners]
    assert text.split("\n\n#+RESULTS:\n")[0].endswith("print(6 * 7)\n#+end_src")
    assert [p.split("\n\n")[0] + "\n" for p in text.split("#+RESULTS:\n")[1:]] == RESULTS
    assert document.with_name("small.py").read_text() == SMALL
    assert document.with_name("images").joinpath("one.svg").read_text() == "<svg/>"
    assert set(files(document.parent)) == {
        "README.org",
        "small.py",
        "images/one.svg",
        ".literate.stamp",
        ".literate/tangled/small.py",
    }


def test_running_twice_gives_the_same_bytes(document):
    literate_py(document.parent, "run")
    before = files(document.parent)
    assert (
        literate_py(document.parent, "run", "--force").stdout == "README.org: nothing changed\n"
    )
    assert files(document.parent) == before


def test_a_second_run_is_skipped_until_something_it_depends_on_changes(document):
    edit(document, "print(6 * 7)", 'import sys; print("ran", file=sys.stderr); print(6 * 7)')
    assert literate_py(document.parent, "run").stderr == "ran\n"
    assert literate_py(document.parent, "run").stderr == ""
    document.with_name("images").joinpath("one.svg").write_text("<svg>edited</svg>")
    again = literate_py(document.parent, "run")
    assert (again.stdout, again.stderr) == ("wrote images/one.svg\n", "ran\n")
    document.with_name("small.py").unlink()
    assert literate_py(document.parent, "run").stdout == "wrote small.py\n"
    edit(document, "A remark.", "Another remark.")
    assert literate_py(document.parent, "run").stderr == "ran\n"
    assert literate_py(document.parent, "run", "--force").stderr == "ran\n"


def test_a_check_after_a_run_finds_nothing(document):
    literate_py(document.parent, "run")
    before = files(document.parent)
    done = literate_py(document.parent, "check")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert files(document.parent) == before


@pytest.mark.parametrize(
    "name, old, new, place, shown",
    [
        ("README.org", ": 42", ": 41", "print(6", "-: 41\n+: 42"),
        ("README.org", "\n#+RESULTS:\n: 42\n", "", "print(6", "the result is missing"),
        ("images/one.svg", "<svg/>", "<svg></svg>", 'print("not', "-<svg></svg>\n+<svg/>"),
        ("small.py", "*[x, x]", "*[x, 2]", "    ])", "-        *[x, 2],"),
        ("README.org", "[#second", "[#third", "[[#third", "the link to #third"),
        ("README.org", "A remark", "[[file:images/no.svg]]", "#+end_quote", "images/no.svg"),
        ("README.org", "* Second part", "* Part two", ":END:", "write part-two"),
    ],
)
def test_a_check_names_the_line_of_what_differs(document, name, old, new, place, shown):
    literate_py(document.parent, "run")
    edit(document.parent / name, old, new)
    before = files(document.parent)
    done = literate_py(document.parent, "check")
    assert done.returncode == 1
    assert done.stdout.startswith(f"README.org:{line_of(document, place) - 1}: ") or (
        place.startswith("[[")
        and done.stdout.startswith(f"README.org:{line_of(document, place)}: ")
    )
    assert shown in done.stdout
    assert files(document.parent) == before


def test_a_check_finds_a_live_figure_that_cannot_be_made(document):
    edit(document, "* Second part", "# live: game\n# a: (-1, 1) = 0.5\n\n* Second part")
    literate_py(document.parent, "run")
    done = literate_py(document.parent, "check")
    line = line_of(document, "# live: game")
    assert done.returncode == 1
    assert re.match(rf"README.org:({line}|{line + 1}): a live figure: ", done.stdout), (
        done.stdout
    )


def test_a_check_finds_a_figure_that_no_block_draws(document):
    literate_py(document.parent, "run")
    document.with_name("images").joinpath("old.svg").write_text("<svg/>")
    done = literate_py(document.parent, "check")
    assert (done.returncode, done.stdout.split(":")[0]) == (1, "images/old.svg")


def test_a_figure_that_the_text_links_to_may_stay(document):
    edit(document, "A [[#second-part]", "[[file:images/photo.png]]\n\nA [[#second-part]")
    document.with_name("images").mkdir()
    document.with_name("images").joinpath("photo.png").write_bytes(b"photo")
    literate_py(document.parent, "run")
    done = literate_py(document.parent, "check")
    assert done.returncode == 0, done.stdout
    edit(document, "[[file:images/photo.png]]\n\n", "")
    done = literate_py(document.parent, "check")
    assert done.returncode == 1 and done.stdout.startswith("images/photo.png: no block")


def test_a_file_beside_the_document_is_read_once_the_text_links_to_it(document):
    edit(document, "print(6 * 7)", "print(open('data/a.csv').read())")
    document.with_name("data").mkdir()
    document.with_name("data").joinpath("a.csv").write_text("1, 2")
    done = literate_py(document.parent, "run")
    assert done.returncode == 1 and "link to it first, [[file:data/a.csv]]" in done.stderr
    edit(document, "A [[#second-part]", "The [[file:data/a.csv]] and a [[#second-part]")
    assert literate_py(document.parent, "run").returncode == 0
    assert ": 1, 2\n" in document.read_text()
    edit(document, "data/a.csv').read", "data/b.csv').read")
    done = literate_py(document.parent, "run")
    assert done.returncode == 1 and "link to it first" not in done.stderr


INCOMPLETE = {
    "python|print(1)": "python :results output :exports both",
    "python|def f():\n    return 1": "python :results silent :exports code",
    "python|import math\n\nx = 1": "python :results silent :exports code",
    "python|draw('images/a.svg')": "python :results file :exports both",
    "python :tangle a.py|print(1)": "python :tangle a.py :results silent :exports code",
    "python :results silent|f(1)": "python :results silent :exports code",
    "python :exports both|print(1)": "python :exports both :results output",
    "bash|ls": "bash :eval no :exports code",
    "toml :tangle a.toml|a = 1": "toml :tangle a.toml :eval no :exports code",
}


@pytest.mark.parametrize("given", INCOMPLETE)
def test_an_incomplete_header_gets_the_line_to_write_which_is_then_accepted(tmp_path, given):
    header, code = given.split("|")
    document = tmp_path / "README.org"
    document.write_text(f"{HEAD}#+begin_src {header}\n{code}\n#+end_src\n")
    done = literate_py(tmp_path, "tangle")
    line = f"#+begin_src {INCOMPLETE[given]}"
    assert done.returncode == 1 and f"write `{line}`; nothing was changed" in done.stderr
    edit(document, f"#+begin_src {header}\n", f"{line}\n")
    assert literate_py(tmp_path, "tangle").returncode == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("#+TITLE: A", "in lower case only"),
        ("#+BEGIN_SRC python\n1\n#+END_SRC", "in lower case only"),
        ("#+Begin_Example\n1\n#+end_example", "in lower case only"),
        ("#+begin_src python3\n1\n#+end_src", "write python"),
        ("#+begin_src Python\n1\n#+end_src", "write python"),
        ("#+begin_src c++\n1\n#+end_src", "such as cpp"),
    ],
)
def test_what_people_write_most_is_refused_with_what_to_write(tmp_path, wrong, message):
    (tmp_path / "README.org").write_text(f"{HEAD}Text.\n\n{wrong}\n")
    done = literate_py(tmp_path, "tangle")
    assert done.returncode == 1 and done.stderr.startswith("README.org:6: ")
    assert message in done.stderr


def test_blocks_run_in_one_main_module_that_pickle_finds(document):
    edit(
        document,
        "print(6 * 7)",
        "import pickle, sys\nclass A:\n    pass\n"
        "print(type(pickle.loads(pickle.dumps(A()))) is A, __name__, sys.stdin.read() == '')",
    )
    assert literate_py(document.parent, "run").returncode == 0
    assert ": True __main__ True\n" in document.read_text("utf-8")


def test_what_a_block_starts_prints_into_its_result_and_finds_tools_beside_python(document):
    edit(
        document,
        "print(6 * 7)",
        "import os, subprocess, sys\nprint('a')\n"
        "subprocess.run([sys.executable, '-c', 'print(1)'])\n"
        "print(os.environ['PATH'].split(os.pathsep)[0] == os.path.dirname(sys.executable))",
    )
    assert literate_py(document.parent, "run").returncode == 0
    assert ": a\n: 1\n: True\n" in document.read_text("utf-8")


@pytest.mark.parametrize(
    "code, line, trace",
    [
        ("x = 1\n1 / 0", 1, "    1 / 0\n"),
        ("def f():\n    raise ValueError('no')\n\nf()", 1, "    raise ValueError('no')\n"),
        ("import json\ndef f():\n    json.loads('{')\n\nf()", 2, "    json.loads('{')\n"),
        ("x = 1\neval('1 +')", 1, "    eval('1 +')\n"),
        ("x = 1\ny = = 2", 1, "    y = = 2\n"),
        ("raise SystemExit(0)", 0, "SystemExit"),
        ("import os\nos.chdir('/')\nprint(undefined)", 2, "    print(undefined)\n"),
    ],
)
def test_a_failing_block_shows_the_documents_own_lines(document, code, line, trace):
    edit(document, "print(6 * 7)", code)
    before = files(document.parent)
    first = line_of(document, code)
    done = literate_py(document.parent, "run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"README.org:{first + line}: ")
    assert done.stderr.endswith("; nothing was changed\n")
    assert f'File "README.org", line {first + line}' in done.stderr
    assert trace in done.stderr
    assert "literate/" not in done.stderr
    assert files(document.parent) == before


@pytest.mark.parametrize(
    "old, new, error",
    [
        ("return math.prod(", "return math.product(", "AttributeError"),
        ("def square(x):", "def square(x:", "SyntaxError"),
    ],
)
def test_an_error_in_the_imported_program_is_shown_at_its_line(document, old, new, error):
    edit(document, "print(6 * 7)", "import small\nsmall.square(2)")
    edit(document, old, new)
    line = line_of(document, new)
    done = literate_py(document.parent, "run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"README.org:{line}: {error}: ")


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("print(6 * 7)", "import os\nos._exit(3)", "ended the Python process"),
        ("print(6 * 7)", "x = 6 * 7", "printed nothing"),
        ("print(6 * 7)", 'print("a\\tb")', "'\\t'"),
        ("print(6 * 7)", 'print("\\x1b[1m")', "'\\x1b'"),
        ("print(6 * 7)", 'print(",*\\n" * 10)', "GitHub"),
        ("print(6 * 7)", 'print("=======\\n" * 10)', "'======='"),
        ('"images/one.svg"\n#', '"images/two.svg"\n#', "images/two.svg"),
        ('"images/one.svg"\n#', "x = 1\n#", "None"),
        ('"images/one.svg"\n#', "__file__ = '/tmp/x.svg'; __file__\n#", "/tmp/x.svg"),
    ],
)
def test_a_result_that_cannot_be_shown_is_refused(document, old, new, message):
    kind = "file" if "images" in old else "output"
    edit(document, old, new)
    before = files(document.parent)
    done = literate_py(document.parent, "run")
    line = line_of(document, f"#+begin_src python :results {kind}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"README.org:{line}: ") and message in done.stderr
    assert files(document.parent) == before


PYTHON = "#+begin_src python"
OUTPUT = f"{PYTHON} :results output :exports both\n"


@pytest.mark.parametrize(
    "text, line",
    [
        # Blocks.
        (OUTPUT + "print(1)\n\nText.\n", 1),
        (OUTPUT + "print(1)\n\n" + PRINT, 1),
        ("#+begin_example\n* a\n#+end_example\n", 1),
        ("#+begin_quote\nText.\n", 1),
        ("Text.\n#+end_src\n", 2),
        ("  #+begin_src python\n  #+end_src\n", 1),
        ("#+BEGIN_SRC python\n#+END_SRC\n", 1),
        ("#+begin_src\n#+end_src\n", 1),
        ("#+begin_note\nText.\n#+end_note\n", 1),
        ("#+begin_export html\n<b>\n#+end_export\n", 1),
        # Header arguments.
        (f"{PYTHON} :tangel a.py :exports code :results silent\n1\n#+end_src\n", 1),
        (f"{PYTHON} :exports code :results silent :noweb yes\n1\n#+end_src\n", 1),
        (f"{PYTHON} :exports code :results silent :cache yes\n1\n#+end_src\n", 1),
        (f"{PYTHON} -n :exports code :results silent\n1\n#+end_src\n", 1),
        (f"{PYTHON} :exports :results silent\n1\n#+end_src\n", 1),
        (f"{PYTHON} :exports code :exports both :results output\n1\n#+end_src\n", 1),
        (f"{PYTHON} :results output\nprint(1)\n#+end_src\n", 1),
        (f"{PYTHON} :exports both\nprint(1)\n#+end_src\n", 1),
        (f"{PYTHON} :results value :exports both\n1\n#+end_src\n", 1),
        (f"{PYTHON} :results silent :exports both\n1\n#+end_src\n", 1),
        (f"{PYTHON} :results output :exports code\nprint(1)\n#+end_src\n", 1),
        (f"{PYTHON} :results output :exports both :tangle a.py\nprint(1)\n#+end_src\n", 1),
        (f"{PYTHON} :results output :exports both :eval no\nprint(1)\n#+end_src\n", 1),
        (f"{PYTHON} :results output :exports both :session b\nprint(1)\n#+end_src\n", 1),
        ("#+begin_src sh :exports code\nls\n#+end_src\n", 1),
        ("#+begin_src sh :eval no\nls\n#+end_src\n", 1),
        (OUTPUT + "if 1:\n\tprint(1)\n#+end_src\n", 3),
        # Targets.
        *[
            (f"{PYTHON} :exports code :results silent :tangle {name}\n1\n#+end_src\n", 1)
            for name in "/a.py ~/a.py ../a.py a/../b.py ./a.py README.org yes link/a.py".split()
        ],
        # Results.
        ("Text.\n\n#+RESULTS:\n: 1\n", 3),
        (PRINT + "\n#+RESULTS:\n: 1\nText.\n", 5),
        (PRINT + "\n#+RESULTS:\n: 1\n:\n: 2\n", 5),
        (PRINT + "#+RESULTS:\n: 1\n", 4),
        (PRINT + "\nText.\n\n#+RESULTS:\n: 1\n", 7),
        (PRINT + "\n#+RESULTS[a1b2]:\n: 1\n", 5),
        (PRINT + "Text.\n", 4),
        # Keywords, drawers, comments, headings.
        ("#+TITLE: A\n", 1),
        ("#+name: a\n", 1),
        ("#+caption: a\n", 1),
        ("#+include: a.org\n", 1),
        ("#+call: f()\n", 1),
        ("#+property: header-args:sh :eval yes\n", 1),
        ("* A\n:PROPERTIES:\n:CUSTOM_ID: a\n:END:\nText.\n", 2),
        ("* A\n:PROPERTIES:\n:ID: a\n:END:\n", 2),
        ("* A\n:LOGBOOK:\n:END:\n", 2),
        ("Text.\n\n:PROPERTIES:\n:CUSTOM_ID: a\n:END:\n", 3),
        (":\n", 1),
        (": text\n", 1),
        ("#\n", 1),
        ("  # comment\n", 1),
        ("-----\n", 1),
        ("******* A\n", 1),
        # Characters.
        ("a\tb\n", 1),
        ("a\r\nb\n", 1),
        ("a\nb\x07\n", 2),
        ("a\nb", 2),
        # Sentences.
        *[
            (f"Text.\nMore ~code~ {text} here.\n", 2)
            for text in (
                r"[fn:1] [cite:@a] {{{m}}} <<target>> src_python{1} call_f(1) "
                r"\(x\) \[x\] \alpha $x$ \begin{align} @@html:x@@ [1/2] [50%] [#A] "
                r"[[*Heading]] [[id:1]] [[a.txt]] [[file:/a]] [[file:~/a]] "
                r"[[https://a.b/][a.png]] [[#a"
            ).split()
        ],
        ("a \\\\\nb\n", 1),
        ("Text.\n- [ ] a\n", 2),
        ("| a | $x$ |\n", 1),
        ("* A $x$\n", 1),
        # Tasks.
        *[(f"** {word} A\n", 1) for word in ("TODO", "DONE", "COMMENT")],
        ("* TODO\n", 1),
        *[(f"* A {tags}\n", 1) for tags in (":b:", ":b:c_1:", "[[#a][b]]  :@é: ")],
        *[
            (f"* A\n{word}: <2026-01-02 Fri>\n", 2)
            for word in ("SCHEDULED", "DEADLINE", "CLOSED", "  CLOSED")
        ],
        ("#+begin_quote\nText.\n$x$\n#+end_quote\n", 3),
        ("a <<b>> and $x_1 + 2$\n", 1),
        ("Text.\n:name: goes on\n", 2),
        ("Text.\n[[a\nb]]\n", 2),
    ],
)
def test_what_is_not_known_is_refused_with_its_line(tmp_path, text, line):
    (tmp_path / "link").symlink_to("/")
    document = tmp_path / "README.org"
    document.write_bytes((HEAD + text).encode())
    before = os.listdir(tmp_path), document.read_bytes()
    done = literate_py(tmp_path, "run")
    assert done.returncode == 1
    assert done.stderr.startswith(f"README.org:{line + 3}: ")
    assert done.stderr.count("\n") == 1
    assert (os.listdir(tmp_path), document.read_bytes()) == before


def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path):
    (tmp_path / "README.org").write_bytes(b"a\nb \xff\n")
    assert literate_py(tmp_path, "tangle").stderr.startswith("README.org:2: ")


def test_python_blocks_need_a_session(tmp_path):
    (tmp_path / "README.org").write_text(PRINT)
    assert ":session" in literate_py(tmp_path, "run").stderr


@pytest.mark.parametrize(
    "text",
    [
        "* TODOs :b: c\n\nTODO is a word, too; a task is CLOSED: read on. :b:\n",
        "* ~TODO~ A ~:b:~\n",
        "$5 and $6, $HOME and $PATH, a << b >> c, [[1, 2], [3, 4]], [[x]\n:colon\n",
        "Prices of $5, a[0], x_1^2, a\\b, 50 %, [a]: all plain.\n",
        "~\\(x\\)~, =[fn:1]=, ~a == b~, (~$x$~), ~{{{a}}}~ and ~print(a[ ],\nb)~.\n",
        "#+begin_example\n[fn:1] \\(x\\) $x$ <<a>>\n:\n,* a\n,#+begin_src\n#\n#+end_example\n",
        "#+begin_src org :eval no :exports code\n,* A\n,#+begin_src\n,#+end_src\n#+end_src\n",
        "#+begin_src makefile :eval no :exports code\nall:\n\tpython a.py\n#+end_src\n",
        "* A ~b~\n:PROPERTIES:\n:CUSTOM_ID: c\n:END:\n\n- [[https://a.b/$c$][d]]\n  1. e\n",
    ],
)
def test_what_only_looks_strange_is_accepted(text):
    assert "".join(element.text for element in parse(text)) == text


FIGURE = """\
from matplotlib.figure import Figure

figure = Figure()
figure.subplots().plot([1, 2], label="a")
figure.savefig("images/one.svg", metadata={"Date": None})
print("not shown")
"""


def test_no_settings_of_a_users_own_change_a_figure(document, tmp_path_factory):
    edit(
        document,
        "print(6 * 7)",
        "import matplotlib.pyplot\nprint(matplotlib.rcParams['font.size'])",
    )
    edit(
        document,
        'print("not shown")\n'
        'with open("images/one.svg", "w") as file:\n    file.write("<svg/>")\n',
        "import matplotlib\nmatplotlib.rcParams['svg.hashsalt'] = 'small'\n" + FIGURE,
    )
    assert literate_py(document.parent, "run").returncode == 0
    before = files(document.parent)
    home = tmp_path_factory.mktemp("home")
    for folder in (home / ".config/matplotlib", home / ".matplotlib"):
        folder.mkdir(parents=True)
        (folder / "matplotlibrc").write_text(
            "font.size: 20\nlines.linewidth: 9\nsvg.fonttype: none\n"
        )
    shown = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "MPLBACKEND": "none"}
    for rc in (
        {},
        {"MATPLOTLIBRC": str(home / ".matplotlib"), "MPLCONFIGDIR": str(home / ".matplotlib")},
    ):
        done = literate_py(document.parent, "run", "--force", env={**os.environ, **shown, **rc})
        assert (done.returncode, done.stdout) == (0, "README.org: nothing changed\n"), (
            done.stderr
        )
    assert files(document.parent) == before


def start(document, code):
    """Start a run that comes to this code; gives its process, and its child's number."""
    begun = document.with_name("begun")
    code = f"import os, time\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\n{code}"
    edit(document, "print(6 * 7)", code)
    command = [*TOOL, "run", str(document)]
    temporary = document.with_name("tmp")
    temporary.mkdir()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    while not (begun.exists() and begun.read_text()):
        time.sleep(0.01)
    return process, int(begun.read_text())


def gone(number):
    for _ in range(6000):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_changes_nothing_and_leaves_nothing(document, number):
    process, child = start(document, "time.sleep(600)")
    before = document.read_bytes()
    os.killpg(process.pid, number)  # as a terminal does
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert said.endswith("README.org: interrupted; nothing was changed\n")
    assert gone(child)
    document.with_name("begun").unlink()
    document.with_name("tmp").rmdir()  # empty
    assert files(document.parent) == {"README.org": before}


@pytest.mark.parametrize("code", ["while True: pass", "os.system('sleep 600')"])
def test_the_blocks_end_when_the_run_is_killed(document, code):
    process, child = start(document, code)
    os.kill(process.pid, signal.SIGKILL)
    try:
        process.communicate(timeout=300)  # till nobody holds its stderr: no block, and no shell
    except subprocess.TimeoutExpired:
        os.killpg(child, signal.SIGKILL)
        raise
    assert process.returncode == -signal.SIGKILL


def test_a_document_edited_during_the_run_is_left_as_it_was_edited(document):
    saved = document.with_name("saved")
    wait = f"while not os.path.exists({str(saved)!r}):\n    time.sleep(0.01)\nprint(1)"
    process, _ = start(document, wait)
    edit(document, "A remark", "An edit")
    edited = document.read_bytes()
    saved.touch()
    assert process.wait(120) == 1
    assert document.read_bytes() == edited
    assert not document.with_name("small.py").exists()


def test_a_file_that_cannot_be_written_leaves_the_others_as_they_were(document):
    document.with_name("images").write_text("a file where a folder should be")
    before = files(document.parent)
    done = literate_py(document.parent, "run")
    assert done.returncode == 1 and "nothing was changed" in done.stderr
    assert files(document.parent) == before


def test_a_missing_document_is_named(tmp_path):
    done = literate_py(tmp_path, "run")
    assert done.returncode == 1 and "README.org: No such file" in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_help_says_what_each_verb_does_and_takes(verb, capsys):
    for words in (["--help"], [verb, "--help"]):
        with pytest.raises(SystemExit, match="0"):
            parse_arguments(words)
        said = " ".join(capsys.readouterr().out.split())
        assert VERBS[verb][1:] in said and ("[document]" in said) == (words[0] == verb)
    assert command_of(verb).__name__ == f"{verb}_command"


def test_an_unknown_verb_is_refused_with_those_that_are_known(tmp_path):
    done = literate_py(tmp_path, "tangel")
    assert done.returncode == 2 and "'tangel' (choose from 'tangle', " in done.stderr


@pytest.mark.parametrize("words", [["run", "a.org", "--force"], ["run", "--force", "a.org"]])
def test_an_option_stands_before_the_document_or_behind_it(words):
    given = parse_arguments(words)
    assert (given.document, given.force) == (Path("a.org"), True)
