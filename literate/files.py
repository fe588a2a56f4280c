"""Texts and files: reading them, telling how two differ, writing all of them or none.

Bytes come in from the modules that made them and go to the disk. Nothing here knows Org, and
nothing else in the package writes a file. A command sees one state of the files: each is read
once, and nothing is written if one of them was edited since.
"""

from __future__ import annotations

import difflib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from .org import DocumentError

KNOWN: dict[Path, bytes | None] = {}  # what a command has read or written; None is no file
CHANGED: dict[Path, bytes] = {}  # what it has written, or just wanted to


def begin() -> None:
    """Forget what was read and written: another command begins."""
    KNOWN.clear()
    CHANGED.clear()


def written() -> list[str]:
    """The names of the files that this command has written so far."""
    return [path.name for path, data in CHANGED.items() if on_disk(path) == data]


def on_disk(path: Path) -> bytes | None:
    """A file's bytes as they are now, or None if there is none."""
    return path.read_bytes() if path.is_file() else None


def read(path: Path) -> bytes | None:
    """A file's bytes as this command has read or written them, or None if there is none."""
    path = path.resolve()
    if path not in KNOWN:
        KNOWN[path] = on_disk(path)
    return KNOWN[path]


def need(path: Path) -> bytes:
    """The same of a file that must be there. Raises OSError."""
    data = read(path)
    return path.read_bytes() if data is None else data


def write(files: dict[str, bytes], root: Path) -> list[str]:
    """Write the files that differ; gives their names. All are written, or none.

    Raises DocumentError if a file that was read is not as it was: nobody's edit is lost.
    """
    made = {(root / name).resolve(): data for name, data in files.items()}

    def check() -> None:
        for path, data in KNOWN.items():
            if (now := on_disk(path)) not in (data, made.get(path)):
                place = f"{os.path.relpath(path, root)}:{row_of(now or b'', data or b'')}"
                raise DocumentError(1, "was edited meanwhile; do it again", place=place)

    changed = replace(files, root, check)
    KNOWN.update(made)
    return changed


def replace(files: dict[str, bytes], root: Path, check: Callable[[], None]) -> list[str]:
    """Put files that differ in place of others, once there is room for all, after a check."""
    changed = {name: data for name, data in files.items() if on_disk(root / name) != data}
    ready: list[tuple[Path, Path]] = []
    try:
        for name, data in changed.items():
            path = (root / name).resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            ready.append((path.with_name(f".{path.name}.{os.getpid()}.tmp"), path))
            ready[-1][0].write_bytes(data)
            if path.exists():
                shutil.copymode(path, ready[-1][0])
        check()
        CHANGED.update(
            {path: made for (_, path), made in zip(ready, changed.values(), strict=True)}
        )
        for temporary, path in ready:
            os.replace(temporary, path)
    finally:
        for temporary, _ in ready:
            temporary.unlink(missing_ok=True)
    return [*changed]


def note(files: dict[str, bytes], root: Path) -> None:
    """Write what spares work the next time. This time's is done: a failure is only said."""
    try:
        replace(files, root, lambda: None)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}; the work is done, and only takes longer"
        print(f"{message} the next time: make {root}/.literate* your own", file=sys.stderr)


def fill(folder: Path, files: dict[str, bytes]) -> None:
    """Put files into a folder of this command's own."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


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


def row_of(new: bytes, old: bytes) -> int:
    """The number of the first line of `new` that differs from `old`, or else of its last."""
    same = len(os.path.commonprefix([new.split(b"\n"), old.split(b"\n")]))
    return max(min(same + 1, new.count(b"\n")), 1)
