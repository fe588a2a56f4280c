"""What is saved while a command works is not lost, and what a command says is so."""

import json
import shutil
import subprocess
import sys

import pytest
from fresh import ROOT
from test_literate import PRINT, SAMPLE, edit, files, literate_py

# An editor saves files when the command has read all it reads, and opens the first file that it
# is to rename; or just after it has written the document.
MEANWHILE = """
import json, os, runpy, sys

saves, when = json.loads(sys.argv.pop(1)), sys.argv.pop(1)
rename = os.replace


def save():
    while saves:
        path, data = saves.popitem()
        open(path, "w").write(data)


def replace(old, new):
    rename(old, new)
    if when == "after" and str(new).endswith("README.org"):
        save()


def notice(event, arguments):
    if when == "before" and event == "open" and str(arguments[0]).endswith(".tmp"):
        save()


os.replace = replace
sys.addaudithook(notice)
runpy.run_module("literate", run_name="__main__")
"""


def meanwhile(folder, saved, *words, when="before"):
    """Run a verb on a folder's document; files, with new texts, are saved meanwhile."""
    saves = json.dumps({str(folder / name): text for name, text in saved.items()})
    document = str(folder / "README.org")
    command = [sys.executable, "-c", MEANWHILE, saves, when, *words, document]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A document, run and then edited, and copies of it that are edited, too."""
    folder = tmp_path_factory.mktemp("made")
    document = folder / "README.org"
    document.write_text(SAMPLE)
    assert literate_py(folder, "run").returncode == 0
    for verb in ("markdown", "notebook"):
        assert literate_py(folder, verb).returncode == 0
    edit(folder / "micrograd.md", "A remark", "A folded remark")
    edit(document, "print(6 * 7)", "print(7 * 7)")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """The same, to work in."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        *[(verb, "README.org") for verb in ("tangle", "run", "detangle", "fold")],
        *[(verb, "small.py") for verb in ("tangle", "run", "detangle")],
        ("fold", "micrograd.md"),
    ],
)
def test_what_an_editor_saves_meanwhile_stays_and_nothing_is_written(folder, verb, name):
    if verb == "detangle":
        edit(folder / "small.py", "import math", "import math  # edited")
    elif verb != "fold":
        edit(folder / "README.org", "square(x):", "square(x, y=2):")
    before = files(folder)
    text = (folder / name).read_text() + "\nsaved meanwhile\n"
    words = [verb, "micrograd.md"] if verb == "fold" else [verb]
    words = [str(folder / word) if word.endswith(".md") else word for word in words]
    done = meanwhile(folder, {name: text}, *words)
    assert files(folder) == {**before, name: text.encode()}
    line = before[name].count(b"\n") + 2
    message = f"{name}:{line}: was edited meanwhile; do it again; nothing was changed\n"
    assert (done.returncode, done.stderr) == (1, message)
    edit(folder / name, "\nsaved meanwhile\n", "")
    assert literate_py(folder, *words).returncode == 0


@pytest.mark.parametrize("verb", ["markdown", "notebook"])
def test_a_copy_that_is_saved_meanwhile_stays(folder, verb):
    name = {"markdown": "micrograd.md", "notebook": "micrograd.ipynb"}[verb]
    (folder / name).unlink()
    done = meanwhile(folder, {name: "saved"}, verb)
    assert done.returncode == 1 and done.stderr.startswith(f"{name}:1: was edited meanwhile")
    assert (folder / name).read_text() == "saved"


def test_what_is_saved_as_it_is_to_be_is_no_conflict(folder):
    before = files(folder)
    assert literate_py(folder, "run").returncode == 0
    made = (folder / "README.org").read_text()
    assert made.encode() != before["README.org"]
    (folder / "README.org").write_bytes(before["README.org"])
    (folder / "images/one.svg").unlink()  # so that there is something to write
    assert meanwhile(folder, {"README.org": made}, "run").returncode == 0


def test_a_save_just_after_the_run_is_seen_by_the_next_one(folder):
    text = (folder / "README.org").read_text().replace("print(7 * 7)", "print(8 * 8)")
    done = meanwhile(folder, {"README.org": text}, "run", "--force", when="after")
    assert done.returncode == 0
    assert (folder / "README.org").read_text() == text
    again = literate_py(folder, "run")
    assert "nothing changed" not in again.stdout
    assert ": 64\n" in (folder / "README.org").read_text()


def test_a_figure_removed_just_after_the_run_is_drawn_by_the_next_one(folder):
    literate_py(folder, "run")
    (folder / "images/one.svg").unlink()
    assert literate_py(folder, "run").stdout == "wrote images/one.svg\n"


# Saying so.

INTERRUPTED = """
import os, runpy, signal, sys

left = int(sys.argv.pop(1))


class Finder:
    def find_spec(name, path=None, target=None):
        global left
        left -= "literate.__main__" in sys.modules or name != "literate"
        if left < 0:
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Finder)
runpy.run_module("literate", run_name="__main__")
"""


@pytest.mark.parametrize("verb", ["run", "markdown"])
def test_an_interruption_while_modules_load_says_one_line_at_most(tmp_path, verb):
    (tmp_path / "README.org").write_text(SAMPLE)
    said = set()
    for number in [*range(4, 40, 5), 100, 200, 400]:  # of the module that is loaded just then
        command = [sys.executable, "-c", INTERRUPTED, str(number), verb]
        command.append(str(tmp_path / "README.org"))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        said.add((done.returncode, done.stderr))
    late = (130, "\nREADME.org: interrupted; nothing was changed\n")
    assert (-2, "") in said and said <= {(-2, ""), late, (0, "")}


@pytest.mark.parametrize("verb", ["tangle", "run", "detangle"])
@pytest.mark.parametrize("name", [".literate", ".literate.stamp"])
def test_what_cannot_be_kept_for_the_next_time_is_said_after_the_work(tmp_path, verb, name):
    (tmp_path / "README.org").write_text(SAMPLE)
    if name == ".literate":
        (tmp_path / name).write_text("in the way")
    else:
        (tmp_path / name).mkdir()
    done = literate_py(tmp_path, verb)
    assert done.returncode == 0 and "nothing was changed" not in done.stderr
    kept = [".literate"] if verb == "tangle" else [".literate", ".literate.stamp"]
    kept = [] if verb == "detangle" else kept
    assert done.stderr.count("the work is done") == kept.count(name)
    assert (tmp_path / "small.py").exists() == (verb != "detangle")


FAILS = """
import os, runpy, signal, sys

number, how = int(sys.argv.pop(1)), sys.argv.pop(1)
rename = os.replace


def replace(*names):
    global number
    number -= 1
    if number < 0 and how == "full":
        raise OSError(28, "No space left on device", names[1])
    rename(*names)
    if number == 0 and how == "interrupted":
        os.kill(os.getpid(), signal.SIGINT)


os.replace = replace
runpy.run_module("literate", run_name="__main__")
"""


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(("verb", "how"), [("run", "full"), ("tangle", "interrupted")])
def test_nothing_was_changed_is_said_only_if_it_is_so(tmp_path, verb, number, how):
    (tmp_path / "README.org").write_text(SAMPLE + "\n" + PRINT)
    before = files(tmp_path)
    command = [sys.executable, "-c", FAILS, str(number), how, verb]
    done = subprocess.run(
        [*command, str(tmp_path / "README.org")], cwd=ROOT, capture_output=True, text=True
    )
    now = files(tmp_path)
    changed = [name for name in ("images/one.svg", "small.py") if name in now]
    changed += ["README.org"] * (now["README.org"] != before["README.org"])
    assert (done.returncode == 0) == (now != before and "only this" not in done.stderr)
    assert ("nothing was changed" in done.stderr) == (now == before)
    if "only this" in done.stderr:
        said = done.stderr.strip().rsplit("only this was written: ", 1)[1].split(", ")
        assert {name.split("/")[-1] for name in changed} == {*said}
