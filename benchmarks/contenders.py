"""What `make bench` compares: the training of chapter 9, once for each contender.

Each is a generator. First it gets ready, and yields what is known by then: a dict with, where
they apply, "compile" (seconds), "setting" (which of its variants was fastest) and "memory"
(bytes a node). Then each next() trains a little and yields (seconds, losses), one loss a step.
A turn takes as many of these as fit into TURN seconds, at least one; their median counts.
bench.py runs each in a process of its own: `python contenders.py NAME START`, where START is a
JSON file with the points, their labels and the parameters to start from.
"""

import functools
import gc
import itertools
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

TURN = 0.3
STEPS = 100
RATES = [1.0 - 0.9 * k / STEPS for k in range(STEPS)]


# --- one Value a number: the published package and this engine, by the same code --------------


def scalars(start, slices=5, pause=False):
    """The loop of chapter 9. A run of 100 steps is timed in so many slices, one a turn."""
    from micrograd.engine import Value
    from micrograd.nn import MLP

    X, y = start["X"], start["y"]
    yield {"memory": memory(Value)}
    while True:
        model = MLP(2, [16, 16, 1])
        for p, x in zip(model.parameters(), start["parameters"], strict=True):
            p.data = x
        for part in range(slices):
            rates = RATES[part * STEPS // slices : (part + 1) * STEPS // slices]
            losses = []
            began = time.perf_counter()
            if pause:
                gc.disable()
            for rate in rates:
                scores = [model(x) for x in X]
                hinges = [
                    (1 - label * score).relu() for label, score in zip(y, scores, strict=True)
                ]
                penalty = 1e-4 * sum(p * p for p in model.parameters())
                loss = sum(hinges) * (1.0 / len(hinges)) + penalty
                losses.append(loss.data)
                model.zero_grad()
                loss.backward()
                for p in model.parameters():
                    p.data -= rate * p.grad
            gc.enable()
            yield time.perf_counter() - began, losses


def memory(Value, graphs=1000, length=50):
    """Bytes a node after backward(), over many chains of products and sums."""
    a, b = Value(0.5), Value(0.25)
    gc.collect()
    tracemalloc.start()
    roots = []
    for _ in range(graphs):
        y = a
        for _ in range(length):
            y = y * a + b
        y.backward()
        roots.append(y)
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / (graphs * length * 2)


def published(start):
    yield from scalars(start)


def eager(start):
    yield from scalars(start)


def eager_paused(start):
    yield from scalars(start, pause=True)


# --- the graph of one example, compiled -------------------------------------------------------


def compiled(start):
    from micrograd import jit, nn

    model = nn.MLP(2, [16, 16, 1])
    parameters = model.parameters()
    rows = [[*point, label] for point, label in zip(start["X"], start["y"], strict=True)]
    began = time.perf_counter()
    fast = jit(
        lambda x1, x2, label: (1 - label * model([x1, x2])).relu(),
        3,
        parameters,
        penalty=lambda: 1e-4 * sum(p * p for p in parameters),
    )
    yield {
        "compile": time.perf_counter() - began,
        "setting": "C" if fast.compiled else "Python: no C compiler",
    }
    while True:
        for p, x in zip(parameters, start["parameters"], strict=True):
            p.data = x
        began = time.perf_counter()
        losses = fast.train(rows, RATES)
        yield time.perf_counter() - began, losses


# --- tensors ----------------------------------------------------------------------------------


def matrices(flat):
    """The flat list of parameters as a weight (nin x nout) and a bias for each layer."""
    flat = iter(flat)
    for nin, nout in ((2, 16), (16, 16), (16, 1)):
        rows = [list(itertools.islice(flat, nin + 1)) for _ in range(nout)]
        yield [[row[i] for row in rows] for i in range(nin)]
        yield [row[nin] for row in rows]


def best(variants):
    """(name, run) of the variant whose run() takes least, of three runs each.

    A variant that fails is left out; if all do, the last one's exception is raised.
    """
    times, failure = {}, None
    for name, run in variants:
        try:
            run()
            times[name] = (min(run()[0] for _ in range(3)), run)
        except Exception as error:
            failure = error
    if failure and not times:
        raise failure
    name = min(times, key=lambda name: times[name][0])
    return name, times[name][1]


def torch_start(start):
    import torch

    def tensor(x):
        return torch.tensor(x, dtype=torch.float64)

    def loss_of(parameters, X, y):
        w1, b1, w2, b2, w3, b3 = parameters
        h = torch.addmm(b1, X, w1).relu()
        h = torch.addmm(b2, h, w2).relu()
        score = torch.addmm(b3, h, w3)
        penalty = sum((p * p).sum() for p in parameters)
        return (1 - y * score).relu().mean() + 1e-4 * penalty

    def fresh():
        return [tensor(m) for m in matrices(start["parameters"])]

    return loss_of, fresh, tensor(start["X"]), tensor(start["y"]).unsqueeze(1)


def torch_eager(start):
    import torch

    loss_of, fresh, X, y = torch_start(start)

    def by_hand(threads):
        torch.set_num_threads(threads)
        parameters = [p.requires_grad_() for p in fresh()]
        losses = []
        began = time.perf_counter()
        for rate in RATES:
            loss = loss_of(parameters, X, y)
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, gradients, alpha=-rate)
            losses.append(loss.detach())
        losses = [loss.item() for loss in losses]
        return time.perf_counter() - began, losses

    def by_optimizer(threads, **kind):
        torch.set_num_threads(threads)
        parameters = [p.requires_grad_() for p in fresh()]
        optimizer = torch.optim.SGD(parameters, lr=1.0, **kind)
        losses = []
        began = time.perf_counter()
        for rate in RATES:
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            loss = loss_of(parameters, X, y)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        losses = [loss.item() for loss in losses]
        return time.perf_counter() - began, losses

    ways: dict[str, Callable] = {
        "updated by hand": by_hand,
        "optim.SGD": by_optimizer,
        "optim.SGD, foreach": functools.partial(by_optimizer, foreach=True),
        "optim.SGD, fused": functools.partial(by_optimizer, fused=True),
    }
    setting, run = best(
        (f"{way}, threads: {threads}", functools.partial(f, threads))
        for threads in (1, 2)
        for way, f in ways.items()
    )
    yield {"setting": setting}
    while True:
        yield run()


def torch_compile(start):
    import torch

    loss_of, fresh, X, y = torch_start(start)
    compile_times = {}

    def step(parameters, X, y, rate):
        gradients, loss = torch.func.grad_and_value(loss_of)(parameters, X, y)
        return [p - rate * g for p, g in zip(parameters, gradients, strict=True)], loss

    def run(fast, name, threads):
        torch.set_num_threads(threads)
        rates = [torch.tensor(rate, dtype=torch.float64) for rate in RATES]
        parameters = fresh()
        if name not in compile_times:
            began = time.perf_counter()
            fast(parameters, X, y, rates[0])
            compile_times[name] = time.perf_counter() - began
        losses = []
        began = time.perf_counter()
        with torch.no_grad():
            for rate in rates:
                parameters, loss = fast(parameters, X, y, rate)
                losses.append(loss)
        losses = [loss.item() for loss in losses]
        return time.perf_counter() - began, losses

    def variants():
        for threads in (1, 2):
            for mode in ("default", "max-autotune"):
                torch._dynamo.reset()
                torch.set_num_threads(threads)
                name = f"whole step, mode {mode}, threads: {threads}"
                fast = torch.compile(step, mode=mode, fullgraph=True, dynamic=False)
                yield name, functools.partial(run, fast, name, threads)

    setting, train = best(variants())
    yield {"compile": compile_times[setting], "setting": setting}
    while True:
        yield train()


def jax_start(start):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    X, y = jnp.array(start["X"]), jnp.array(start["y"], dtype=jnp.float64)[:, None]

    def loss_of(parameters):
        w1, b1, w2, b2, w3, b3 = parameters
        h = jax.nn.relu(X @ w1 + b1)
        h = jax.nn.relu(h @ w2 + b2)
        score = h @ w3 + b3
        penalty = sum((p * p).sum() for p in parameters)
        return jax.nn.relu(1 - y * score).mean() + 1e-4 * penalty

    def step(parameters, rate):
        loss, gradients = jax.value_and_grad(loss_of)(parameters)
        return [p - rate * g for p, g in zip(parameters, gradients, strict=True)], loss

    def fresh():
        return jax.block_until_ready([jnp.array(m) for m in matrices(start["parameters"])])

    return step, fresh, jnp.array(RATES)


def jax_step(start):
    import jax

    step, fresh, rates = jax_start(start)
    rates = jax.block_until_ready(list(rates))
    began = time.perf_counter()
    fast = jax.jit(step, donate_argnums=0).lower(fresh(), rates[0]).compile()
    yield {"compile": time.perf_counter() - began, "setting": "buffers donated"}
    while True:
        parameters = fresh()
        losses = []
        began = time.perf_counter()
        for rate in rates:
            parameters, loss = fast(parameters, rate)
            losses.append(loss)
        jax.block_until_ready((parameters, losses))
        yield time.perf_counter() - began, [float(loss) for loss in losses]


def jax_scan(start):
    import jax

    step, fresh, rates = jax_start(start)
    compile_times = {}

    def variants():
        for unroll in (1, 2, 5):

            def train(parameters, rates, unroll=unroll):
                return jax.lax.scan(step, parameters, rates, unroll=unroll)

            name = f"buffers donated, unroll {unroll}"
            began = time.perf_counter()
            fast = jax.jit(train, donate_argnums=0).lower(fresh(), rates).compile()
            compile_times[name] = time.perf_counter() - began
            yield name, functools.partial(run, fast)

    def run(fast):
        parameters = fresh()
        began = time.perf_counter()
        parameters, losses = jax.block_until_ready(fast(parameters, rates))
        return time.perf_counter() - began, losses.tolist()

    setting, run_best = best(variants())
    yield {"compile": compile_times[setting], "setting": setting}
    while True:
        yield run_best()


# --- how the time of a chain grows with its length --------------------------------------------


def chain(start):
    """Not a contender: the losses are seconds, for chains of 1e4, 1e5 and 1e6 nodes."""
    from micrograd.engine import Value

    def seconds(n):
        a, y = Value(0.5), Value(1.0)
        began = time.perf_counter()
        for _ in range(n // 2):
            y = y * a + a
        y.backward()
        return time.perf_counter() - began

    yield {}
    gc.disable()
    while True:
        taken = [seconds(10_000), seconds(100_000), seconds(1_000_000)]
        yield sum(taken), taken


def main(name, path):
    """Get ready, then train once for each line on stdin; answer each with a line of JSON."""
    answer, sys.stdout = sys.stdout, sys.stderr  # what a library prints is not an answer
    with open(path) as file:
        turns = globals()[name](json.load(file))
    try:
        print(json.dumps(next(turns)), file=answer, flush=True)
        for _ in sys.stdin:
            seconds: list[float] = []
            while sum(seconds) < TURN:
                taken, losses = next(turns)
                seconds.append(taken)
            print(json.dumps((statistics.median(seconds), losses)), file=answer, flush=True)
    except Exception as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        print(json.dumps({"failed": f"{type(error).__name__}: {reason}"}), file=answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
