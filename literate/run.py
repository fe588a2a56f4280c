"""Running a document: its blocks, in order, in a process and a folder of their own.

Elements come in; results and figures come out of the child process, and go, with the program,
into the document's folder. Unless every block went well, no file is changed.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from .files import fill, note, on_disk, read, write
from .org import (
    CONTROL,
    IMAGES,
    MERGE,
    Block,
    DocumentError,
    Element,
    drawn,
    escape,
    linked_files,
    parse,
    present_results,
    with_results,
)
from .tangle import load, protect, remember, say_changed, tangle, targets

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".literate.stamp"
LINES_IN_EXAMPLE = 10  # Org's `org-babel-min-lines-for-block-output`


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
        fill(stage, {**needed_files(elements, document), **program})
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
                error = report["error"] + remedy(report["error"], document)
                raise DocumentError(report["line"], error, trace, block=block.line)
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


def remedy(error: str, document: Path) -> str:
    """What to do about an error: a block reads a file only if the document links to it."""
    missing = re.match(r"FileNotFoundError: .*: '([^'/~][^']*)'$", error)
    if not missing or not (document.parent / missing[1]).exists():
        return ""
    link = f"[[file:{os.path.normpath(missing[1])}]]"
    return (
        f". It is there, but a block has only what the text links to: link to it first, {link}"
    )


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
    long = len(lines) >= LINES_IN_EXAMPLE
    if wrong := re.search(CONTROL, text) or (MERGE.search(text) if long else None):
        raise DocumentError(block.line, f"it printed {wrong[0]!r}, unfit for Org; leave it out")
    if any(line != line.rstrip(" \t") for line in lines):
        blanks = "a line that it printed ends in blanks, which editors remove; print none there"
        raise DocumentError(block.line, blanks)
    if not long:
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

    It leads a session of its own, and ends, with all processes that it has started, when this
    process does.
    """
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.child", str(stage), name, str(writing)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=out,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    # Closing our end of this pipe ends the child. So does our death, whatever it is from.
    ender = ["sh", "-c", f"read _; kill -s KILL -- -{process.pid} 2>/dev/null"]
    try:
        with os.fdopen(reading, encoding="utf-8") as reports:
            with subprocess.Popen(ender, stdin=subprocess.PIPE, start_new_session=True):
                yield reports
    finally:
        process.wait()


def environment() -> dict[str, str]:
    """The child's: nothing set for Python or Matplotlib counts, and tools are this Python's."""
    near = os.path.dirname(sys.executable)
    own = {name: it for name, it in os.environ.items() if not name.startswith("PYTHON")}
    own["PATH"] = os.pathsep.join([near, os.environ.get("PATH", os.defpath)])
    own |= {"MATPLOTLIBRC": os.devnull, "MPLBACKEND": "agg"}
    return {**own, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def stamp(elements: list[Element], document: Path) -> bytes:
    """A hash of all that a run depends on and all that it writes, as this command knows it."""
    root = document.parent
    names = {path.relative_to(root).as_posix() for path in (root / IMAGES).rglob("*")}
    names |= {document.name, *targets(elements, document), *linked_files(elements)}
    names |= {*drawn(present_results(elements))}
    packages = {path.name for folder in sys.path for path in Path(folder).glob("*.dist-info")}
    dot = shutil.which("dot", path=os.path.dirname(sys.executable)) or shutil.which("dot")
    own = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    parts: list[Any] = [own, sys.version, dot, sorted(packages)]
    parts += [(name, read(root / name)) for name in sorted(names)]
    return hashlib.sha256(repr(parts).encode()).hexdigest().encode() + b"\n"


def run_command(document: Path, force: bool) -> int:
    """Run the document, unless nothing has changed, and write all that it makes."""
    elements = load(document)
    if not force and on_disk(document.with_name(STAMP)) == stamp(elements, document):
        say_changed([], document)
        return 0
    protect(elements, document)
    made = execute(elements, document)
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
    note({STAMP: stamp(now, document)}, document.parent)
    return 0


def catch_signals(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)
