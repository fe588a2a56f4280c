"""While writing: each save is shown, from the first change on, as `make` would write it."""

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from fresh import ROOT, TOOL
from test_literate import HEAD, edit, gone, literate_py


def block(code, results="output", exports="both", tangle=""):
    header = f"{tangle}:results {results} :exports {exports}"
    return f"#+begin_src python {header}\n{code}\n#+end_src\n\n"


TEXT = (
    HEAD
    + block("X = 1", "silent", "code", ":tangle small.py ")
    + block("import random\nimport small\n\nrandom.seed(3)\nprint(small.X, random.random())")
    + block('with open("log", "a") as log:\n    print(log.write("one"), random.random())')
    + block(
        'with open("images/a.svg", "w") as file:\n    file.write("<svg/>")\n\n"images/a.svg"',
        "file",
    )
    + block('with open("log", "a+") as log:\n    log.write("two")\nprint(open("log").read())')
    + "A fig.\n\n"
    + block('print(open("README.org").read().count("fig."), random.random())')
)


class Watching:
    """`make watch` on a document, and what it says."""

    def __init__(self, folder):
        self.document = folder / "README.org"
        self.log = open(folder / "said", "w+")
        self.process = subprocess.Popen(
            [*TOOL, "watch", str(self.document)],
            cwd=ROOT,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def said(self):
        self.log.flush()
        with open(self.log.name) as log:
            return log.read()

    def until(self, true):
        """Wait for it: for five minutes, if the machine is that busy."""
        end = time.monotonic() + 300
        while not true():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)

    def fresh(self, times):
        """Wait for this many complete runs in all."""
        self.until(lambda: self.said().count("all results are fresh") >= times)

    @property
    def address(self):
        found = re.search(r"http://127\.0\.0\.1:\d+/", self.said())
        assert found
        return found[0]


def save(document, old, new, renames):
    """Edit and save it, as an editor does that renames its work, or as one that doesn't."""
    text = document.read_text()
    assert old in text
    file = document.with_name("README.org~new") if renames else document
    file.write_text(text.replace(old, new, 1))
    file.replace(document)


@pytest.fixture
def watching(tmp_path):
    (tmp_path / "README.org").write_text(TEXT)
    made = Watching(tmp_path)
    made.fresh(1)
    yield made
    made.process.send_signal(signal.SIGINT)
    assert made.process.wait(60) == 0
    made.log.close()


def assert_as_made(folder, elsewhere):
    """The document, its program and figures are what `make` makes of the document."""
    text = (folder / "README.org").read_text()
    (elsewhere / "README.org").write_text(re.sub(r"\n#\+RESULTS:\n(.+\n)+", "", text))
    assert literate_py(elsewhere, "run").returncode == 0
    for name in ("README.org", "small.py", "images/a.svg"):
        assert (folder / name).read_bytes() == (elsewhere / name).read_bytes()


def test_after_any_edit_all_is_as_make_would_write_it(watching, tmp_path_factory):
    folder, document = watching.document.parent, watching.document
    assert_as_made(folder, tmp_path_factory.mktemp("one"))
    changes = [
        ("print(open(", "print(2, open("),
        ('print(log.write("one")', 'print("again", log.write("one")'),
        ("print(2, open(", "print(3, open("),
        ("A fig.", "Two fig. and fig.\n\nMore."),
        ('"<svg/>"', '"<svg></svg>"'),
        ("X = 1", "X = 2"),
        ("seed(3)", "seed(4)"),
    ]
    for number, (old, new) in enumerate(changes, 2):
        save(document, old, new, renames=number % 2)
        watching.fresh(number)
        assert_as_made(folder, tmp_path_factory.mktemp("made"))


def test_blocks_above_the_first_change_do_not_run_again(watching, tmp_path):
    runs = tmp_path / "runs"
    count = f"open({str(runs)!r}, 'a').write('x')\nrandom.seed(3)"
    edit(watching.document, "random.seed(3)", count)
    watching.fresh(2)
    for number in range(3, 7):
        edit(watching.document, 'print(open("log")', f'print({number})\nprint(open("log")')
        watching.fresh(number)
        if number == 3:  # the first edit at a place may run more: now a process rests above it
            first = runs.read_text()
    assert runs.read_text() == first


def test_an_edit_of_the_program_or_of_a_copy_comes_into_the_document(watching, tmp_path):
    edit(tmp_path / "small.py", "X = 1", "X = 5")
    watching.fresh(2)
    assert "\nX = 5\n" in watching.document.read_text()
    assert ": 5 0.23796" in watching.document.read_text()
    assert literate_py(tmp_path, "markdown").returncode == 0
    edit(tmp_path / "micrograd.md", "A fig.", "A fig. and a fig.")
    watching.fresh(3)
    assert "A fig. and a fig." in watching.document.read_text()
    assert re.search(r"^: 3 0\.\d+$", watching.document.read_text(), re.MULTILINE)


def test_what_is_wrong_is_said_at_its_line_and_mended_by_the_next_save(watching):
    document = watching.document
    edit(document, "A fig.", "A $x$ fig.")
    watching.until(lambda: re.search(r"README.org:\d+: `\$x\$ fig.` is LaTeX", watching.said()))
    edit(document, "A $x$ fig.", "A fig.")
    edit(document, 'print(log.write("one")', 'print(undefined, log.write("one")')
    watching.until(lambda: "NameError: name 'undefined'" in watching.said())
    line = document.read_text().split("undefined")[0].count("\n") + 1
    assert f"README.org:{line}: NameError" in watching.said()
    runs = watching.said().count("fresh")
    edit(document, "print(undefined, ", "print(")
    watching.fresh(runs + 1)


def test_half_a_save_is_not_taken_for_a_removed_end(watching):
    document = watching.document
    text = document.read_text().replace("A fig.", "A fig. And more.")
    half = text.index("\n\n", len(text) // 2) + 1
    with open(document, "w") as file:  # an editor that writes slowly
        file.write(text[:half])
        file.flush()
        time.sleep(1)
        file.write(text[half:])
    watching.fresh(2)
    assert "A fig. And more." in document.read_text()
    assert document.read_text().endswith(text[-20:])


def test_a_wrong_save_while_it_runs_is_not_called_fresh(watching, tmp_path):
    document, go = watching.document, tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\n"
    new = f'{wait}print("new", open("log'
    edit(document, 'print(open("log', new)
    right = document.read_text()
    watching.until(lambda: "http" in watching.said())
    time.sleep(0.5)
    document.write_text(right.replace("A fig.", "A $x$ fig."))
    watching.until(lambda: "LaTeX" in watching.said())
    go.touch()
    time.sleep(1.5)
    assert watching.said().count("all results are fresh") == 1
    document.write_text(right)
    watching.fresh(2)
    assert re.search(r"^: new", document.read_text(), re.MULTILINE)


def test_a_linked_file_that_goes_and_comes_is_noticed(watching, tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("one")
    edit(watching.document, "A fig.", "A fig, and [[file:data.txt][data]].")
    edit(watching.document, 'print(open("log', 'print(open("data.txt").read(), open("log')
    watching.until(lambda: re.search("^: one ", watching.document.read_text(), re.MULTILINE))
    data.unlink()
    watching.until(lambda: "FileNotFoundError" in watching.said())
    data.write_text("two")
    watching.until(lambda: re.search("^: two ", watching.document.read_text(), re.MULTILINE))


def test_a_document_that_is_wrong_from_the_start_is_awaited(watching, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "README.org").write_text(TEXT.replace("A fig.", "A $x$ fig."))
    made = Watching(folder)
    made.until(lambda: re.search(r"README.org:\d+: `\$x\$ fig.` is LaTeX", made.said()))
    edit(folder / "README.org", "A $x$ fig.", "A fig.")
    made.fresh(1)
    made.process.send_signal(signal.SIGINT)
    assert made.process.wait(60) == 0


def test_an_endless_block_ends_with_the_next_save_and_with_the_watch(watching, tmp_path):
    begun, endless = tmp_path / "begun", "while True: pass"
    code = (
        f"import os\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\n{endless}\nprint(open("
    )
    edit(watching.document, 'print(open("log', code + '"log')
    watching.until(lambda: begun.exists() and begun.read_text())
    first = int(begun.read_text())
    begun.unlink()
    edit(watching.document, endless, endless + "  # again")
    watching.until(lambda: begun.exists() and begun.read_text())
    assert gone(first)
    second = int(begun.read_text())
    watching.process.send_signal(signal.SIGINT)
    assert watching.process.wait(60) == 0
    assert gone(second)


def test_a_killed_watch_leaves_no_process(watching, tmp_path):
    begun = tmp_path / "begun"
    code = f"import os\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\nwhile True: pass\n"
    edit(watching.document, 'print(open("log', code + 'print(open("log')
    watching.until(lambda: begun.exists() and begun.read_text())
    os.kill(watching.process.pid, signal.SIGKILL)
    watching.process.wait()
    assert gone(int(begun.read_text()))
    watching.__init__(tmp_path)  # for the fixture, which ends it
    watching.until(lambda: "127.0.0.1" in watching.said())


def fetch(address, **headers):
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60)


def test_the_page_is_shown_to_this_machine_alone_and_told_of_changes(watching, tmp_path):
    shown = fetch(f"{watching.address}micrograd.html").read()
    assert shown == (tmp_path / "micrograd.html").read_bytes()
    assert literate_py(tmp_path, "html").stdout == "micrograd.html: nothing changed\n"
    for path, host in [("", "example.org"), ("README.org", ""), ("../README.org", "")]:
        with pytest.raises(urllib.error.HTTPError):
            fetch(watching.address + path, **({"Host": host} if host else {}))
    with fetch(f"{watching.address}changes") as changes:
        first = changes.readline()
        assert re.fullmatch(rb"data: \w{40}\n", first)
        edit(watching.document, "A fig.", "One fig.")
        while (line := changes.readline()) == first or not line.startswith(b"data: "):
            pass
    assert b"One fig." in fetch(f"{watching.address}micrograd.html").read()
