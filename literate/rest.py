"""The process in which `make watch` runs blocks: it goes on again from points on the way.

At a point, a process stays behind, at rest, and a fork of it runs on. An order to a point makes
another fork of it go on from there, where all is as it was; reports go out by the order's own
pipe. What rests never runs. When the pipe for its orders is closed, it ends; when the first of
these pipes is closed, by whatever end of whoever gives the orders, all ends.

In the folder FOLDER are `input`, the files that blocks may read, and `work`, where they run,
whose files are put back before a process goes on. Nothing else is written.
"""

from __future__ import annotations

import contextlib
import json
import linecache
import mmap
import os
import random
import select
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from .child import begin, read_blocks, report_on

SECONDS = 0.5  # from point to point, at least; and an eighth of the time since the order
HARMLESS = {"dot", "cc", "gcc", "clang", "uname", "ldconfig"}  # they read no file of the input
FORKS = {"os.fork", "os.exec", "os.system", "os.posix_spawn"}


class Eyes:
    """Which files of the stage blocks have opened; "*" if another program may have read any."""

    def __init__(self, stage: Path) -> None:
        self.stage = f"{stage}{os.sep}"
        self.seen: set[str] = set()
        self.open = False
        sys.addaudithook(self.notice)

    def notice(self, event: str, given: tuple[Any, ...]) -> None:
        if not self.open:
            return
        if event == "open" and isinstance(given[0], (str, bytes)):
            path = os.path.realpath(os.fsdecode(given[0]))
            if path.startswith(self.stage):
                self.seen.add(path.removeprefix(self.stage))
        if event == "subprocess.Popen" and os.path.basename(given[0]) not in HARMLESS:
            self.seen.add("*")
        if event in FORKS:
            self.seen.add("*")


class Files:
    """All that is below a folder: files, links and folders."""

    def __init__(self, root: Path, before: Files | None = None) -> None:
        self.root = root
        self.held: dict[Path, tuple[tuple[int, ...], bytes | str | None]] = {}
        for path in root.rglob("*"):
            old = before.held.get(path) if before else None
            mark = signature(path)
            self.held[path] = old if old and old[0] == mark else (mark, content(path))

    def put_back(self) -> None:
        """Make all as it was. What differs is made anew, since what was there may be in use."""
        for path in sorted(self.root.rglob("*"), reverse=True):
            same = path in self.held and signature(path) == self.held[path][0]
            if not same and (path.is_symlink() or not path.is_dir()):
                path.unlink()
            elif not same and path not in self.held:
                path.rmdir()
        for path, (mark, data) in sorted(self.held.items()):
            if os.path.lexists(path):
                continue
            if isinstance(data, str):
                path.symlink_to(data)
            elif data is None:
                path.mkdir()
            else:
                path.write_bytes(data)
                path.chmod(mark[0] & 0o7777)
                os.utime(path, ns=(mark[-1], mark[-1]))


def signature(path: Path) -> tuple[int, ...]:
    of = path.lstat()
    return (of.st_mode,) if path.is_dir() else (of.st_mode, of.st_size, of.st_mtime_ns)


def content(path: Path) -> bytes | str | None:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes() if path.is_file() else None


def alone() -> bool:
    """Whether this process has one thread: a fork would not have the others."""
    tasks = "/proc/self/task"
    count = len(os.listdir(tasks)) if os.path.isdir(tasks) else threading.active_count()
    return count == 1


def fork() -> bool:
    """Fork this process; gives whether this is the new one. In it Python reseeds `random`."""
    state = random.getstate()
    new = not os.fork()
    if new:
        random.setstate(state)
    return new


class Runner:
    """What this process and its forks share: a folder, and who of them runs."""

    def __init__(self, folder: str, name: str, orders: int) -> None:
        self.folder, self.name, self.first = Path(folder), name, orders
        os.set_inheritable(orders, False)
        self.stage = self.folder / "work" / "stage"
        self.running = mmap.mmap(os.open(self.folder / "running", os.O_RDWR), 8)
        with contextlib.suppress(ImportError):
            from tqdm import tqdm

            tqdm.monitor_interval = 0  # its thread would keep this process from forking
        self.namespace = begin(self.stage)
        self.eyes = Eyes(self.stage)
        self.files = Files(self.folder / "work")
        self.given: set[Path] = set()  # what of the input is in the stage

    def start(self) -> None:
        """Run from now on, in a group of its own, to be killed with what it has started."""
        os.setpgid(0, 0)
        self.running[:] = os.getpid().to_bytes(8, "little")
        if self.over():  # what rests may have looked whom to kill before this was noted
            os._exit(0)

    def over(self, orders: int | None = None) -> bool:
        """Whether all ends; waits for that or for orders, if given a pipe for them."""
        events = select.poll()
        events.register(self.first, 0)
        if orders is not None:
            events.register(orders, select.POLLIN)
        found = dict(events.poll(0 if orders is None else None))
        return bool(found.get(self.first, 0) & select.POLLHUP)

    def rest(self, orders: int) -> dict[str, Any]:
        """Stay here. Gives each order, in a fork of this process."""
        while not self.over(orders):
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not (order := os.read(orders, 1 << 16)):
                os._exit(0)
            if fork():
                if orders != self.first:
                    os.close(orders)
                self.start()
                self.files.put_back()
                return dict(json.loads(order))
        with contextlib.suppress(OSError):
            os.killpg(int.from_bytes(self.running[:], "little"), signal.SIGKILL)
        os._exit(0)

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Run blocks as ordered. Gives the next order, which goes on from some point of it."""
        with open(order["reports"], "w", buffering=1, encoding="utf-8") as reports:
            printed = os.open(order["printed"], os.O_WRONLY | os.O_CREAT)
            os.dup2(printed, 1)
            os.close(printed)
            files = [p for p in (self.folder / "input").rglob("*") if p.is_file()]
            given = {path.relative_to(self.folder / "input") for path in files}
            for gone in self.given - given:
                (self.stage / gone).unlink(missing_ok=True)
            self.given = given
            for path in (self.folder / "input").rglob("*"):
                to = self.stage / path.relative_to(self.folder / "input")
                if path.is_dir():
                    to.mkdir(exist_ok=True)
                elif content(path) != (content(to) if to.exists() else None):
                    to.write_bytes(path.read_bytes())
            blocks, program = read_blocks(self.name)
            linecache.checkcache(self.name)
            linecache.getlines(self.name)  # a stack that is formatted reads no more than this
            reports.write("{}\n")
            begun = last = time.monotonic()
            for at in range(order["at"], len(blocks) + 1):
                now = time.monotonic()
                due = now - last > max(SECONDS, (now - begun) / 8)
                due = due or at in (order["first"], len(blocks))
                if due and at > order["at"] and alone():
                    last = now
                    self.files = Files(self.files.root, self.files)
                    point = self.folder / f"{os.getpid()}-{at}"
                    os.mkfifo(point)
                    orders = os.open(point, os.O_RDONLY | os.O_NONBLOCK)
                    seen = sorted(self.eyes.seen)
                    reports.write(
                        json.dumps({"at": at, "point": str(point), "seen": seen}) + "\n"
                    )
                    if not fork():
                        reports.close()
                        return self.rest(orders)
                    os.close(orders)
                    self.start()
                if at < len(blocks):
                    self.eyes.open = True
                    report = report_on(blocks[at], self.name, program, self.namespace)
                    self.eyes.open = False
                    reports.write(json.dumps(report) + "\n")
                    if "error" in report:
                        break
            reports.write('{"done": true}\n')
        os._exit(0)


def serve(folder: str, name: str, orders: int) -> NoReturn:
    runner = Runner(folder, name, orders)
    order = runner.rest(orders)
    while True:
        order = runner.run(order)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
