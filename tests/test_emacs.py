"""Emacs and `python -m literate` are two doors to one document: they write the same bytes."""

import contextlib
import fcntl
import os
import pty
import select
import shutil
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from test_literate import HEAD, PRINT, PYTHON, SAMPLE, SMALL, edit, line_of, literate_py

from literate.org import linked_files, parse

ROOT = Path(__file__).resolve().parent.parent
EMACS = shutil.which(os.environ.get("EMACS", "emacs")) or ""

pytestmark = pytest.mark.skipif(
    not EMACS and not os.environ.get("CI"), reason="Emacs is not installed"
)


def emacs(folder, *arguments):
    """Run Emacs in batch, with tangle.el loaded; gives its finished process."""
    assert EMACS, "Emacs is not installed"
    hasten = "(setq gc-cons-threshold 100000000)"  # collecting garbage takes half of the time
    load = ["--eval", hasten, "-l", str(folder / "tangle.el")]
    command = [EMACS, "-Q", "--batch", *load, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, cwd="/")


def prepare(folder, document):
    """Put a document, tangle.el and this Python, as .venv/bin/python, into a folder."""
    (folder / "README.org").write_text(document, "utf-8")
    shutil.copy(ROOT / "tangle.el", folder)
    (folder / "literate").symlink_to(ROOT / "literate")
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / ".venv/bin/python").chmod(0o755)
    if dot := shutil.which("dot", path=os.path.dirname(sys.executable)):
        (folder / ".venv/bin/dot").symlink_to(dot)
    return folder / "README.org"


def made(folder):
    """What a run makes in a folder: the bytes of the document, the figures and the program."""
    found = [folder / "README.org", *folder.glob("*.py"), *folder.glob("images/*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def without_results(text):
    """A document as it is before its first run."""
    elements = parse(text)
    kinds = [element.kind for element in elements] + [""]
    kept = [e.text for i, e in enumerate(elements) if "result" not in kinds[i : i + 2]]
    return "".join(kept)


def test_tangling_writes_the_same_bytes_and_only_once(tmp_path):
    prepare(tmp_path, SAMPLE)
    done = emacs(tmp_path, "-f", "literate-tangle-batch")
    assert (done.returncode, done.stderr) == (0, "wrote small.py\n")
    assert (tmp_path / "small.py").read_text() == SMALL
    before = os.stat(tmp_path / "small.py")
    done = emacs(tmp_path, "-f", "literate-tangle-batch")
    assert done.stderr == "small.py: nothing changed\n"
    assert os.stat(tmp_path / "small.py") == before


def test_the_readme_tangles_to_the_committed_program(tmp_path):
    prepare(tmp_path, (ROOT / "README.org").read_text("utf-8"))
    assert emacs(tmp_path, "-f", "literate-tangle-batch").returncode == 0
    assert (tmp_path / "micrograd.py").read_bytes() == (ROOT / "micrograd.py").read_bytes()


def test_orgs_own_command_tangles_the_same_in_a_visited_buffer(tmp_path):
    prepare(tmp_path, SAMPLE)
    visit = (
        f'(progn (find-file "{tmp_path}/README.org") (call-interactively #\'org-babel-tangle))'
    )
    assert emacs(tmp_path, "--eval", visit).returncode == 0
    assert (tmp_path / "small.py").read_text() == SMALL


def open_in_a_terminal(document, expression):
    """Open a file as a person does, in a terminal; gives what the expression is there."""
    answer = document.with_name("answer")
    say = f'(progn (write-region (format "%S" {expression}) nil "{answer}") (kill-emacs))'
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [EMACS, "-Q", "-nw", str(document), "--eval", say],
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # be its terminal
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(its)
    shown = b""
    while (
        process.poll() is None
        and b"may not be safe" not in shown
        and select.select([ours], [], [], 20)[0]
    ):
        with contextlib.suppress(OSError):  # at its end
            shown += os.read(ours, 4096)
    process.kill()
    process.wait()
    assert answer.exists(), f"Emacs asks: {shown.decode(errors='replace')[-2000:]}"
    return answer.read_text()


VARIABLES = """(mapcar (lambda (pair) (list (car pair) (cdr pair) (symbol-value (car pair))
    (not (null (safe-local-variable-p (car pair) (cdr pair)))))) file-local-variables-alist)"""


def test_opening_the_readme_asks_nothing_and_sets_only_safe_variables(tmp_path):
    document = tmp_path / "README.org"
    document.write_bytes((ROOT / "README.org").read_bytes())
    answer = open_in_a_terminal(document, VARIABLES)
    last = document.read_text("utf-8").rpartition("# Local Variables:\n")[2]
    given = [line[2:].split(": ") for line in last.splitlines()[:-1]]
    assert given and last.endswith("# End:\n")
    for name, value in given:
        assert f"({name} {value} {value} t)" in answer
    assert answer.count(" t)") == len(given)


def test_an_unsafe_variable_would_be_asked_for(tmp_path):
    document = tmp_path / "README.org"
    document.write_text(SAMPLE.replace("fill-column: 100", 'eval: (load-file "tangle.el")'))
    with pytest.raises(AssertionError, match="may not be safe"):
        open_in_a_terminal(document, "1")


def test_editing_a_block_in_a_window_of_its_own_does_not_indent_it(tmp_path):
    document = tmp_path / "README.org"
    document.write_bytes((ROOT / "README.org").read_bytes())
    visit = f"""(progn (find-file "{document}") (goto-char (point-min))
      (search-forward "#+begin_src python :tangle") (forward-line 2)
      (org-edit-special) (insert "# a line\n") (org-edit-src-exit) (save-buffer))"""
    subprocess.run([EMACS, "-Q", "--batch", "--eval", visit], check=True, capture_output=True)
    old, new = ((f / "README.org").read_text("utf-8").split("\n") for f in (ROOT, tmp_path))
    assert "# a line" in new
    new.remove("# a line")
    assert new == old


def test_in_a_window_an_edit_by_hand_is_shown_and_kept(tmp_path):
    document = prepare(tmp_path, SAMPLE)
    literate_py(tmp_path, "tangle")
    edited = SMALL.replace("x, x", "x, 2")
    (tmp_path / "small.py").write_text(edited)
    tangling = f"""(progn (load-file "{tmp_path}/tangle.el") (switch-to-buffer "README.org")
      (list (condition-case failure (execute-kbd-macro (kbd "C-c C-v t"))
              (error (error-message-string failure)))
            (with-current-buffer (window-buffer (next-window)) (buffer-string))))"""
    answer = open_in_a_terminal(document, tangling)
    assert answer.startswith('("small.py:8: was edited by hand; `make detangle` takes')
    assert "-        *[x, x],\n+        *[x, 2],\n" in answer
    assert (tmp_path / "small.py").read_text() == edited


def test_other_documents_of_the_user_are_left_alone(tmp_path):
    prepare(tmp_path, SAMPLE)
    block = "#+begin_src python :tangle other.py\n  a = 1\n#+end_src\n\n"
    (tmp_path / "other.org").write_text(block + block)
    visit = f"""(progn (find-file "{tmp_path}/other.org") (org-babel-tangle)
      (princ (list literate-mode org-src-preserve-indentation org-confirm-babel-evaluate)))"""
    assert emacs(tmp_path, "--eval", visit).stdout == "(nil nil t)"
    assert (tmp_path / "other.py").read_text() == "a = 1\n\na = 1\n"


@pytest.mark.parametrize(
    "text, line",
    [
        (f"{PYTHON} :tangle a.py :exports code :results silent\n1\n", 1),
        (f"Text.\n\n#+begin_quote\nText.\n\n{PRINT}", 3),
        ("Text.\n#+end_src\n", 2),
        (f"{PYTHON} :tangel a.py :exports code :results silent\n1\n#+end_src\n", 1),
        (f"{PYTHON} :exports :results silent\n1\n#+end_src\n", 1),
        *[
            (f"{PRINT}\n{PYTHON} :tangle {name} :exports code :results silent\n#+end_src\n", 5)
            for name in "/a.py ~/a.py ../a.py ./a.py README.org yes . link/a.py".split()
        ],
    ],
)
def test_what_is_refused_is_named_with_its_line_and_nothing_is_written(tmp_path, text, line):
    (tmp_path / "link").symlink_to("/")
    prepare(tmp_path, HEAD + text)
    before = sorted(os.listdir(tmp_path)), made(tmp_path)
    done = emacs(tmp_path, "-f", "literate-tangle-batch")
    assert done.returncode == 1
    assert done.stderr.startswith(f"README.org:{line + 3}: ") and done.stderr.count("\n") == 1
    assert (sorted(os.listdir(tmp_path)), made(tmp_path)) == before
    assert literate_py(tmp_path, "tangle").stderr.startswith(f"README.org:{line + 3}: ")


DAMAGED = {
    "nothing": None,
    "empty": b"",
    "no newline at the end": (HEAD + "Text.").encode(),
    "CR LF": (HEAD + PRINT).replace("\n", "\r\n").encode(),
    "UTF-16": (HEAD + PRINT).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + (HEAD + PRINT).encode(),
    "Latin 1": (HEAD + "Text.\n\xe9\n").encode("latin-1"),
    "capitals": (HEAD + PRINT.replace("begin_src", "BEGIN_SRC")).encode(),
    "a bare header": f"{HEAD}#+begin_src python\nprint(1)\n#+end_src\n".encode(),
    "Org that is not known": f"{HEAD}Text[fn:1].\n".encode(),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("link", [False, True], ids=["file", "link"])
def test_a_damaged_document_gets_the_same_verdict_at_either_door(tmp_path, damage, link):
    document = prepare(tmp_path, "")
    if link:
        document.rename(tmp_path / "other.org")
        document.symlink_to("other.org")
    if DAMAGED[damage] is None:
        document.unlink()
    else:
        document.write_bytes(DAMAGED[damage])
    here, there = (
        literate_py(tmp_path, "tangle"),
        emacs(tmp_path, "-f", "literate-tangle-batch"),
    )
    assert here.returncode == there.returncode == 1 and here.stdout == there.stdout == ""
    assert here.stderr == there.stderr and here.stderr.count("\n") == 1


# Output that tries either door: blank lines, Org's own characters, the number of lines.
PRINTS = [
    *[f'print("\\n".join(map(str, range({n}))))' for n in (1, 9, 10, 11)],
    *[f'print("\\n" + "\\n".join(map(str, range({n}))))' for n in (8, 9)],
    r'print("\n\n  lead\n\n\n\nend\n\nlast  \n\n\n")',
    r'print(">>> a\n... b\n>>> ")',
    r'print("* a\n** b\n#+begin_example\n#+end_example\n# c\n: d\n| e |\n- f\n:END:")',
    r'print("* a\n  ** b\n#+begin_example\n#+end_example\n# c\n: d\n| e |\n- f\n[[g]]\n" * 2)',
    r'print("(1 2)", [1, 2], {"a": "b"}, "\\n %s \\ `a\'", "<<a>> {{{b}}} $c$ é ∂ 日本")',
    'print("x" * 9000, end="")',
    "import subprocess; print(1); subprocess.run(['echo', '2']); print(3)",
    "import sys; print(sys.stderr.isatty()); print('noise', file=sys.stderr)",
    "[print(__name__), 4]",
    "import math\n\n\ndef f(x):\n    y = 2\n\n    return x * y\n\n\nprint(f(math.pi))",
]


def trial():
    blocks = (
        f"#+begin_src python :results output :exports both\n{p}\n#+end_src\n" for p in PRINTS
    )
    return SAMPLE + "\n" + "\n".join(blocks)


def test_running_a_document_in_org_gives_the_same_bytes(tmp_path):
    ours, orgs = tmp_path / "ours", tmp_path / "orgs"
    for folder in (ours, orgs):
        folder.mkdir()
        prepare(folder, trial())
    done = literate_py(ours, "run")
    assert done.returncode == 0, done.stderr
    expected = made(ours)
    edit(orgs / "README.org", PRINT, PRINT + "\n#+RESULTS:\n: 4\n: 1\n")
    for _ in ("new results", "results to replace"):
        done = emacs(orgs, "-f", "literate-run-batch")
        assert done.returncode == 0, done.stderr
        assert made(orgs) == expected


@pytest.mark.dear
def test_running_the_readme_in_org_gives_its_results_and_figures(tmp_path):
    text = (ROOT / "README.org").read_text("utf-8")
    prepare(tmp_path, without_results(text))
    for name in linked_files(parse(text)):
        if (ROOT / name).is_file() and not (tmp_path / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    done = emacs(tmp_path, "-f", "literate-run-batch")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "README.org").read_text("utf-8") == text
    for name, data in made(tmp_path).items():
        assert (ROOT / name).read_bytes() == data, name


TOP = "#+begin_src python :results output :exports both\n"


def test_all_that_is_above_the_cursor_can_be_run_and_then_the_block_at_it(tmp_path):
    code = ["one = 1\nprint(one)", "two = one + 1\nprint(two)", "three = two + 1\nprint(three)"]
    text = f"{HEAD}{TOP}{code[0]}\n#+end_src\n\n* A\n\n{TOP}{code[1]}\n#+end_src\n"
    document = prepare(tmp_path, f"{text}\n* B\n\n{TOP}{code[2]}\n#+end_src\n")
    results = [f"{c}\n#+end_src\n\n#+RESULTS:\n: {n}\n" for n, c in enumerate(code, 1)]
    run = f"""(progn (find-file "{document}") (search-forward "three =") (org-narrow-to-subtree)
      (let ((place (list (buffer-string) (point-marker))))
        (literate-run-above)
        (princ (list (equal place (list (buffer-string) (point-marker))))))
      (widen) (save-buffer)
      (copy-file buffer-file-name "above.org") (org-babel-execute-src-block) (save-buffer))"""
    done = emacs(tmp_path, "--eval", run)
    assert (done.returncode, done.stdout) == (0, "(t)"), done.stderr
    above = (tmp_path / "above.org").read_text()
    assert [result in above for result in results] == [True, True, False]
    assert all(result in document.read_text() for result in results)


@pytest.mark.parametrize(
    "code, line",
    [
        ("x = 1\n1 / 0", 1),
        ("x = 1\ny = = 2", 1),
        ("x = 1\n\nraise SystemExit(0)", 2),
        ("import json\ndef f():\n    json.loads('{')\n\nf()", 2),
    ],
)
def test_an_error_in_a_block_ends_the_run_and_saves_nothing(tmp_path, code, line):
    document = prepare(tmp_path, SAMPLE)
    edit(document, "print(6 * 7)", code)
    before = document.read_bytes()
    done = emacs(tmp_path, "-f", "literate-run-batch")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"README.org:{line_of(document, code) + line}: "), done.stderr
    assert f'File "README.org", line {line_of(document, code) + line}' in done.stderr
    assert document.read_bytes() == before
