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
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

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


def opcodes(
    old: Sequence[Hashable], new: Sequence[Hashable]
) -> list[tuple[str, int, int, int, int]]:
    """How `new` is made from `old`, as difflib tells it, in a time that follows their length.

    What is alike at both ends goes first. Of a long middle that repeats itself, the first of
    equal things is paired with the first, and so on, where that keeps their order.
    """
    numbers: dict[Hashable, int] = {}
    a, b = ([numbers.setdefault(one, len(numbers)) for one in side] for side in (old, new))
    found: list[tuple[str, int, int, int, int]] = []

    def middle(i: int, j: int, k: int, m: int, again: bool) -> None:
        """The codes of a[i:j] and b[k:m]."""
        head = len(os.path.commonprefix([a[i:j], b[k:m]]))
        size = min(j - i, m - k) - head
        tail = min(len(os.path.commonprefix([a[i:j][::-1], b[k:m][::-1]])), size)
        add("equal", i, i + head, k, k + head)
        i, k, j, m = i + head, k + head, j - tail, m - tail
        counts = Counter(b[k:m])
        if i == j or k == m or sum(counts[one] for one in a[i:j]) <= 10_000:
            matcher = difflib.SequenceMatcher(None, a[i:j], b[k:m], autojunk=False)
            for kind, *ends in matcher.get_opcodes():
                add(kind, i + ends[0], i + ends[1], k + ends[2], k + ends[3])
        elif again:
            add("replace", i, j, k, m)
        else:
            last, until = i, k
            for x, y in [*rising(a[i:j], b[k:m]), (j - i, m - k)]:
                middle(last, i + x, until, k + y, True)
                if x < j - i:
                    add("equal", i + x, i + x + 1, k + y, k + y + 1)
                last, until = i + x + 1, k + y + 1
        add("equal", j, j + tail, m, m + tail)

    def add(kind: str, i: int, j: int, k: int, m: int) -> None:
        if found and found[-1][0] == kind and found[-1][2] == i and found[-1][4] == k:
            i, k = found.pop()[1::2]
        if i < j or k < m:
            found.append((kind, i, j, k, m))

    middle(0, len(a), 0, len(b), False)
    return found


def rising(a: list[int], b: list[int]) -> list[tuple[int, int]]:
    """Pairs of equal things, the nth of its kind with the nth: as many as keep their order."""
    seen: Counter[int] = Counter()
    where = {}
    for y, one in enumerate(b):
        where[one, seen[one]] = y
        seen[one] += 1
    seen.clear()
    ends: list[int] = []  # the least place in b at which a chain of each length ends
    chains: list[Any] = []  # and that chain, as pairs of its last link and the rest
    for x, one in enumerate(a):
        place = where.get((one, seen[one]))
        seen[one] += 1
        if place is not None:
            n = bisect_left(ends, place)
            ends[n : n + 1] = [place]
            chains[n : n + 1] = [((x, place), chains[n - 1] if n else None)]
    found = []
    chain: Any = chains[-1] if chains else None
    while chain:
        link, chain = chain
        found.append(link)
    return found[::-1]


def row_of(new: bytes, old: bytes) -> int:
    """The number of the first line of `new` that differs from `old`, or else of its last."""
    same = len(os.path.commonprefix([new.split(b"\n"), old.split(b"\n")]))
    return max(min(same + 1, new.count(b"\n")), 1)
