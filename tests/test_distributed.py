"""examples/distributed.py: several processes train as one does, and outlive one another.

The processes are real ones, started by torchrun, and meet on the loopback interface.
"""

import ast
import contextlib
import importlib.util
import math
import os
import pickle
import random
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from fresh import ROOT

import micrograd
from literate.org import Block, chapter
from literate.tangle import load as load_document

SCRIPT = ROOT / "examples/distributed.py"
CHAPTER = "Beyond one machine"
PUBLISHED = {
    0: 0.8958441028683222,
    1: 1.7235905336972022,
    2: 0.7429006313851131,
    3: 0.7705641260584198,
    9: 0.2704862551637922,
    99: 0.010978370135492717,
}

# Runs the script, but for the victim among its processes: at first it comes to a halt in its
# 35th step, and leaves its id in a file, for who wants to kill it.
HALTING = """
import os, runpy, sys, time
import torch

steps = []
step = torch.optim.SGD.step

def step_or_halt(*arguments):
    steps.append(1)
    if len(steps) == 35:
        with open(victim + ".id", "w") as file:
            print(os.getpid(), file=file)
        os.replace(victim + ".id", victim)
        time.sleep(600)
    return step(*arguments)

_, victim, rank, *sys.argv = sys.argv
if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and os.environ["RANK"] == rank:
    torch.optim.SGD.step = step_or_halt
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# Writes a checkpoint again and again, with more and more losses, as a job does, until told so.
WRITING = """
import runpy, select, sys

script = runpy.run_path(sys.argv[1])
_, _, network = script["moons"]()
losses = []
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    losses.append(0.5)
    script["write_checkpoint"](sys.argv[2], network, losses, 1_000_000)
print(len(losses))
"""

# Runs the script with a checkpoint of its own for each process, as on machines of their own.
ELSEWHERE = """
import os, runpy, sys

sys.argv = [*sys.argv[1:-1], sys.argv[-1] + os.environ["RANK"]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@contextlib.contextmanager
def torchrun(processes, *arguments, options=()):
    """A running torchrun of arguments, a script and what is for it. It ends with the block."""
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    meet = ["--standalone", "--local-addr", "localhost", "--nproc-per-node", str(processes)]
    run = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *meet, *options, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield run
    finally:
        if run.poll() is None:
            run.terminate()  # it then ends its processes, too
            run.communicate()


def finish(run):
    """The exit status of a run, and what it printed."""
    out, err = run.communicate(timeout=300)
    return run.returncode, out, err


def train(processes, *arguments):
    """What a run of the script prints that goes well."""
    with torchrun(processes, *arguments) as run:
        status, out, err = finish(run)
    assert status == 0, err
    return out


def load(checkpoint):
    return torch.load(checkpoint, weights_only=True)


@pytest.fixture(scope="module")
def script():
    """The script as a module: importing it starts nothing."""
    spec = importlib.util.spec_from_file_location("distributed_example", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def alone(script):
    """The losses and the weights of a hundred steps, without processes and without shares."""
    points, labels, network = script.moons()
    losses = []
    for k in range(100):
        penalty = 1e-4 * sum((p * p).sum() for p in network.parameters())
        loss = torch.relu(1 - labels * network(points)[:, 0]).mean() + penalty
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in network.parameters():
                p -= (1.0 - 0.9 * k / 100) * p.grad
        losses.append(loss.item())
    return losses, network.state_dict()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where `runs` leaves its checkpoints. A wrong one is there, of the second process."""
    made = tmp_path_factory.mktemp("runs")
    (made / "2.pt1").write_text("hello")
    (made / "elsewhere.py").write_text(ELSEWHERE)
    return made


@pytest.fixture(scope="module")
def runs(folder):
    """The output and the checkpoint of a hundred steps in one process, and in two."""
    one = train(1, SCRIPT, "--checkpoint", folder / "1.pt")
    two = train(2, folder / "elsewhere.py", SCRIPT, "--checkpoint", folder / "2.pt")
    return {1: (one, load(folder / "1.pt")), 2: (two, load(folder / "2.pt0"))}


def close(found, expected):
    return found == pytest.approx(expected, rel=0, abs=1e-9)


def same_weights(found, expected):
    assert list(found) == list(expected)
    return all(torch.allclose(found[k], expected[k], rtol=0, atol=1e-9) for k in expected)


@pytest.mark.dear
@pytest.mark.parametrize("processes", [1, 2])
def test_the_losses_are_those_of_a_single_process_at_every_step(runs, alone, processes):
    out, state = runs[processes]
    losses, weights = alone
    assert len(state["losses"]) == 100
    assert close(state["losses"], losses)
    assert close([state["losses"][k] for k in PUBLISHED], list(PUBLISHED.values()))
    assert same_weights(state["weights"], weights)


@pytest.mark.dear
@pytest.mark.parametrize("processes", [1, 2])
def test_all_processes_end_on_the_same_weights_and_one_speaks_for_all(runs, processes):
    lines = runs[processes][0].splitlines()
    assert lines[0] == f"processes {processes}, points 100, steps to go 100"
    assert lines[1:-1] == [
        f"step {k:2}  loss {runs[processes][1]['losses'][k]:.9f}" for k in range(9, 100, 10)
    ]
    assert lines[-1] == "the same weights everywhere: True"


@pytest.mark.dear
def test_a_checkpoint_holds_the_same_from_one_process_or_two(runs):
    (_, one), (_, two) = runs[1], runs[2]
    assert list(two) == list(one) == ["weights", "losses", "steps", "checksum"]
    assert two["steps"] == one["steps"] == 100
    assert close(two["losses"], one["losses"])
    assert same_weights(two["weights"], one["weights"])
    model = micrograd.to_torch(micrograd.nn.MLP(2, [16, 16, 1]))
    model.load_state_dict(one["weights"])
    trained = micrograd.from_torch(model)
    assert len(trained.parameters()) == 337


def train_and_kill(processes, folder, rank, *options):
    """What torchrun makes of it when one of some processes is killed in its 35th step."""
    (folder / "halting.py").write_text(HALTING)
    checkpoint, victim = folder / "moons.pt", folder / "victim"
    arguments = [folder / "halting.py", victim, rank, SCRIPT, "--checkpoint", checkpoint]
    with torchrun(processes, *arguments, options=options) as run:
        while not victim.exists():
            assert run.poll() is None, finish(run)
            time.sleep(0.05)
        os.kill(int(victim.read_text()), signal.SIGKILL)
        return finish(run), checkpoint


@pytest.mark.dear
def test_after_a_kill_torchrun_goes_on_from_the_checkpoint_to_the_same_end(tmp_path, alone):
    # Three processes: their shares of the hundred points are unequal, too.
    ended, checkpoint = train_and_kill(3, tmp_path, 0, "--max-restarts", "1")
    status, out, err = ended
    assert status == 0, err
    to_go = re.findall(r"processes 3, points 100, steps to go (\d+)", out)
    assert to_go == ["100", "66"], "no finished step is done again"
    assert out.endswith("the same weights everywhere: True\n")
    losses, weights = alone
    assert close(load(checkpoint)["losses"], losses)
    assert same_weights(load(checkpoint)["weights"], weights)


@pytest.mark.dear
def test_a_run_that_ended_early_is_continued_by_another_number_of_processes(tmp_path, alone):
    (status, _, err), checkpoint = train_and_kill(2, tmp_path, 1)
    assert status != 0, "without --max-restarts, torchrun gives up"
    assert "exitcode: -9" in err
    before = load(checkpoint)
    losses, weights = alone
    assert len(before["losses"]) == 34
    assert close(before["losses"], losses[:34])

    out = train(1, SCRIPT, "--checkpoint", checkpoint)
    state = load(checkpoint)
    assert out.startswith("processes 1, points 100, steps to go 66\n")
    assert state["losses"][:34] == before["losses"]
    assert close(state["losses"], losses)
    assert same_weights(state["weights"], weights)


@pytest.mark.parametrize("world", [1, 2, 3, 7, 99, 100])
def test_the_average_of_all_shares_is_the_loss_and_its_gradient(script, world):
    points, labels, network = script.moons()
    parameters = list(network.parameters())
    penalty = 1e-4 * sum((p * p).sum() for p in parameters)
    whole = torch.relu(1 - labels * network(points)[:, 0]).mean() + penalty
    shares = [script.share_of_loss(network, points, labels, r, world) for r in range(world)]
    average = torch.stack(shares).mean()
    torch.testing.assert_close(average, whole, rtol=1e-13, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(average, parameters),
        torch.autograd.grad(whole, parameters),
        rtol=1e-12,
        atol=1e-14,
    )


def test_without_torchrun_it_says_what_to_type(script, monkeypatch, capsys):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(sys, "argv", ["distributed.py"])
    with pytest.raises(SystemExit, match="2"):
        script.main()
    command = "torchrun --standalone --nproc-per-node 2 examples/distributed.py"
    assert command in capsys.readouterr().err


def test_more_processes_than_points_are_refused(script, monkeypatch):
    given = {"RANK": "0", "WORLD_SIZE": "101", "TORCHELASTIC_RUN_ID": "a test"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["distributed.py"])
    with pytest.raises(SystemExit) as refused:
        script.main()
    assert refused.value.code == "101 processes for 100 points: start 100 at most"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--steps", "0"], "--steps: at least 1 is needed"),
        (["--steps", "x"], "--steps: invalid int value"),
        (["--checkpoint", "no/such/folder/moons.pt"], "no/such/folder is no folder"),
    ],
)
def test_wrong_arguments_are_refused(script, monkeypatch, capsys, arguments, says):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a test")
    monkeypatch.setattr(sys, "argv", ["distributed.py", *arguments])
    with pytest.raises(SystemExit):
        script.main()
    assert says in capsys.readouterr().err


class Intruder:
    """What runs code when it is read without care."""

    def __reduce__(self):
        return (os.mkdir, ("intruded",))


def nothing_like_a_checkpoint(path):
    path.write_text("hello")


def empty(path):
    path.write_bytes(b"")


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1000])


def with_code_in_it(path):
    torch.save({**load(path), "losses": Intruder()}, path)


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_pickle(path):
    path.write_bytes(pickle.dumps(Intruder(), protocol=2))


def weights_alone(path):
    torch.save(load(path)["weights"], path)


def a_list(path):
    torch.save([1, 2], path)


def without_checksum(path):
    state = load(path)
    del state["checksum"]
    torch.save(state, path)


def words_for_weights(path):
    torch.save({**load(path), "weights": {"0.weight": "many"}}, path)


def one_digit_changed(path):
    state = load(path)
    weight = state["weights"]["2.weight"]
    weight[3, 5] = torch.nextafter(weight[3, 5], torch.tensor(2.0, dtype=weight.dtype))
    torch.save(state, path)


def a_loss_less(path):
    state = load(path)
    torch.save({**state, "losses": state["losses"][:-1]}, path)


def other_steps(path):
    torch.save({**load(path), "steps": 200}, path)


def holding(**content):
    """Whoever writes this knows how to make a checksum, but writes other things."""

    def spoil(path):
        state = {**load(path), **content}
        del state["checksum"]
        torch.save({**state, "checksum": spoil.checksum(**state)}, path)  # type: ignore[attr-defined]

    return spoil


def weights_of(sizes, dtype=torch.float64):
    return micrograd.to_torch(micrograd.nn.MLP(*sizes)).to(dtype).state_dict()


def with_one(number):
    weights = weights_of((2, [16, 16, 1]))
    weights["2.bias"][7] = number
    return weights


UNREADABLE = "cannot be read as a checkpoint"
NONE_OF_OURS = "is no checkpoint of this script"
DAMAGED = "is damaged, for its checksum is not that of its content"
COUNT = "does not hold one loss for each of at most 100 steps"
OTHER = "is of another network, whose "


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (nothing_like_a_checkpoint, UNREADABLE),
        (empty, UNREADABLE),
        (cut_off, UNREADABLE),
        (with_code_in_it, UNREADABLE),
        (a_pickle, UNREADABLE),
        (a_folder, UNREADABLE),
        (weights_alone, NONE_OF_OURS),
        (a_list, NONE_OF_OURS),
        (without_checksum, NONE_OF_OURS),
        (words_for_weights, NONE_OF_OURS),
        (one_digit_changed, DAMAGED),
        (a_loss_less, DAMAGED),
        (other_steps, DAMAGED),
        (holding(steps=200), "is of a run of 200 steps: give --steps 200, or "),
        (holding(losses=[0.5] * 101), COUNT),
        (holding(losses=["half", None]), COUNT),
        (holding(losses=0.5), COUNT),
        (
            holding(weights=weights_of((2, [8, 1]))),
            f"{OTHER}0.weight is [8, 2] of torch.float64 and not [16, 2] of torch.float64",
        ),
        (
            holding(weights=weights_of((2, [16, 16, 16, 1]))),
            f"{OTHER}4.weight is [16, 16] of torch.float64 and not [1, 16] of torch.float64",
        ),
        (
            holding(weights=weights_of((2, [16, 16, 1, 1]))),
            f"{OTHER}6.weight is [1, 1] of torch.float64 and not missing",
        ),
        (
            holding(weights=weights_of((2, [16, 16]))),
            f"{OTHER}4.weight is missing and not [1, 16] of torch.float64",
        ),
        (
            holding(weights=weights_of((2, [16, 16, 1]), torch.float32)),
            f"{OTHER}0.weight is [16, 2] of torch.float32 and not [16, 2] of torch.float64",
        ),
        (holding(weights=with_one(math.nan)), "holds weights that are infinite or nan"),
        (holding(weights=with_one(-math.inf)), "holds weights that are infinite or nan"),
    ],
)
def test_a_wrong_checkpoint_is_refused_in_one_line(script, tmp_path, monkeypatch, spoil, says):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "moons.pt"
    _, _, network = script.moons()
    script.write_checkpoint(path, network, [0.5, 0.25], 100)
    spoil.checksum = script.checksum
    spoil(path)
    before = torch.nn.utils.parameters_to_vector(network.parameters()).tolist()
    with pytest.raises(SystemExit) as refused:
        script.read_checkpoint(path, network, 100)
    said = str(refused.value)
    assert said.startswith(f"{path} {says}")
    assert said.endswith(": remove it, or name another file") or "--steps" in said
    assert "\n" not in said
    assert torch.nn.utils.parameters_to_vector(network.parameters()).tolist() == before
    assert not (tmp_path / "intruded").exists()


@pytest.mark.filterwarnings("error")
def test_whichever_bit_of_a_checkpoint_flips_no_other_number_is_read(script, tmp_path):
    path = tmp_path / "moons.pt"
    _, _, network = script.moons()
    losses = [0.5, 0.1 + 0.2]
    script.write_checkpoint(path, network, losses, 100)
    known = script.checksum(network.state_dict(), losses, 100)
    whole = path.read_bytes()
    chosen = random.Random(17).sample(range(8 * len(whole)), 2000)
    refused = 0
    for bit in chosen:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        _, _, other = script.moons()
        try:
            found = script.read_checkpoint(path, other, 100)
        except SystemExit:
            refused += 1
        else:  # the bit is of the padding, or of a date
            assert script.checksum(other.state_dict(), found, 100) == known
    assert refused > 400, "most of the file is numbers"


@pytest.mark.dear
def test_two_jobs_with_one_checkpoint_leave_a_whole_one_at_every_moment(script, tmp_path):
    path = tmp_path / "moons.pt"
    _, _, network = script.moons()
    command = [sys.executable, "-c", WRITING, str(SCRIPT), str(path)]
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        jobs = [
            stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
            )
            for _ in "ab"
        ]
        for job in jobs:
            assert job.stdout and job.stdout.readline() == "ready\n"
        seen: set[int] = set()
        while len(seen) < 100:
            losses = script.read_checkpoint(path, network, 1_000_000)
            assert losses == [0.5] * len(losses)
            seen.add(len(losses))
        counts = [int(job.communicate("")[0]) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    assert len(script.read_checkpoint(path, network, 1_000_000)) in counts
    assert os.listdir(tmp_path) == ["moons.pt"]


@pytest.mark.dear
def test_under_torchrun_a_spoilt_checkpoint_ends_the_run_with_one_message(tmp_path):
    path = tmp_path / "moons.pt"
    path.write_text("hello")
    with torchrun(2, SCRIPT, "--checkpoint", path) as run:
        status, _, err = finish(run)
    assert status != 0
    assert err.count(f"{path} cannot be read as a checkpoint") == 1
    assert path.read_text() == "hello"


@pytest.mark.dear
def test_only_the_checkpoint_of_process_0_is_read_and_written(runs, folder):
    assert (folder / "2.pt1").read_text() == "hello"
    assert sorted(path.name for path in folder.glob("2*")) == ["2.pt0", "2.pt1"]
    assert len(runs[2][1]["losses"]) == 100


def test_a_write_that_fails_half_way_leaves_the_old_checkpoint(script, tmp_path, monkeypatch):
    path = tmp_path / "moons.pt"
    _, _, network = script.moons()
    script.write_checkpoint(path, network, [0.5], 100)
    before = path.read_bytes()

    def no_room(state, file):
        file.write(b"half of it")
        raise OSError("no room left on the device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", no_room)
        with pytest.raises(OSError):
            script.write_checkpoint(path, network, [0.5, 0.25], 100)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["moons.pt"]
    script.write_checkpoint(path, network, [0.5, 0.25], 100)
    assert script.read_checkpoint(path, network, 100) == [0.5, 0.25]
    assert os.listdir(tmp_path) == ["moons.pt"]


def test_weights_and_losses_come_back_from_a_checkpoint_to_the_last_bit(script, tmp_path):
    path = tmp_path / "moons.pt"
    _, _, network = script.moons()
    losses = [0.1 + 0.2, float("inf")]
    script.write_checkpoint(path, network, losses, 7)
    other = micrograd.to_torch(micrograd.nn.MLP(2, [16, 16, 1]))
    assert script.read_checkpoint(path, other, 7) == losses
    for p, q in zip(other.parameters(), network.parameters(), strict=True):
        assert torch.equal(p, q)
    assert script.read_checkpoint(tmp_path / "none.pt", other, 7) == []


def functions(code):
    """The text of each function at the top of some code, by its name."""
    tree = ast.parse(code)
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(code, node) for node in found}


def test_what_the_document_quotes_of_the_script_stands_in_it():
    elements = load_document(ROOT / "README.org")
    blocks = [
        block
        for block in elements
        if isinstance(block, Block)
        and block.runs
        and chapter(elements, block.line).endswith(CHAPTER)
        and "tangle" not in block.args
    ]
    ours = functions(SCRIPT.read_text("utf-8"))
    quoted = set()
    for block in blocks:
        for name, text in functions(block.code).items():
            if name in ours:
                assert text == ours[name], f"README.org:{block.line}: {name}"
                quoted.add(name)
    assert {"share_of_loss", "train_together", "write_checkpoint"} <= quoted
