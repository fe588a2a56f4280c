"""From code to prose: each line of micrograd.py leads to the chapter that explains it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import PROGRAM, README, explained

from literate.org import chapter, escape
from literate.tangle import bare, load, source, targets

ELEMENTS = load(README)
BLOCKS = targets(ELEMENTS, README)[PROGRAM.name]
TEST = """
import pytest

from micrograd import Value, gradcheck


@pytest.fixture
def text():
    return Value("3")


def test_call():
    gradcheck(lambda x: Value(x.data), [1.0])


def test_fixture(text):
    pass


def test_cause():
    try:
        Value(None)
    except TypeError as error:
        raise KeyError("other") from error


def test_elsewhere():
    assert Value(3.0).data == 4.0
"""


def chapter_of(block):
    return chapter(ELEMENTS, block.line)


def test_in_the_program_each_chapter_begins_with_its_number_and_title():
    chapters = dict.fromkeys(filter(None, map(chapter_of, BLOCKS)))
    titles = ["# Chapter {}: {}".format(*chapter.split(". ", 1)) for chapter in chapters]
    assert re.findall("^# Chapter.*", PROGRAM.read_text("utf-8"), re.MULTILINE) == titles
    first = {chapter_of(block): block for block in reversed(BLOCKS)}
    for name, title in zip(chapters, titles, strict=True):
        assert bare(first[name]).startswith(title + "\n")


def test_the_contents_at_the_top_name_every_chapter():
    top = README.read_text("utf-8").split("\n* ", 1)[0]
    contents = re.findall(r"^- \[\[#.*?\]\[(.*?)\]\]", top, re.MULTILINE)
    assert contents == [e.text[2:].strip() for e in ELEMENTS if e.text.startswith("* ")]


def test_each_line_of_the_program_is_found_in_the_document():
    document, program = (path.read_text("utf-8").split("\n") for path in (README, PROGRAM))
    for row, text in enumerate(program[:-1], 1):
        line = source(BLOCKS, row)
        if text:
            assert document[line - 1] == escape(text)


def run_pytest(folder):
    path = os.pathsep.join([str(README.parent), str(Path(__file__).parent)])
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            os.devnull,
            "-p",
            "conftest",
            "--tb=short",
            folder,
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
    ).stdout


def test_a_failing_test_names_the_document_s_lines_and_their_chapters(tmp_path):
    (tmp_path / "test_wrong.py").write_text(TEST)
    printed = run_pytest(tmp_path)
    assert "3 failed, 1 error" in printed, printed
    parts = dict(
        re.findall(r"(?s)_ (?:ERROR at setup of )?(test_\w+) _+\n(.*?)(?=\n_|\n=)", printed)
    )
    document, program = (path.read_text("utf-8").split("\n") for path in (README, PROGRAM))
    found = {
        test: re.findall(
            r'(?m)^micrograd.py:(\d+) is README.org:(\d+), in chapter "(.*)"$', part
        )
        for test, part in parts.items()
    }
    for row, line, _ in sum(found.values(), []):
        assert program[int(row) - 1] == document[int(line) - 1]
    chapters = {test: [chapter for *_, chapter in lines] for test, lines in found.items()}
    assert chapters == {
        "test_call": ["4. Backpropagation"],
        "test_fixture": 2 * ["3. A number that remembers"],
        "test_cause": 2 * ["3. A number that remembers"],
        "test_elsewhere": [],
    }


def test_lines_of_an_edited_program_are_not_looked_up(tmp_path):
    program = tmp_path / "micrograd.py"
    program.write_text("\n" + PROGRAM.read_text("utf-8"))
    namespace: dict = {}
    exec(compile(program.read_text("utf-8"), str(program), "exec"), namespace)
    try:
        namespace["number"](None)
    except TypeError as error:
        (line,) = explained(error, README, program)
    assert line.startswith("micrograd.py is not what README.org makes")
