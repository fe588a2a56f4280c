"""Each exercise has a checked solution; `make exercise` tells right answers from wrong ones."""

import math
import os
import re
import signal
import subprocess
from typing import Any

import pytest
from fresh import ROOT, TOOL
from test_literate import HEAD, edit, files, gone

from literate.exercise import TOKEN, exercise_command, exercises, judge
from literate.org import Block, DocumentError
from literate.tangle import load
from micrograd import Value

README = ROOT / "README.org"
ELEMENTS = load(README)
ALL = exercises(ELEMENTS)

SMALL = f"""{HEAD}* 1. Squares
:PROPERTIES:
:CUSTOM_ID: 1-squares
:END:

#+begin_src python :tangle small.py :exports code :results silent
def square(x):
    return x * x
#+end_src

/1. Two/ (★). Print the [[#1-squares][squares]] of 3 and 4, ~square(x)~ each, and /one/ word.

The word is "end".

#+HTML: <details><summary>Solution</summary>

#+begin_src python :results output :exports both
print(square(3.0), square(4.0), "end")
#+end_src

#+RESULTS:
: 9.0 16.0 end

#+HTML: </details>

/2. Both/ (★★★) Print 1, and below it 2.

#+HTML: <details><summary>Solution</summary>

#+begin_src python :results output :exports both
print(1)
print(2)
#+end_src

#+RESULTS:
: 1
: 2

#+HTML: </details>

#+begin_src python :results output :exports both
print(1 / 0)
#+end_src
"""
TEMPLATE = """# 1.1 Two (★)
#
# Print the squares of 3 and 4, `square(x)` each, and one word.
#
# The word is "end".
#
# What README.org defines above this exercise is there to be used.

"""


@pytest.fixture
def document(tmp_path):
    (tmp_path / "README.org").write_text(SMALL, "utf-8")
    return tmp_path / "README.org"


@pytest.fixture
def ask(document, capsys):
    """Check an answer, if there is one; gives what is said, and the exit status."""

    def ask(number, answer=None):
        if answer is not None:
            document.with_name("exercises").mkdir(exist_ok=True)
            document.with_name("exercises").joinpath(f"{number}.py").write_text(answer)
        status = exercise_command(document, number)
        return capsys.readouterr().out, status

    return ask


def test_every_chapter_of_the_readme_has_graded_exercises_that_say_what_to_print():
    text = README.read_text("utf-8")
    for chapter in re.findall(r"(?m)^\* (\d+)\. ", text):
        mine = [one for one in ALL.values() if one.number.split(".")[0] == chapter]
        assert [one.number for one in mine] == [f"{chapter}.{i + 1}" for i in range(len(mine))]
        assert mine, f"chapter {chapter} has no exercise"
    for one in ALL.values():
        assert 1 <= len(one.stars) <= 3
        assert re.search(r"\b[Pp]rint\b|~compare~", one.text), one.number
    assert len(ALL) == len(re.findall("<summary>Solution</summary>", text))


@pytest.mark.parametrize("number", ALL)
def test_one_wrong_word_or_number_is_marked(number):
    result = ALL[number].result
    tokens = list(TOKEN.finditer(result))
    assert judge(result, result)[1] == ""
    for i, token in enumerate(tokens):
        number_like = token[0][-1].isdigit() and not token[0][0].isalpha()
        other = f"{1.01 * float(token[0]) + 0.01:.12f}" if number_like else "elsewhere"
        changed = f"{result[: token.start()]} {other} {result[token.end() :]}"
        shown, wrong = judge(changed, result)
        assert wrong.startswith(f"right so far: {i} of {len(tokens)} ")
        assert wrong.endswith("the marked one is not")
        above, mark = shown.split("^")[0].rsplit("\n", 1)
        assert above.split("\n")[-1][len(mark) :].startswith(other)
    last = tokens[-1].start()
    assert judge(result[:last], result)[1].endswith("the rest is missing")
    assert judge(result + "7", result)[1].endswith("the marked one is too much")


@pytest.mark.parametrize(
    "given, wanted, right",
    [
        ("4.750000001", "4.75", True),
        ("4.76", "4.75", False),
        ("-3.04", "-3.0", False),
        ("0.00014142", "0.000141", True),
        ("0.0001416", "0.000141", False),
        ("1.6489e-08", "1.649e-08", True),
        ("1.6484e-08", "1.649e-08", False),
        ("1e-17", "0.0", True),
        ("3.0", "3", True),
        ("3.4", "3", False),
        ("[1.0, (2.0,)]", "1.0 2.0", True),
        ("[x=1.0]\n\n2", "x: 1.0 2", True),
        ("12", "1 2", False),
        ("True", "False", False),
        ("nan", "nan", True),
        ("0.0", "nan", False),
        ("inf", "-inf", False),
        ("86", "86%", False),
        ("", "1", False),
    ],
)
def test_numbers_may_be_rounded_otherwise_and_words_may_not_differ(given, wanted, right):
    assert (judge(given, wanted)[1] == "") is right


def test_the_question_is_written_once_and_the_answer_is_kept(document, ask):
    before = files(document.parent)
    said, status = ask("1.1")
    assert (said, status) == (
        "wrote exercises/1.1.py: put your answer there, then run this again\n",
        0,
    )
    now = {**before, "exercises/1.1.py": TEMPLATE.encode()}
    assert files(document.parent) == now
    said, status = ask("1.1")
    assert said.startswith("exercises/1.1.py is empty so far") and status == 1
    assert files(document.parent) == now
    ask("1.1", "print(1)")
    assert files(document.parent) == {**now, "exercises/1.1.py": b"print(1)"}


def test_a_right_answer_uses_what_is_defined_above_and_prints_in_any_layout(ask):
    answer = "from small import square as s\n\nprint([square(3), s(4.0)], 'end', sep='\\n\\n')"
    said, status = ask("1.1", answer)
    assert said == "[9, 16.0]\n\nend\n1.1: right. Solution: README.org:20, folded\n"
    assert status == 0


@pytest.mark.parametrize(
    "answer, shown",
    [
        (
            "print(9, 15, 'end')\nprint('more')",
            "9 15 end\n  ^^\nmore\n1.1: right so far: 1 of 3 words and numbers; "
            "the marked one is not.",
        ),
        ("print(9)", "9\n1.1: right so far: 1 of 3 words and numbers; the rest is missing."),
        ("x = 1", "1.1: right so far: 0 of 3 words and numbers; the rest is missing."),
        (
            "print('9 16 end'); print('\\n10')",
            "9 16 end\n\n10\n^^\n1.1: right so far: 3 of 3 words and numbers; "
            "the marked one is too much.",
        ),
    ],
)
def test_a_wrong_answer_is_marked_where_it_goes_wrong(ask, answer, shown):
    assert ask("1.1", answer) == (f"{shown} Solution: README.org:20, folded\n", 1)


def test_a_later_exercise_comes_after_the_earlier_solution_and_before_later_blocks(ask):
    said, status = ask("1.2", "print(1)\nprint(int(square(2.0)) - 2)")
    assert said.endswith("1.2: right. Solution: README.org:33, folded\n")
    assert status == 0


def test_an_exception_shows_the_reader_s_line_and_none_of_the_tool_s(ask):
    said, status = ask("1.1", "print('so far')\n\nsquare('a')")
    assert status == 1
    shown = re.sub(r"\n[ ~^]+(?=\n)", "", said)  # what Python 3.11 underlines
    assert shown == (
        "so far\nTraceback (most recent call last):\n"
        "  File \"exercises/1.1.py\", line 3, in <module>\n    square('a')\n"
        '  File "README.org", line 11, in square\n    return x * x\n'
        "TypeError: can't multiply sequence by non-int of type 'str'\n"
        "1.1: exercises/1.1.py stopped: TypeError: "
        "can't multiply sequence by non-int of type 'str'\n"
    )


@pytest.mark.parametrize("answer, line", [("x = (\n\nprint(1)\n", 1), ("x = 1\ny = = 2", 2)])
def test_what_is_not_python_is_told_with_its_line(ask, answer, line):
    said, status = ask("1.1", answer)
    assert said.startswith(f'  File "exercises/1.1.py", line {line}\n')
    assert "SyntaxError" in said and status == 1


def test_an_answer_that_ends_python_is_told(ask):
    assert "stopped: SystemExit: 3" in ask("1.1", "import sys\n\nsys.exit(3)")[0]
    assert "ended the Python process" in ask("1.1", "import os\n\nos._exit(3)")[0]


def test_files_that_an_answer_writes_are_kept_beside_it(document, ask):
    ask("1.1", "open('exercises/kept.txt', 'w').write('a'); open('images/b', 'w').write('b')")
    assert set(files(document.parent)) == {
        "README.org",
        "exercises/1.1.py",
        "exercises/kept.txt",
    }


def test_all_exercises_are_listed_where_none_is_named(ask):
    listed = "  1.1   ★    Two\n  1.2   ★★★  Both\n"
    choose = "Choose one, as in `make exercise N=1.1`:\n"
    assert ask(None) == (choose + listed, 0)
    assert ask("1.3") == (f"README.org has no exercise 1.3. {choose}{listed}", 1)


@pytest.fixture
def with_check(document):
    """The first solution prints nothing, and a check runs after it."""
    solution = "#+begin_src python :results output :exports both\nprint(square(3.0)"
    silent = "#+begin_src python :results silent :exports code\nstep = 2\n#+end_src\n\n"
    check = "def twice(x):\n    return step * x\n\n\n"
    edit(document, solution, silent + solution.replace("print", check + "print"))
    edit(document, '4.0), "end")', '4.0), "end", twice(1))')
    edit(document, ": 9.0 16.0 end", ": 9.0 16.0 end 2")


def test_a_check_runs_after_the_answer_and_what_it_prints_decides(with_check, ask):
    said, status = ask("1.1", "step = 2\nprint('mine')")
    assert (said, status) == (
        "mine\n9.0 16.0 end 2\n1.1: right. Solution: README.org:20, folded\n",
        0,
    )
    said, status = ask("1.1", "step = 3")
    assert (said, status) == (
        "9.0 16.0 end 3\n1.1: not all of it yet. Solution: README.org:20, folded\n",
        1,
    )
    assert ask("1.2", "print(1, 2)")[1] == 0


def test_an_answer_that_its_check_cannot_run_on_is_told(with_check, ask):
    said, status = ask("1.1", "other = 2")
    assert said.startswith("Traceback (most recent call last):\n") and status == 1
    assert said.endswith(
        "1.1: the check of exercises/1.1.py stopped: NameError: name 'step' is not defined\n"
    )
    said, status = ask("1.1", "1 / 0")
    assert said.endswith("1.1: exercises/1.1.py stopped: ZeroDivisionError: division by zero\n")


def code_with(text):
    (found,) = (one.code for one in ELEMENTS if isinstance(one, Block) and text in one.code)
    return found


CARD = code_with("class Card:")
NO_ORDER = (
    CARD[: CARD.index("    def backward")]
    + """    def backward(self, share=1.0):
        self.grad += share
        for child, slope in self.ways:
            child.backward(slope * self.grad)
"""
)
ON_THE_VALUES = (
    CARD[: CARD.index("        for v in reversed(order)")]
    + """        self.grad = 1.0
        for v in reversed(order):
            for child, slope in v.ways:
                child.grad += slope * v.grad
"""
)
PATHS = {"slopes of several paths add", "each waits until its gradient is complete"}
RANDOM = "a hundred random programs"
TWICE = "a second backward() adds the same again"
FAULTS = {
    "= for +=": (
        CARD.replace("share.get(child, 0.0) + slope", "slope"),
        {*PATHS, TWICE, RANDOM},
    ),
    "no order": (NO_ORDER, {"each waits until its gradient is complete", TWICE, RANDOM}),
    "the order forwards": (
        CARD.replace("reversed(order)", "order").replace("share[v]", "share.get(v, 0.0)"),
        {
            "a sum hands its gradient on",
            "a product hands it on, times the other input",
            "tanh hands it on, times its own slope",
            "a plain number may stand on the right",
            "a plain number may stand on the left",
            "slopes along a path multiply",
            *PATHS,
            TWICE,
            RANDOM,
        },
    ),
    "no __radd__": (
        CARD.replace("__radd__, __rmul__ = __add__, __mul__", "__rmul__ = __mul__"),
        {"a plain number may stand on the left"},
    ),
    "no plain numbers": (
        CARD.replace("other if isinstance(other, Card) else Card(other)", "other"),
        {
            "a plain number may stand on the right",
            "a plain number may stand on the left",
            RANDOM,
        },
    ),
    "a product's slopes not swapped": (
        CARD.replace(
            "(self, other.data), (other, self.data)", "(self, self.data), (other, 1.0)"
        ),
        {
            "a product hands it on, times the other input",
            "a plain number may stand on the right",
            "a plain number may stand on the left",
            "slopes along a path multiply",
            "slopes of several paths add",
            TWICE,
            RANDOM,
        },
    ),
    "1 + t * t": (
        CARD.replace("1 - t * t", "1 + t * t"),
        {"tanh hands it on, times its own slope", "slopes along a path multiply", RANDOM},
    ),
    "backward twice": (ON_THE_VALUES, {TWICE}),
}


def examine(engine, capsys):
    """What the document's promises say of an engine's source: the text, and what is broken."""
    names: dict[str, Any] = {"math": math, "Value": Value}
    exec(CARD, names)
    exec(code_with("def promises(engine)"), names)
    exec(engine.partition("for kind in")[0], names)
    capsys.readouterr()
    names["promises"](names["Card"])
    text = capsys.readouterr().out
    said = re.findall(r"^(kept|broken)  +(.*?)(?:: (.*))?$", text, re.M)
    assert [promise for _, promise, _ in said] == list(names["PROMISES"])
    return text, {promise: program for word, promise, program in said if word == "broken"}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_engine_with_a_typical_fault_is_told_which_promises_it_breaks(fault, capsys):
    engine, expected = FAULTS[fault]
    assert engine != CARD
    _, broken = examine(engine, capsys)
    assert broken.keys() == expected
    assert all("y = " in program for program in broken.values())


def test_the_card_and_value_itself_keep_every_promise(capsys):
    assert examine(CARD, capsys)[1] == {}
    assert examine("Card = Value", capsys)[1] == {}


def test_the_card_is_short_enough_to_learn():
    lines = CARD.partition("for kind in")[0].split("\n")
    assert sum(bool(line.strip()) for line in lines) <= 25


def test_a_broken_promise_is_shown_with_a_program_and_both_answers(capsys):
    text, _ = examine(FAULTS["= for +="][0], capsys)
    assert (
        "broken  slopes of several paths add: y = a + a\n"
        "        y, and the slopes for a, b, c: 1 1 0 0; by PyTorch: 1 2 0 0\n"
    ) in text
    text, _ = examine(FAULTS["no __radd__"][0], capsys)
    assert "on the left: y = 1 + a\n        TypeError: unsupported operand" in text


def test_a_mistake_in_the_document_is_not_laid_to_the_reader(document, ask):
    edit(document, "    return x * x", "    return x * x\n\n\n1 / 0")
    with pytest.raises(DocumentError, match="division by zero") as caught:
        ask("1.1", "print(1)")
    assert caught.value.line == 14


@pytest.mark.parametrize("old", ["#+RESULTS:\n: 9.0 16.0 end\n", "<details>"])
def test_an_exercise_without_a_folded_solution_that_prints_is_refused(document, ask, old):
    edit(document, old, "")
    with pytest.raises(DocumentError, match="exercise 1.1 needs a folded solution"):
        ask("1.2", "print(1)")


def test_an_endless_answer_is_interrupted_and_leaves_nothing(document, ask):
    answer = "import os, time\n\nopen('exercises/begun', 'w').write(str(os.getpid()))\n"
    ask("1.1", "print(1)")
    path = document.with_name("exercises")
    path.joinpath("1.1.py").write_text(answer + "while True:\n    pass\n")
    temporary = document.with_name("tmp")
    temporary.mkdir()
    process = subprocess.Popen(
        [*TOOL, "exercise", "1.1", document],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        start_new_session=True,
    )
    begun = path / "begun"
    while not (begun.exists() and begun.read_text()):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.communicate(timeout=300)[1].endswith("interrupted; nothing was changed\n")
    assert process.returncode == 130
    assert gone(int(begun.read_text()))
    begun.unlink()
    temporary.rmdir()  # empty
    assert set(files(document.parent)) == {"README.org", "exercises/1.1.py"}
