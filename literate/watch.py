"""While writing: what is saved goes where it belongs, and what it changes is shown at once.

Saved files come in; what the other verbs would write goes out, and a page, to 127.0.0.1 alone.
A block runs again if it, its line, a block above it or a file that was read there has changed.
Nothing is written that `make` would not write, and no edit is overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .detangle import detangle_command
from .files import fill, on_disk, write
from .fold import fold_command, has_edits
from .org import (
    IMAGES,
    Block,
    DocumentError,
    Element,
    drawn,
    linked_files,
    parse,
    present_results,
    with_results,
)
from .page import NAME, page
from .run import (
    ROOT,
    catch_signals,
    environment,
    format_figure,
    format_output,
    needed_files,
    remedy,
)
from .tangle import edited, load, protect, remember, tangle

COPIES = ("micrograd.md", "micrograd.ipynb")
TORN = 3  # seconds to wait for the rest of a file that has lost its end
PORT = 8642  # or another, if it is in use
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "VECLIB")}


def blocks_of(elements: list[Element]) -> list[Block]:
    return [block for block in elements if isinstance(block, Block) and block.runs]


# Running, from the first change on.


@dataclass(frozen=True)
class Point:
    """A process at rest: after which blocks, with what results, having read what."""

    blocks: list[tuple[int, str]]
    results: dict[int, str]
    read: dict[str, bytes | None]
    orders: int  # the pipe's file descriptor

    def holds(self, blocks: list[tuple[int, str]], given: dict[str, bytes]) -> bool:
        """Whether a run of these blocks, with these files, would come to this point, too."""
        same = self.blocks == blocks[: len(self.blocks)]
        return same and all(given.get(name) == data for name, data in self.read.items())


class Session:
    """The runs of a document, each from the last point that still holds."""

    def __init__(self, document: Path, folder: Path) -> None:
        self.document, self.folder = document, folder
        self.stage = folder / "work" / "stage"
        (self.stage / IMAGES).mkdir(parents=True)
        temporary = folder / "work" / "tmp"
        temporary.mkdir()
        (folder / "input").mkdir()
        (folder / "running").write_bytes(bytes(8))
        reading, writing = os.pipe()
        own = {"TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1", **ONE_THREAD}
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.rest", folder, document.name, str(reading)],
            cwd=ROOT,
            env={**environment(), **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[reading],
            start_new_session=True,
        )
        os.close(reading)
        self.points = [Point([], {}, {}, writing)]
        self.given: dict[str, bytes] = {}
        self.blocks: list[Block] = []
        self.results: dict[int, str] = {}  # by the number of the block
        self.error: DocumentError | None = None
        self.at = 0  # the block that runs
        self.reports, self.runs = -1, 0

    def start(self, elements: list[Element]) -> None:
        """Run the document from the last point that holds."""
        self.stop()
        before = [(block.line, block.text) for block in self.blocks]
        self.blocks = blocks_of(elements)
        blocks = [(block.line, block.text) for block in self.blocks]
        given = {**needed_files(elements, self.document), **tangle(elements, self.document)}
        for point in [point for point in self.points if not point.holds(blocks, given)]:
            self.points.remove(point)
            os.close(point.orders)
        point = max(self.points, key=lambda point: len(point.blocks))
        self.at, self.results, self.error = len(point.blocks), dict(point.results), None
        for name in self.given.keys() - given.keys():
            (self.folder / "input" / name).unlink()
        fill(self.folder / "input", given)
        self.given, self.runs, self.end, self.begun, self.rest = (
            given,
            self.runs + 1,
            0,
            False,
            b"",
        )
        reports = self.folder / f"reports-{self.runs}"
        self.printed = self.folder / f"printed-{self.runs}"
        self.printed.touch()
        os.mkfifo(reports)
        self.reports = os.open(reports, os.O_RDONLY | os.O_NONBLOCK)
        order: dict[str, int | str] = {
            "at": self.at,
            "first": len(os.path.commonprefix([before, blocks])),
        }
        order |= {"reports": str(reports), "printed": str(self.printed)}
        os.write(point.orders, json.dumps(order).encode() + b"\n")

    @property
    def runs_now(self) -> bool:
        return self.reports >= 0

    def stop(self) -> None:
        """End the run; what rests stays."""
        while self.runs_now:
            self.kill()
            self.poll(0.01)

    def kill(self) -> None:
        pid = int.from_bytes((self.folder / "running").read_bytes(), "little")
        with contextlib.suppress(OSError):
            if pid and self.begun:
                os.killpg(pid, signal.SIGKILL)

    def poll(self, seconds: float) -> None:
        """Wait for reports, but not for longer than this."""
        if not self.runs_now:
            time.sleep(seconds)
            return
        if not select.select([self.reports], [], [], seconds)[0]:
            return
        data = os.read(self.reports, 1 << 20)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for report in map(json.loads, lines):
            self.begun = True
            try:
                self.take(report)
            except DocumentError as error:
                self.error = self.error or error
        if not data and self.begun:
            os.close(self.reports)
            self.reports = -1
            if not self.error and self.at < len(self.blocks):
                line = self.blocks[self.at].line
                self.error = DocumentError(line, "this block ended the Python process")

    def take(self, report: dict) -> None:
        if "point" in report:
            names = self.given if "*" in report["seen"] else report["seen"]
            seen = {name: self.given.get(name) for name in names}
            blocks = [(block.line, block.text) for block in self.blocks[: self.at]]
            with contextlib.suppress(OSError):
                orders = os.open(report["point"], os.O_WRONLY | os.O_NONBLOCK)
                self.points.append(Point(blocks, dict(self.results), seen, orders))
        if "end" in report:
            block = self.blocks[self.at]
            output = self.printed.read_bytes()[self.end : report["end"]]
            self.end = report["end"]
            if "error" in report:
                trace = output.decode(errors="backslashreplace") + report["trace"]
                error = report["error"] + remedy(report["error"], self.document)
                raise DocumentError(report["line"], error, trace, block=block.line)
            if block.results == "output":
                self.results[self.at] = format_output(block, output)
            if block.results == "file":
                self.results[self.at] = format_figure(block, report["value"], self.stage)
            self.at += 1


@contextlib.contextmanager
def session(document: Path) -> Iterator[Session]:
    with tempfile.TemporaryDirectory(prefix="literate-") as folder:
        made = Session(document, Path(folder).resolve())
        try:
            yield made
        finally:
            made.stop()
            for point in made.points:
                os.close(point.orders)
            made.process.wait()


# The page, which reloads by itself.

SHELL = """<!doctype html>
<meta charset="utf-8"><title>micrograd</title>
<style>
body { margin: 0 }
iframe { border: 0; width: 100vw; height: 100vh; display: block }
</style>
<iframe></iframe>
<script>
const frame = document.querySelector("iframe");
frame.src = "/micrograd.html" + location.hash;
frame.onload = () => {
  document.title = frame.contentDocument.title;
  for (const link of frame.contentDocument.links) {
    if (!link.getAttribute("href").startsWith("#")) link.target = "_top";
  }
};
let shown;
new EventSource("/changes").onmessage = (event) => {
  if (shown && event.data !== shown) frame.contentWindow.location.reload();
  shown = event.data;
};
</script>
"""


class Server(ThreadingHTTPServer):
    """Shows the page of a document to browsers of this machine, and tells them of changes."""

    daemon_threads = True

    def __init__(self, document: Path) -> None:
        self.document = document
        self.changed = threading.Condition()
        try:
            super().__init__(("127.0.0.1", PORT), Answer)
        except OSError:
            super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def reload(self) -> None:
        with self.changed:
            self.changed.notify_all()


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").partition(":")[0]
        if host not in ("127.0.0.1", "localhost"):  # a page of another site asks
            self.send_error(403)
        elif self.path == "/":
            self.send("text/html", SHELL.encode())
        elif self.path == f"/{NAME}" and (
            data := on_disk(self.server.document.with_name(NAME))
        ):
            self.send("text/html", data)
        elif self.path == "/changes":
            self.send("text/event-stream", b"")
            last = ""
            with contextlib.suppress(OSError):
                while True:
                    data = on_disk(self.server.document.with_name(NAME)) or b""
                    now = hashlib.sha1(data).hexdigest()
                    self.wfile.write(f"data: {now}\n\n".encode() if now != last else b": \n\n")
                    last = now
                    with self.server.changed:
                        self.server.changed.wait(10)
        else:
            self.send_error(404)

    def send(self, kind: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        pass


# Watching.


def lost_its_end(old: bytes | None, new: bytes | None) -> bool:
    """Whether a file is shorter than it was, and ends otherwise: half of it may be saved."""
    return bool(old and new is not None and len(new) < len(old) and new[-80:] != old[-80:])


class Watch:
    """A document, what was last seen of it and of its copies, and how far its run has come."""

    def __init__(self, document: Path, session: Session, server: Server) -> None:
        self.document, self.session, self.server = document, session, server
        self.names = {document.name, *COPIES}
        self.seen: dict[str, bytes | None] = {}
        self.text, self.elements = "", parse("\n")
        self.wrong: DocumentError | None = None  # with the page
        self.shown = 0.0
        # What is to stay as it is, and until when, before it counts as saved.
        self.still: dict[str, bytes | None] | None = None
        self.until = 0.0
        self.done = True  # nothing runs yet

    def files(self) -> dict[str, bytes | None]:
        return {name: on_disk(self.document.parent / name) for name in self.names}

    def step(self) -> None:
        """Look once at the files and at the run."""
        now = self.files()
        changed = {name for name in now if now[name] != self.seen.get(name)}
        if now == self.seen or now[self.document.name] is None:
            self.still = None
        elif now != self.still:  # an editor may still be at it
            torn = any(lost_its_end(self.seen.get(name), now[name]) for name in changed)
            self.still, self.until = now, time.monotonic() + (TORN if torn else 0.05)
        elif time.monotonic() >= self.until:
            self.seen, self.still = now, None
            self.take(changed)
        self.session.poll(0.05 if self.still else 0.1)
        self.show()

    def take(self, changed: set[str]) -> None:
        """Bring what was saved to where it belongs, and run the document if that changed it."""
        for name in changed.intersection(COPIES):
            copy = self.document.with_name(name)
            data = on_disk(copy)
            if data is not None and has_edits(self.document, copy, data):
                fold_command(self.document, copy)
        elements = load(self.document)
        if edited(elements, self.document):
            detangle_command(self.document)
            elements = load(self.document)
        program = tangle(elements, self.document)
        protect(elements, self.document)
        for name in write(program, self.document.parent):
            print(f"wrote {name}")
        remember(program, self.document)
        given = needed_files(elements, self.document)
        text = given.pop(self.document.name).decode()
        self.names = {self.document.name, *COPIES, *program, *linked_files(elements)}
        before = {n: data for n, data in self.session.given.items() if n != self.document.name}
        if text != self.text or before != {**given, **program}:
            self.text, self.elements = text, elements
            self.session.start(elements)
            self.done, self.since = False, time.monotonic()
            self.make_page()

    def show(self) -> None:
        """Write the results that differ; say what went wrong."""
        session, now = self.session, time.monotonic()
        if self.done or on_disk(self.document) != self.text.encode():
            return  # the results are those of what was saved before
        lines = [block.line for block in blocks_of(self.elements)]
        results = {lines[number]: result for number, result in session.results.items()}
        present = present_results(self.elements)
        new = [line for line, result in results.items() if present.get(line) != result]
        over = not session.runs_now
        if (new and now - self.shown > 0.3) or over:
            self.shown = now
            self.write(results, new, over and not session.error)
        if over:
            self.done = True
            if wrong := session.error or self.wrong:
                self.tell(wrong)
            if not session.error:
                print(f"{self.document.name}: all results are fresh, {now - self.since:.1f} s")

    def write(self, results: dict[int, str], new: list[int], over: bool) -> None:
        """Write results and figures."""
        text = with_results(self.elements, results)
        paths = [path for path in (self.session.stage / IMAGES).rglob("*") if path.is_file()]
        names = {path.relative_to(self.session.stage).as_posix(): path for path in paths}
        figures = {n: p.read_bytes() for n, p in names.items() if over or n in drawn(results)}
        changed = write({**figures, self.document.name: text.encode()}, self.document.parent)
        for line in new:
            print(f"{self.document.name}:{line}: new result")
        self.text, self.elements = text, parse(text)
        if changed:
            self.make_page()

    def make_page(self) -> None:
        """Write the page, and have it shown, once every block has a result."""
        self.wrong = None
        try:
            data = page(self.elements, self.document).encode()
            if write({NAME: data}, self.document.parent):
                self.server.reload()
        except DocumentError as error:
            self.wrong = error

    def tell(self, error: DocumentError) -> None:
        blocks = self.session.blocks
        line = error.line
        for block, now in zip(blocks, blocks_of(self.elements), strict=False):
            if block.line <= error.line < block.line + block.text.count("\n"):
                line += now.line - block.line  # results above it have grown since
        place = error.place or f"{self.document.name}:{line}"
        print(f"{error.trace}{place}: {error}", file=sys.stderr)


def watch_command(document: Path) -> int:
    """Watch a document until interrupted."""
    server = Server(document)
    print(
        f"http://127.0.0.1:{server.server_address[1]}/ shows {document.name}; Ctrl-C ends this"
    )
    ended: list[int] = []
    catch_signals(lambda number, frame: ended.append(number))  # it ends between two steps
    with session(document) as made:
        watch = Watch(document, made, server)
        while not ended:
            try:
                watch.step()
            except DocumentError as error:
                watch.tell(error)
            except OSError as error:
                print(f"{error.filename or document}: {error.strerror}", file=sys.stderr)
            sys.stdout.flush()
    return 0
