"""The Makefile's promises, held by a copy of it in a folder with a space in its name.

Python there only pretends to install; all else is real.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

DOCUMENT = """\
#+title: Small
#+property: header-args:python :session micrograd

#+begin_src python :tangle micrograd.py :exports code :results silent
x = 6 * 7
#+end_src

#+begin_src python :results output :exports both
print(x)
#+end_src
"""

# Stands for python3, then for .venv/bin/python. Its pip only writes down what it was asked for.
PYTHON = """\
#!/bin/sh
case "$*" in
{cases}
*"-m venv"*) rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*"-m pip"*) echo "$*" >>pip.log; [ ! -e offline ] ;;
*"-m pytest"*) echo "$*"; [ ! -e failing ] ;;
*) exec "{python}" "$@" ;;
esac
"""

TOOLS = ["awk", "chmod", "cmp", "cp", "ln", "mkdir", "mv", "rm", "sh"]


class Clone:
    """The project's Makefile and package, a small README.org, and a PATH without Emacs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a clone"
        self.folder.mkdir()
        for name in ["Makefile", "requirements.txt", "tangle.el"]:
            shutil.copy(ROOT / name, self.folder)
        shutil.copytree(ROOT / "literate", self.folder / "literate")
        self.write("README.org", DOCUMENT)
        self.python()
        self.path = folder / "bin"
        self.path.mkdir()
        for tool in TOOLS:
            (self.path / tool).symlink_to(str(shutil.which(tool)))

    def write(self, name: str, text: str) -> None:
        """Write an executable file of the clone."""
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def python(self, cases: str = "") -> None:
        """Make the `python3` that set-up finds. `cases`, if any, come before its own."""
        self.write("python3", PYTHON.format(cases=cases, python=sys.executable))

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run make in the clone, from another folder."""
        # A make around these tests hands its own options and variables down in these.
        handed = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS")
        kept = {name: value for name, value in os.environ.items() if name not in handed}
        make = str(shutil.which("make"))
        python = f"PYTHON={self.folder / 'python3'}"
        return subprocess.run(
            [make, "-C", str(self.folder), python, *arguments],
            env={**kept, "PATH": str(self.path), **environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def installs(self) -> int:
        """How often pip was asked to install."""
        log = self.folder / "pip.log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Every file's time and bytes."""
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in self.folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def verbs() -> list[str]:
    """The Makefile's own targets, but for those that start with a dot."""
    return re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_help_lists_every_verb_with_a_line_of_help(clone: Clone) -> None:
    listed = clone.make("help").stdout
    assert {"all", "test", "tangle", "images", "check", "help", "clean"} <= set(verbs())
    for verb in verbs():
        assert re.search(rf"^make {verb} +\S", listed, re.MULTILINE), verb


def test_make_sets_up_tangles_and_runs_the_document(clone: Clone) -> None:
    done = clone.make()
    assert done.returncode == 0, done.stderr
    assert clone.installs() == 1
    assert (clone.folder / "micrograd.py").read_text() == "x = 6 * 7\n"
    assert "#+RESULTS:\n: 42\n" in (clone.folder / "README.org").read_text()


def test_a_second_make_changes_nothing_and_says_so_within_a_second(clone: Clone) -> None:
    clone.make()
    before = clone.files()
    start = os.times()
    again = clone.make()
    taken = os.times()
    assert again.returncode == 0
    assert "nothing changed" in again.stdout
    assert clone.files() == before
    # The processor's seconds: the machine may be busy.
    first, last = (t.children_user + t.children_system for t in (start, taken))
    assert last - first < 1


def test_content_not_time_decides_whether_to_set_up_again(clone: Clone) -> None:
    clone.make()
    os.utime(clone.folder / "requirements.txt", (2e9, 2e9))
    clone.make()
    assert clone.installs() == 1
    clone.write("requirements.txt", "tqdm\n")
    clone.make()
    assert clone.installs() == 2


def test_an_interrupted_set_up_is_completed_by_the_next_make(clone: Clone) -> None:
    clone.write("offline", "")
    failed = clone.make()
    assert failed.returncode != 0
    assert not (clone.folder / "micrograd.py").exists()
    (clone.folder / "offline").unlink()
    assert clone.make().returncode == 0
    assert clone.make().returncode == 0
    assert clone.installs() == 2


def test_a_lost_interpreter_is_set_up_again(clone: Clone) -> None:
    clone.make()
    python = clone.folder / ".venv/bin/python"
    python.unlink()
    python.symlink_to("python3 that an upgrade removed")
    assert clone.make().returncode == 0
    assert clone.installs() == 2


def test_the_dot_that_draws_is_the_one_that_was_installed(clone: Clone) -> None:
    assert "install Graphviz" in clone.make().stderr
    clone.make("clean")
    clone.python('*"-m pip"*) : >.venv/bin/graphviz-pure; chmod +x .venv/bin/graphviz-pure ;;')
    assert "install Graphviz" not in clone.make().stderr
    assert os.readlink(clone.folder / ".venv/bin/dot") == "graphviz-pure"


def test_a_missing_venv_names_the_package_to_install(clone: Clone) -> None:
    clone.python('*ensurepip*) echo "No module named ensurepip" >&2; exit 1 ;;')
    for verb in ["all", "test", "images", "check"]:
        failed = clone.make(verb)
        assert failed.returncode != 0
        assert "python3-venv" in failed.stderr
        assert "make PYTHON=" in failed.stderr
    assert not (clone.folder / ".venv").exists()


def test_a_missing_python_and_one_that_is_too_old_are_refused(clone: Clone) -> None:
    failed = clone.make("PYTHON=python3.99")
    assert failed.returncode != 0
    assert "python3.99 is not installed" in failed.stderr
    older = f'"{sys.executable}" -c "import sys; sys.version_info = (3, 9, 2); $2"; exit ;;'
    clone.python(f"*version_info*) {older}")
    for verb in ["all", "tangle"]:
        failed = clone.make(verb)
        assert failed.returncode != 0
        assert "is Python 3.9, which is too old" in failed.stderr
        assert "make PYTHON=" in failed.stderr
    assert not (clone.folder / ".venv").exists()


def test_nothing_that_a_user_has_set_for_python_matters(clone: Clone) -> None:
    code = """\
import subprocess
import sys
import micrograd
again = [sys.executable, "-c", "import micrograd; print(micrograd.x)"]
assert subprocess.check_output(again) == b"42\\n"
print("naïve →", micrograd.x, bool(__debug__))
"""
    clone.write("README.org", DOCUMENT.replace("print(x)\n", code))
    elsewhere = clone.folder.parent / "elsewhere"
    for name in ("literate", "tools", "micrograd"):
        (elsewhere / name).mkdir(parents=True)
        (elsewhere / name / "__init__.py").write_text(f"raise SystemExit('another {name}')\n")
    given = {"PATH": str(elsewhere), "SAFEPATH": "1", "IOENCODING": "ascii", "OPTIMIZE": "1"}
    environment = {f"PYTHON{name}": value for name, value in given.items()}
    for verb in ("tangle", "all", "check"):
        done = clone.make(verb, PYTHONHASHSEED="0", PYTHONHOME="/nowhere", **environment)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "#+RESULTS:\n: naïve → 42 True\n" in (clone.folder / "README.org").read_text("utf-8")


def test_make_test_sets_up_first_and_hands_its_arguments_on(clone: Clone) -> None:
    done = clone.make("test", "ARGS=-k 'one or two' -x")
    assert done.returncode == 0, done.stderr
    assert clone.installs() == 1
    assert " -k one or two -x\n" in done.stdout


def test_make_distributed_hands_on_its_number_of_processes_and_its_arguments(
    clone: Clone,
) -> None:
    clone.python('*"-m torch.distributed.run"*) echo "$*"; [ ! -e failing ]; exit ;;')
    done = clone.make("distributed", "PROCESSES=3", "ARGS=--steps 7")
    assert done.returncode == 0, done.stderr
    assert "--nproc-per-node 3 examples/distributed.py --steps 7\n" in done.stdout
    for wrong in ("0", "-1"):
        done = clone.make("distributed", f"PROCESSES={wrong}")
        assert done.returncode != 0 and "PROCESSES must be 1 or more" in done.stderr
    clone.write("failing", "")
    assert clone.make("distributed").returncode != 0


def test_a_failure_inside_a_verb_is_the_failure_of_make(clone: Clone) -> None:
    clone.write("failing", "")
    assert clone.make("test").returncode != 0
    clone.write("README.org", DOCUMENT.replace("6 * 7", "6 / 0"))
    assert clone.make("check").returncode != 0
    assert clone.make().returncode != 0
    clone.write("README.org", DOCUMENT.replace("#+end_src", "", 1))
    assert clone.make("tangle").returncode != 0


def assert_tangles(clone: Clone, tangler: str, *arguments: str) -> None:
    done = clone.make("tangle", *arguments)
    assert done.returncode == 0, done.stderr
    assert f"Tangling with {tangler}" in done.stdout
    assert (clone.folder / "micrograd.py").read_text() == "x = 6 * 7\n"


def test_tangling_without_emacs_needs_no_set_up(clone: Clone) -> None:
    assert_tangles(clone, "literate")
    assert clone.installs() == 0


def test_an_emacs_of_unknown_version_counts_as_not_installed(clone: Clone) -> None:
    clone.write("emacs", '#!/bin/sh\necho "some other editor"\n')
    assert_tangles(clone, "literate", f"EMACS={clone.folder / 'emacs'}")


@pytest.mark.skipif(not shutil.which("emacs"), reason="needs Emacs")
@pytest.mark.parametrize(
    ("version", "tangler"),
    [("27.2", "literate"), ("28.1", "literate"), ("28.2", "Emacs"), ("30.1", "Emacs")],
)
def test_emacs_tangles_from_28_2_on(clone: Clone, version: str, tangler: str) -> None:
    real = shutil.which("emacs")
    pretend = f'(setq emacs-version \\"{version}\\")'
    clone.write("emacs", f'#!/bin/sh\nexec "{real}" --batch --eval "{pretend}" "$@"\n')
    assert_tangles(clone, tangler, f"EMACS={clone.folder / 'emacs'}")


def test_clean_removes_what_make_made_and_nothing_else(clone: Clone) -> None:
    clone.make()
    clone.make("clean")
    assert not (clone.folder / ".venv").exists()
    assert not (clone.folder / ".literate.stamp").exists()
    assert (clone.folder / "micrograd.py").exists()
