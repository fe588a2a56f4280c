"""Names: softmax, cross-entropy, Adam and the four models are PyTorch's, number by number."""

import math
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from micrograd import GPT, Layer, Value, adam, attend, cross_entropy, grad, jit, linear, softmax

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
INF, NAN = math.inf, math.nan
LOGITS = {
    "one": [2.0],
    "two": [0.0, 0.0],
    "ordinary": [0.5, -1.25, 3.0, 0.0, -2.0],
    "ties": [1.0, 3.0, 3.0, 3.0, -1.0],
    "large": [1000.0, 999.0, -1000.0],
    "huge": [1e300, -1e300, 1e300],
    "overflowing": [1.7e308, -1.7e308, 0.0],
    "without digits to spare": [1e16, 1e16, 1e16 + 2],
    "one shut": [-INF, 0.0, 1.0],
    "all but one shut": [-INF, -INF, 1.0],
    "all shut": [-INF, -INF],
    "inf": [INF, 0.0, 1.0],
    "two inf": [INF, INF, 1.0],
    "nan first": [NAN, 0.0, 1.0],
    "nan last": [0.0, 1.0, NAN],
    "inf and nan": [INF, NAN, -INF],
}


def tensor(xs):
    return torch.tensor(xs, dtype=torch.float64, requires_grad=True)


def same(ours, theirs, tolerance=1e-9):
    theirs = theirs.detach().reshape(-1).tolist()
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        close = math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
        assert close or math.isnan(a) and math.isnan(b), f"number {i} is {a}, PyTorch's {b}"


def data(values):
    return [float(v.data) for v in values]


@pytest.mark.parametrize("name", LOGITS)
def test_softmax_and_each_of_its_slopes_are_those_of_pytorch(name):
    logits = LOGITS[name]
    theirs = tensor(logits)
    same(data(softmax(logits)), torch.softmax(theirs, 0))
    for i in range(len(logits)):
        ours = [Value(x) for x in logits]
        softmax(ours)[i].backward()
        (slopes,) = torch.autograd.grad(torch.softmax(theirs, 0)[i], theirs)
        same([x.grad for x in ours], slopes)


@pytest.mark.parametrize("name", LOGITS)
def test_cross_entropy_at_each_index_is_that_of_pytorch(name):
    for target in range(len(LOGITS[name])):
        ours, theirs = [Value(x) for x in LOGITS[name]], tensor(LOGITS[name])
        loss, expected = (
            cross_entropy(ours, target),
            F.cross_entropy(theirs, torch.tensor(target)),
        )
        loss.backward()
        expected.backward()
        same([loss.data], expected)
        same([x.grad for x in ours], theirs.grad)


@pytest.mark.parametrize("name", LOGITS)
def test_cross_entropy_for_weights_is_that_of_pytorch_also_in_the_weights(name):
    n = len(LOGITS[name])
    rng = random.Random(n)
    for target in ([1.0] + [0.0] * (n - 1), [rng.random() for _ in range(n)], [2.0] * n):
        ours, theirs = [Value(x) for x in LOGITS[name]], tensor(LOGITS[name])
        weights, tensors = [Value(x) for x in target], tensor(target)
        loss, expected = cross_entropy(ours, weights), F.cross_entropy(theirs, tensors)
        same([loss.data], expected)
        if math.isfinite(loss.data):
            loss.backward()
            expected.backward()
            same([x.grad for x in ours], theirs.grad)
            same([x.grad for x in weights], tensors.grad)


def test_many_random_logits():
    rng = random.Random(3)
    for _ in range(50):
        n, scale = rng.randint(1, 40), 10 ** rng.uniform(-3, 3)
        logits = [rng.gauss(0, scale) for _ in range(n)]
        target = rng.randrange(n)
        ours, theirs = [Value(x) for x in logits], tensor(logits)
        loss, expected = (
            cross_entropy(ours, target),
            F.cross_entropy(theirs, torch.tensor(target)),
        )
        loss.backward()
        expected.backward()
        same([loss.data, *[x.grad for x in ours]], torch.cat([expected[None], theirs.grad]))


def test_slopes_of_slopes_of_cross_entropy():
    ours, theirs = [Value(x) for x in LOGITS["ties"]], tensor(LOGITS["ties"])
    first = grad(cross_entropy(ours, 2), ours)
    expected = torch.autograd.grad(
        F.cross_entropy(theirs, torch.tensor(2)), theirs, create_graph=True
    )
    for mine, other in zip(first, expected[0], strict=True):
        (row,) = torch.autograd.grad(other, theirs, retain_graph=True)
        same(data(grad(mine, ours)), row)


@pytest.mark.parametrize("target", [3, -1, 1.0, "a", None, [1.0], [1.0] * 4, []])
def test_a_target_that_does_not_fit_is_refused(target):
    with pytest.raises(ValueError, match="^cross_entropy: "):
        cross_entropy([0.0, 1.0, 2.0], target)


def test_no_logits_are_refused():
    for f in (softmax, lambda xs: cross_entropy(xs, 0)):
        with pytest.raises(ValueError, match="at least one logit"):
            f([])


# --- the transformer, written in PyTorch ------------------------------------------------------


def onto_tensors(model):
    """The matrices of a GPT by name, as tensors."""
    matrices = {name: x for name, x in vars(model).items() if isinstance(x, list)}
    return {name: tensor([data(row) for row in rows]) for name, rows in matrices.items()}


def logits_of(t, letters, heads):
    """microgpt's architecture with PyTorch's own operators, for all places at once."""
    width, places = t["letters"].shape[1], len(letters)

    def norm(x):
        return F.rms_norm(x, (width,), eps=1e-5)

    x = norm(t["letters"][letters] + t["places"][:places])
    query, key, value = (
        (norm(x) @ t[name].T).view(places, heads, -1).transpose(0, 1)
        for name in ("query", "key", "value")
    )
    seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    x = x + seen.transpose(0, 1).reshape(places, width) @ t["mix"].T
    x = x + torch.relu(norm(x) @ t["up"].T) @ t["down"].T
    return x @ t["scores"].T


def gpt(seed=1, deviation=None, **sizes):
    random.seed(seed)
    model = GPT(**sizes)
    if (
        deviation
    ):  # larger weights than a fresh model has, so that heads differ and relus are shut
        for p in model.parameters():
            p.data = random.gauss(0, deviation)
    return model


def test_the_gpt_has_microgpt_s_parameters():
    assert len(GPT().parameters()) == 4192
    assert len({*GPT().parameters()}) == 4192
    data_ = [p.data for p in gpt().parameters()]
    assert abs(sum(data_) / 4192) < 0.005
    assert math.sqrt(sum(x * x for x in data_) / 4192) == pytest.approx(0.08, rel=0.05)


@pytest.mark.parametrize("deviation", [None, 0.5])
@pytest.mark.parametrize("n", [1, 2, 7, 16])
def test_loss_and_gradients_of_the_gpt_are_those_of_pytorch(n, deviation):
    model = gpt(n, deviation)
    letters = [0] + [random.randrange(1, 27) for _ in range(n - 1)]
    following = [*letters[1:], 0]
    past: list = []
    logits = [model(letter, past) for letter in letters]
    loss = sum(cross_entropy(*pair) for pair in zip(logits, following, strict=True)) * (1 / n)
    t = onto_tensors(model)
    theirs = logits_of(t, letters, heads=4)
    expected = F.cross_entropy(theirs, torch.tensor(following))
    same([x.data for row in logits for x in row], theirs)
    loss.backward()
    expected.backward()
    same([loss.data], expected)
    for name, matrix in t.items():
        grads = [p.grad for row in getattr(model, name) for p in row]
        same(grads, torch.zeros_like(matrix) if matrix.grad is None else matrix.grad)


def one_hot(i, n=27):
    return [float(i == k) for k in range(n)]


def row(letters, block, weight):
    """The numbers that GPT.loss takes, for the indices of a name's letters, dots included."""
    places = len(letters) - 1
    padded = letters + [0] * (block + 1 - len(letters))
    return [
        *(x for i in padded for x in one_hot(i)),
        *[weight] * places,
        *[0.0] * (block - places),
    ]


@pytest.mark.parametrize("n", [1, 3, 16])
def test_the_loss_for_jit_is_that_of_the_letters_alone(n):
    model = gpt(n, 0.5)
    letters = [0] + [random.randrange(1, 27) for _ in range(n - 1)] + [0]
    loss = model.loss(*row(letters, 16, 1 / n))
    loss.backward()
    t = onto_tensors(model)
    expected = F.cross_entropy(logits_of(t, letters[:-1], 4), torch.tensor(letters[1:]))
    expected.backward()
    same([loss.data], expected)
    for name, matrix in t.items():
        same([p.grad for row_ in getattr(model, name) for p in row_], matrix.grad)


@pytest.mark.parametrize("sizes", [dict(tokens=5, width=6, heads=3, block=4), dict(heads=1)])
def test_other_sizes(sizes):
    model = gpt(5, 0.5, **sizes)
    letters = [0, 3, 1, 2]
    past: list = []
    logits = [model(letter, past) for letter in letters]
    same(
        [x.data for r in logits for x in r],
        logits_of(onto_tensors(model), letters, model.heads),
    )


def test_attention_is_that_of_pytorch():
    rng = random.Random(2)
    keys, values = ([[rng.gauss(0, 1) for _ in range(3)] for _ in range(5)] for _ in range(2))
    query = [rng.gauss(0, 1) for _ in range(3)]
    shares, mix = attend([Value(x) for x in query], keys, values)
    expected = F.scaled_dot_product_attention(tensor([query]), tensor(keys), tensor(values))
    same(data(mix), expected)
    assert sum(data(shares)) == pytest.approx(1, rel=1e-12)


# --- compiled ---------------------------------------------------------------------------------


def test_loss_and_gradients_of_the_compiled_gpt_are_those_of_pytorch():
    model = gpt(3, 0.3)
    fast = jit(model.loss, 13 * 27 + 12, model.parameters())
    spelt = [[0, *(random.randrange(1, 27) for _ in range(n)), 0] for n in (1, 4, 7, 11)]
    loss = fast.backward([row(letters, 12, 1 / (len(letters) - 1)) for letters in spelt])
    t = onto_tensors(model)
    costs = [
        F.cross_entropy(logits_of(t, letters[:-1], 4), torch.tensor(letters[1:]))
        for letters in spelt
    ]
    expected = torch.stack(costs).mean()
    expected.backward()
    same([loss], expected)
    for name, matrix in t.items():
        same([p.grad for row_ in getattr(model, name) for p in row_], matrix.grad)


def small_run(seed=4, steps=100):
    """A small GPT, its compiled loss, and names of one to five letters, one a step."""
    model = gpt(seed, tokens=27, width=8, heads=2, block=6)
    spelt = [[0, *(random.randrange(1, 27) for _ in range(1 + k % 5)), 0] for k in range(steps)]
    rows = [row(letters, 6, 1 / (len(letters) - 1)) for letters in spelt]
    return model, jit(model.loss, 7 * 27 + 6, model.parameters()), spelt, rows


def test_fifty_compiled_steps_of_adam_are_those_of_pytorch():
    model, fast, spelt, rows = small_run(steps=50)
    t = onto_tensors(model)
    rates = [0.01 * (1 - k / 50) for k in range(50)]
    losses = fast.train(rows, rates, adam, 1)
    optimizer = torch.optim.Adam(t.values(), betas=(0.85, 0.99), eps=1e-8)
    for letters, rate, loss in zip(spelt, rates, losses, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        expected = F.cross_entropy(logits_of(t, letters[:-1], 2), torch.tensor(letters[1:]))
        same([loss], expected, 1e-8)
        expected.backward()
        optimizer.step()
    for name, matrix in t.items():
        same([p.data for row_ in getattr(model, name) for p in row_], matrix, 1e-8)


def test_microgpt_s_own_loop_gives_the_losses_of_the_compiled_one():
    model, fast, spelt, rows = small_run()
    start = [p.data for p in fast.parameters]
    rates = [0.01 * (1 - k / 100) for k in range(100)]
    losses = fast.train(rows, rates, adam, 1)
    state = [(x, 0.0, 0.0, 1.0, 1.0) for x in start]
    for letters, rate, expected in zip(spelt, rates, losses, strict=True):
        for p, (x, *_) in zip(fast.parameters, state, strict=True):
            p.data, p.grad = x, 0.0
        past: list = []
        costs = [
            cross_entropy(model(a, past), b)
            for a, b in zip(letters[:-1], letters[1:], strict=True)
        ]
        loss = sum(costs, Value(0.0)) * (1 / len(costs))
        loss.backward()
        assert math.isclose(loss.data, expected, rel_tol=1e-9)
        pairs = zip(fast.parameters, state, strict=True)
        state = [adam(x, p.grad, rate, *rest) for p, (x, *rest) in pairs]


def test_the_table_and_the_embedding_are_those_of_pytorch():
    random.seed(6)
    table = [[Value(random.gauss(0, 1)) for _ in range(27)] for _ in range(27)]
    counts = [random.randrange(9) for _ in range(27)]
    loss = cross_entropy(linear(zip(*table, strict=True), one_hot(5)), counts)
    loss.backward()
    t = tensor([data(row_) for row_ in table])
    expected = F.cross_entropy(t[5], torch.tensor(counts, dtype=torch.float64))
    expected.backward()
    same([loss.data], expected)
    same([p.grad for row_ in table for p in row_], t.grad)
    table = [row_[:6] for row_ in table]
    hidden, scores = Layer(18, 32), Layer(32, 27, nonlin=False)
    for p in [p for row_ in table for p in row_]:
        p.grad = 0.0
    found = [x for k in (0, 7, 7) for x in linear(zip(*table, strict=True), one_hot(k))]
    loss = cross_entropy(scores([0.2 * x for x in hidden(found)]), 4)
    loss.backward()
    t = tensor([data(row_) for row_ in table])
    (w1, b1), (w2, b2) = (
        (tensor([data(n.w) for n in layer.neurons]), tensor([n.b.data for n in layer.neurons]))
        for layer in (hidden, scores)
    )
    h = 0.2 * torch.tanh(F.linear(t[[0, 7, 7]].reshape(-1), w1, b1))
    expected = F.cross_entropy(F.linear(h, w2, b2), torch.tensor(4))
    expected.backward()
    same([loss.data], expected)
    same([p.grad for row_ in table for p in row_], t.grad)
    for layer, w, b in ((hidden, w1, b1), (scores, w2, b2)):
        same([p.grad for n in layer.neurons for p in n.w], w.grad)
        same([n.b.grad for n in layer.neurons], b.grad)


# --- the names --------------------------------------------------------------------------------


def test_the_names():
    lines = (EXAMPLES / "names.txt").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line[0] != "#"]
    assert len(names) == 5163 and names == sorted({*names})
    assert all(name.isascii() and name.islower() and name.isalpha() for name in names)
    assert max(map(len, names)) == 11


def quoted(training):
    """The loss that the table of chapter 11 gives for this much training."""
    found = re.search(
        rf"\| {training} +\| (\S+) +\|\n", (ROOT / "README.org").read_text("utf-8")
    )
    assert found
    return found[1]


def test_the_trained_gpt_has_the_loss_that_chapter_11_quotes():
    t = onto_tensors(gpt())
    numbers = iter(map(float, (EXAMPLES / "names-gpt.txt").read_text(encoding="utf-8").split()))
    with torch.no_grad():
        for matrix in t.values():
            matrix[:] = tensor([[next(numbers) for _ in row_] for row_ in matrix])
        assert next(numbers, None) is None
        lines = (EXAMPLES / "names.txt").read_text(encoding="utf-8").splitlines()
        held = [line for line in lines if line[0] != "#"][9::10]
        costs = []
        for name in held:
            spelt = [0, *(ord(letter) - 96 for letter in name), 0]
            logits = logits_of(t, spelt[:-1], 4)
            costs += F.cross_entropy(logits, torch.tensor(spelt[1:]), reduction="none").tolist()
    loss = f"{sum(costs) / len(costs):.3f}"
    assert quoted("2,000 steps of 32 names") == loss


def test_three_letters_trained_as_long_have_the_loss_that_chapter_11_quotes():
    script = [sys.executable, str(EXAMPLES / "names.py"), "--letters"]
    said = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    assert f"held back, a letter: {quoted('2,000 steps of 225 letters')}\n" in said
