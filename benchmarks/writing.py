"""A step of chapter 11's GPT by this engine and by its peers: microseconds a name.

    python benchmarks/writing.py [--batches 1 16 32] [--turns 5] [--only NAME ...]

A step reads names, goes forwards and backwards over sixteen places, and moves the 4,192
parameters by Adam, in float64. All run on one core, take turns, and what is counted is that
core's time: the median of the turns. Each starts from the same weights, reads the same names,
and must have the same losses.
"""

import argparse
import importlib
import itertools
import math
import os
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

if hasattr(os, "sched_setaffinity"):  # before jax and torch count the cores
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
os.environ["JAX_PLATFORMS"] = "cpu"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bench

from micrograd import GPT, Value, adam, cross_entropy, jit

ROOT = Path(__file__).resolve().parent.parent
PLACES = 16
STEPS = 256
RATES = [0.01 * (1 - k / STEPS) for k in range(STEPS)]


def load(count):
    """count names, each as the indices of its letters between two dots."""
    lines = (ROOT / "examples" / "names.txt").read_text(encoding="utf-8").split("\n")
    names = [line for line in lines if line and line[0] != "#"]
    chosen = random.Random(1).sample(names, count)
    return [[0, *(ord(letter) - 96 for letter in name), 0] for name in chosen]


def start():
    random.seed(1)
    return GPT()


def eager(names, batch):
    """microgpt's own loop: one name a step, on Values."""
    if batch > 1:
        raise ValueError("one name a step")
    model = start()
    parameters = model.parameters()
    state = [(p.data, 0.0, 0.0, 1.0, 1.0) for p in parameters]
    step = itertools.count()

    def train():
        losses = []
        for k in itertools.islice(step, 3):
            for p, (x, *_) in zip(parameters, state, strict=True):
                p.data, p.grad = x, 0.0
            name, past, loss = names[k % STEPS], list[Any](), Value(0.0)
            for a, b in zip(name, name[1:], strict=False):
                loss += cross_entropy(model(a, past), b)
            loss.backward()
            state[:] = [
                adam(x, p.grad, RATES[k % STEPS], *rest)
                for p, (x, *rest) in zip(parameters, state, strict=True)
            ]
            losses.append(loss.data)
        return losses

    return train


def compiled(names, batch):
    model = start()
    first = [p.data for p in model.parameters()]
    fast = jit(model.loss, (PLACES + 1) * 27 + PLACES, model.parameters())
    rows = []
    for name in names:
        spelt = name + [0] * (PLACES + 1 - len(name))
        hot = [float(letter == k) for letter in spelt for k in range(27)]
        rows.append(hot + [float(place < len(name) - 1) for place in range(PLACES)])

    def train():
        for p, x in zip(model.parameters(), first, strict=True):
            p.data = x
        fast.state = {}
        return fast.train(rows, RATES, adam, batch)

    return train


def tensors(names):
    """The matrices of the model, and the names as (count, places) arrays, as nested lists."""
    matrices = {
        name: [[p.data for p in row] for row in x]
        for name, x in vars(start()).items()
        if isinstance(x, list)
    }
    spelt = [name + [0] * (PLACES + 1 - len(name)) for name in names]
    weights = [[float(k < len(name) - 1) for k in range(PLACES)] for name in names]
    return matrices, spelt, weights


def in_torch(names, batch, compiling=False):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(1)
    matrices, spelt, weights = tensors(names)
    spelt, weights = torch.tensor(spelt), torch.tensor(weights, dtype=torch.float64)

    def loss_of(t, spelt, weights):
        n = len(spelt)

        def norm(x):
            return F.rms_norm(x, (16,), eps=1e-5)

        x = norm(t["letters"][spelt[:, :-1]] + t["places"])
        query, key, value = (
            (norm(x) @ t[name].T).view(n, PLACES, 4, 4).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + seen.transpose(1, 2).reshape(n, PLACES, 16) @ t["mix"].T
        x = x + torch.relu(norm(x) @ t["up"].T) @ t["down"].T
        logits = (x @ t["scores"].T).reshape(-1, 27)
        costs = F.cross_entropy(logits, spelt[:, 1:].reshape(-1), reduction="none")
        return (costs * weights.reshape(-1)).sum() / n

    step = torch.compile(loss_of, fullgraph=True, dynamic=False) if compiling else loss_of

    def train():
        t = {
            name: torch.tensor(x, dtype=torch.float64).requires_grad_()
            for name, x in matrices.items()
        }
        optimizer = torch.optim.Adam(t.values(), betas=(0.85, 0.99), eps=1e-8, fused=True)
        losses = []
        for k, rate in enumerate(RATES):
            part = slice(k * batch % len(names), k * batch % len(names) + batch)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            loss = step(t, spelt[part], weights[part])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return [loss.item() for loss in losses]

    return train


def torch_compile(names, batch):
    return in_torch(names, batch, compiling=True)


def in_jax(names, batch):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    matrices, spelt, weights = tensors(names)
    t = {name: jnp.array(x) for name, x in matrices.items()}
    part = (jnp.arange(STEPS)[:, None] * batch + jnp.arange(batch)) % len(names)
    spelt, weights = jnp.array(spelt)[part], jnp.array(weights)[part]
    seen_by = jnp.tril(jnp.ones((PLACES, PLACES), bool))

    def norm(x):
        return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)

    def loss_of(t, spelt, weights):
        n = len(spelt)
        x = norm(t["letters"][spelt[:, :-1]] + t["places"])
        query, key, value = (
            (norm(x) @ t[name].T).reshape(n, PLACES, 4, 4) for name in ("query", "key", "value")
        )
        logits = jnp.einsum("nihd,njhd->nhij", query, key) / 2
        shares = jax.nn.softmax(jnp.where(seen_by, logits, -jnp.inf))
        seen = jnp.einsum("nhij,njhd->nihd", shares, value)
        x = x + seen.reshape(n, PLACES, 16) @ t["mix"].T
        x = x + jax.nn.relu(norm(x) @ t["up"].T) @ t["down"].T
        logs = jax.nn.log_softmax(x @ t["scores"].T)
        costs = -jnp.take_along_axis(logs, spelt[:, 1:, None], -1)[..., 0]
        return (costs * weights).sum() / n

    def step(state, now):
        t, m, v, a, b = state
        spelt, weights, rate = now
        loss, g = jax.value_and_grad(loss_of)(t, spelt, weights)
        a, b = 0.85 * a, 0.99 * b
        m = jax.tree.map(lambda m, g: 0.85 * m + 0.15 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, v, g)
        t = jax.tree.map(
            lambda p, m, v: p - rate * (m / (1 - a)) / (jnp.sqrt(v / (1 - b)) + 1e-8), t, m, v
        )
        return (t, m, v, a, b), loss

    zero = jax.tree.map(jnp.zeros_like, t)
    begin = (t, zero, zero, jnp.array(1.0), jnp.array(1.0))
    inputs = (spelt, weights, jnp.array(RATES))
    scan = jax.jit(lambda s, x: jax.lax.scan(step, s, x)[1]).lower(begin, inputs).compile()
    return lambda: scan(begin, inputs).tolist()


CONTENDERS = {
    "this engine": (eager, None),
    "this engine, compiled": (compiled, None),
    "PyTorch": (in_torch, "torch"),
    "PyTorch, torch.compile": (torch_compile, "torch"),
    "JAX, all steps in lax.scan": (in_jax, "jax"),
}


def table(batches, turns, only):
    """For each contender: seconds to get ready, and microseconds a name for each batch."""
    ready: dict[str, float] = {}
    times: dict[str, dict[int, float]] = {name: {} for name in CONTENDERS}
    for batch in batches:
        names = load(max(STEPS, 16 * batch))
        trained, losses = {}, {}
        taken: dict[str, list[float]] = {}
        for name in only:
            contender, package = CONTENDERS[name]
            begin = time.process_time()
            try:
                if package:
                    importlib.import_module(package)
                trained[name] = contender(names, batch)
                losses[name] = trained[name]()
            except (ImportError, ValueError):
                continue
            ready.setdefault(name, time.process_time() - begin)
            taken[name] = []
        first, expected = next(iter(losses.items()))
        for name, found in losses.items():
            for k, (a, b) in enumerate(zip(found, expected, strict=False)):
                if not math.isclose(a, b, rel_tol=1e-8):
                    sys.exit(f"writing: in step {k}, {name} has the loss {a!r}, {first} {b!r}")
        for _ in range(turns):
            for name, train in trained.items():
                begin = time.process_time()
                steps = len(train())
                taken[name].append((time.process_time() - begin) / (steps * batch) * 1e6)
        for name in taken:
            times[name][batch] = statistics.median(taken[name])
    return ready, times


def main():
    parser = argparse.ArgumentParser(description="A step of chapter 11's GPT, one core.")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 32])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=[*CONTENDERS])
    options = parser.parse_args()
    ready, times = table(options.batches, options.turns, options.only)
    rows = [["contender", *(f"{n} a step" for n in options.batches), "ready in"]]
    for name, row in times.items():
        if row:
            cells = [f"{row[n]:,.1f}" if n in row else "" for n in options.batches]
            rows.append([name, *cells, f"{ready[name]:.1f} s"])
    print(*bench.aligned(rows), sep="\n")
    print("Microseconds a name, the median of", options.turns, "turns, of one core's time.")


if __name__ == "__main__":
    main()
