"""Code written for the published package or the lecture runs unchanged, imports included."""

import importlib
import random

import numpy as np
import pytest
from fresh import python
from micrograd.engine import Value
from micrograd.nn import Module

import micrograd as module
from micrograd import nn

# --- imports ---------------------------------------------------------------------------------

IMPORTS = [
    "import micrograd.nn; micrograd.nn.MLP(2, [3, 1])",
    "import micrograd.engine; micrograd.engine.Value(1.0)",
    "import micrograd.nn as nn; nn.Neuron(2)",
    "from micrograd import nn; nn.Layer(2, 3)",
    "from micrograd import engine; engine.Value(1.0)",
    "from micrograd.engine import Value; Value(1.0)",
    "from micrograd.nn import Neuron, Layer, MLP; MLP(2, [3, 1])",
    "from micrograd.nn import Module; Module().zero_grad()",
    "from micrograd.engine import *; Value(1.0)",
    "from micrograd.nn import *; MLP(2, [3, 1])",
    "from micrograd import Value, Module, Neuron, Layer, MLP; MLP(2, [3, 1])",
    "import importlib; importlib.import_module('micrograd.nn').MLP(2, [3, 1])",
]


@pytest.mark.parametrize("line", IMPORTS)
def test_each_import_line_works_first_in_a_fresh_process_in_another_folder(line, tmp_path):
    assert python(f"{line}; print('works')", cwd=tmp_path) == "works\n"


def test_value_and_module_are_the_same_classes_under_every_name(tmp_path):
    program = """
from micrograd.nn import Value as third, Module as module_of_nn, MLP
from micrograd.engine import Value as second
from micrograd import Value as first, Module, nn, engine
import micrograd, micrograd.engine, micrograd.nn
assert first is second is third is micrograd.Value is micrograd.engine.Value is engine.Value
assert Module is module_of_nn is micrograd.nn.Module
assert nn is micrograd.nn and engine is micrograd.engine and MLP is nn.MLP
assert all(type(p) is first for flavour in (nn, micrograd)
           for p in flavour.MLP(2, [3, 1]).parameters())
"""
    python(program, cwd=tmp_path)


def test_the_two_flavours_are_one_implementation():
    for name in ("Neuron", "Layer", "MLP"):
        assert issubclass(getattr(nn, name), getattr(module, name))
        assert issubclass(getattr(nn, name), nn.Module)
        assert getattr(nn, name) is not getattr(module, name)
        assert getattr(nn, name).__name__ == name
        assert getattr(importlib.import_module("micrograd.nn"), name) is getattr(nn, name)


def test_importing_draws_no_random_number_and_prints_nothing(tmp_path):
    program = """
import random
before = random.getstate()
import micrograd, micrograd.nn
assert random.getstate() == before
"""
    assert python(program, cwd=tmp_path) == ""


def test_the_package_and_the_lecture_do_not_disturb_each_other():
    random.seed(1)
    assert (
        repr(nn.MLP(1, [1, 1]))
        == "MLP of [Layer of [ReLUNeuron(1)], Layer of [LinearNeuron(1)]]"
    )
    assert repr(module.MLP(1, [1, 1])) == (
        "MLP of [Layer of [TanhNeuron(1)], Layer of [TanhNeuron(1)]]"
    )
    assert nn.Neuron(2).b.data == 0.0 != module.Neuron(2).b.data


# --- networks, as the package writes them ----------------------------------------------------


def test_the_published_representations():
    assert repr(nn.Neuron(2)) == "ReLUNeuron(2)"
    assert repr(nn.Neuron(16, nonlin=False)) == "LinearNeuron(16)"
    assert repr(nn.Neuron(16, False)) == "LinearNeuron(16)"
    assert repr(nn.Neuron(3, nonlin=True)) == "ReLUNeuron(3)"
    assert repr(nn.Layer(2, 2)) == "Layer of [ReLUNeuron(2), ReLUNeuron(2)]"
    assert repr(nn.Layer(2, 2, nonlin=False)) == "Layer of [LinearNeuron(2), LinearNeuron(2)]"
    assert repr(nn.MLP(3, [2, 1])) == (
        "MLP of [Layer of [ReLUNeuron(3), ReLUNeuron(3)], Layer of [LinearNeuron(2)]]"
    )
    assert str(nn.MLP(1, [1])) == "MLP of [Layer of [LinearNeuron(1)]]"


def test_the_attributes_that_code_for_the_package_reads():
    model = nn.MLP(2, [3, 1])
    assert [len(layer.neurons) for layer in model.layers] == [3, 1]
    neuron = model.layers[0].neurons[0]
    assert len(neuron.w) == 2
    assert isinstance(neuron.b, Value)
    assert bool(neuron.nonlin) is True
    assert bool(model.layers[-1].neurons[0].nonlin) is False
    assert neuron.parameters() == [*neuron.w, neuron.b]


def test_a_module_of_the_users_own_has_its_gradients_cleared():
    class Line(Module):
        def __init__(self):
            self.slope, self.height = Value(2.0), Value(1.0)

        def __call__(self, x):
            return self.slope * x + self.height

        def parameters(self):
            return [self.slope, self.height]

    line = Line()
    line(3.0).backward()
    assert [p.grad for p in line.parameters()] == [3.0, 1.0]
    line.zero_grad()
    assert [p.grad for p in line.parameters()] == [0, 0]
    assert nn.Module().parameters() == []


def neuron_of_the_readme():
    random.seed(1337)
    n = nn.Neuron(2)
    x = [Value(1.0), Value(-2.0)]
    return n, x, n(x)


def test_the_neuron_of_the_readme():
    n, x, y = neuron_of_the_readme()
    random.seed(1337)
    w = [random.uniform(-1, 1), random.uniform(-1, 1)]
    assert [p.data for p in n.parameters()] == [*w, 0.0]
    assert y.data == w[0] - 2 * w[1] > 0
    y.backward()
    assert [v.grad for v in (*n.w, n.b, *x)] == [1.0, -2.0, 1.0, *w]


def field_trace(root):
    """The nodes and edges behind root, as code in the field collects them."""
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    return nodes, edges


def test_a_drawing_function_of_the_users_own_draws_the_neuron():
    graphviz = pytest.importorskip("graphviz")

    def draw(root, format="svg", rankdir="LR"):
        nodes, edges = field_trace(root)
        dot = graphviz.Digraph(format=format, graph_attr={"rankdir": rankdir})
        for n in nodes:
            label = "{ data %.4f | grad %.4f }" % (n.data, n.grad)  # noqa: UP031
            dot.node(name=str(id(n)), label=label, shape="record")
            if n._op:
                dot.node(name=str(id(n)) + n._op, label=n._op)
                dot.edge(str(id(n)) + n._op, str(id(n)))
        for n1, n2 in edges:
            dot.edge(str(id(n1)), str(id(n2)) + n2._op)
        return dot

    n, x, y = neuron_of_the_readme()
    y.backward()
    nodes, edges = field_trace(y)
    assert {*n.parameters(), *x, y} < nodes
    # One node fewer than the package's graph has: the sum is a single operator here.
    assert (len(nodes), len(edges)) == (9, 8)
    assert sorted(v._op for v in nodes if v._op) == ["*", "*", "relu", "sum"]
    source = draw(y).source
    assert source.count("shape=record") == 9
    assert source.count("->") == 8 + 4
    assert f"data {y.data:.4f} | grad 1.0000" in source
    assert f"data -2.0000 | grad {n.w[1].data:.4f}" in source


def test_our_drawing_function_draws_the_neuron():
    pytest.importorskip("graphviz")
    n, _, y = neuron_of_the_readme()
    y.backward()
    source = module.draw_dot(y).source
    assert source.count("shape=record") == 9
    assert source.count("->") == 8 + 4
    assert f"data {n.w[0].data:.4f}|grad 1.0000" in source
    nodes, edges = module.trace(y)
    assert (set(nodes), set(edges)) == field_trace(y)


def test_numpy_numbers_on_the_left_give_values():
    """In the demo, -yi is a NumPy integer."""
    score = nn.MLP(2, [4, 1])([0.5, -0.5])
    for yi in np.array([-1, 1]):
        y = 1 + -yi * score
        assert type(y) is Value
        assert y.data == 1 - int(yi) * score.data
        assert type(y.relu().data) is float


# --- the lecture -----------------------------------------------------------------------------


def test_the_lectures_calls_and_what_comes_back():
    random.seed(0)
    x = [2.0, 3.0, -1.0]
    n = module.Neuron(3)
    assert type(n(x)) is Value and -1 < n(x).data < 1
    layer = module.Layer(3, 4)
    assert [type(v) for v in layer(x)] == [Value] * 4
    model = module.MLP(3, [4, 4, 1])
    assert type(model(x)) is Value
    assert len(model.parameters()) == 41


def test_the_lectures_loop_runs_as_it_is_typed():
    random.seed(1337)
    n = module.MLP(3, [4, 4, 1])
    xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
    ys = [1.0, -1.0, -1.0, 1.0]
    losses = []
    for _ in range(20):
        ypred = [n(x) for x in xs]
        loss = sum((yout - ygt) ** 2 for ygt, yout in zip(ys, ypred, strict=True))
        for p in n.parameters():
            p.grad = 0.0
        loss.backward()
        for p in n.parameters():
            p.data += -0.05 * p.grad
        losses.append(loss.data)
    assert losses[-1] < 0.1 < 5 < losses[0]
    assert [round(y.data) for y in ypred] == ys
