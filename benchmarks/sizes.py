"""How the compiled trainer does beside its peers, from small networks to large ones.

    python benchmarks/sizes.py [--widths 4 16] [--rows 100] [--turns 5]

Microseconds of a step of gradient descent over all rows, for networks 2-w-w-1 with relu and
with tanh, in float64. All run on one core, take turns, and what is counted is that core's time:
the median of the turns. Each starts from the same weights, and must have the same losses. JAX
and PyTorch work on matrices; CasADi, like this engine, gets one row's graph of scalars, and
turns it into C, which the same compiler compiles.
"""

import argparse
import importlib
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if hasattr(os, "sched_setaffinity"):  # before jax and torch count the cores
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
os.environ["JAX_PLATFORMS"] = "cpu"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bench
import numpy as np

from micrograd import Value, jit, nn

RATE = 0.01


def examples(count):
    generator = np.random.default_rng(1337)
    x = generator.uniform(-1, 1, (count, 2))
    return x, np.where(x[:, 0] * x[:, 1] > 0, 1.0, -1.0)


def matrices(model):
    """model's layers as (weights, biases), in float64."""
    return [
        (
            np.array([[w.data for w in n.w] for n in layer.neurons]),
            np.array([n.b.data for n in layer.neurons]),
        )
        for layer in model.layers
    ]


def ours(model, activation, x, y, steps):
    parameters = model.parameters()
    start = [p.data for p in parameters]
    fast = jit(
        lambda a, b, label: (1 - label * model([a, b])).relu(),
        3,
        parameters,
        penalty=lambda: 1e-4 * sum((p * p for p in parameters), Value(0.0)),
    )
    rows = np.column_stack([x, y]).tolist()

    def train():
        for p, data in zip(parameters, start, strict=True):
            p.data = data
        return fast.train(rows, [RATE] * steps)

    return train


def in_jax(model, activation, x, y, steps):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    bend = {"relu": jax.nn.relu, "tanh": jnp.tanh}[activation]

    def loss(weights, x, y):
        for i, (w, b) in enumerate(weights):
            x = x @ w.T + b
            x = bend(x) if i < len(weights) - 1 else x
        penalty = sum((w * w).sum() + (b * b).sum() for w, b in weights)
        return jax.nn.relu(1 - y * x[:, 0]).mean() + 1e-4 * penalty

    x, y = jnp.array(x), jnp.array(y)
    weights = [(jnp.array(w), jnp.array(b)) for w, b in matrices(model)]

    def step(weights, _):
        value, slopes = jax.value_and_grad(loss)(weights, x, y)
        return jax.tree.map(lambda w, g: w - RATE * g, weights, slopes), value

    scan = jax.jit(lambda w: jax.lax.scan(step, w, None, length=steps)).lower(weights).compile()
    return lambda: scan(weights)[1].tolist()


def in_torch(model, activation, x, y, steps):
    import torch

    torch.set_num_threads(1)
    bend = {"relu": torch.relu, "tanh": torch.tanh}[activation]
    x, y = torch.tensor(x), torch.tensor(y)
    start = [torch.tensor(m) for pair in matrices(model) for m in pair]

    def train():
        weights = [w.clone().requires_grad_() for w in start]
        losses = []
        for _ in range(steps):
            out = x
            for i in range(0, len(weights), 2):
                out = torch.nn.functional.linear(out, weights[i], weights[i + 1])
                out = bend(out) if i < len(weights) - 2 else out
            penalty = sum((w * w).sum() for w in weights)
            loss = (1 - y * out[:, 0]).relu().mean() + 1e-4 * penalty
            slopes = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                torch._foreach_add_(weights, slopes, alpha=-RATE)
            losses.append(loss.detach())
        return [loss.item() for loss in losses]

    return train


def in_casadi(model, activation, x, y, steps):
    """One row's loss and gradient in SX, mapped over the rows; all steps in one call of C."""
    import casadi as ca

    if len(model.parameters()) > 400:
        raise ValueError("its C takes minutes to compile")
    if not (compiler := os.environ.get("CC") or "cc"):
        raise ValueError("no C compiler")
    weights = matrices(model)
    start = np.concatenate([m.ravel() for pair in weights for m in pair])
    p, row = ca.SX.sym("p", len(start)), ca.SX.sym("row", 3)
    out, at = row[:2], 0
    for i, (w, b) in enumerate(weights):
        matrix = ca.reshape(p[at : at + w.size], w.shape[1], w.shape[0]).T
        out = matrix @ out + p[at + w.size : at + w.size + b.size]
        at += w.size + b.size
        if i < len(weights) - 1:
            out = ca.if_else(out > 0, out, 0) if activation == "relu" else ca.tanh(out)
    margin = 1 - row[2] * out
    loss = ca.if_else(margin > 0, margin, 0)  # fmax's slope at 0 is another one
    each = ca.Function("each", [p, row], [loss, ca.gradient(loss, p)])
    rows = ca.DM(np.column_stack([x, y]).T)
    q = ca.MX.sym("p", len(start))
    losses, slopes = each.map(len(y))(ca.repmat(q, 1, len(y)), rows)
    value = ca.sum2(losses) / len(y) + 1e-4 * ca.sumsqr(q)
    after = q - RATE * (ca.sum2(slopes) / len(y) + 2e-4 * q)
    run = ca.Function("step", [q], [after, value]).mapaccum("run", steps)
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            run.generate("run.c")
            flags = ["-O3", "-march=native", "-fPIC", "-shared", "run.c", "-o", "run.so", "-lm"]
            subprocess.run([compiler, *flags], check=True, capture_output=True)
            fast = ca.external("run", str(Path(folder, "run.so")))
        finally:
            os.chdir(here)
    return lambda: np.array(fast(start)[1]).ravel().tolist()


CONTENDERS = {
    "this engine": (ours, None),
    "JAX": (in_jax, "jax"),
    "PyTorch": (in_torch, "torch"),
    "CasADi": (in_casadi, "casadi"),
}


def row_of(width, activation, count, turns):
    """Seconds to get ready, and the median microseconds of a step, for each contender."""
    x, y = examples(count)
    ready, trained, losses = {}, {}, {}
    times: dict[str, list[float]] = {}
    flops = count * 6 * width * (width + 3)
    steps = max(10, min(2_000, int(0.3 / (flops / 1e10 + 5e-6))))
    for name, (contender, package) in CONTENDERS.items():
        random.seed(1337)
        model = nn.MLP(
            2, [width, width, 1], **({} if activation == "relu" else {"nonlin": activation})
        )
        begin = time.process_time()
        try:
            if package:
                importlib.import_module(package)
            trained[name] = contender(model, activation, x, y, steps)
        except (ImportError, ValueError):
            continue
        ready[name], times[name] = time.process_time() - begin, []
        losses[name] = trained[name]()
    for name, found in losses.items():
        for k, (a, b) in enumerate(zip(found[:10], losses["this engine"], strict=False)):
            if not math.isclose(a, b, rel_tol=1e-9):
                sys.exit(f"sizes: in step {k}, {name} has the loss {a!r}, this engine {b!r}")
    for _ in range(turns):
        for name, train in trained.items():
            begin = time.process_time()
            train()
            times[name].append((time.process_time() - begin) / steps * 1e6)
    return ready, {name: statistics.median(taken) for name, taken in times.items()}


def main():
    parser = argparse.ArgumentParser(description="Steps of networks 2-w-w-1, one core.")
    parser.add_argument("--widths", nargs="+", type=int, default=[4, 8, 16, 32, 64, 128, 256])
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 10_000])
    parser.add_argument("--activations", nargs="+", default=["relu", "tanh"])
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    if min(options.turns, *options.widths, *options.rows) < 1:
        parser.error("--turns, --widths and --rows must be 1 or more")
    names = [*CONTENDERS]
    rows = [["rows", "activation", "parameters", *names, "over JAX's", "jit() takes"]]
    for count in options.rows:
        for activation in options.activations:
            for width in options.widths:
                print(f"{count} rows, {activation}, width {width}", file=sys.stderr)
                ready, times = row_of(width, activation, count, options.turns)
                cells = [f"{times[name]:.1f}" if name in times else "" for name in names]
                share = f"{times[names[0]] / times['JAX']:.2f}" if "JAX" in times else ""
                size = width * (width + 5) + 1
                took = f"{ready[names[0]]:.1f} s"
                rows.append([f"{count:,}", activation, f"{size:,}", *cells, share, took])
    print(*bench.aligned(rows), sep="\n")
    print("Microseconds a step, the median of", options.turns, "turns, of one core's time.")


if __name__ == "__main__":
    main()
