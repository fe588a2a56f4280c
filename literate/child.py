"""The process in which a document's blocks run: `python -m literate.child STAGE NAME REPORTS`.

Blocks come in from the document NAME in the folder STAGE; a line of JSON for each goes out to
the file descriptor REPORTS. It never writes a file itself: only the blocks do, in their folder.
"""

from __future__ import annotations

import ast
import json
import multiprocessing.spawn
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from .files import on_disk
from .org import Block, parse
from .tangle import source, tangle, targets


def begin(stage: str | Path) -> dict[str, Any]:
    """Make this process the one that a document's blocks expect; gives their namespace."""
    os.chdir(stage)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main  # where pickle looks
    sys.path[0] = os.getcwd()
    sys.argv = [""]
    setattr(multiprocessing.spawn, "get_preparation_data", refuse_to_spawn)  # noqa: B010
    return main.__dict__


def refuse_to_spawn(name: str) -> dict[str, Any]:
    """A spawned process looks for functions in a file; a pool of such would wait for ever."""
    remedy = 'take multiprocessing.get_context("fork")'
    raise RuntimeError(f"a spawned process does not have the functions of a block: {remedy}")


def read_blocks(name: str) -> tuple[list[Block], dict[str, list[Block]]]:
    """The blocks of a document that run, and those of each file of the program, by its path."""
    elements = parse(Path(name).read_text("utf-8"))
    made, blocks = tangle(elements, Path(name)), targets(elements, Path(name))
    # An exercise's document ends at its answer: then it does not make all of the program.
    whole = [n for n in made if on_disk(Path(n)) == made[n]]
    program = {str(Path(n).resolve()): blocks[n] for n in whole}
    return [block for block in elements if isinstance(block, Block) and block.runs], program


def report_on(
    block: Block, name: str, program: dict[str, list[Block]], namespace: dict[str, Any]
) -> dict[str, Any]:
    """Run a block, and say how it went and where its output ends."""
    report = run_block(block, name, program, namespace)
    sys.stdout.flush()
    return {**report, "end": os.lseek(1, 0, os.SEEK_CUR)}


def serve(stage: str, name: str, descriptor: int) -> None:
    """Run the blocks of the document `name`, and report on each, until one fails."""
    os.set_inheritable(descriptor, False)
    namespace = begin(stage)
    with os.fdopen(descriptor, "w", buffering=1, encoding="utf-8") as reports:
        blocks, program = read_blocks(name)
        for block in blocks:
            report = report_on(block, name, program, namespace)
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


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
