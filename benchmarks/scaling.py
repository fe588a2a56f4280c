"""How the compiled trainer scales, beside JAX and PyTorch: the numbers of chapter 10's figure.

    python benchmarks/scaling.py

Needs jax and torch beside the module. Prints the microseconds of a full-batch step of gradient
descent in float64. All run on one core, and what is counted is that core's time, the least of
several runs, so that other work on the machine disturbs little. Every contender starts from the
same weights, and must end on the same loss.
"""

import os
import random
import sys
import time
from pathlib import Path

if hasattr(os, "sched_setaffinity"):  # before jax and torch count the cores
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
os.environ["JAX_PLATFORMS"] = "cpu"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
import jax.numpy as jnp
import numpy as np
import torch

from micrograd import Value, jit, nn

jax.config.update("jax_enable_x64", True)
ROWS = [10, 100, 1_000, 10_000, 100_000]
HIDDEN = [4, 8, 16, 32, 64]
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


def ours(model, x, y):
    parameters = model.parameters()
    start = [p.data for p in parameters]
    begin = time.perf_counter()
    fast = jit(
        lambda a, b, label: (1 - label * model([a, b])).relu(),
        3,
        parameters,
        penalty=lambda: 1e-4 * sum((p * p for p in parameters), Value(0.0)),
    )
    print(f"    compiled in {time.perf_counter() - begin:.1f} s", file=sys.stderr)
    rows = np.column_stack([x, y])

    def train(steps):
        for p, data in zip(parameters, start, strict=True):
            p.data = data
        return fast.train(rows, [RATE] * steps)[-1]

    return train


def in_jax(model, x, y):
    def loss(weights, x, y):
        for i, (w, b) in enumerate(weights):
            x = x @ w.T + b
            x = jax.nn.relu(x) if i < len(weights) - 1 else x
        penalty = sum((w * w).sum() + (b * b).sum() for w, b in weights)
        return jax.nn.relu(1 - y * x[:, 0]).mean() + 1e-4 * penalty

    def step(weights, _):
        value, slopes = jax.value_and_grad(loss)(weights, x, y)
        return jax.tree.map(lambda w, g: w - RATE * g, weights, slopes), value

    x, y = jnp.array(x), jnp.array(y)
    weights = [(jnp.array(w), jnp.array(b)) for w, b in matrices(model)]
    scan = {}

    def train(steps):
        if steps not in scan:
            scan[steps] = jax.jit(lambda w: jax.lax.scan(step, w, None, length=steps)[1][-1])
        return float(scan[steps](weights))

    return train


def in_torch(model, x, y):
    x, y = torch.tensor(x), torch.tensor(y)
    start = [torch.tensor(m) for pair in matrices(model) for m in pair]

    def train(steps):
        weights = [w.clone().requires_grad_() for w in start]
        for _ in range(steps):
            out = x
            for i in range(0, len(weights), 2):
                out = torch.nn.functional.linear(out, weights[i], weights[i + 1])
                out = out.relu() if i < len(weights) - 2 else out
            penalty = sum((w * w).sum() for w in weights)
            loss = (1 - y * out[:, 0]).relu().mean() + 1e-4 * penalty
            slopes = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for w, slope in zip(weights, slopes, strict=True):
                    w -= RATE * slope
        return loss.item()

    return train


def microseconds(train, count):
    """The least time of a step, in microseconds, and the loss at the end."""
    steps = 100 if count <= 1_000 else 50
    loss = train(steps)
    best, end = float("inf"), time.perf_counter() + 4.0
    while time.perf_counter() < end:
        begin = time.process_time()
        train(steps)
        best = min(best, (time.process_time() - begin) / steps)
    return best * 1e6, loss


def main():
    cases = [(16, count) for count in ROWS] + [(hidden, 100) for hidden in HIDDEN]
    print("     network    rows       this        JAX    PyTorch   microseconds a step")
    for hidden, count in cases:
        x, y = examples(count)
        found = []
        for contender in (ours, in_jax, in_torch):
            random.seed(1337)
            model = nn.MLP(2, [hidden, hidden, 1])
            found.append(microseconds(contender(model, x, y), count))
        losses = [loss for _, loss in found]
        assert np.allclose(losses, losses[0], rtol=1e-10), losses
        times = " ".join(f"{value:10.1f}" for value, _ in found)
        print(f"2-{hidden}-{hidden}-1".rjust(12), f"{count:7}", times, flush=True)


if __name__ == "__main__":
    main()
