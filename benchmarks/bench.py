"""`make bench`: the training of chapter 9 by this engine and by its peers, side by side.

Every contender trains the same network on the same points from the same weights, in a process
of its own (see contenders.py). They take turns, so that whatever else the machine does hits
them alike; all must arrive at the same losses. Prints one table, in Org's form; then sizes.py
prints one for networks of other sizes, and writing.py one for the GPT of chapter 11.
"""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# A function in contenders.py: its title, and the package it needs; None is this project.
CONTENDERS = {
    "published": ("micrograd, the published package", "micrograd"),
    "eager": ("this engine", None),
    "eager_paused": ("this engine, collector paused", None),
    "compiled": ("this engine, compiled", None),
    "torch_eager": ("PyTorch", "torch"),
    "torch_compile": ("PyTorch, torch.compile", "torch"),
    "jax_step": ("JAX, jit, step by step", "jax"),
    "jax_scan": ("JAX, jit, all steps in lax.scan", "jax"),
    "chain": ("chains of nodes", None),
}
OWN = [name for name, (_, package) in CONTENDERS.items() if package is None]


def install() -> dict[str, str]:
    """Install each line of requirements.txt; for each that failed, package and reason."""
    wanted = (HERE / "requirements.txt").read_text()
    done = Path(sys.prefix, "requirements.txt")  # as in .venv: what has been installed
    failed: dict[str, str] = {}
    if done.exists() and done.read_text() == wanted:
        return failed
    for line in wanted.splitlines():
        if line.strip() and not line.startswith("#"):
            print(f"Installing {line}", file=sys.stderr, flush=True)
            pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", line]
            result = subprocess.run(pip, capture_output=True, text=True)
            if result.returncode:
                errors = [x for x in result.stderr.splitlines() if x.startswith("ERROR")]
                failed[re.split(r"[=\s]", line)[0]] = (errors or ["pip failed"])[-1]
    if not failed:
        done.write_text(wanted)
    return failed


def start_of_the_published_run() -> dict[str, list]:
    """The points, their labels, and the parameters that the published run begins with."""
    import numpy as np
    from sklearn.datasets import make_moons

    sys.path.insert(0, str(ROOT))
    from micrograd import nn

    np.random.seed(1337)
    random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    parameters = [p.data for p in nn.MLP(2, [16, 16, 1]).parameters()]
    return {"X": X.tolist(), "y": (y * 2.0 - 1).tolist(), "parameters": parameters}


class Contender:
    """A process of its own, which trains for a while whenever it gets its turn.

    seconds: the time of a step in each turn. losses: one for each step. ready: what it said
    when it was ready. failed: the reason why it takes no more turns, or None.
    """

    def __init__(self, name: str, start: Path, cache: Path):
        self.name = name
        self.title, self.package = CONTENDERS[name]
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self.failed: str | None = None
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(cache)}
        environment.pop("PYTHONPATH", None)
        if self.package is None:  # `import micrograd` finds this project's, not the package
            environment["PYTHONPATH"] = str(ROOT)
        self.log = open(cache / f"{name}.log", "w+")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "contenders.py"), name, str(start)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )
        self.ready: dict[str, Any] = self.answer() or {}

    def answer(self) -> Any:
        """The next line of JSON that the process prints, or None if it failed."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if line and "failed" not in (answer := json.loads(line)):
            return answer
        self.log.seek(0)
        last = ["the process ended without a word", *self.log.read().split("\n")][-1]
        self.failed = json.loads(line)["failed"] if line else last
        return None

    def turn(self) -> None:
        if self.failed is None:
            assert self.process.stdin
            print("go", file=self.process.stdin, flush=True)
            if answer := self.answer():
                seconds, losses = answer
                self.seconds.append(seconds / len(losses))
                self.losses += losses

    def median(self) -> float:
        return statistics.median(self.seconds)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.log.close()


def disagreement(runs: dict[str, list[float]], tolerance: float = 1e-9) -> str | None:
    """Where runs, a list of losses for each title, first differ from one another, or None."""
    (first, expected), *others = runs.items()
    for title, losses in others:
        for k, (a, b) in enumerate(zip(losses[:100], expected, strict=False)):
            if not math.isclose(a, b, rel_tol=tolerance):
                return f"in step {k}, the loss of {title} is {a!r}, that of {first} {b!r}"
    return None


def human(seconds: float) -> str:
    units = [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)]
    unit, size = next((u for u in units if seconds >= u[1]), units[-1])
    return f"{seconds / size:.3g}\N{NO-BREAK SPACE}{unit}"


def times(x: float) -> str:
    return f"{x:.2g}" if x < 10 else f"{x:,.0f}"


def table(contenders: list[Contender]) -> list[str]:
    """The lines of an Org table of those that ran, the slowest first."""
    ran = sorted(contenders, key=Contender.median, reverse=True)
    package = next((c.median() for c in ran if c.name == "published"), None)
    rows = [["contender", "time a step", "spread", "times the fastest", "speedup"]]
    rows[0] += ["compiles in", "bytes a node", "its best setting"]
    for c in ran:
        row = [
            c.title,
            human(c.median()),
            f"{human(min(c.seconds))} to {human(max(c.seconds))}",
        ]
        row += [times(c.median() / ran[-1].median())]
        row += [times(package / c.median()) if package else ""]
        row += [human(c.ready["compile"]) if "compile" in c.ready else ""]
        row += [f"{c.ready['memory']:.0f}" if "memory" in c.ready else ""]
        rows.append([*row, c.ready.get("setting", "")])
    return aligned(rows)


def aligned(rows: list[list[str]]) -> list[str]:
    """The lines of an Org table of rows, the first of which is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[x.ljust(n) for x, n in zip(row, widths, strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return [lines[0], f"|-{'-+-'.join('-' * n for n in widths)}-|", *lines[1:]]


def machine() -> list[str]:
    """The processor, its cores and the system; then the versions."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (name := re.search("model name\\s*: (.*)", cpuinfo.read_text())):
        cpu = name[1]
    elif sysctl := shutil.which("sysctl"):
        command = [sysctl, "-n", "machdep.cpu.brand_string"]
        cpu = subprocess.run(command, capture_output=True, text=True).stdout.strip() or cpu
    versions = [f"Python {platform.python_version()}"]
    for package in ("micrograd", "torch", "jax"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            pass
    if compiler := shutil.which("cc"):
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True)
        versions += version.stdout.splitlines()[:1]
    return [f"{cpu}, {os.cpu_count()} cores, {platform.system()}", ", ".join(versions)]


def take_turns(names: list[str], turns: int) -> list[Contender]:
    """Contenders that have had their turns, round by round; their processes have ended."""
    from tqdm import tqdm

    contenders: list[Contender] = []
    rounds = [contenders] * turns
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tqdm(total=len(names) * (turns + 1), unit="turn", disable=None) as bar,
    ):
        start = Path(folder, "start.json")
        start.write_text(json.dumps(start_of_the_published_run()))
        try:
            for name in names:
                bar.set_description(f"{CONTENDERS[name][0]}, getting ready")
                contenders.append(Contender(name, start, Path(folder)))
                bar.update()
            for contender in (c for round in rounds for c in round):
                bar.set_description(contender.title)
                contender.turn()
                bar.update()
        finally:
            for contender in contenders:
                contender.end()
    return contenders


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="The table of speeds.")
    parser.add_argument("--turns", type=int, default=5, help="turns of each contender")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="these contenders")
    parser.add_argument("--quick", action="store_true", help="own contenders, one turn")
    options = parser.parse_args()
    if options.turns < 1:
        parser.error("--turns: at least 1 is needed")
    names = options.only or (OWN if options.quick else [*CONTENDERS])
    turns = 1 if options.quick else options.turns
    missing = {} if options.quick else install()
    everyone = take_turns(names, turns)
    trained = [c for c in everyone if c.seconds and c.name != "chain"]
    if trained:
        if difference := disagreement({c.title: c.losses for c in trained}):
            sys.exit(f"bench: not all train the same network: {difference}")
        print(*table(trained), "", sep="\n")
    for c in everyone:
        if c.failed:
            reason = missing.get(c.package or "")
            print(
                f"{c.title}:", f"not installed: {reason}" if reason else f"failed: {c.failed}"
            )
        elif c.name == "chain":
            medians = [statistics.median(c.losses[i::3]) for i in range(3)]
            sizes = zip(("10,000", "100,000", "1,000,000"), medians, strict=True)
            told = "; ".join(f"{n} nodes in {human(seconds)}" for n, seconds in sizes)
            print(f"This engine's chains, forward and backward: {told}.")
    print(f"Medians of {turns} turns, taken by turns. Speedup: over the published package.")
    ends = [c.losses[99] for c in trained if len(c.losses) > 99]
    if ends:
        print(f"{len(ends)} contenders took all 100 steps, and end on the loss {ends[0]:.12f}.")
    print(*machine(), sep="\n")
    if not options.only and not options.quick:
        for script in ("sizes.py", "writing.py"):
            print(flush=True)
            subprocess.run([sys.executable, str(HERE / script)])


if __name__ == "__main__":
    main()
