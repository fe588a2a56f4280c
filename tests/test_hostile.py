"""What is large, deep or hostile ends soon, and says what is wrong."""

import gc
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from literate.markdown import read_markdown
from literate.nodes import Node
from literate.org import DocumentError, parse
from literate.orgtext import read_org_text

ROOT = Path(__file__).resolve().parent.parent
MARKS = ["~", "=", "*", "/", "+", "_", "[[", "]]", "`", "**", "[", "](", "$", "<<", "| ", "- "]
HEAD = "#+title: Small\n#+property: header-args:python :session small\n\n"


def run(folder, document, *verb, timeout=300):
    (folder / "README.org").write_text(document)
    shutil.copytree(ROOT / "literate", folder / "literate", dirs_exist_ok=True)
    shutil.copy(ROOT / "tangle.el", folder)
    command = [sys.executable, "-m", "literate", *verb]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout)


def seconds(read, *arguments):
    """The processor's time that it takes, also if it refuses, without what the collector takes.

    The collector looks at the whole process, PyTorch and all, whenever it happens to be due.
    """
    gc.disable()
    try:
        start = time.process_time()
        try:
            read(*arguments)
        except DocumentError:
            pass
        return time.process_time() - start
    finally:
        gc.enable()


@pytest.mark.parametrize("shape", ["x {}a ", "{}", "a {} b\n"])
@pytest.mark.parametrize("mark", MARKS)
def test_the_time_to_read_a_paragraph_grows_with_its_length(mark, shape):
    """Not a bound in seconds: four times the text may take at most some eight times as long."""
    text = shape.format(mark)

    def org(count):
        for element in parse(HEAD + "A" + text * count + "\n"):
            read_org_text(element.text.split("\n"), element.line)

    for read in (org, lambda count: read_markdown("A" + text * count + "\n", {})):
        small, large = (4_000 // len(text) * k for k in (1, 4))
        times = []
        for _ in range(9):  # a machine is slow at times: the least ones count
            times.append((seconds(read, large), seconds(read, small)))
            of_large, of_small = map(min, zip(*times, strict=True))
            if of_large < 8 * of_small + 0.3:
                break
        else:
            pytest.fail(f"{of_large:.2f} s for {large} marks, {of_small:.2f} s for {small}")


def depth(nodes):
    return max([0, *(1 + depth(node.nodes) for node in nodes)])


def texts(nodes: tuple[Node, ...] | list[Node]):
    for node in nodes:
        yield from (span.text for span in node.spans)
        yield from texts(node.nodes)


@pytest.mark.parametrize("deep", [2, 9, 15, 25])
def test_lists_within_lists_keep_their_text(deep):
    text = "".join(f"{'  ' * k}- item {k}\n" for k in range(deep))
    nodes = read_markdown(text, {})
    assert list(texts(nodes)) == [f"item {k}" for k in range(deep)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("".join(f"{'  ' * k}- item {k}\n" for k in range(150)), 32),
        ("*a " * 1500 + "b" + "*" * 1500, 3),
        ("**a " * 800 + "b" + "**" * 800, 3),
    ],
)
def test_what_is_too_deep_is_refused_at_its_line(text, line):
    with pytest.raises(DocumentError, match="60 deep; write it with fewer") as caught:
        read_markdown(f"Text.\n\n{text}\n", {})
    assert caught.value.line == line


def test_a_spawned_pool_is_refused_at_its_line_and_a_forked_one_works(tmp_path):
    code = """#+begin_src python :results output :exports both
import multiprocessing


def f(x):
    return x + 1


with multiprocessing.get_context("{}").Pool(2) as pool:
    print(pool.map(f, [1, 2]))
#+end_src
"""
    done = run(tmp_path, HEAD + code.format("spawn"), "run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("README.org:12: RuntimeError: a spawned")
    assert 'take multiprocessing.get_context("fork")' in done.stderr
    done = run(tmp_path, HEAD + code.format("fork"), "run")
    assert done.returncode == 0, done.stderr
    assert ": [2, 3]" in (tmp_path / "README.org").read_text()


def test_a_result_that_ends_in_blanks_is_refused(tmp_path):
    begin = "#+begin_src python :results output :exports both\n"
    code = f'{begin}print("a ", "b", sep="\\n")\n#+end_src\n'
    done = run(tmp_path, HEAD + code, "run")
    assert done.returncode == 1
    assert "README.org:4: a line that it printed ends in blanks" in done.stderr


def test_no_line_of_the_document_ends_in_blanks_and_editors_are_told_so():
    lines = (ROOT / "README.org").read_text().split("\n")
    assert [k for k, line in enumerate(lines, 1) if line != line.rstrip()] == []
    assert "trim_trailing_whitespace = true" in (ROOT / ".editorconfig").read_text()


@pytest.mark.parametrize("words", ["1.1;touch x", "$(touch x)", "`touch x`", "'; touch x; '"])
@pytest.mark.parametrize("name", ["exercise N", "fold FROM", "distributed PROCESSES"])
def test_what_a_user_writes_after_a_name_is_never_run(tmp_path, name, words):
    verb, variable = name.split()
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements.txt").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    (tmp_path / ".venv" / "requirements.txt").touch()
    python.write_text('#!/bin/sh\nfor x; do echo "<$x>"; done\n')
    python.chmod(0o755)
    said = words.replace("$", "$$")  # make's own mark
    command = ["make", verb, f"{variable}={said}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert f"<{words}>" in done.stdout, done.stderr
    assert not (tmp_path / "x").exists()


def test_two_makes_set_up_once_and_the_second_waits(tmp_path):
    """The command that makes .venv is replaced by one that goes on until it may end."""
    (tmp_path / "make.py").write_text(
        """import os, time

open("begun", "a").write("x")
while not os.path.exists("enough"):
    time.sleep(0.01)
open("ended", "a").write(open("begun").read())
"""
    )
    command = [sys.executable, "-m", "literate.alone", "lock", sys.executable, "make.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def start():
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        )

    first = start()
    while not (tmp_path / "begun").exists():
        assert first.poll() is None
        time.sleep(0.01)
    second = start()
    assert second.stdout.readline() == "Another make is setting up .venv; this one waits\n"
    (tmp_path / "enough").touch()
    assert (first.communicate()[0], second.communicate()[0]) == ("", "")
    assert (first.returncode, second.returncode) == (0, 0)
    assert (tmp_path / "ended").read_text() == "xxx"  # one had begun, then two had


def test_a_second_make_finds_what_the_first_has_set_up(tmp_path):
    """A python that stands for one with venv and pip, and counts how often it sets up."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "literate").mkdir()
    for name in ("alone.py", "__init__.py"):
        (tmp_path / "literate" / name).write_text((ROOT / "literate" / name).read_text())
    fake = tmp_path / "fake"
    fake.write_text(
        f"""#!/bin/sh
case "$*" in
*"-m venv"*) echo x >> set-up; mkdir -p .venv/bin; cp "$0" .venv/bin/python;;
*"-m pip"*) sleep 1;;
*literate.alone*) exec {sys.executable} "$@";;
*"literate check"*) echo checked;;
esac
"""
    )
    fake.chmod(0o755)
    command = ["make", f"PYTHON={fake}", "check"]
    jobs = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    said = [job.communicate()[0] for job in jobs]
    assert all("checked" in text for text in said), said
    assert (tmp_path / "set-up").read_text() == "x\n"
