"""Code that extends the engine as its users do runs unchanged."""

import copy
import importlib
import inspect
import math
import pickle
import random
import re
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fresh import python

import micrograd
from micrograd import RULES, Value, engine, grad, gradcheck, nn, topological_order


def leaf(x):
    return torch.tensor(x, dtype=torch.float64, requires_grad=True)


# --- an operator written by hand ------------------------------------------------------------


def sine(v, *name):
    out: Any = Value(math.sin(v.data), (v,), *name)

    def back():
        v.grad += math.cos(v.data) * out.grad

    out._backward = back
    return out


def hypotenuse(*vs):
    out: Any = Value(math.hypot(*[v.data for v in vs]), vs, "hypotenuse")

    def back():
        for v in vs:
            v.grad += v.data / out.data * out.grad

    out._backward = back
    return out


@pytest.mark.parametrize("name", [(), ("sine",), ("sin",), ("log",), ("sum",)])
def test_a_function_with_a_backward_of_its_own_is_differentiated_whatever_its_name(name):
    x, t = Value(0.7), leaf(0.7)
    (sine(x, *name) * x + sine(sine(x, *name).exp(), *name)).backward()
    (t.sin() * t + t.sin().exp().sin()).backward()
    assert math.isclose(x.grad, t.grad.item(), rel_tol=1e-14)


def test_a_method_patched_into_value_and_one_of_a_subclass_are_used(monkeypatch):
    class Mine(Value):
        def sin(self):
            return sine(self, "sin")

        def cube(self):
            out: Any = Mine(self.data**3, (self,), "cube")
            out._backward = lambda: setattr(
                self, "grad", self.grad + 3 * self.data**2 * out.grad
            )
            return out

    monkeypatch.setattr(Value, "swish", lambda v: hypotenuse(v, v) * v.sigmoid(), raising=False)
    x, t = Mine(0.7), leaf(0.7)
    (x.sin() * x.cube().cube() + x.swish()).backward()
    (t.sin() * t**9 + torch.hypot(t, t) * t.sigmoid()).backward()
    assert math.isclose(x.grad, t.grad.item(), rel_tol=1e-13)


def test_an_operator_of_several_inputs_mixes_with_the_engines_own():
    xs, ts = [Value(x) for x in (1.0, -2.0, 0.5)], [leaf(x) for x in (1.0, -2.0, 0.5)]
    (hypotenuse(*xs) * xs[0] - hypotenuse(xs[1].tanh(), xs[0])).backward()
    (torch.stack(ts).norm() * ts[0] - torch.stack([ts[1].tanh(), ts[0]]).norm()).backward()
    for x, t in zip(xs, ts, strict=True):
        assert math.isclose(x.grad, t.grad.item(), rel_tol=1e-14)


def test_a_subclass_that_overrides_backward_of_a_node_is_obeyed():
    class Scaled(Value):
        def _backward(self):
            for child in self._prev:
                child.grad += 10 * self.grad

    x = Value(3.0)
    (Scaled(3.0, (x,)) * 2).backward()
    assert x.grad == 20.0
    with pytest.raises(NotImplementedError, match="make it a rule"):
        grad(Scaled(3.0, (x,), "scaled") * 2, [x])


def test_the_lectures_walk_by_hand_hands_each_gradient_one_step_on():
    x1, x2, w1, w2, b = map(Value, (2.0, 0.0, -3.0, 1.0, 6.8813735870195432))
    x1w1, x2w2 = x1 * w1, x2 * w2
    x1w1x2w2 = x1w1 + x2w2
    n = x1w1x2w2 + b
    o = n.tanh()
    o.grad = 1.0
    o._backward()
    assert math.isclose(n.grad, 0.5) and x1w1x2w2.grad == 0.0
    for v in (n, b, x1w1x2w2, x1w1, x2w2):
        v._backward()
    got = [v.grad for v in (x1, w1, x2, w2)]
    assert all(
        math.isclose(g, k, abs_tol=1e-12) for g, k in zip(got, (-1.5, 1, 0.5, 0), strict=True)
    )


def test_backward_written_as_in_the_package_walks_our_graphs():
    def backward(root):
        topo, visited = [], set()

        def build(v):
            if v not in visited:
                visited.add(v)
                for child in v._prev:
                    build(child)
                topo.append(v)

        build(root)
        root.grad = 1
        for v in reversed(topo):
            v._backward()

    x, y, t, u = Value(0.3), Value(-1.2), leaf(0.3), leaf(-1.2)
    backward((x * y + sine(x)) / (y**2 + 1) - x.exp())
    ((t * u + t.sin()) / (u**2 + 1) - t.exp()).backward()
    assert math.isclose(x.grad, t.grad.item(), rel_tol=1e-13)
    assert math.isclose(y.grad, u.grad.item(), rel_tol=1e-13)


@pytest.mark.parametrize("op", ["", "sine", "**name"])
def test_an_operator_without_rule_or_backward_is_named_and_both_ways_are_shown(op):
    x = Value(1.0)
    y = Value(2.0, (x,), op) * 3
    with pytest.raises((NotImplementedError, ValueError)) as error:
        y.backward()
    if op != "**name":
        for part in (repr(op), "RULES[", "out._backward = back"):
            assert part in str(error.value)


def test_gradcheck_works_on_operators_by_hand_and_grad_refuses_them_by_name():
    assert gradcheck(lambda a, b: hypotenuse(a, b) * sine(a, "sine"), [0.3, -0.4])

    def lying(v):
        out = sine(v)
        out._backward = lambda: setattr(v, "grad", v.grad + out.grad)
        return out

    with pytest.raises(ValueError, match="gradcheck"):
        gradcheck(lying, [0.5])
    x = Value(0.5)
    with pytest.raises(NotImplementedError, match=r"'sine'.*make it a rule"):
        grad(sine(x, "sine") * x, [x])


def test_any_attribute_may_be_set_and_is_copied_and_pickled():
    w: Any = Value(0.5)
    w.m = w.v = 0.0
    w._vis_color = "red"
    assert vars(w) == {"m": 0.0, "v": 0.0, "_vis_color": "red"}
    for other in (copy.copy(w), copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert (other.m, other._vis_color, other.data) == (0.0, "red", 0.5)
    product: Any = w * 2
    product.name = "product"
    assert product.name == "product" and product.label == ""
    with pytest.raises(AttributeError, match="'velocity'"):
        _ = w.velocity


def test_a_rule_with_the_wrong_number_of_slopes_is_refused_where_it_is_used(monkeypatch):
    for wrong in (lambda a: (a, 1.0), lambda a: (a, (1.0, 1.0)), lambda a: (a, ())):
        monkeypatch.setitem(RULES, "wrong", wrong)
        with pytest.raises(TypeError, match=r"rule of 'wrong' must return .* 1, a slope"):
            Value(1.0).wrong()


# --- gradients add up -----------------------------------------------------------------------


def test_gradients_of_parameters_made_by_an_expression_add_up_over_calls():
    w, t = Value(0.5) * 2, leaf(0.5) * 2
    t.retain_grad()
    for x in (1.0, 2.0):
        (w * x).backward()
        (t * x).backward(retain_graph=True)
    assert w.grad == t.grad.item() == 3.0


@pytest.mark.parametrize("seed", range(10))
def test_every_gradient_adds_up_over_calls_as_pytorchs_do(seed):
    rng = random.Random(seed)
    start = [rng.uniform(0.5, 1.5) for _ in range(3)]
    ours, theirs = [Value(x) for x in start], [leaf(x) for x in start]
    for _ in range(8):
        i, j, op = rng.randrange(len(ours)), rng.randrange(len(ours)), rng.choice("+*-")
        for vs in (ours, theirs):
            a, b = vs[i], vs[j]
            vs.append({"+": a + b, "*": a * b, "-": a - b}[op])
        theirs[-1].retain_grad()
    for _ in range(4):
        i = rng.randrange(3, len(ours))
        ours[i].backward()
        theirs[i].backward(retain_graph=True)
    for v, t in zip(ours, theirs, strict=True):
        assert math.isclose(v.grad, 0.0 if t.grad is None else t.grad.item(), rel_tol=1e-12)


def test_a_gradient_set_to_none_as_in_pytorch_counts_as_none():
    x: Any = Value(3.0)
    y = x * x
    x.grad = None
    y.backward()
    assert x.grad == 6.0


@pytest.mark.parametrize("nothing", [(), set(), []])
def test_a_value_whose_inputs_are_taken_away_ends_the_graph_there(nothing):
    x = Value(3.0)
    y = x * x * 2
    y._prev = nothing
    (y * 5).backward()
    assert (x.grad, y.grad) == (0.0, 5.0)
    assert y not in topological_order(x) and topological_order(y) == [y]


@pytest.mark.parametrize("length", [1, 2, 5000])
def test_a_graph_with_a_cycle_is_an_error(length):
    first = v = Value(1.0)
    for _ in range(length):
        v = v * 2
    first._prev = (v,)
    with pytest.raises(ValueError, match="cycle"):
        v.backward()


# --- NumPy and PyTorch ----------------------------------------------------------------------

OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("shape", [(3,), (1,), (2, 3), (0,)])
def test_a_value_and_an_array_give_an_array_of_values_both_ways(op, shape):
    f = OPERATORS[op]
    array = np.arange(1.0, 1 + math.prod(shape)).reshape(shape)
    x = Value(1.5)
    for got, expected in ((f(x, array), f(1.5, array)), (f(array, x), f(array, 1.5))):
        assert isinstance(got, np.ndarray) and got.shape == shape and got.dtype == object
        assert all(type(v) is Value for v in got.flat)
        assert np.allclose(got.astype(float), expected, rtol=1e-15)
    if array.size:
        f(x, array).sum().backward()
        t = leaf(1.5)
        f(t, torch.tensor(array)).sum().backward()
        assert math.isclose(x.grad, t.grad.item(), rel_tol=1e-14)


ONES = [np.array(2.0), np.array(2), torch.tensor(2.0), torch.tensor([[2]])]
ONES += [np.float16(2), torch.nn.Parameter(torch.tensor(2.0)), torch.tensor([2.0]).double()]


@pytest.mark.parametrize("two", ONES, ids=repr)
def test_an_array_or_tensor_of_one_element_is_the_scalar_that_it_is(two):
    assert Value(two).data == 2.0 and type(Value(two).data) is float
    if not (isinstance(two, np.ndarray) and two.ndim):  # that is an array of one Value
        for f in OPERATORS.values():
            for got, expected in (
                (f(Value(3.0), two), f(3.0, 2.0)),
                (f(two, Value(3.0)), f(2.0, 3.0)),
            ):
                assert type(got) is Value and got.data == expected


@pytest.mark.parametrize("several", [np.array([1, 2]), torch.tensor([1.0, 2.0]), np.array("3")])
def test_an_array_or_tensor_that_is_not_one_number_is_refused(several):
    with pytest.raises(TypeError, match="a Value holds"):
        Value(several)
    if not isinstance(several, np.ndarray):
        for f in OPERATORS.values():
            with pytest.raises(TypeError, match="a Value holds"):
                f(Value(1.0), several)


def test_numpys_functions_work_on_arrays_of_values():
    numbers = np.array([[0.5, 1.5], [2.0, 3.0]])
    values = np.vectorize(Value, otypes=[object])(numbers)
    t: Any = torch.tensor(numbers, requires_grad=True)
    ours = np.sum(values) * np.mean(values) + np.sum(
        np.exp(values @ values[0]) / np.sqrt(values)
    )
    theirs = t.sum() * t.mean() + ((t @ t[0]).exp() / t.sqrt()).sum()
    ours.backward()
    theirs.backward()
    assert math.isclose(ours.data, theirs.item(), rel_tol=1e-14)
    got = np.vectorize(lambda v: v.grad)(values)
    assert np.allclose(got, t.grad.numpy(), rtol=1e-13)


# --- rules that users ask for ---------------------------------------------------------------

EDGES = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e300, 1e-300, math.inf, -math.inf, math.nan]


def same(a, b):
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-14)


@pytest.mark.parametrize("name", ["sqrt", "sin", "cos"])
@pytest.mark.parametrize("x", EDGES)
def test_rules_of_one_number_are_pytorchs(name, x):
    v, t = Value(x), leaf(x)
    y, u = getattr(v, name)(), getattr(t, name)()
    y.backward()
    u.backward()
    assert same(y.data, u.item()) and same(v.grad, t.grad.item())


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("a", EDGES)
@pytest.mark.parametrize("b", EDGES)
def test_max_and_min_of_two_are_pytorchs_ties_and_nan_included(name, a, b):
    vs, ts = (Value(a), Value(b)), (leaf(a), leaf(b))
    y, u = getattr(vs[0], name)(vs[1]), getattr(ts[0], name)(ts[1])
    y.backward()
    u.backward()
    assert same(y.data, u.item())
    for v, t in zip(vs, ts, strict=True):
        assert same(v.grad, t.grad.item())


@pytest.mark.parametrize("name", ["max", "min"])
def test_what_loses_a_comparison_gets_nothing_not_even_nan(name):
    """log(relu(2)) is fine, log(relu(-1)) has an infinite slope that must not meet a 0."""
    a, b, t, u = Value(-1.0), Value(2.0), leaf(-1.0), leaf(2.0)
    getattr(a, name)(b).relu().log().backward()
    getattr(t, name)(u).relu().log().backward()
    assert (a.grad, b.grad) == (t.grad.item(), u.grad.item())


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("x", [0.3, 1e8, -2.0])
def test_the_fourth_derivative_of_sine_and_cosine_is_right(name, x):
    v, t = Value(x), leaf(x)
    y, u = getattr(v, name)(), getattr(t, name)()
    for _ in range(4):
        (y,) = grad(y, [v])
        (u,) = torch.autograd.grad(u, t, create_graph=True)
        assert math.isclose(y.data, u.item(), rel_tol=1e-12)


# --- powers ---------------------------------------------------------------------------------

EXPONENTS = [2, 3, -1, 0, 1, 0.5, -0.5, 2.0, -2, 1e-5]


@pytest.mark.parametrize("b", EXPONENTS)
@pytest.mark.parametrize("x", EDGES)
def test_a_power_with_a_fixed_exponent_has_one_input_and_is_pytorchs(b, x):
    v, t = (
        Value(x),
        leaf(x),
    )  # for a plain 0.5, PyTorch takes a root: it differs at -0.0 and -inf
    y, u = v**b, t ** torch.tensor(float(b), dtype=torch.float64)
    assert y._prev == (v,) and y._op == f"**{b}"
    y.backward()
    u.backward()
    assert same(y.data, u.item()) and same(v.grad, t.grad.item())


@pytest.mark.parametrize("b", [2, 3, -1, 0.5])
def test_a_power_with_a_fixed_exponent_has_derivatives_of_every_order(b):
    v, t = Value(1.7), leaf(1.7)
    y, u = v**b, t**b
    for _ in range(3):
        (y,) = grad(y, [v])
        (u,) = torch.autograd.grad(u, t, create_graph=True, materialize_grads=True)
        assert math.isclose(y.data, u.item(), rel_tol=1e-13, abs_tol=0)


def test_no_logarithm_is_taken_for_a_fixed_exponent(monkeypatch):
    monkeypatch.setattr(math, "log", None)
    x = Value(-3.0)
    (x**2 + x**-1).backward()
    assert math.isclose(x.grad, -6 - 1 / 9)


# --- the published names --------------------------------------------------------------------


def test_the_modules_have_a_file_and_their_classes_have_a_source():
    files = [importlib.import_module(f"micrograd.{name}").__file__ for name in ("nn", "engine")]
    assert files == [micrograd.__file__] * 2
    for name in ("Neuron", "Layer", "MLP"):
        lines = inspect.getsource(getattr(nn, name)).strip().splitlines()
        assert re.match(rf"class {name}\b", lines[0]) and len(lines) > 1
    assert "relu" in inspect.getsource(nn.Neuron)
    assert "class Value" in inspect.getsource(engine.Value)


def test_the_modules_are_reloaded_and_are_then_as_they_were():
    program = """
import importlib, pickle
import micrograd
from micrograd import nn, engine
before = nn.Neuron, nn.MLP
nn.Neuron = None
assert importlib.reload(nn) is nn and (nn.Neuron, nn.MLP) == before
assert importlib.reload(engine).Value is micrograd.Value
again = importlib.reload(micrograd)
assert again.nn is importlib.import_module("micrograd.nn")
assert type(again.nn.MLP(2, [1]).parameters()[0]) is again.Value is again.engine.Value
assert type(pickle.loads(pickle.dumps(again.nn.MLP(2, [1])))) is again.nn.MLP
"""
    python(program)


def test_a_neuron_put_into_nn_takes_effect_in_its_networks(monkeypatch):
    class Mine(nn.Neuron):
        def __call__(self, x):
            return super().__call__(x) * 0 + 7

    class Wide(nn.Layer):
        pass

    monkeypatch.setattr(nn, "Neuron", Mine)
    model = nn.MLP(2, [3, 1])
    assert {type(n) for layer in model.layers for n in layer.neurons} == {Mine}
    assert model([1.0, 2.0]).data == 7.0
    monkeypatch.setattr(nn, "Layer", Wide)
    assert {type(layer) for layer in nn.MLP(2, [3, 1]).layers} == {Wide}
    assert type(micrograd.MLP(2, [3]).layers[0].neurons[0]) is micrograd.Neuron


def test_an_activation_patched_into_value_is_the_one_that_neurons_use(monkeypatch):
    monkeypatch.setattr(Value, "relu", lambda v: v * 0.5, raising=False)
    random.seed(1)
    n = nn.Neuron(1)
    assert n([1.0]).data == (n.w[0].data + n.b.data) * 0.5


def test_star_import_brings_classes_and_functions_and_nothing_over_maths():
    program = """
from math import *
before = dict(globals())
from micrograd import *
for name in ("exp", "log", "sin", "cos", "sqrt", "tanh", "pow"):
    assert globals()[name] is before[name]
x = Value(2.0)
(MLP(1, [2, 1])([x]) * grad(x * x, [x])[0]).backward()
print(sorted(set(globals()) - set(before) - {"before", "x", "name"}))
"""
    names = eval(python(program))
    assert names == sorted(micrograd.__all__)
    assert all(hasattr(micrograd, name) for name in micrograd.__all__)
    assert not set(names) & set(vars(math)) and not set(names) & {"add", "sub", "number", "Any"}


# --- the table of differences ---------------------------------------------------------------


def twice(f, x):
    v = Value(x)
    y = f(v)
    y.backward()
    y.backward()
    return v.grad


def test_the_readmes_table_says_what_is_so(elements):
    text = Path(micrograd.__file__).with_name("README.org").read_text(encoding="utf-8")
    table = text[text.index("| you type ") :].split("\n\n")[0].splitlines()[2:]
    assert len(table) > 8
    a, b = Value(2.0), Value(3.0)
    zero = type("Zero", (Value,), {"__mul__": lambda self, other: Value(0.0)})
    space = {"Value": Value, "nn": nn, "a": a, "b": b, "twice": twice, "Zero": zero}
    for row in table:
        typed, _, here, _ = [cell.strip() for cell in row.strip("|").split(" | ")]
        try:
            got = eval(typed.strip("~"), space)
        except Exception as error:
            got = type(error)
        if here == "a Value":
            assert type(got) is Value, row
        else:
            shown = got if isinstance(got, tuple) else (got,)
            names = [x.__name__ if isinstance(x, type) else str(x) for x in shown]
            assert re.findall("~([^~]+)~", here) == names, row


# --- methods, threads, and what a recording leaves -------------------------------------------


def test_a_subclass_can_call_and_change_each_rules_method(monkeypatch):
    kind: Any = Value

    class Loud(kind):
        def relu(self):
            out = super().relu()
            out.label = "loud"
            return out

    v = Loud(-1.0)
    assert v.relu().label == "loud" and v.relu().data == 0.0
    assert [x.data for x in map(kind.relu, [Value(-1.0), Value(2.0)])] == [0.0, 2.0]
    assert {"exp", "log", "tanh", "relu", "max", "abs"} <= {*dir(Value(1.0))}
    old = kind.tanh
    monkeypatch.setattr(Value, "tanh", lambda v: old(v) * 2)
    assert Value(0.5).tanh().data == 2 * math.tanh(0.5)
    monkeypatch.setitem(RULES, "exp", lambda a: (a + 1.0, (1.0,)))
    assert Value(1.0).exp().data == 2.0


def test_threads_that_share_parameters_add_up_their_gradients():
    ws = [Value(0.5) for _ in range(200)]

    def work():
        for _ in range(20):
            sum([w * 1.0 for w in ws]).backward()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(before)
    assert {w.grad for w in ws} == {80.0}


def test_a_value_that_a_recording_left_behind_says_so():
    p, kept = Value(1.0), []

    def loss(x):
        kept.append((p * x).relu())  # for a histogram, not for the loss
        return p * x

    micrograd.jit(loss, 1, [p])
    for use in (lambda v: v + 1, lambda v: (v * 2).backward(), lambda v: v.backward()):
        with pytest.raises(TypeError, match="left this Value without a number"):
            use(kept[0])
    assert p.grad == 0.0


def test_a_gradient_that_is_none_counts_as_none_in_a_compiled_walk_too():
    p = Value(2.0)
    p.grad = None  # type: ignore[assignment]
    assert micrograd.jit(lambda x: p * x, 1, [p]).backward([[3.0]]) == 6.0
    assert p.grad == 3.0
