"""Texts and files: reading them, telling how two differ, writing all of them or none.

Bytes come in from the modules that made them and go to the disk. Nothing here knows Org, and
nothing else in the package writes a file.
"""

from __future__ import annotations

import difflib
import os
import shutil
from pathlib import Path


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
