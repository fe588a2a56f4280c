"""The engine against PyTorch's float64 scalars: values, gradients, derivatives of gradients.

Constants are tensors, too: for a plain number in the exponent PyTorch takes shortcuts (x ** 0.5
is a square root, nan at -inf) that are not what it computes for a tensor.
"""

import math
import operator
import sys
from math import inf, nan
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import micrograd
from micrograd import RULES, Value, apply

INFIX = {"+": operator.add, "*": operator.mul, "/": operator.truediv, "**": operator.pow}
OPERATORS: dict[str, Any] = {
    op: INFIX[op] if op in INFIX else operator.methodcaller(op) for op in RULES
}  # works on Values and on tensors
OPERATORS |= {"-": operator.sub, "neg": operator.neg, "abs": abs}


def of_two(op, in_torch):
    def f(a, b):
        if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
            return in_torch(*(torch.as_tensor(x, dtype=torch.float64) for x in (a, b)))
        return apply(op, a, b)

    return f


OPERATORS |= {"max": of_two("max", torch.maximum), "min": of_two("min", torch.minimum)}
TWO = sorted([*INFIX, "-", "max", "min"])
ONE = sorted(OPERATORS.keys() - TWO)
EDGES = [0.0, -0.0, inf, -inf, nan, 1e300, -1e300, 1e-300, -1e-300]


def tensor(x):
    return torch.tensor(x, dtype=torch.float64, requires_grad=True)


def number(x):
    """A number as a float, whichever of a Value, a tensor or a gradient that never came."""
    return 0.0 if x is None else x.data if isinstance(x, Value) else x.item()


def agree(x, y, scale=0.0, rtol=1e-9):
    """Are x and y of one kind (nan, inf or -inf, finite), and close?

    scale is the size of what they were added up from. Next to the largest float, where the last
    bit decides between a number and inf, the number agrees with the inf of its sign; next to
    the smallest, all numbers agree.
    """
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    largest = sys.float_info.max
    x, y = (max(-largest, min(v, largest)) for v in (x, y))
    return abs(x - y) <= max(rtol * max(abs(x), abs(y), scale), 1e-300)


def assert_agree(x, y, what, **closeness):
    assert agree(x, y, **closeness), f"{what}: the engine says {x}, PyTorch {y}"


# --- one operator after another, at ordinary places and at edges -----------------------------


def both(f, *xs):
    """f at xs in the engine and in PyTorch: two tuples, the value and the gradients."""
    values, tensors = [Value(x) for x in xs], [tensor(x) for x in xs]
    y, t = f(*values), f(*tensors)
    y.backward()
    t.backward()
    ours = (number(y), *(v.grad for v in values))
    return ours, (number(t), *(number(v.grad) for v in tensors))


def assert_same(f, *xs):
    for k, (mine, theirs) in enumerate(zip(*both(f, *xs), strict=True)):
        what = f"gradient {k}" if k else "value"
        assert_agree(mine, theirs, f"{what} at {xs}", rtol=1e-12)


PLACES = [*EDGES, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 5.0, 1000.0, -1000.0]


@pytest.mark.parametrize("op", ONE)
@pytest.mark.parametrize("x", PLACES)
def test_an_operator_of_one_input_agrees_everywhere(op, x):
    assert_same(OPERATORS[op], x)


@pytest.mark.parametrize("op", TWO)
@pytest.mark.parametrize("x", PLACES)
def test_an_operator_of_two_inputs_agrees_everywhere(op, x):
    for y in PLACES:
        assert_same(OPERATORS[op], x, y)


# What PyTorch gives, in figures, so that the table can be read: f, inputs, value, gradients.
TABLE = {
    "1/0": (operator.truediv, (1, 0), inf, (inf, -inf)),
    "1/-0": (operator.truediv, (1, -0.0), -inf, (-inf, -inf)),
    "-1/0": (operator.truediv, (-1, 0), -inf, (inf, inf)),
    "0/0": (operator.truediv, (0, 0), nan, (inf, nan)),
    "inf/inf": (operator.truediv, (inf, inf), nan, (0, nan)),
    "1/inf": (operator.truediv, (1, inf), 0, (0, 0)),
    "log 0": (OPERATORS["log"], (0,), -inf, (inf,)),
    "log -0": (OPERATORS["log"], (-0.0,), -inf, (-inf,)),
    "log -1": (OPERATORS["log"], (-1,), nan, (-1,)),
    "log inf": (OPERATORS["log"], (inf,), inf, (0,)),
    "0**0": (operator.pow, (0, 0), 1, (0, 0)),
    "0**1": (operator.pow, (0, 1), 0, (1, 0)),
    "0**2": (operator.pow, (0, 2), 0, (0, 0)),
    "0**-1": (operator.pow, (0, -1), inf, (-inf, -inf)),
    "-0**-1": (operator.pow, (-0.0, -1), -inf, (-inf, inf)),
    "-0**-2": (operator.pow, (-0.0, -2), inf, (inf, -inf)),
    "0**0.5": (operator.pow, (0, 0.5), 0, (inf, 0)),
    "(-2)**0.5": (operator.pow, (-2, 0.5), nan, (nan, nan)),
    "(-2)**2": (operator.pow, (-2, 2), 4, (-4, nan)),
    "(-2)**3": (operator.pow, (-2, 3), -8, (12, nan)),
    "10**1000": (operator.pow, (10, 1000), inf, (inf, inf)),
    "(-10)**1001": (operator.pow, (-10, 1001), -inf, (inf, nan)),
    "10**-1000": (operator.pow, (10, -1000), 0, (0, 0)),
    "(-inf)**0.5": (operator.pow, (-inf, 0.5), inf, (0, nan)),
    "inf**0": (operator.pow, (inf, 0), 1, (0, inf)),
    "nan**0": (operator.pow, (nan, 0), 1, (0, nan)),
    "1**nan": (operator.pow, (1, nan), 1, (nan, 0)),
    "exp 1000": (OPERATORS["exp"], (1000,), inf, (inf,)),
    "exp -1000": (OPERATORS["exp"], (-1000,), 0, (0,)),
    "exp -inf": (OPERATORS["exp"], (-inf,), 0, (0,)),
    "relu 0": (OPERATORS["relu"], (0,), 0, (0,)),
    "relu -0": (OPERATORS["relu"], (-0.0,), 0, (0,)),
    "relu nan": (OPERATORS["relu"], (nan,), nan, (1,)),
    "relu inf": (OPERATORS["relu"], (inf,), inf, (1,)),
    "relu -inf": (OPERATORS["relu"], (-inf,), 0, (0,)),
    "abs 0": (abs, (0,), 0, (0,)),
    "abs nan": (abs, (nan,), nan, (0,)),
    "abs -inf": (abs, (-inf,), inf, (-1,)),
    "tanh 1000": (OPERATORS["tanh"], (1000,), 1, (0,)),
    "tanh -1000": (OPERATORS["tanh"], (-1000,), -1, (0,)),
    "tanh -inf": (OPERATORS["tanh"], (-inf,), -1, (0,)),
    "sigmoid 1000": (OPERATORS["sigmoid"], (1000,), 1, (0,)),
    "sigmoid -1000": (OPERATORS["sigmoid"], (-1000,), 0, (0,)),
    "sigmoid -inf": (OPERATORS["sigmoid"], (-inf,), 0, (0,)),
    "inf - inf": (operator.sub, (inf, inf), nan, (1, -1)),
    "inf * 0": (operator.mul, (inf, 0), nan, (0, inf)),
    "nan + 1": (operator.add, (nan, 1), nan, (1, 1)),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_table_of_edges_holds(case):
    f, xs, value, gradients = TABLE[case]
    for result in both(f, *map(float, xs)):
        for x, y in zip(result, (value, *gradients), strict=True):
            assert agree(x, y), f"{case}: {result}, not {(value, *gradients)}"


COMPOSED = {
    "log(relu(x)) where relu masks": (lambda x: x.relu().log(), -1.0),
    "log(relu(x)) at the corner": (lambda x: x.relu().log(), 0.0),
    "1/relu(x) where relu masks": (lambda x: 1 / x.relu(), -2.0),
    "1/relu(x) at minus zero": (lambda x: 1 / x.relu(), -0.0),
    "relu(x)**-1 where relu masks": (lambda x: x.relu() ** -1, -2.0),
    "relu of nan": (lambda x: x.log().relu(), -1.0),
    "log(abs(x)) at the corner": (lambda x: abs(x).log(), 0.0),
    "1/abs(x) at minus zero": (lambda x: 1 / abs(x), -0.0),
    "abs(x)**0.5 at the corner": (lambda x: abs(x) ** 0.5, 0.0),
    "(x**0).log() where the exponent masks": (lambda x: (x**0 - 1).log(), 3.0),
    "x**x at zero": (lambda x: x**x, 0.0),
    "x**x at zero, with an infinite gradient": (lambda x: x**x * inf, 0.0),
    "x**0 with an infinite gradient": (lambda x: x**0.0 * inf, 3.0),
    "0**x where the base masks": (lambda x: ((x * 0) ** x - 0.0).log(), 2.0),
    "x * exp(x), underflown": (lambda x: x * x.exp(), -inf),
    "exp(x) / exp(x), overflown": (lambda x: x.exp() / x.exp(), 1000.0),
    "sigmoid(x).log(), saturated": (lambda x: x.sigmoid().log(), -1000.0),
    "(1 - tanh(x)).log(), saturated": (lambda x: (1 - x.tanh()).log(), 30.0),
    "x - x at infinity": (lambda x: x - x, inf),
    "x * x at infinity": (lambda x: x * x, -inf),
    "the square root of a square at zero": (lambda x: (x * x) ** 0.5, 0.0),
}


@pytest.mark.parametrize("case", COMPOSED)
def test_infinities_and_masks_compose_as_in_pytorch(case):
    assert_same(*COMPOSED[case])


@pytest.mark.parametrize("n", [0.0, 1.0, -1.0, 2.0, 0.5, -0.5, 3.0, inf, -inf, nan])
@pytest.mark.parametrize("op", TWO)
@pytest.mark.parametrize("on_the_left", [True, False])
def test_a_plain_number_on_either_side_is_a_constant(op, n, on_the_left):
    for x in PLACES:
        v, t = Value(x), tensor(x)
        c = torch.tensor(n, dtype=torch.float64)
        y = OPERATORS[op](n, v) if on_the_left else OPERATORS[op](v, n)
        z = OPERATORS[op](c, t) if on_the_left else OPERATORS[op](t, c)
        y.backward()
        z.backward()
        assert_agree(y.data, z.item(), f"value at {x}", rtol=1e-12)
        assert_agree(v.grad, number(t.grad), f"gradient at {x}", rtol=1e-12)


SUBNORMAL = [(1e-309, 0.0), (1e-309, 1e-5), (-1e-310, 0.0), (-1e-310, 1e-5), (5e-324, 0.0)]


@pytest.mark.xfail(strict=True, reason="1/b is too large for a float, as chapter 2 says")
@pytest.mark.parametrize("b, upstream", SUBNORMAL)
def test_gradients_through_a_subnormal_divisor_agree(b, upstream):
    """A local derivative is stored as a number. PyTorch divides the gradient by b instead."""
    assert_same(lambda a, b: upstream * (a / b), 0.0, b)
    assert_same(lambda b: upstream * b.log(), abs(b))


# --- random graphs ---------------------------------------------------------------------------

# A program is a list of leaves and a list of steps; a step is an operator and where its inputs
# are: k counts back from the newest node (so that nodes are shared), a float is a plain number.
ordinary = st.floats(-4, 4).map(lambda x: round(x, 3))
nodes = st.integers(0, 4)
plain = ordinary | st.sampled_from(EDGES)


def programs(leaves, constants, steps):
    step = st.one_of(
        st.tuples(st.sampled_from(ONE), nodes),
        st.tuples(st.sampled_from(TWO), nodes, nodes),
        st.tuples(st.sampled_from(TWO), nodes, constants),
        st.tuples(st.sampled_from(TWO), constants, nodes),
    )
    return st.tuples(
        st.lists(leaves, min_size=1, max_size=4), st.lists(step, min_size=1, max_size=steps)
    )


def run(steps, leaves, constant, apply=lambda f, *xs: f(*xs)):
    """The nodes that the steps make from the leaves; the last is the program's result."""
    made = list(leaves)
    for op, *inputs in steps:
        xs = [
            constant(x) if isinstance(x, float) else made[max(-1 - x, -len(made))]
            for x in inputs
        ]
        made.append(apply(OPERATORS[op], *xs))
    return made


class InStep:
    """One program in the engine and in PyTorch, node by node.

    Each value is compared when it is made, each gradient when it has been added up, and then
    PyTorch goes on with the engine's number. So a difference in the last bit, which C libraries
    are free to have, stays one: no subtraction or pole further on can turn it into a large one,
    and every node is held to a tight tolerance. One rule subtracts, tanh's 1 - t * t, which a
    machine may round once or twice: for it the tolerance is relative to the gradient of t.
    """

    def __init__(self, leaves, steps):
        made = [self.node(Value(x), tensor(x)) for x in leaves]
        self.nodes = run(steps, made, float, self.step)

    def node(self, value, t):
        parts: list[float] = []  # what flows back into this node, edge by edge

        def added_up(gradient):
            size = sum(map(abs, parts))
            if math.isfinite(size) or not all(map(math.isfinite, parts)):
                closeness = {"scale": size, "rtol": 1e-12}
                assert_agree(value.grad, gradient.item(), f"gradient of {value}", **closeness)
            return torch.full_like(gradient, value.grad)

        if t.requires_grad:
            t.register_hook(added_up)
        return value, t, parts

    def step(self, f, *inputs):
        values, tensors = [], []
        for x in inputs:
            if isinstance(x, float):
                values.append(x)
                tensors.append(torch.tensor(x, dtype=torch.float64))
            else:
                value, t, parts = x
                edge = t.clone()
                edge.register_hook(lambda part, parts=parts: parts.append(part.item()))
                values.append(value)
                tensors.append(edge)
        value, t = f(*values), f(*tensors)
        what = f"{f} at {[*map(float, values)]}"
        assert_agree(value.data, t.item(), what, rtol=1e-13)
        if value.data == 0 == t.item():
            assert math.copysign(1, value.data) == math.copysign(1, t.item()), f"{what}: -0"
        t.data.fill_(value.data)
        if f is OPERATORS["tanh"]:
            t.register_hook(lambda gradient: parts.append(1e-3 * gradient.item()))
        return self.node(value, t)

    def backward(self):
        value, t, _ = self.nodes[-1]
        value.backward()
        t.backward()


@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(plain, plain, steps=12))
@example(([-1.0], [("relu", 0), ("log", 0), ("*", 0, 1)]))
@example(([0.0], [("abs", 0), ("log", 0)]))
@example(([0.0], [("**", 0, 0), ("/", 0, 1)]))
def test_random_graphs_agree_node_by_node_at_ordinary_places_and_at_edges(program):
    both = InStep(*program)
    # Subnormal numbers have a test of their own, above.
    assume(not any(0 < abs(value.data) < sys.float_info.min for value, *_ in both.nodes))
    both.backward()


def is_regular(nodes):
    """Is every node of ordinary size, away from the corners of relu and abs and from poles?

    So no step magnifies a rounding error by more than about a hundred.
    """
    return all(0.01 < abs(number(x)) < 100 for x in nodes)


def constant(x):
    return torch.tensor(x, dtype=torch.float64)


positive = st.floats(0.25, 2).map(lambda x: round(x, 3))


def regular(program):
    """The leaves and all nodes of a regular program; as tensors, its leaves and last node."""
    leaves, steps = program
    values, tensors = [Value(x) for x in leaves], [tensor(x) for x in leaves]
    nodes = run(steps, values, float)
    assume(is_regular(nodes))
    return (values, nodes), (tensors, run(steps, tensors, constant)[-1])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(positive, positive, steps=10))
def test_random_graphs_agree_from_end_to_end(program):
    (values, nodes), (tensors, t) = regular(program)
    nodes[-1].backward()
    t.backward()
    assert_agree(nodes[-1].data, t.item(), "value")
    size = max(abs(v.grad) for v in nodes)
    for v, x in zip(values, tensors, strict=True):
        assert_agree(v.grad, number(x.grad), "gradient", scale=size)


def torch_grad(y, xs):
    """torch.autograd.grad with create_graph; what y does not depend on has gradient 0."""
    if not y.requires_grad:
        return [torch.zeros_like(x) for x in xs]
    gradients = torch.autograd.grad(y, xs, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(gradients, xs, strict=True)]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(positive, positive, steps=7))
def test_second_derivatives_of_random_graphs_agree(program):
    (values, nodes), (tensors, t) = regular(program)
    first = micrograd.grad(nodes[-1], values)
    first_torch = torch_grad(t, tensors)
    second = [micrograd.grad(g, values) for g in first]
    second_torch = [torch_grad(g, tensors) for g in first_torch]
    assume(all(abs(number(x)) < 1e6 for row in second for x in row))
    size = max(1.0, *(abs(number(x)) for row in (first, *second) for x in row))
    for g, g_torch in zip(first, first_torch, strict=True):
        assert_agree(number(g), number(g_torch), "first derivative", scale=size)
    for row, row_torch in zip(second, second_torch, strict=True):
        for h, h_torch in zip(row, row_torch, strict=True):
            assert_agree(number(h), number(h_torch), "second derivative", scale=size, rtol=1e-8)
    assert all(v.grad == 0 for v in values), "micrograd.grad leaves every grad as it was"


THIRD_ORDER = {
    "x**3": (lambda x: x**3, 2.0),
    "x**x": (lambda x: x**x, 1.5),
    "2**x": (lambda x: 2**x, 0.7),
    "1/x": (lambda x: 1 / x, -0.8),
    "tanh(x)": (lambda x: x.tanh(), 0.4),
    "sigmoid(x)": (lambda x: x.sigmoid(), -1.2),
    "exp(x)*log(x)": (lambda x: x.exp() * x.log(), 1.7),
    "relu(x)**3": (lambda x: x.relu() ** 3, 0.9),
    "abs(x)**3": (lambda x: abs(x) ** 3, -0.9),
    "a neuron": (lambda x: (0.5 * x - 0.2 * x.tanh() + 1).tanh() / (x * x + 1), 0.3),
}


@pytest.mark.parametrize("case", THIRD_ORDER)
def test_derivatives_agree_to_the_third_order(case):
    f, x = THIRD_ORDER[case]
    v, t = Value(x), tensor(x)
    y, z = f(v), f(t)
    for order in (1, 2, 3):
        (y,), (z,) = micrograd.grad(y, [v]), torch_grad(z, [t])
        assert_agree(y.data, z.item(), f"derivative {order}", rtol=1e-12)


def test_backward_goes_through_a_derivative():
    """A gradient penalty: the loss that is differentiated contains a derivative."""
    (a, b), (s, t) = (Value(0.6), Value(-1.1)), (tensor(0.6), tensor(-1.1))
    for x, y, gradient in ((a, b, micrograd.grad), (s, t, torch_grad)):
        (slope,) = gradient((x * y).tanh() + x**2, [x])
        ((slope - 1) ** 2).backward()
    assert_agree(a.grad, s.grad.item(), "gradient")
    assert_agree(b.grad, t.grad.item(), "gradient")


def test_the_worked_expression_has_the_published_figures():
    def worked(a, b):
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + (b + a).relu()
        d += 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0
        g += 10.0 / f
        return g

    ours, theirs = both(worked, -4.0, 2.0)
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert [f"{x:.4f}" for x in ours] == ["24.7041", "138.8338", "645.5773"]


def test_the_published_sanity_check_agrees():
    def expression(x):
        z = 2 * x + 2 + x
        q = z.relu() + z * x
        h = (z * z).relu()
        return h + q + q * x

    ours, theirs = both(expression, -4.0)
    assert ours == theirs == (-20.0, 46.0)


@pytest.mark.parametrize(
    "name", "exp expm1 sinh cosh tanh erf erfc sin acos acosh log log2 log10".split()
)
@pytest.mark.parametrize("x", [0.0, 1.0, -1.0, 2000.0, -2000.0, 1e300, -1e300])
def test_a_function_of_math_is_pytorchs_also_where_it_overflows(name, x):
    ours = micrograd.call(getattr(math, name), x)
    theirs = getattr(torch, name)(torch.tensor(x, dtype=torch.float64)).item()
    assert math.isclose(ours, theirs, rel_tol=1e-12) or (ours != ours and theirs != theirs)
