"""Check a reader's answer to an exercise of the document.

An answer is a file, exercises/NUMBER.py. It runs after all blocks of the document above the
exercise's solution, and may use what they define. It is right if it prints what the solution
prints in the document: words exactly; numbers to six digits, or as they are rounded there; in
any layout, with or without brackets and commas. Nothing is written but a file to begin with.

Where the solution itself prints nothing, the block after it that does is the exercise's check.
It runs after the answer, too, and what it prints decides.
"""

from __future__ import annotations

import ast
import math
import re
import textwrap
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

from .files import write
from .org import Block, DocumentError, Element, chapter, present_results, unmarked
from .run import execute
from .tangle import load

FOLDER = "exercises"
TITLE = re.compile(r"/(\d+)\. ([^/]+)/ \((★{1,3})\)\.?\s+")
TOKEN = re.compile(r"[^\W\d]\w*|[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?|[^\s\w()\[\]{},:;='\"]")

# This runs in place of a solution. Through the link, what an answer writes is kept beside it.
RUN = """#+begin_src python :exports code :results silent
__import__("os").path.exists({folder!r}) or __import__("os").symlink({target!r}, {folder!r})
exec(compile(__import__("pathlib").Path({name!r}).read_bytes(), {name!r}, "exec"), globals())
#+end_src
"""


@dataclass(frozen=True)
class Exercise:
    """One exercise: its text, in Org; its first solution, and the block that prints the result.

    That block is the solution itself, or a check that runs after it.
    """

    number: str
    title: str
    stars: str
    text: str
    solution: Block
    printing: Block
    result: str

    @property
    def name(self) -> str:
        return f"{FOLDER}/{self.number}.py"


def exercises(elements: list[Element]) -> dict[str, Exercise]:
    """All exercises, by number. Raises DocumentError for one without a checked solution."""
    found: dict[str, Exercise] = {}
    results = present_results(elements)
    for i, element in enumerate(elements):
        if element.kind != "text" or not (title := TITLE.match(element.text)):
            continue
        number = f"{chapter(elements, element.line).split('.')[0]}.{title[1]}"
        text, folded, solution = element.text[title.end() :], False, None
        for after in elements[i + 1 :]:
            folded = folded or after.text.startswith("#+HTML: <details>")
            if folded and isinstance(after, Block) and after.runs:
                solution = solution or after
            if solution and after.line in results and isinstance(after, Block):
                # A result without the marks with which Org shows it.
                marks = r"^(#\+.*| *,(?=\*|#\+)|: ?)"
                result = re.sub(marks, "", results[after.line], flags=re.MULTILINE)
                about = number, title[2], title[3], text
                found[number] = Exercise(*about, solution, after, result)
            if number in found or after.kind == "heading" or TITLE.match(after.text):
                break
            text += "" if folded else after.text
        if number not in found or found[number].printing.results != "output":
            message = f"exercise {number} needs a folded solution that prints, and its result"
            raise DocumentError(element.line, f"{message}; write it, and run `make`")
    return found


def listing(known: dict[str, Exercise]) -> str:
    return "\n".join(f"  {one.number:5} {one.stars:4} {one.title}" for one in known.values())


def template(exercise: Exercise, document: Path) -> str:
    """The file for an answer, with the exercise as a comment."""
    paragraphs = [
        f"{exercise.number} {exercise.title} ({exercise.stars})",
        *unmarked(exercise.text, "`").strip().split("\n\n"),
        f"What {document.name} defines above this exercise is there to be used.",
    ]
    wrapped = [
        textwrap.fill(paragraph, 96, initial_indent="# ", subsequent_indent="# ")
        for paragraph in paragraphs
    ]
    return "\n#\n".join(wrapped) + "\n\n"


def with_answer(elements: list[Element], exercise: Exercise, folder: Path) -> list[Element]:
    """The document with the reader's file in place of the exercise's solution.

    The result of a solution that prints it goes, too: it is not the reader's.
    """
    run = RUN.format(folder=FOLDER, target=str(folder), name=exercise.name)
    answer = replace(exercise.solution, text=run, args={"results": "silent"})
    i = elements.index(exercise.solution)
    after = i + 3 if exercise.printing is exercise.solution else i + 1
    return [*elements[:i], answer, *elements[after:]]


def same(token: str, wanted: str) -> bool:
    """Whether these are the same word, or the same number but for rounding."""
    try:
        x, y = float(token), float(wanted)
    except ValueError:
        return token == wanted
    mantissa, _, power = wanted.partition("e")
    decimals = len(mantissa.partition(".")[2])
    if not decimals:
        return x == y or token == wanted
    # Rounding excuses a difference only where the result shows enough digits to tell.
    rounding = 0.501 * 10.0 ** (int(power or 0) - decimals) if decimals > 2 else 1e-9
    return math.isclose(x, y, rel_tol=1e-6, abs_tol=rounding)


def judge(printed: str, wanted: str) -> tuple[str, str]:
    """What was printed, with a mark below the first thing wrong, and what is wrong, or ""."""
    printed = printed.rstrip() + "\n"
    given, needed = list(TOKEN.finditer(printed)), TOKEN.findall(wanted)
    right = 0
    while right < min(len(given), len(needed)) and same(given[right][0], needed[right]):
        right += 1
    if right == len(given) == len(needed):
        return printed, ""
    so_far = f"right so far: {right} of {len(needed)} words and numbers"
    if right == len(given):
        return printed.lstrip(), f"{so_far}; the rest is missing"
    wrong = given[right]
    start = printed.rfind("\n", 0, wrong.start()) + 1
    end = printed.index("\n", wrong.end()) + 1
    mark = " " * (wrong.start() - start) + "^" * len(wrong[0]) + "\n"
    what = "is not" if right < len(needed) else "is too much"
    return printed[:end] + mark + printed[end:], f"{so_far}; the marked one {what}"


def exercise_command(document: Path, number: str | None) -> int:
    """Check the answer to an exercise, or begin it. Gives the exit status: 0 if it is right."""
    elements = load(document)
    known = exercises(elements)
    if number not in known:
        wrong = f"{document.name} has no exercise {number}. " if number else ""
        print(f"{wrong}Choose one, as in `make exercise N={next(iter(known))}`:")
        print(listing(known))
        return 1 if number else 0
    exercise = known[number]
    folder = document.parent.resolve() / FOLDER
    path = folder / f"{number}.py"
    if not path.exists():
        write({exercise.name: template(exercise, document).encode()}, document.parent)
        print(f"wrote {exercise.name}: put your answer there, then run this again")
        return 0
    try:
        tree = ast.parse(path.read_bytes(), exercise.name)
    except (SyntaxError, ValueError) as error:
        print("".join(traceback.format_exception_only(error)), end="")
        return 1
    if not tree.body:
        print(f"{exercise.name} is empty so far: put your answer there, then run this again")
        return 1
    solution, printing = exercise.solution, exercise.printing
    try:
        made = execute(with_answer(elements, exercise, folder), document, printing.line)
    except DocumentError as error:
        if error.block not in (solution.line, printing.line):
            raise
        # The traceback shows how the file was run, which is none of the reader's business.
        row = solution.line + 2  # the one in RUN
        ours = rf'  File "{re.escape(document.name)}", line {row}, .*\n(?:    .*\n)*'
        print(re.sub(ours, "", error.trace), end="")
        what = (
            exercise.name if error.block == solution.line else f"the check of {exercise.name}"
        )
        print(f"{number}: {what} stopped: {error}")
        return 1
    shown, wrong = judge(made.printed[printing.line], exercise.result)
    if printing is not solution:  # a check says itself what is wrong
        print(made.printed[solution.line], end="")
        shown, wrong = made.printed[printing.line], wrong and "not all of it yet"
    print(shown, end="")
    print(f"{number}: {wrong or 'right'}. Solution: {document.name}:{solution.line}, folded")
    return 1 if wrong else 0
