"""Killed at any moment, a command leaves each file as it was or as it is to be."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from fresh import ROOT, TOOL
from test_emacs import EMACS, emacs, prepare
from test_literate import SAMPLE, edit, files, literate_py

# Python that kills itself when it is to change the file system for the n-th time, or, where it
# opens a file to write it, just after that.
KILLER = """
import os, runpy, signal, sys

left = int(sys.argv.pop(1))


def count(event, arguments):
    global left
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.rename", "os.remove", "os.mkdir", "os.chmod", "os.rmdir"):
        left -= 1
        if left < 0:
            if event == "open" and arguments[2] & os.O_TRUNC and os.path.isfile(arguments[0]):
                os.truncate(arguments[0], 0)
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(count)
runpy.run_module("literate", run_name="__main__")
"""


@pytest.fixture(params=["tangle", "detangle", "run"])
def job(request, tmp_path, tmp_path_factory, monkeypatch):
    """A verb that has every kind of file to write, and the files before it and after it."""
    verb = request.param
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
    document = tmp_path / "README.org"
    document.write_text(SAMPLE)
    literate_py(tmp_path, "run")
    edit(document, "square(x):", "square(x, y=2):")
    if verb == "detangle":
        edit(tmp_path / "small.py", "import math", "import math  # edited")
    else:
        edit(document, "print(6 * 7)", "print(7 * 7)")
        edit(document, "<svg/>", "<svg>two</svg>")
    before = files(tmp_path)
    assert literate_py(tmp_path, verb).returncode == 0
    after = files(tmp_path)
    restore(tmp_path, before)
    return verb, before, after


def restore(folder, wanted):
    for name in files(folder):
        if name not in wanted:
            (folder / name).unlink()
    for name, data in wanted.items():
        (folder / name).write_bytes(data)


def whole(folder, before, after):
    """How many files are as they are to be; the others are as they were."""
    now = {name: data for name, data in files(folder).items() if not name.endswith(".tmp")}
    assert now.keys() == before.keys() | after.keys() or now.keys() == before.keys()
    for name, data in now.items():
        assert data in (before.get(name), after[name]), name
    return sum(data != before.get(name) for name, data in now.items())


@pytest.mark.dear
def test_a_kill_at_any_change_of_the_file_system_leaves_every_file_whole(tmp_path, job):
    verb, before, after = job
    changed = []
    for number in range(200):
        restore(tmp_path, before)
        document = str(tmp_path / "README.org")
        command = [sys.executable, "-B", "-c", KILLER, str(number), verb, document]
        done = subprocess.run(command, cwd=ROOT, capture_output=True)
        changed.append(whole(tmp_path, before, after))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        if changed[-1] not in changed[:-1]:  # what is left does not stop the next one
            again = literate_py(tmp_path, verb)
            assert again.returncode == 0, again.stderr
            names = ["README.org", "small.py", "images/one.svg"]
            assert all((tmp_path / name).read_bytes() == after[name] for name in names)
    assert done.returncode == 0 and changed[0] == 0
    assert set(changed) == set(range(changed[-1] + 1))


def kill_at_random(command, tries, folder, before, after):
    """Kill a command after random delays; gives how often it was hit, and in what states."""
    longest = 60.0
    chance = random.Random(4)
    hit = 0
    for number in range(tries):
        restore(folder, before)
        begun = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(chance.uniform(0.3, 1.0) * longest if number else None)
            longest = time.monotonic() - begun  # where it was not killed, this is what it takes
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            hit += 1
        whole(folder, before, after)
    return hit


def test_kills_at_random_moments_leave_every_file_whole(tmp_path, job):
    verb, before, after = job
    command = [*TOOL, verb, str(tmp_path / "README.org")]
    assert kill_at_random(command, 15, tmp_path, before, after) > 0


# The same for Emacs, which dies in the middle of writing a file. What it writes elsewhere does
# not count: in the background it compiles Lisp of its own, more or less of it as time allows.
DIE = """
(let ((left {}) (folder "{}/"))
  (add-hook 'kill-emacs-hook (lambda () (message "left %d" left)))
  (dolist (name '(write-region rename-file copy-file delete-file make-directory set-file-modes))
    (advice-add
     name :around
     (lambda (original &rest arguments)
       (when (and (string-prefix-p
                   folder
                   (expand-file-name (nth (if (eq name 'write-region) 2 0) arguments)))
                  (< (setq left (1- left)) 0))
         (when (and (eq name 'write-region) (null (car arguments)))
           (apply original (point-min) (/ (point-max) 2) (cddr arguments)))
         (when (and (eq name 'write-region) (stringp (car arguments)))
           (apply original (substring (car arguments) 1) (cdr arguments)))
         (signal-process (emacs-pid) 'SIGKILL)
         (sleep-for 10))
       (apply original arguments)))))
"""


@pytest.mark.dear
@pytest.mark.skipif(not EMACS and not os.environ.get("CI"), reason="Emacs is not installed")
@pytest.mark.parametrize("function", ["tangle", "run"])
def test_a_kill_of_emacs_at_any_of_its_last_changes_leaves_every_file_whole(tmp_path, function):
    prepare(tmp_path, SAMPLE)
    document = tmp_path / "README.org"
    literate_py(tmp_path, "run")
    edit(document, "square(x):", "square(x, y=2):")
    edit(document, "print(6 * 7)", "print(7 * 7)")
    names = ["README.org", "small.py"]
    before = {name: (tmp_path / name).read_bytes() for name in names}
    function = f"literate-{function}-batch"
    done = emacs(tmp_path, "--eval", DIE.format(999, tmp_path), "-f", function)
    assert done.returncode == 0
    total = 999 - int(done.stderr.split()[-1])
    after = {name: (tmp_path / name).read_bytes() for name in names}
    assert before["small.py"] != after["small.py"]
    seen = set()
    for number in range(max(total - 10, 0), total):
        for name in names:
            (tmp_path / name).write_bytes(before[name])
        (tmp_path / ".literate/tangled/small.py").write_bytes(before["small.py"])
        done = emacs(tmp_path, "--eval", DIE.format(number, tmp_path), "-f", function)
        now = [(tmp_path / name).read_bytes() for name in names]
        for name, data in zip(names, now, strict=True):
            assert data in (before[name], after[name]), name
        seen.add(tuple(now))
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(seen) >= 2
