"""The long training of chapter 11: 2,000 steps of 32 names, by this engine and by PyTorch.

    python examples/names.py              # the engine; writes examples/names-gpt.txt
    python examples/names.py --torch      # PyTorch, from the same start and on the same names
    python examples/names.py --letters    # a network that sees three letters, and is as large

All print the mean loss of the last hundred steps, and that on the names held back, a letter.
"""

import argparse
import random
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from micrograd import GPT, Layer, Value, adam, cross_entropy, jit, linear  # noqa: E402

PLACES = 12  # the longest name has 11 letters


def load():
    """The names to learn from, in the order of chapter 11, and those held back."""
    lines = (FOLDER / "names.txt").read_text(encoding="utf-8").split("\n")
    names = [line for line in lines if line and line[0] != "#"]
    known = [name for i, name in enumerate(names) if i % 10 != 9]
    random.seed(42)
    random.shuffle(known)
    return known, names[9::10]


def spell(name):
    return [0, *(ord(letter) - 96 for letter in name), *[0] * (PLACES - len(name))]


def row(name):
    """What GPT.loss takes: each letter as a list of 0 and 1, then a weight for each place."""
    hot = [float(letter == k) for letter in spell(name) for k in range(27)]
    return hot + [float(place <= len(name)) for place in range(PLACES)]


def letters(names):
    return sum(len(name) + 1 for name in names)


def engine(model, known, held, rates, batch):
    began = time.perf_counter()
    fast = jit(model.loss, 28 * PLACES + 27, model.parameters())
    print(f"compiled in {time.perf_counter() - began:.1f} s", flush=True)
    began = time.perf_counter()
    losses = fast.train([row(name) for name in known], rates, adam, batch)
    print(f"trained in {time.perf_counter() - began:.1f} s")
    return losses, fast.loss([row(name) for name in held])


def three_back(known, held, steps, batch):
    """The network of chapter 11 with 4,403 parameters, on as many letters as names have."""
    table = [[Value(random.gauss(0, 1)) for _ in range(8)] for _ in range(27)]
    hidden, scores = Layer(24, 80), Layer(80, 27, nonlin=False)

    def loss(*numbers):
        letters = [numbers[k : k + 27] for k in range(0, 108, 27)]
        found = [x for letter in letters[:3] for x in linear(zip(*table, strict=True), letter)]
        return cross_entropy(scores([0.2 * x for x in hidden(found)]), letters[3])

    def rows(names):
        for name in names:
            spelt = [0, 0, *spell(name)]
            for at in range(len(name) + 1):
                yield [float(c == k) for c in spelt[at : at + 4] for k in range(27)]

    fast = jit(loss, 108, [table, hidden.parameters(), scores.parameters()])
    rates = [0.05 * (1 - k / steps) for k in range(steps)]
    losses = fast.train([*rows(known)], rates, adam, round(batch * letters(known) / len(known)))
    return losses, fast.loss([*rows(held)])


def pytorch(model, known, held, rates, batch):
    import torch
    from torch.nn import functional as F

    matrices = {name: x for name, x in vars(model).items() if isinstance(x, list)}
    t = {
        name: torch.tensor(
            [[p.data for p in r] for r in x], dtype=torch.float64
        ).requires_grad_()
        for name, x in matrices.items()
    }

    def loss_of(names):
        spelt = torch.tensor([spell(name) for name in names])
        lengths = torch.tensor([len(name) for name in names])[:, None]
        width, n = t["letters"].shape[1], len(names)

        def norm(x):
            return F.rms_norm(x, (width,), eps=1e-5)

        x = norm(t["letters"][spelt[:, :-1]] + t["places"][:PLACES])
        query, key, value = (
            (norm(x) @ t[name].T).view(n, PLACES, model.heads, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + seen.transpose(1, 2).reshape(n, PLACES, width) @ t["mix"].T
        x = x + torch.relu(norm(x) @ t["up"].T) @ t["down"].T
        costs = F.cross_entropy(
            (x @ t["scores"].T).transpose(1, 2), spelt[:, 1:], reduction="none"
        )
        return (costs * (torch.arange(PLACES) <= lengths)).sum() / n

    optimizer = torch.optim.Adam(t.values(), betas=(0.85, 0.99), eps=1e-8)
    losses = []
    began = time.perf_counter()
    for k, rate in enumerate(rates):
        loss = loss_of([known[(k * batch + i) % len(known)] for i in range(batch)])
        losses.append(loss.item())
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"trained in {time.perf_counter() - began:.1f} s")
    with torch.no_grad():
        return losses, loss_of(held).item()


def main():
    parser = argparse.ArgumentParser(description="The long training of chapter 11.")
    parser.add_argument("--steps", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--batch", type=int, default=32, help="names a step (default 32)")
    parser.add_argument("--torch", action="store_true", help="by PyTorch, to compare")
    parser.add_argument("--letters", action="store_true", help="three letters, to compare")
    options = parser.parse_args()
    if options.steps < 1 or options.batch < 1:
        parser.error("--steps and --batch must be 1 or more")
    known, held = load()
    random.seed(1)
    if options.letters:
        losses, loss = three_back(known, held, options.steps, options.batch)
        print(f"last hundred steps {sum(losses[-100:]) / len(losses[-100:]):.3f}")
        print(f"held back, a letter: {loss:.3f}")
        return
    model = GPT()
    rates = [0.01 * (1 - k / options.steps) for k in range(options.steps)]
    train = pytorch if options.torch else engine
    losses, loss = train(model, known, held, rates, options.batch)
    last = sum(losses[-100:]) / len(losses[-100:]) * len(known) / letters(known)
    print(f"first loss {losses[0]:.9f}, a letter: last hundred steps {last:.3f}")
    print(f"held back, a letter: {loss * len(held) / letters(held):.3f}")
    if not options.torch and options.steps == parser.get_default("steps"):
        data = [f"{p.data:.4f}" for p in model.parameters()]
        lines = [" ".join(data[i : i + 16]) for i in range(0, len(data), 16)]
        (FOLDER / "names-gpt.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
