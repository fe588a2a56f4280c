"""Tangle, run and check a literate document such as README.org, without Emacs.

`python literate.py --help` lists its verbs; `python literate.py VERB --help` explains one.

The document is written in a small part of Org. The rest is refused, by `DOCUMENT:LINE: what is
wrong; what to do` and exit status 1. No file is changed unless everything went well.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from tools.org import (  # noqa: F401 - whoever imports literate finds all of this here
    ARGUMENTS,
    CONTROL,
    EXPORTS,
    LINK,
    SENTENCES,
    VERBATIM,
    Block,
    DocumentError,
    Element,
    anchors,
    check_sentences,
    escape,
    figure_in,
    links,
    parse,
    shows_result,
    unescape,
    without_code,
)

HERE = Path(__file__).resolve()
IMAGES = "images"
STAMP = ".literate.stamp"
TANGLED = ".literate/tangled"  # a copy of each file, as it was tangled last
LINES_IN_EXAMPLE = 10  # Org's `org-babel-min-lines-for-block-output`


def load(document: Path) -> list[Element]:
    """The elements of a file. Raises DocumentError."""
    try:
        text = document.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DocumentError(line, "not UTF-8; save the document as UTF-8") from None
    elements = parse(text)
    targets(elements, document)
    return elements


# Tangling: a file is the code of its blocks, two blank lines between them.

BETWEEN = "\n\n\n"


def targets(elements: list[Element], document: Path) -> dict[str, list[Block]]:
    """The blocks of each file to tangle. Raises DocumentError for a file it must not write."""
    root = document.parent.resolve()
    found: dict[str, list[Block]] = {}
    for block in elements:
        if isinstance(block, Block) and "tangle" in block.args:
            name = block.args["tangle"]
            path = (root / name).resolve()
            if root not in path.parents or os.path.normpath(name) != name or name[0] in "/~":
                message = f":tangle {name} is outside the repository; name a plain path inside"
                raise DocumentError(block.line, message)
            same = path.exists() and path.samefile(document)
            if same or path.is_dir() or name in ("yes", "no"):
                message = f":tangle {name} cannot be written; name another file, or none"
                raise DocumentError(block.line, message)
            if not bare(block):
                raise DocumentError(block.line, "a tangled block without code; remove it")
            found.setdefault(name, []).append(block)
    return found


def tangle(elements: list[Element], document: Path, between: str = BETWEEN) -> dict[str, bytes]:
    """The bytes of each file to tangle, by its path from the document's folder."""
    return {
        name: (between.join(bare(block) for block in blocks) + "\n").encode()
        for name, blocks in targets(elements, document).items()
    }


def bare(block: Block) -> str:
    """A block's code without the blank lines around it."""
    return re.sub(r"\A(?:[ \t]*\n)+|\s+\Z", "", block.code)


def first_line(block: Block) -> int:
    """The document's line at which a block's bare code begins."""
    return block.line + 1 + block.code[: block.code.find(bare(block))].count("\n")


def source(blocks: list[Block], row: int) -> int:
    """The document's line for a line, counted from 1, of the file that these blocks make."""
    for block in blocks:
        rows = bare(block).count("\n") + 1
        if row <= rows + 2:
            return first_line(block) + min(row, rows) - 1
        row -= rows + 2
    return blocks[-1].line


def chapter(elements: list[Element], line: int) -> str:
    """The heading of the chapter that a line of the document is in, or "" above the first."""
    above = [e.text for e in elements if e.line <= line and e.text.startswith("* ")]
    return above[-1][2:].strip() if above else ""


# Protecting: a file that is not what some version of the document makes was edited by hand.


def edited(elements: list[Element], document: Path) -> dict[str, bytes | None]:
    """The files edited by hand, each with what it was tangled as, or None if nobody knows."""
    found = {}
    without = tangle(elements, document, "\n\n")  # by Org without tangle.el
    for name, new in tangle(elements, document).items():
        now = read(document.parent / name)
        if now not in (None, new, without[name]):
            before = earlier(name, document)
            if now not in before:
                found[name] = min(before, key=lambda old: apart(old, now), default=None)
    return found


def earlier(name: str, document: Path) -> list[bytes]:
    """A file as it was tangled last, and as the document in git's last commit tangles it."""
    last = read(document.parent / TANGLED / name)
    found = [] if last is None else [last]
    command = ["git", "show", f"HEAD:./{document.name}"]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(command, cwd=document.parent, capture_output=True, check=True)
        with contextlib.suppress(DocumentError, KeyError):
            found.append(tangle(parse(done.stdout.decode()), document)[name])
    return found


def apart(old: bytes, new: bytes | None) -> int:
    """How many lines differ: the earlier version that is nearest is the one that was edited."""
    was, now = ((side or b"").decode(errors="replace").split("\n") for side in (old, new))
    return sum(line[0] in "+-" for line in difflib.unified_diff(was, now, n=0))


def protect(elements: list[Element], document: Path) -> None:
    """Raise DocumentError, with what would be lost, if a file to tangle was edited by hand."""
    if not (found := edited(elements, document)):
        return
    made = tangle(elements, document)
    sides = {
        name: (made[name] if before is None else before, read(document.parent / name) or b"")
        for name, before in found.items()
    }
    shown = "".join(
        "\n".join([*diff(*both, document.name, name), "", ""]) for name, both in sides.items()
    )
    name, (old, now) = next(iter(sides.items()))
    place = f"{name}:{row_of(now, old)}"
    raise DocumentError(1, advice(name, found[name], document), shown, place)


def advice(name: str, before: bytes | None, document: Path) -> str:
    """What to do about a file edited by hand, which was tangled as `before`."""
    here = document.name
    if before is None:
        return (
            f"is not what {here} makes, and neither git nor an earlier tangling can tell which "
            f"was edited. If {name} was, `make detangle` takes the edit into {here}; if {here} "
            f"was, delete {name}"
        )
    return (
        f"was edited by hand; `make detangle` takes the edit into {here}, and "
        f"`git checkout {name}`, or deleting it, throws the edit away"
    )


def row_of(new: bytes, old: bytes) -> int:
    """The number of the first line of `new` that differs from `old`, or else of its last."""
    same = len(os.path.commonprefix([new.split(b"\n"), old.split(b"\n")]))
    return max(min(same + 1, new.count(b"\n")), 1)


# Running: in a process of its own, in a folder of its own.


@dataclass
class Made:
    """What a run made: results by their block's line, figures by their path from the folder."""

    results: dict[int, str] = field(default_factory=dict)
    figures: dict[str, bytes] = field(default_factory=dict)
    printed: dict[int, str] = field(default_factory=dict)  # what each block printed


def execute(elements: list[Element], document: Path, end: float = math.inf) -> Made:
    """Run every Python block, in order, up to line `end`. Raises DocumentError if one fails."""
    from tqdm import tqdm  # here, so that tangling needs nothing but Python

    program = tangle(elements, document)
    elements = [element for element in elements if element.line <= end]
    blocks = [block for block in elements if isinstance(block, Block) and block.runs]
    made = Made()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="literate-")))
        stage = folder / "stage"
        (stage / IMAGES).mkdir(parents=True)
        write({**needed_files(elements, document), **program}, stage)
        printed = stack.enter_context(open(folder / "printed", "w+b"))
        reports = stack.enter_context(child(stage, document.name, printed))
        bar = tqdm(total=len(blocks), desc=document.name, leave=False, disable=None)
        stack.enter_context(bar)
        start = 0
        for block in blocks:
            report = json.loads(reports.readline() or "null")
            if report is None:
                message = "this block ended the Python process"
                raise DocumentError(block.line, message, block=block.line)
            output = os.pread(printed.fileno(), report["end"] - start, start)
            start = report["end"]
            if "error" in report:
                trace = output.decode(errors="backslashreplace") + report["trace"]
                raise DocumentError(report["line"], report["error"], trace, block=block.line)
            made.printed[block.line] = output.decode(errors="backslashreplace")
            if block.results == "output":
                made.results[block.line] = format_output(block, output)
            if block.results == "file":
                made.results[block.line] = format_figure(block, report["value"], stage)
            bar.update()
        for path in sorted((stage / IMAGES).rglob("*")):
            if path.is_file():
                made.figures[path.relative_to(stage).as_posix()] = path.read_bytes()
    return made


def needed_files(elements: list[Element], document: Path) -> dict[str, bytes]:
    """The files that the blocks may read: the document itself, and those that it links to."""
    text = "".join(element.text for element in elements)
    linked = {name: read(document.parent / name) for name in linked_files(elements)}
    found = {name: data for name, data in linked.items() if data is not None}
    return {**found, document.name: text.encode()}


def format_output(block: Block, output: bytes) -> str:
    """The lines below `#+RESULTS:` for what a block printed, exactly as Emacs writes them."""
    text = output.decode(errors="backslashreplace").rstrip(" \n")
    lines = text.split("\n")
    if not text:
        raise DocumentError(block.line, "it printed nothing; print, or write :results silent")
    if wrong := re.search(CONTROL, text):
        raise DocumentError(block.line, f"it printed {wrong[0]!r}, unfit for Org; leave it out")
    if len(lines) < LINES_IN_EXAMPLE:
        return "".join(f": {line}\n" for line in lines)
    if any(re.match(r"[ ]*,+(\*|#\+)", line) for line in lines):
        raise DocumentError(block.line, "it printed `,*` or `,#+`, which GitHub alters; do not")
    return f"#+begin_example\n{escape(text)}\n#+end_example\n"


def format_figure(block: Block, value: str, stage: Path) -> str:
    if not re.fullmatch(rf"{IMAGES}/[\w.-]+", value) or not (stage / value).is_file():
        message = f"the last value is {value}; let it be the path of a figure in {IMAGES}/"
        raise DocumentError(block.line, message)
    return f"[[file:{value}]]\n"


@contextlib.contextmanager
def child(stage: Path, name: str, out: IO[bytes]) -> Iterator[IO[str]]:
    """A Python process that runs the blocks of `name` in `stage`. Gives its reports.

    It leads a session of its own, to be ended together with all processes that it has started.
    """
    near = os.path.dirname(sys.executable)
    path = os.pathsep.join([near, os.environ.get("PATH", os.defpath)])
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, str(HERE), "serve", name, str(writing)],
        cwd=stage,
        env={**os.environ, "PATH": path, "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        stdout=out,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    try:
        with os.fdopen(reading, encoding="utf-8") as reports:
            yield reports
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def serve(name: str, descriptor: int) -> None:
    """The child: run the blocks of the document `name`, and report on each, until one fails."""
    os.set_inheritable(descriptor, False)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main  # where pickle looks
    sys.path[0] = os.getcwd()
    sys.argv = [""]
    with os.fdopen(descriptor, "w", buffering=1, encoding="utf-8") as reports:
        elements = parse(Path(name).read_text("utf-8"))
        made, blocks = tangle(elements, Path(name)), targets(elements, Path(name))
        # An exercise's document ends at its answer: then it does not make all of the program.
        whole = [n for n in made if read(Path(n)) == made[n]]
        program = {str(Path(n).resolve()): blocks[n] for n in whole}
        for block in elements:
            if isinstance(block, Block) and block.runs:
                report = run_block(block, name, program, main.__dict__)
                sys.stdout.flush()
                report["end"] = os.lseek(1, 0, os.SEEK_CUR)  # where its output ends
                reports.write(json.dumps(report) + "\n")
                if "error" in report:
                    break


def run_block(
    block: Block, name: str, program: dict[str, list[Block]], namespace: dict[str, Any]
) -> dict[str, Any]:
    """Run a block as lines of the file `name`. Gives its last value, or the error.

    The error's line is the document's, also where a file of the `program` raised it.
    """
    value = None
    try:
        tree = ast.parse("\n" * block.line + block.code, name)
        last = tree.body[-1] if tree.body else None
        if block.results == "file" and isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, name, "exec", dont_inherit=True), namespace)
        if block.results == "file" and isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    except BaseException as error:
        frames = error.__traceback__
        while frames and frames.tb_frame.f_code.co_filename != name:
            frames = frames.tb_next
        places = [(f.f_code.co_filename, row) for f, row in traceback.walk_tb(frames)]
        if isinstance(error, SyntaxError):
            places.append((error.filename or "", error.lineno or block.line))
        line = block.line
        for file, row in places:
            if file == name or file in program:
                line = source(program[file], row) if file in program else row
        trace = "".join(traceback.format_exception(type(error), error, frames))
        what = traceback.format_exception_only(type(error), error)[-1].strip()
        return {"error": what, "line": line, "trace": trace}
    return {"value": str(value)}


def with_results(elements: list[Element], results: dict[int, str]) -> str:
    """The document's text with these results, by block's line, in place of those it has."""
    parts: list[str] = []
    owner = 0
    for element in elements:
        if element.kind == "result" and owner in results:
            parts.pop()  # the blank line above, which came with the new result
            continue
        parts.append(element.text)
        if isinstance(element, Block):
            owner = element.line
            if owner in results:
                parts.append(f"\n#+RESULTS:\n{results[owner]}")
    return "".join(parts)


def present_results(elements: list[Element]) -> dict[int, str]:
    """The results that the document has, by their block's line."""
    return {
        elements[i - 2].line: element.text.split("\n", 1)[1]
        for i, element in enumerate(elements)
        if element.kind == "result"
    }


def drawn(results: dict[int, str]) -> dict[str, int]:
    """The figures among the results: the line of each one's block, by its path."""
    return {path: line for line, result in results.items() if (path := figure_in(result))}


# Checking: each function gives texts that say what is wrong.


def differences(elements: list[Element], document: Path, made: Made) -> list[str]:
    """A text for each result, figure, tangled file and link that is not as it should be."""
    found = []
    present = present_results(elements)
    for line, result in made.results.items():
        found += difference(f"{document.name}:{line}: the result", present.get(line), result)
    by = drawn(made.results)
    for name, data in made.figures.items():
        place = f"{document.name}:{by[name]}: " if name in by else ""
        found += difference(place + name, read(document.parent / name), data)
    by_hand = edited(elements, document)
    for name, data in tangle(elements, document).items():
        old = read(document.parent / name)
        line = origin(targets(elements, document)[name], old or b"", data)
        what = "`make` writes it"
        if name in by_hand:
            what = f"{name} {advice(name, by_hand[name], document)}"
        for text in difference(f"{document.name}:{line}: {name}", old, data):
            found.append(f"{text}\n{what}")
    return found + check_links(elements, document, set(made.figures))


def difference(head: str, old: str | bytes | None, new: str | bytes) -> list[str]:
    """Nothing, or the lines that differ, below a line that begins with `head`."""
    if old == new:
        return []
    if old is None:
        return [f"{head} is missing; run the document"]
    return ["\n".join([f"{head} differs", *diff(old, new, "is", "should be")])]


def diff(old: str | bytes, new: str | bytes, before: str, after: str) -> list[str]:
    """The first lines that differ between two texts, which are called `before` and `after`."""
    is_, was = (
        (side if isinstance(side, str) else side.decode(errors="backslashreplace"))
        .removesuffix("\n")
        .split("\n")
        for side in (new, old)
    )
    lines = list(difflib.unified_diff(was, is_, before, after, lineterm=""))
    more = [f"... and {len(lines) - 30} lines more"] if len(lines) > 30 else []
    return [*(line[:160] for line in lines[:30]), *more]


def origin(blocks: list[Block], old: bytes, new: bytes) -> int:
    """The document's line for the first line in which a tangled file differs."""
    return source(blocks, len(os.path.commonprefix([old.splitlines(), new.splitlines()])) + 1)


def linked_files(elements: list[Element]) -> set[str]:
    """The files that the document links to, but for figures: its blocks may read them."""
    names = {target[5:] for _, target in links(elements) if target[0] != "#"}
    return {name for name in names if name.split("/")[0] not in (IMAGES, "..")}


def check_links(elements: list[Element], document: Path, drawn: set[str]) -> list[str]:
    """Links that lead nowhere, anchors that are not GitHub's, figures that nothing draws."""
    found = []
    slugs = anchors(elements)
    names = set()
    for i, element in enumerate(elements):
        if element.kind == "drawer":
            name, slug = element.text.split()[2], slugs[elements[i - 1].line]
            names.add("#" + name)
            if name != slug:
                message = f"CUSTOM_ID {name} is not the anchor on GitHub; write {slug}"
                found.append(f"{document.name}:{element.line + 1}: {message}")
    for line, target in links(elements):
        path = target.removeprefix("file:")
        if target not in names and path not in drawn and not (document.parent / path).exists():
            found.append(f"{document.name}:{line}: the link to {target} is dead; correct it")
    for file in sorted((document.parent / IMAGES).rglob("*")):
        path = file.relative_to(document.parent).as_posix()
        if file.is_file() and path not in drawn:
            found.append(f"{path}: no block of {document.name} draws it; remove it")
    return found


# Files.


def read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def write(files: dict[str, bytes], root: Path) -> list[str]:
    """Write the files that differ, each in one step, once there is room for all."""
    changed = [name for name, data in files.items() if read(root / name) != data]
    ready: list[tuple[Path, Path]] = []
    try:
        for name in changed:
            path = (root / name).resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            ready.append((path.with_name(f".{path.name}.{os.getpid()}.tmp"), path))
            ready[-1][0].write_bytes(files[name])
            if path.exists():
                shutil.copymode(path, ready[-1][0])
        for temporary, path in ready:
            os.replace(temporary, path)
    finally:
        for temporary, _ in ready:
            temporary.unlink(missing_ok=True)
    return changed


def remember(files: dict[str, bytes], document: Path) -> None:
    """Keep a copy of what was tangled: it tells a file that was edited from an old one."""
    write({f"{TANGLED}/{name}": data for name, data in files.items()}, document.parent)


def stamp(elements: list[Element], document: Path) -> bytes:
    """A hash of all that a run depends on and all that it writes."""
    root = document.parent
    names = {path.relative_to(root).as_posix() for path in (root / IMAGES).rglob("*")}
    names |= {document.name, *targets(elements, document), *linked_files(elements)}
    packages = {path.name for folder in sys.path for path in Path(folder).glob("*.dist-info")}
    dot = shutil.which("dot", path=os.path.dirname(sys.executable)) or shutil.which("dot")
    own = [path.read_bytes() for path in (HERE, HERE.with_name("tools") / "org.py")]
    parts: list[Any] = [own, sys.version, dot, sorted(packages)]
    parts += [(name, read(root / name)) for name in sorted(names)]
    return hashlib.sha256(repr(parts).encode()).hexdigest().encode() + b"\n"


# Commands, each of the verb that it is named after: it gives the exit status.


def tangle_command(document: Path) -> int:
    elements = load(document)
    protect(elements, document)
    files = tangle(elements, document)
    say_changed(write(files, document.parent), document)
    remember(files, document)
    return 0


def run_command(document: Path, force: bool) -> int:
    """Run the document, unless nothing has changed, and write all that it makes."""
    elements = load(document)
    text = "".join(element.text for element in elements)
    if not force and read(document.with_name(STAMP)) == stamp(elements, document):
        say_changed([], document)
        return 0
    protect(elements, document)
    made = execute(elements, document)
    if document.read_bytes().decode() != text:
        raise DocumentError(1, "the document was edited during the run; run it again")
    protect(elements, document)
    new = with_results(elements, made.results)
    catch_signals(signal.SIG_IGN)  # all or nothing, and soon done
    tangled = tangle(elements, document)
    changed = write({**made.figures, **tangled, document.name: new.encode()}, document.parent)
    remember(tangled, document)
    now = parse(new)
    before, shown = present_results(elements), present_results(now)
    for (line, result), (old, _) in zip(shown.items(), made.results.items(), strict=True):
        if before.get(old) != result:
            print(f"{document.name}:{line}: new result")
    say_changed(changed, document)
    write({STAMP: stamp(now, document)}, document.parent)
    return 0


def say_changed(changed: list[str], document: Path) -> None:
    print("\n".join(f"wrote {name}" for name in changed) or f"{document.name}: nothing changed")


def check_command(document: Path) -> int:
    elements = load(document)
    made = execute(elements, document)
    found = differences(elements, document, made)
    counts = f"{len(made.results)} results, {len(made.figures)} files in {IMAGES}/"
    print("\n\n".join(found) or f"{document.name}: all is as the document makes it ({counts})")
    return 1 if found else 0


def catch_signals(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


# What each verb does, and the module that has its command: it is loaded then, as some need more
# than Python has.
VERBS = {
    "tangle": ("write the program that the document contains", "literate"),
    "run": ("run its Python blocks; refresh the program, every figure and result", "literate"),
    "check": ("run them and show what differs; change nothing", "literate"),
    "detangle": ("take edits of the program into the document", "tools.detangle"),
    "notebook": ("write micrograd.ipynb, for Jupyter", "tools.fold"),
    "markdown": ("write micrograd.md, for any editor", "tools.fold"),
    "fold": ("bring the edits made in one of these two back", "tools.fold"),
    "html": ("write micrograd.html, one page to read", "tools.page"),
    "exercise": ("check your answer to an exercise", "tools.exercise"),
}


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=HERE.name,
        description="Tangle, run and check a literate document.",
        epilog=f"`{HERE.name} VERB --help` says what a verb takes.",
    )
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    each = {
        name: verbs.add_parser(name, help=about, description=about)
        for name, (about, _) in VERBS.items()
    }
    each["run"].add_argument("--force", action="store_true", help="even if nothing has changed")
    each["fold"].add_argument("copy", type=Path, help="the .md or .ipynb that was edited")
    each["exercise"].add_argument("number", nargs="?", help="such as 4.2; none lists them all")
    default = HERE.with_name("README.org")
    for verb in each.values():
        about = "README.org, unless you name another"
        verb.add_argument("document", nargs="?", type=Path, default=default, help=about)
    # Options last: some versions of argparse miss a document that comes behind one.
    return parser.parse_args(sorted(words, key=lambda word: word.startswith("-")))


def main() -> int:
    given = vars(parse_arguments(sys.argv[1:]))
    verb, document = given.pop("verb"), given["document"]
    catch_signals(signal.default_int_handler)
    try:
        command = getattr(import_module(VERBS[verb][1]), f"{verb}_command")
        return int(command(**given))
    except DocumentError as error:
        place = error.place or f"{document.name}:{error.line}"
        message, status = f"{error.trace}{place}: {error}", 1
    except OSError as error:
        message, status = f"{error.filename or document}: {error.strerror}", 1
    except KeyboardInterrupt:
        message, status = f"\n{document.name}: interrupted", 130
    print(f"{message}; nothing was changed", file=sys.stderr)
    return status


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        import literate  # under its name, as the modules that it needs know it

        sys.exit(literate.main())
