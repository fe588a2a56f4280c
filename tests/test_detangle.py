"""An edit made in a tangled file goes back into its block, or the file stays as edited."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_emacs import EMACS, emacs, prepare
from test_literate import HEAD, SAMPLE, SMALL, edit, files, line_of, literate_py

from literate.detangle import detangle
from literate.org import DocumentError, escape
from literate.tangle import bare, first_line, load, tangle, tangle_command, targets

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.org"
TANGLED = "#+begin_src python :tangle {} :exports code :results silent\n{}\n#+end_src\n"
STOPS = "was edited by hand; `make detangle` takes the edit into README.org"
UNKNOWN = "neither git nor an earlier tangling can tell which was edited"
NOTHING = "nothing was changed\n"

TWO = "\n".join(
    [
        HEAD.rstrip("\n") + "\n",
        TANGLED.format("two.py", "def one():\n    return 1"),
        "Text.\n",
        TANGLED.format("two.py", "def two():\n    return 2"),
        "More text.\n",
        TANGLED.format("two.py", "def three():\n    a = 3\n\n    return a"),
    ]
)


def back(document):
    """Detangle in this process, and tangle; gives the lines that say what changed."""
    text, made, changes = detangle(load(document), document)
    document.write_text(text, "utf-8")
    for name, data in made.items():
        (document.parent / name).write_bytes(data)
    assert made.items() <= tangle(load(document), document).items()
    return changes


def git(folder, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def commit(folder):
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")


@pytest.fixture
def two(tmp_path):
    """A document of three tangled blocks, and the file that it makes."""
    (tmp_path / "README.org").write_text(TWO)
    assert literate_py(tmp_path, "tangle").returncode == 0
    return tmp_path / "two.py"


# The law: tangle, edit a line in any tangled block, detangle, tangle: the edited file.


@pytest.mark.dear
def test_edits_of_the_first_middle_and_last_line_of_every_block_of_the_readme_come_back(
    tmp_path,
):
    """Three blocks at a time, some way apart: one's first line, one's middle, one's last."""
    document = tmp_path / "README.org"
    text = README.read_text("utf-8")
    document.write_text(text, "utf-8")
    elements = load(document)
    for name, data in tangle(elements, document).items():
        places, row = (
            [],
            0,
        )  # for each block: row of the program and line of the document, thrice
        for block in targets(elements, document)[name]:
            code = bare(block).split("\n")
            filled = [n for n, line in enumerate(code) if line]
            chosen = filled[0], filled[len(filled) // 2], filled[-1]
            places.append([(row + n, first_line(block) + n - 1) for n in chosen])
            row += len(code) + 2
        apart = len(places) // 3
        for k in range(len(places)):
            edits = sorted(places[(k + j * apart) % len(places)][j] for j in range(3))
            lines, expected = data.decode().split("\n"), text.split("\n")
            for row, line in edits:
                lines[row] += "  # edited"
                expected[line] += "  # edited"
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("\n".join(lines), "utf-8")
            assert back(document) == [
                f"README.org:{line + 1}: edited as at {name}:{row + 1}" for row, line in edits
            ]
            assert (tmp_path / name).read_text("utf-8") == "\n".join(lines)
            assert document.read_text("utf-8") == "\n".join(expected)
            document.write_text(text, "utf-8")
        (tmp_path / name).write_bytes(data)


LINE = st.sampled_from(
    [
        "x = 1",
        "    y",
        "* a",
        "  ** b",
        "#+end_src",
        "  #+x",
        ",* c",
        ",,#+d",
        "# é",
        "a,",
        "z  ",
    ]
)
CODE = st.lists(st.one_of(LINE, st.just(""), st.just("")), max_size=9).map(
    lambda lines: "\n".join([*lines, "end"])
)
BLOCK = st.tuples(st.sampled_from(["a.py", "b/c.sh"]), CODE, st.sampled_from(["", "Text.\n\n"]))


def written(blocks):
    """A document with these blocks."""
    parts = [HEAD]
    for name, code, prose in blocks:
        held = "\n".join(map(escape, code.split("\n")))
        block = TANGLED.format(name, held)
        if name.endswith(".sh"):
            block = block.replace("python", "sh").replace(":results silent", ":eval no")
        parts.append(block + "\n" + prose)
    return "".join(parts)


BLOCKS = st.lists(BLOCK, min_size=1, max_size=6)


def tangled(folder, blocks, name):
    """A document with these blocks, tangled, and the lines of one of its files."""
    document = folder / "README.org"
    document.write_text(written(blocks), "utf-8")
    tangle_command(document)
    return document, (folder / name).read_text("utf-8").split("\n")


@settings(max_examples=150, deadline=None)
@given(BLOCKS, st.data())
def test_an_edit_of_any_line_of_any_document_comes_back(tmp_path_factory, blocks, data):
    name = data.draw(st.sampled_from(sorted({name for name, _, _ in blocks})))
    document, lines = tangled(tmp_path_factory.mktemp("any"), blocks, name)
    filled = [n for n, line in enumerate(lines) if line.strip()]
    at = data.draw(st.sampled_from(filled))
    lines[at] = data.draw(LINE.filter(lambda line: not line.endswith(" ")))
    edited = "\n".join(lines)
    (document.parent / name).write_text(edited, "utf-8")
    before = load(document)
    back(document)
    assert (document.parent / name).read_text("utf-8") == edited
    now = load(document)
    assert sum(old.text != new.text for old, new in zip(before, now, strict=True)) <= 1


@settings(max_examples=300, deadline=None)
@given(BLOCKS, st.data())
def test_any_edit_comes_back_whole_or_is_refused_with_its_line(tmp_path_factory, blocks, data):
    name = blocks[0][0]
    document, lines = tangled(tmp_path_factory.mktemp("any"), blocks, name)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(lines)))
        end = data.draw(st.integers(start, min(start + 4, len(lines))))
        lines[start:end] = data.draw(st.lists(st.one_of(LINE, st.just("")), max_size=4))
    edited = "\n".join(lines)
    (document.parent / name).write_text(edited, "utf-8")
    try:
        back(document)
    except DocumentError as error:
        file, _, line = error.place.partition(":")
        assert file == name and 1 <= int(line) <= max(len(lines), 1)
    assert (document.parent / name).read_text("utf-8") == edited


# Where an edit goes.


def test_lines_at_the_border_of_two_blocks_go_to_their_own(two):
    edit(two, "return 1\n\n\ndef two", "return 11\n    # end\n\n\n# begin\ndef two")
    done = literate_py(two.parent, "detangle")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "README.org:6: edited as at two.py:2\n"
        "README.org:13: edited as at two.py:6\n"
        "wrote README.org\n"
        "`make` refreshes the results\n"
    )
    text = two.with_name("README.org").read_text()
    assert "def one():\n    return 11\n    # end\n#+end_src\n\nText" in text
    assert "silent\n# begin\ndef two():\n    return 2\n#+end_src" in text


def test_a_new_definition_between_two_blocks_goes_to_the_end_of_the_first(two):
    edit(two, "def two", "def new():\n    return 0\n\n\ndef two")
    assert literate_py(two.parent, "detangle").returncode == 0
    text = two.with_name("README.org").read_text()
    expected = TWO.replace("return 1\n", "return 1\n\n\ndef new():\n    return 0\n")
    assert text == expected
    assert "nothing changed" in literate_py(two.parent, "tangle").stdout


def test_new_definitions_before_the_first_and_behind_the_last_block_stay_there(two):
    two.write_text(f"import a\n\n\n{two.read_text()}\n\nlast = 1\n")
    assert literate_py(two.parent, "detangle").returncode == 0
    text = two.with_name("README.org").read_text()
    expected = TWO.replace("def one", "import a\n\n\ndef one")
    assert text == expected.replace("return a\n", "return a\n\n\nlast = 1\n")


def test_a_new_definition_beside_an_edited_one_leaves_each_where_it_was(two):
    edit(two, "def two():\n    return 2", "x = 1\n\n\ndef two():\n    # b\n    return 2")
    assert literate_py(two.parent, "detangle").returncode == 0
    expected = TWO.replace("return 1\n", "return 1\n\n\nx = 1\n")
    expected = expected.replace("def two():\n", "def two():\n    # b\n")
    assert two.with_name("README.org").read_text() == expected


def test_a_definition_may_leave_a_block_that_holds_another(two):
    edit(two, "def two", "def new():\n    return 0\n\n\ndef two")
    literate_py(two.parent, "detangle")
    edit(two, "def new():\n    return 0\n\n\n", "")
    assert literate_py(two.parent, "detangle").returncode == 0
    assert two.with_name("README.org").read_text() == TWO


def test_lines_that_org_would_take_for_its_own_get_a_comma_and_others_stay(tmp_path):
    document = tmp_path / "README.org"
    document.write_text(SAMPLE)
    literate_py(tmp_path, "tangle")
    edit(document.with_name("small.py"), "    ])", "        *range(x),\n#+end_src\n    ])")
    assert literate_py(tmp_path, "detangle").returncode == 0
    expected = SAMPLE.replace("    ])\n", "        ,*range(x),\n,#+end_src\n    ])\n")
    assert document.read_text() == expected


def test_blanks_inside_a_block_and_around_its_code_stay(tmp_path):
    document = tmp_path / "README.org"
    code = "\n  \na = 1  \n\n  \nb = 2  \n\n"
    document.write_text(HEAD + TANGLED.format("a.py", code))
    literate_py(tmp_path, "tangle")
    edit(tmp_path / "a.py", "a = 1  \n", "a = 1 \nc = 3   \n")
    assert literate_py(tmp_path, "detangle").returncode == 0
    code = "\n  \na = 1 \nc = 3   \n\n  \nb = 2  \n\n"
    assert document.read_text() == HEAD + TANGLED.format("a.py", code)
    edit(tmp_path / "a.py", "b = 2", "b = 2\nd = 4")
    assert literate_py(tmp_path, "detangle").returncode == 0
    code = "\n  \na = 1 \nc = 3   \n\n  \nb = 2\nd = 4\n\n"
    assert document.read_text() == HEAD + TANGLED.format("a.py", code)


def test_results_and_other_files_stay_and_a_second_time_nothing_is_left_to_do(tmp_path):
    document = tmp_path / "README.org"
    document.write_text(SAMPLE + "\n" + TANGLED.format("examples/b.py", "b = 1"))
    literate_py(tmp_path, "run")
    before = files(tmp_path)
    edit(tmp_path / "small.py", "square(x)", "square(x, y=1)")
    edit(tmp_path / "examples/b.py", "b = 1", "b = 2")
    assert literate_py(tmp_path, "detangle").returncode == 0
    text = before["README.org"].decode().replace("square(x)", "square(x, y=1)", 1)
    assert document.read_text() == text.replace("\nb = 1", "\nb = 2")
    changed = {name for name, data in files(tmp_path).items() if data != before[name]}
    program = {"small.py", "examples/b.py"}
    assert changed == {
        "README.org",
        *program,
        *(f".literate/tangled/{name}" for name in program),
    }
    before = files(tmp_path)
    assert literate_py(tmp_path, "detangle").stdout == "README.org: nothing changed\n"
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "old, new, line",
    [
        ("def two():\n    return 2\n\n\n", "", 5),
        ("def one():\n    return 1\n\n\n", "", 1),
        ("return 2\n\n\ndef", "return 2\n\n\n\ndef", 10),
        ("return 2\n\n\ndef", "return 2\n\ndef", 8),
        ("return 2\n\n\ndef", "return 2\n  \n\ndef", 9),
        ("return 2\n", "return 2  \n", 6),
        ("def one", "\n\ndef one", 1),
        ("return a\n", "return a\n\n", 13),
        ("return a\n", "return a", 12),
        ("return 2\n", "return 2\r\n", 6),
        ("return 2\n", "\treturn 2\n", 6),
        ("return 2\n", "return '\x0c'\n", 6),
        ("return 2\n", "return '\ufeff'\n", 6),
        ("    return 2\n", "<<<<<<< HEAD\n    return 2\n", 6),
        ("    return 2\n", "    return 2\n=======\n", 7),
        ("    return 2\n", "    return 2\n>>>>>>> other\n", 7),
    ],
)
def test_what_belongs_to_no_block_is_refused_with_its_line(two, old, new, line):
    edited = two.read_text().replace(old, new).encode()
    assert edited != two.read_bytes()
    two.write_bytes(edited)
    before = files(two.parent)
    done = literate_py(two.parent, "detangle")
    assert done.returncode == 1
    *_, said = done.stderr.splitlines(keepends=True)
    assert said.startswith(f"two.py:{line}: ") and said.endswith(NOTHING)
    assert files(two.parent) == before


def test_a_file_that_is_not_utf8_is_refused_with_its_line(two):
    two.write_bytes(two.read_bytes().replace(b"return 2", b"return '\xff'"))
    assert literate_py(two.parent, "detangle").stderr.startswith("two.py:6: not UTF-8")


def test_a_byte_order_mark_is_no_edit_and_never_comes_into_the_document(two):
    good = two.read_bytes()
    two.write_bytes(b"\xef\xbb\xbf" + good)
    assert literate_py(two.parent, "tangle").stdout == "wrote two.py\n"
    assert two.read_bytes() == good
    two.write_bytes(b"\xef\xbb\xbf" + good.replace(b"return 1", b"return 11"))
    assert literate_py(two.parent, "detangle").returncode == 0
    assert two.with_name("README.org").read_text() == TWO.replace("return 1", "return 11")
    assert two.read_bytes() == good.replace(b"return 1", b"return 11")


def test_a_removed_definition_is_gone_once_its_block_is_removed_too(two):
    edit(two, "def two():\n    return 2\n\n\n", "")
    done = literate_py(two.parent, "detangle")
    assert "the code of README.org:11 belongs here" in done.stderr
    block = TANGLED.format("two.py", "def two():\n    return 2") + "\nMore text.\n\n"
    edit(two.with_name("README.org"), block, "")
    assert "nothing changed" in literate_py(two.parent, "tangle").stdout


# Both edited.


def test_edits_of_different_blocks_are_merged_into_both(two):
    document = two.with_name("README.org")
    edit(document, "return 2", "return 22")
    edit(document, "Text.", "Another text.")
    edit(two, "a = 3", "a = 33")
    edit(two, "def two", "x = 1\n\n\ndef two")
    assert literate_py(two.parent, "tangle").returncode == 1
    done = literate_py(two.parent, "detangle")
    assert done.returncode == 0, done.stderr
    assert "wrote README.org\nwrote two.py\n" in done.stdout
    expected = TWO.replace("return 2", "return 22").replace("a = 3", "a = 33")
    expected = expected.replace("return 1\n", "return 1\n\n\nx = 1\n")
    assert document.read_text() == expected.replace("Text.", "Another text.", 1)
    assert "return 22" in two.read_text() and "a = 33" in two.read_text()
    assert "nothing changed" in literate_py(two.parent, "tangle").stdout


def test_edits_of_one_block_are_refused_with_both_places_unless_they_are_the_same(two):
    document = two.with_name("README.org")
    edit(document, "return 2", "return 22")
    edit(two, "return 2", "return 222")
    before = files(two.parent)
    done = literate_py(two.parent, "detangle")
    assert done.returncode == 1
    said = "two.py:5: edited here, and in another way at README.org:12; "
    assert done.stderr.splitlines()[-1].startswith(said)
    assert "-    return 22\n+    return 222\n" in done.stderr
    assert files(two.parent) == before
    edit(document, "return 22", "return 222")
    assert literate_py(two.parent, "tangle").returncode == 0


def test_the_last_commit_is_the_base_where_no_tangling_is_remembered(two):
    commit(two.parent)
    shutil.rmtree(two.parent / ".literate")
    document = two.with_name("README.org")
    edit(document, "return 2", "return 22")
    edit(two, "a = 3", "a = 33")
    assert literate_py(two.parent, "detangle").returncode == 0
    assert document.read_text() == TWO.replace("return 2", "return 22").replace("= 3", "= 33")


# Tangling overwrites nothing that was edited.


def tangle_by_emacs(folder):
    if not EMACS:
        pytest.skip("Emacs is not installed")
    if not (folder / "tangle.el").exists():
        shutil.copy(ROOT / "tangle.el", folder)
        (folder / "literate").symlink_to(ROOT / "literate")
    return emacs(folder, "-f", "literate-tangle-batch")


def tangle_by_python(folder):
    return literate_py(folder, "tangle")


def run(folder):
    return literate_py(folder, "run")


EITHER = pytest.mark.parametrize("tangling", [tangle_by_python, tangle_by_emacs])


def stopped(done, folder, before, what):
    """Did tangling stop, say so, and change nothing?"""
    assert (done.returncode, done.stdout) == (1, "")
    *diff, said = done.stderr.splitlines(keepends=True)
    assert said.startswith("two.py:6: ") and what in said and said.endswith(NOTHING)
    assert "-    return 2\n" in diff and "+    return 22  # é\n" in diff
    now = files(folder)
    now.pop("tangle.el", None)
    before.pop("tangle.el", None)
    assert now == before
    return True


@pytest.mark.parametrize("tangling", [tangle_by_python, tangle_by_emacs, run])
def test_an_edit_by_hand_stops_every_tangling_and_can_be_thrown_away(two, tangling):
    document = two.with_name("README.org")
    block = "#+begin_src python :results output :exports both\nopen('ran', 'w')\n"
    edit(document, "Text.\n\n", "Text.\n\n" + block + "print(1)\n#+end_src\n\n")
    edit(two, "return 2", "return 22  # é")
    edit(document, "a = 3", "a = 33")
    before = files(two.parent)
    assert stopped(tangling(two.parent), two.parent, before, STOPS)
    two.unlink()
    assert tangling(two.parent).returncode == 0
    assert two.read_text().count("33") == 1 and "é" not in two.read_text()


@EITHER
def test_what_either_tool_tangled_may_be_overwritten_by_either(two, tangling):
    document = two.with_name("README.org")
    for number, other in enumerate([tangle_by_python, tangle_by_emacs] * 2):
        edit(document, "return 2", f"return 2{number}")
        assert tangling(two.parent).returncode == 0
        edit(document, "return 2", f"return 2{number}")
        assert other(two.parent).returncode == 0


@EITHER
def test_a_fresh_clone_with_an_edited_document_is_tangled(two, tangling):
    commit(two.parent)
    shutil.rmtree(two.parent / ".literate")
    edit(two.with_name("README.org"), "return 2", "return 22")
    assert tangling(two.parent).returncode == 0
    assert "return 22" in two.read_text()


@EITHER
def test_an_edit_by_hand_is_known_as_one_in_a_clone_even_after_it_was_committed(two, tangling):
    shutil.rmtree(two.parent / ".literate")
    commit(two.parent)
    edit(two, "return 2", "return 22  # é")
    assert stopped(tangling(two.parent), two.parent, files(two.parent), STOPS)
    git(two.parent, "commit", "--quiet", "--all", "--message", "an edit")
    assert stopped(tangling(two.parent), two.parent, files(two.parent), STOPS)
    git(two.parent, "checkout", "--quiet", "HEAD~", "two.py")
    assert tangling(two.parent).returncode == 0


@EITHER
def test_after_git_took_a_tangled_state_back_only_the_edit_by_hand_is_shown(two, tangling):
    shutil.rmtree(two.parent / ".literate")
    commit(two.parent)
    edit(two.with_name("README.org"), "a = 3", "a = 33")
    assert literate_py(two.parent, "tangle").returncode == 0
    git(two.parent, "checkout", "--quiet", "README.org", "two.py")
    edit(two, "return 2", "return 22  # é")
    done = tangling(two.parent)
    assert stopped(done, two.parent, files(two.parent), STOPS)
    assert "a = 33" not in done.stderr
    assert literate_py(two.parent, "detangle").returncode == 0
    text = two.with_name("README.org").read_text()
    assert "return 22  # é" in text and "a = 33" not in text


@EITHER
def test_without_git_and_memory_a_file_that_differs_stops_tangling(two, tangling):
    shutil.rmtree(two.parent / ".literate")
    edit(two, "return 2", "return 22  # é")
    assert stopped(tangling(two.parent), two.parent, files(two.parent), UNKNOWN)
    assert literate_py(two.parent, "detangle").returncode == 0
    assert "return 22  # é" in two.with_name("README.org").read_text()


@EITHER
def test_what_org_tangles_without_tangle_el_is_not_taken_for_an_edit(two, tangling):
    if not EMACS:
        pytest.skip("Emacs is not installed")
    expected = two.read_bytes()
    document = two.with_name("README.org")
    command = [EMACS, "-Q", "--batch", str(document), "--eval", "(org-babel-tangle)"]
    subprocess.run(command, check=True, capture_output=True)
    assert two.read_text() == expected.decode().replace("\n\n\n", "\n\n")
    assert literate_py(two.parent, "detangle").stdout == "README.org: nothing changed\n"
    assert tangling(two.parent).returncode == 0
    assert two.read_bytes() == expected


def test_a_check_says_which_verb_puts_it_right(two):
    document = two.with_name("README.org")
    document.write_text(document.read_text() + "\nText.\n")
    edit(document, "return 2", "return 22")
    done = literate_py(two.parent, "check")
    assert done.returncode == 1 and done.stdout.endswith("\n`make` writes it\n")
    edit(two, "a = 3", "a = 33")
    done = literate_py(two.parent, "check")
    assert done.returncode == 1 and f"\ntwo.py {STOPS}" in done.stdout
    shutil.rmtree(two.parent / ".literate")
    done = literate_py(two.parent, "check")
    assert done.returncode == 1 and UNKNOWN in done.stdout


def test_a_program_edited_during_the_run_is_left_as_it_was_edited(tmp_path):
    document = prepare(tmp_path, SAMPLE)
    literate_py(tmp_path, "run")
    program = tmp_path / "small.py"
    edit(document, "print(6 * 7)", f"open({str(program)!r}, 'a').write('x')\nprint(1)")
    before = files(tmp_path)
    done = literate_py(tmp_path, "run")
    assert done.returncode == 1 and "small.py:9: was edited meanwhile" in done.stderr
    assert program.read_text() == SMALL + "x"
    before["small.py"] += b"x"
    assert files(tmp_path) == before


def test_make_names_the_verb(two):
    shutil.copy(ROOT / "Makefile", two.parent)
    shutil.copytree(ROOT / "literate", two.parent / "literate")
    edit(two, "return 2", "return 22")
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    command = ["make", "detangle"]
    done = subprocess.run(
        command, cwd=two.parent, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    place = f"README.org:{line_of(two.with_name('README.org'), 'return 22')}: "
    assert done.stdout.startswith(place)


THREE = """\
#+title: Three
#+property: header-args:python :session three

#+begin_src python :tangle three.py :exports code :results silent
def mul(a, b):
    return a * b
#+end_src

#+begin_src python :tangle three.py :exports code :results silent
def divide(a, b):
    return a / b
#+end_src

#+begin_src python :tangle three.py :exports code :results silent
def call(f, a):
    return f(a)
#+end_src
"""


@pytest.mark.parametrize(
    ("above", "line"),
    [("\n# What IEEE says.\n", 5), ("\n", 4), ("\n\n\n", 6), ("# A remark.\n", 4)],
)
@pytest.mark.parametrize("last", ["    return a * b\n", "    return b * a\n"])
def test_code_that_joins_two_blocks_is_refused_also_when_more_is_edited(
    tmp_path, above, line, last
):
    (tmp_path / "README.org").write_text(THREE)
    literate_py(tmp_path, "tangle")
    file = tmp_path / "three.py"
    text = file.read_text().replace("    return a * b\n\n\n", last + above)
    text = text.replace(
        "def call(f, a):", "def half(a):\n    return a / 2\n\n\ndef call(f, a):"
    )
    file.write_text(text)
    before = files(tmp_path)
    done = literate_py(tmp_path, "detangle")
    assert done.returncode == 1
    assert done.stderr.startswith(f"three.py:{line}: the code of README.org:9 begins here")
    assert files(tmp_path) == before


def test_lines_that_stand_at_a_bound_may_stand_elsewhere(tmp_path):
    text = THREE.replace("    return f(a)", "    return f(a)\n\n\n# mul\n")
    (tmp_path / "README.org").write_text(text.replace("# mul\n", "TEXT = 1"))
    literate_py(tmp_path, "tangle")
    file = tmp_path / "three.py"
    new = 'TEXT = """\n    return a * b\ndef divide(a, b):\n"""'
    file.write_text(file.read_text().replace("TEXT = 1", new))
    done = literate_py(tmp_path, "detangle")
    assert done.returncode == 0, done.stderr
    assert new in (tmp_path / "README.org").read_text()


def test_a_comment_above_a_function_two_lines_apart_is_its_own(tmp_path):
    (tmp_path / "README.org").write_text(THREE)
    literate_py(tmp_path, "tangle")
    file = tmp_path / "three.py"
    text = file.read_text().replace("def divide", "# What IEEE says.\ndef divide")
    file.write_text(text.replace("return a * b", "return b * a"))
    done = literate_py(tmp_path, "detangle")
    assert done.returncode == 0, done.stderr
    wanted = THREE.replace("def divide", "# What IEEE says.\ndef divide")
    readme = (tmp_path / "README.org").read_text()
    assert readme == wanted.replace("return a * b", "return b * a")
