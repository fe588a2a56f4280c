"""`make bench` compares like with like. Nothing here looks at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import bench

    return bench


@pytest.fixture
def contenders(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import contenders

    return contenders


@pytest.mark.dear
def test_the_quick_bench_trains_and_prints_a_row_for_each_contender():
    command = [sys.executable, str(ROOT / "benchmarks" / "bench.py"), "--quick"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    rows = [line.split("|") for line in result.stdout.splitlines() if line.startswith("| ")]
    titles = [row[1].strip() for row in rows]
    assert {"this engine", "this engine, collector paused"} < {*titles}
    assert len({len(row) for row in rows}) == 1
    assert "1,000,000 nodes in" in result.stdout


def test_runs_that_part_are_found_and_named(bench):
    runs = {"one": [1.0, 2.0], "same": [1.0, 2.0 + 1e-12], "shorter": [1.0]}
    assert bench.disagreement(runs) is None
    where = bench.disagreement(runs | {"other": [1.0, 2.00001]})
    assert "step 1" in where and "other is 2.00001" in where
    assert bench.disagreement({"one": [1.0], "broken": [float("nan")]}) is not None


def test_the_loop_that_is_timed_is_the_published_run(bench, contenders):
    turns = contenders.scalars(bench.start_of_the_published_run(), slices=50)
    next(turns)
    _, losses = next(turns)
    assert losses == pytest.approx([0.8958441028683222, 1.7235905336972022], rel=1e-12)


def test_tensors_are_trained_from_the_same_numbers(bench, contenders):
    torch = pytest.importorskip("torch")
    start = bench.start_of_the_published_run()
    assert [len(m) for m in contenders.matrices(start["parameters"])] == [2, 16, 16, 16, 16, 1]
    loss_of, fresh, X, y = contenders.torch_start(start)
    assert loss_of(fresh(), X, y).item() == pytest.approx(0.8958441028683222, rel=1e-12)
    assert sum(p.numel() for p in fresh()) == 337
    assert X.dtype == torch.float64


def test_a_contender_that_fails_is_named_with_its_reason(bench, tmp_path, monkeypatch):
    start = tmp_path / "start.json"
    start.write_text("{}")
    contender = bench.Contender("eager", start, tmp_path)
    contender.turn()
    contender.end()
    assert "KeyError: 'X'" in contender.failed
    assert contender.seconds == []


def script(name, *arguments, before="pass"):
    """A benchmark's script in a process of its own, since it keeps to one core."""
    code = f"import sys, {name}; sys.argv[1:] = {arguments!r}; {before}; {name}.main()"
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=ROOT / "benchmarks"
    )


SCRIPTS = {
    "sizes": ("--widths", "4", "--rows", "10", "--turns", "1"),
    "writing": ("--batches", "1", "--turns", "1", "--only", "this engine", "PyTorch"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_table_has_a_row_for_each_size_or_contender_if_their_losses_agree(name):
    pytest.importorskip("torch")
    done = script(name, *SCRIPTS[name])
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 3 and len({row.count("|") for row in rows}) == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_losses_that_part_are_named_and_nothing_is_timed(name):
    other = f"{name}.CONTENDERS['PyTorch'] = (lambda *_: lambda: [0.5], None)"
    done = script(name, *SCRIPTS[name], before=other)
    assert done.returncode == 1 and "in step 0, PyTorch has the loss 0.5" in done.stderr
    assert done.stdout == ""
