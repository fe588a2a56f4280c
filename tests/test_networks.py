"""Networks: their weights, inputs, gradients, learning, copies and pictures."""

import copy
import gc
import json
import math
import pickle
import random
import re
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from fresh import python
from hypothesis import given, settings
from hypothesis import strategies as st
from micrograd.nn import MLP as PackageMLP

import micrograd
from micrograd import (
    MLP,
    RULES,
    Layer,
    Module,
    Neuron,
    Value,
    call,
    draw_network,
    gradcheck,
    nn,
)

FLAVOURS: dict[str, Any] = {"lecture": micrograd, "package": nn}
SHAPES = [(3, [4, 4, 1]), (2, [16, 16, 1]), (1, [1]), (2, [16, 1, 1]), (4, [1, 1, 3]), (5, [2])]

flavours = pytest.mark.parametrize("flavour", FLAVOURS)


def network(flavour, nin, nouts, seed=1337, **kwargs):
    random.seed(seed)
    return FLAVOURS[flavour].MLP(nin, nouts, **kwargs)


def data(module):
    return [p.data for p in module.parameters()]


def listed(out):
    """What a layer hands on, as a list also where it is one bare Value."""
    return [out] if isinstance(out, Value) else out


class Halves(Neuron):
    """A class in a module, so that pickle finds it."""

    activation, random_bias = "sigmoid", False


class HalvesLayer(Layer):
    neuron = Halves


class HalvesMLP(MLP):
    layer, linear_output = HalvesLayer, True


class Linear(MLP):
    linear_output = True


@pytest.fixture
def bump():
    """A rule of the reader's own, for as long as a test runs."""

    def bump(a):
        e = call(math.exp, -a * a)
        return e, (-2 * a * e,)

    RULES["bump"] = bump
    yield
    del RULES["bump"]


# --- parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("nin", "nouts"), SHAPES)
@flavours
def test_a_seed_gives_the_weights_of_the_lecture_and_of_the_package(flavour, nin, nouts, seed):
    """Both draw neuron by neuron: the lecture the weights then the bias, the package only the
    weights. And neither draws more than that."""
    model = network(flavour, nin, nouts, seed)
    after = random.getstate()
    random.seed(seed)
    expected = []
    for size, count in zip([nin, *nouts], nouts, strict=False):
        for _ in range(count):
            expected += [random.uniform(-1, 1) for _ in range(size)]
            expected += [random.uniform(-1, 1) if flavour == "lecture" else 0.0]
    assert data(model) == expected
    assert random.getstate() == after


@flavours
def test_biases_of_the_package_are_zero_and_those_of_the_lecture_are_drawn(flavour):
    biases = [
        n.b.data for layer in network(flavour, 3, [4, 4, 1]).layers for n in layer.neurons
    ]
    if flavour == "package":
        assert biases == [0.0] * 9
    else:
        assert len(set(biases)) == 9 and all(-1 <= b <= 1 for b in biases)


@pytest.mark.parametrize(
    ("nin", "nouts", "count"), [(3, [4, 4, 1], 41), (2, [16, 16, 1], 337), (1, [1], 2)]
)
@flavours
def test_parameters_are_counted_and_come_neuron_by_neuron_weights_first(
    flavour, nin, nouts, count
):
    model = network(flavour, nin, nouts)
    parameters = model.parameters()
    assert len(parameters) == len(set(parameters)) == count
    assert all(type(p) is Value for p in parameters)
    neurons = [n for layer in model.layers for n in layer.neurons]
    assert parameters == [p for n in neurons for p in (*n.w, n.b)]
    assert parameters == [p for layer in model.layers for p in layer.parameters()]
    assert model.parameters() == parameters


@flavours
def test_zero_grad_clears_every_parameter_and_changes_no_data(flavour):
    model = network(flavour, 3, [4, 4, 1])
    before = data(model)
    for module in (model.layers[0].neurons[0], model.layers[0], model):
        for p in model.parameters():
            p.grad = 2.0
        module.zero_grad()
        cleared = set(module.parameters())
        assert all(p.grad == (0.0 if p in cleared else 2.0) for p in model.parameters())
    assert data(model) == before


@flavours
def test_without_zero_grad_gradients_add_up(flavour):
    model = network(flavour, 3, [4, 1])
    model([2.0, 3.0, -1.0]).backward()
    once = [p.grad for p in model.parameters()]
    model([2.0, 3.0, -1.0]).backward()
    assert [p.grad for p in model.parameters()] == [2 * g for g in once]


def test_every_kind_of_module_is_a_module():
    for model in (Neuron(1), Layer(1, 1), MLP(1, [1]), nn.Neuron(1), nn.Layer(1, 1)):
        assert isinstance(model, Module)


# --- shapes ----------------------------------------------------------------------------------


@flavours
def test_a_layer_of_one_neuron_hands_back_its_value_bare(flavour):
    kinds = FLAVOURS[flavour]
    x = [1.0, -2.0]
    assert type(kinds.Neuron(2)(x)) is Value
    assert type(kinds.Layer(2, 1)(x)) is Value
    assert type(kinds.MLP(2, [3, 1])(x)) is Value
    assert [type(v) for v in kinds.Layer(2, 3)(x)] == [Value] * 3
    assert [type(v) for v in kinds.MLP(2, [3, 2])(x)] == [Value] * 2


@pytest.mark.parametrize("nouts", [[16, 1, 1], [1, 16, 1], [1, 1, 1], [1, 1, 2]])
@flavours
def test_a_hidden_layer_of_one_neuron_works_forwards_and_backwards(flavour, nouts):
    model = network(flavour, 2, nouts, seed=4)
    y = sum(listed(model([0.5, -0.25])))
    y.backward()
    layers = as_torch(model)
    u = forward(layers, torch.tensor([[0.5, -0.25]], dtype=torch.float64)).sum()
    u.backward()
    assert y.data == pytest.approx(u.item(), rel=1e-12)
    assert_same_gradients(model, layers)


@flavours
def test_the_smallest_network_is_one_neuron(flavour):
    model = network(flavour, 1, [1])
    w, b = data(model)
    y = model([2.0])
    assert y.data == (w * 2 + b if flavour == "package" else math.tanh(w * 2 + b))
    y.backward()
    assert model.parameters()[1].grad != 0.0


@pytest.mark.parametrize("kind", [tuple, np.array], ids=["tuple", "array"])
@flavours
def test_the_sizes_of_layers_come_in_any_sequence(flavour, kind):
    assert data(network(flavour, 3, kind([4, 4, 1]))) == data(network(flavour, 3, [4, 4, 1]))


# --- inputs ----------------------------------------------------------------------------------

X = [2.0, 3.0, -1.0]
WAYS = {
    "a list of floats": X,
    "a tuple": tuple(X),
    "integers": [2, 3, -1],
    "Values": [Value(x) for x in X],
    "Values and numbers": [Value(2.0), 3.0, -1],
    "a row of float64": np.array(X),
    "a row of float32": np.array(X, dtype=np.float32),
    "a row of integers": np.array([2, 3, -1]),
    "a row of a matrix": np.array([[0.0] * 3, X])[1],
    "NumPy scalars": [np.float64(2.0), np.int64(3), np.float32(-1.0)],
}
ITERATORS = {
    "a generator": lambda xs: (x for x in xs),
    "an iterator": iter,
    "a map, as in Python 3": lambda xs: map(Value, xs),
}


@pytest.mark.parametrize("way", WAYS)
@flavours
def test_every_way_to_write_an_input_gives_the_same_output(flavour, way):
    model = network(flavour, 3, [4, 4, 1])
    y = model(WAYS[way])
    assert (type(y), type(y.data)) == (Value, float)
    assert y.data == model(X).data


@pytest.mark.parametrize("way", ITERATORS)
@flavours
def test_an_input_that_can_be_read_only_once_reaches_every_neuron(flavour, way):
    kinds, once = FLAVOURS[flavour], ITERATORS[way]
    for model in (kinds.Neuron(3), kinds.Layer(3, 4), kinds.MLP(3, [4, 4, 1])):
        expected = [v.data for v in listed(model(X))]
        assert [v.data for v in listed(model(once(X)))] == expected


def test_booleans_are_inputs_too():
    model = MLP(2, [3, 1])
    assert model([True, False]).data == model([1.0, 0.0]).data
    assert model(np.array([True, False])).data == model([1.0, 0.0]).data


@pytest.mark.parametrize("given", [0, 1, 2, 4, 7])
@pytest.mark.parametrize("kind", ["Neuron", "Layer", "MLP"])
@pytest.mark.parametrize(
    "way", [list, np.array, iter, lambda xs: (Value(x) for x in xs)], ids=range(4)
)
@flavours
def test_a_wrong_number_of_inputs_is_refused_with_both_numbers(flavour, kind, given, way):
    """Too few, too many, none; and an iterator is told as well as a list is."""
    arguments = {"Neuron": (3,), "Layer": (3, 4), "MLP": (3, [4, 1])}[kind]
    model = getattr(FLAVOURS[flavour], kind)(*arguments)
    with pytest.raises(ValueError) as error:
        model(way([1.0] * given))
    assert re.findall(r"\d+", str(error.value)) == ["3", str(given)]
    assert "inputs" in str(error.value)


@flavours
def test_a_refused_input_leaves_the_network_as_it_was(flavour):
    model = network(flavour, 3, [4, 1])
    before = model(X).data
    with pytest.raises(ValueError):
        model([1.0])
    assert model(X).data == before
    assert [p.grad for p in model.parameters()] == [0.0] * len(model.parameters())


@flavours
def test_a_single_value_is_the_input_of_a_neuron_with_one_and_of_no_other(flavour):
    one, two = network(flavour, 1, [3, 1]), network(flavour, 2, [3, 1])
    x = Value(0.5)
    y = one(x)
    assert y.data == one([0.5]).data
    y.backward()
    again = Value(0.5)
    one([again]).backward()
    assert x.grad == again.grad
    with pytest.raises(ValueError, match="2 inputs.* 1$"):
        two(x)


@pytest.mark.parametrize("x", [1.0, 2, np.float64(1.0), None], ids=str)
@flavours
def test_a_single_number_is_never_taken_for_two_inputs(flavour, x):
    with pytest.raises((TypeError, ValueError)):
        network(flavour, 2, [3, 1])(x)


@pytest.mark.parametrize("x", [["1", "2"], [None, 1.0], [1j, 1.0], [[1.0], [2.0]], np.eye(2)])
@flavours
def test_inputs_that_are_no_numbers_are_refused_in_the_words_of_value(flavour, x):
    with pytest.raises(TypeError, match="int, float, bool or real NumPy scalar"):
        network(flavour, 2, [3, 1])(x)


@flavours
def test_gradients_reach_the_inputs(flavour):
    model = network(flavour, 3, [4, 4, 1], seed=2)
    assert gradcheck(lambda *x: model(x), X)
    x = [Value(v) for v in X]
    model(x).backward()
    t = torch.tensor([X], dtype=torch.float64, requires_grad=True)
    forward(as_torch(model), t).sum().backward()
    assert t.grad is not None
    assert [v.grad for v in x] == pytest.approx(t.grad[0].tolist(), rel=1e-12, abs=1e-15)


# --- gradients, against the same network in PyTorch ------------------------------------------


def as_torch(model):
    """For each layer: its weights and biases as float64 tensors, and the name of its rule."""

    def tensor(values):
        return torch.tensor(values, dtype=torch.float64, requires_grad=True)

    return [
        (
            tensor([[w.data for w in n.w] for n in layer.neurons]),
            tensor([n.b.data for n in layer.neurons]),
            layer.neurons[0].nonlin,
        )
        for layer in model.layers
    ]


def forward(layers, x):
    """From a row for each example to a row of outputs for each."""
    for w, b, nonlin in layers:
        x = x @ w.T + b
        x = getattr(torch, nonlin)(x) if nonlin else x
    return x


def assert_same_gradients(model, layers):
    """Within 1e-12 of the largest, since sums are added up in another order."""
    expected = []
    for w, b, _ in layers:
        for row, bias in zip(w.grad.tolist(), b.grad.tolist(), strict=True):
            expected += [*row, bias]
    found = [p.grad for p in model.parameters()]
    largest = max(1e-3, *map(abs, expected))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12 * largest)


def squared(out, wanted):
    """The sum of squared errors: of the model's answers, or of PyTorch's."""
    return sum((o - y) ** 2 for o, y in zip(out, wanted, strict=True))


def max_margin(out, wanted, parameters):
    losses = [(1 + -y * o).relu() for o, y in zip(out, wanted, strict=True)]
    return sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in parameters)


def assert_agrees_with_pytorch(model, rows, wanted, loss):
    layers = as_torch(model)
    out = [v for row in rows for v in listed(model(row))]
    u = forward(layers, torch.tensor(rows, dtype=torch.float64)).flatten()
    assert [v.data for v in out] == pytest.approx(u.tolist(), rel=1e-12, abs=1e-12)
    if loss == "squared errors":
        y, u = squared(out, wanted), squared(u, wanted)
    else:
        tensors = [p for w, b, _ in layers for p in (*w.flatten(), *b)]
        y, u = max_margin(out, wanted, model.parameters()), max_margin(u, wanted, tensors)
    model.zero_grad()
    y.backward()
    u.backward()
    assert y.data == pytest.approx(u.item(), rel=1e-12)
    assert_same_gradients(model, layers)


@pytest.mark.parametrize("loss", ["squared errors", "max margin and penalty"])
@pytest.mark.parametrize(("nin", "nouts"), SHAPES)
@flavours
def test_gradients_of_a_whole_network_are_those_of_pytorch(flavour, nin, nouts, loss):
    model = network(flavour, nin, nouts, seed=7)
    rows = [[random.uniform(-2, 2) for _ in range(nin)] for _ in range(8)]
    wanted = [random.choice([-1, 1]) for _ in range(8 * nouts[-1])]
    assert_agrees_with_pytorch(model, rows, wanted, loss)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(FLAVOURS)),
    st.integers(1, 4),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.sampled_from([True, False, "tanh", "relu", "sigmoid"]),
    st.integers(0, 2**32),
)
def test_gradients_of_any_network_are_those_of_pytorch(flavour, nin, nouts, nonlin, seed):
    model = network(flavour, nin, nouts, seed, nonlin=nonlin)
    rows = [[random.uniform(-2, 2) for _ in range(nin)] for _ in range(3)]
    wanted = [random.choice([-1, 1]) for _ in range(3 * nouts[-1])]
    assert_agrees_with_pytorch(model, rows, wanted, "squared errors")


# --- activations -----------------------------------------------------------------------------


@pytest.mark.parametrize("nonlin", ["tanh", "relu", "sigmoid", "exp", False])
@flavours
def test_an_activation_is_the_rule_of_that_name_or_none(flavour, nonlin):
    random.seed(5)
    neuron = FLAVOURS[flavour].Neuron(2, nonlin=nonlin)
    neuron.b.data = 0.25
    total = 0.25 + neuron.w[0].data * 0.5 + neuron.w[1].data * -0.25
    y = neuron([0.5, -0.25])
    assert y.data == (RULES[nonlin](total)[0] if nonlin else total)
    assert y._op == (nonlin or "sum")
    layer = FLAVOURS[flavour].Layer(2, 3, nonlin=nonlin)
    assert [v._op for v in layer([0.5, -0.25])] == [nonlin or "sum"] * 3


def test_the_default_is_tanh_everywhere_for_the_lecture_and_a_linear_end_for_the_package():
    def rules(model):
        return [{n.nonlin for n in layer.neurons} for layer in model.layers]

    assert rules(MLP(2, [3, 4, 1])) == [{"tanh"}] * 3
    assert rules(nn.MLP(2, [3, 4, 1])) == [{"relu"}, {"relu"}, {False}]
    assert rules(MLP(2, [3, 4, 2], nonlin="sigmoid")) == [{"sigmoid"}] * 3
    assert rules(MLP(2, [3, 4, 2], nonlin=False)) == [{False}] * 3
    assert rules(nn.MLP(2, [3, 4, 1], nonlin="tanh")) == [{"tanh"}, {"tanh"}, {False}]


def test_a_network_is_shown_with_its_activations():
    assert repr(Neuron(2)) == "TanhNeuron(2)"
    assert repr(Neuron(3, nonlin="sigmoid")) == "SigmoidNeuron(3)"
    assert repr(Neuron(3, nonlin="relu")) == "ReLUNeuron(3)"
    assert repr(Layer(2, 2)) == "Layer of [TanhNeuron(2), TanhNeuron(2)]"
    assert repr(MLP(2, [1], nonlin=False)) == "MLP of [Layer of [LinearNeuron(2)]]"


def test_a_rule_of_the_readers_own_is_an_activation(bump):
    random.seed(3)
    model = MLP(2, [4, 4, 1], nonlin="bump")
    assert repr(model.layers[-1]) == "Layer of [BumpNeuron(4)]"
    assert gradcheck(lambda *x: model(x), [0.3, -0.4])
    parameters = model.parameters()
    model.zero_grad()
    model([0.3, -0.4]).backward()
    i = max(range(len(parameters)), key=lambda i: abs(parameters[i].grad))
    p, h = parameters[i], 1e-6
    (slope,) = micrograd.slopes(lambda x: moved(model, p, x), p.data, h=h)
    assert p.grad == pytest.approx(slope, rel=1e-6)


def moved(model, p, x):
    before, p.data = p.data, x
    y = model([0.3, -0.4]).data
    p.data = before
    return y


@pytest.mark.parametrize("kind", ["Neuron", "Layer", "MLP"])
@flavours
def test_an_unknown_activation_is_an_error_that_says_what_there_is(flavour, kind):
    """When it is built or when it is first called."""
    arguments = {"Neuron": (2,), "Layer": (2, 3), "MLP": (2, [3, 1])}[kind]
    with pytest.raises((ValueError, KeyError, AttributeError)) as error:
        getattr(FLAVOURS[flavour], kind)(*arguments, nonlin="softplus")([1.0, 2.0])
    assert "softplus" in str(error.value)
    assert "RULES" in str(error.value) or "sigmoid" in str(error.value)


@flavours
def test_an_unknown_keyword_is_refused(flavour):
    with pytest.raises(TypeError, match="bias"):
        FLAVOURS[flavour].MLP(2, [3, 1], bias=False)


def test_a_network_without_activations_is_a_line():
    model = MLP(1, [8, 16, 1], nonlin=False)
    out = [model([float(x)]).data for x in range(-3, 4)]
    steps = [after - before for before, after in zip(out, out[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * 6, rel=1e-9, abs=1e-12)


# --- learning --------------------------------------------------------------------------------

POINTS = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
WANTED = [1.0, -1.0, -1.0, 1.0]


def train(model, points, loss_of, steps, rate):
    """The losses before each step of gradient descent."""
    losses = []
    for _ in range(steps):
        loss = loss_of([model(x) for x in points])
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= rate * p.grad
        losses.append(loss.data)
    return losses


@pytest.mark.parametrize("seed", range(50))
def test_the_four_points_are_learned_from_every_seed(seed):
    """The bound holds with a margin: of the seeds 0 to 199, the worst ends on 0.085, half of
    them below 0.0072. (After 50 steps, one of the 200 still stands at 2.7.)"""
    model = network("lecture", 3, [4, 4, 1], seed)
    losses = train(model, POINTS, lambda out: squared(out, WANTED), 101, 0.05)
    assert losses[0] > 1.0
    assert losses[-1] < 0.1
    assert [round(model(x).data) for x in POINTS] == WANTED


def test_learning_takes_the_same_steps_as_in_pytorch():
    model = network("lecture", 3, [4, 4, 1])
    layers = as_torch(model)
    parameters = [p for w, b, _ in layers for p in (w, b)]
    sgd = torch.optim.SGD(parameters, lr=0.05)
    expected = []
    for _ in range(20):
        out = forward(layers, torch.tensor(POINTS, dtype=torch.float64))[:, 0]
        loss = squared(out, WANTED)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        expected.append(loss.item())
    found = train(model, POINTS, lambda out: squared(out, WANTED), 20, 0.05)
    assert found == pytest.approx(expected, rel=1e-10)


def negative_log_likelihood(logits, label):
    powers = [x.exp() for x in logits]
    return -(powers[label] / sum(powers)).log()


def test_softmax_and_negative_log_likelihood_of_a_layer_have_the_known_answer():
    layer = Layer(2, 4, nonlin=False)
    for neuron, logit in zip(layer.neurons, [0.0, 3.0, -2.0, 1.0], strict=True):
        for w in neuron.w:
            w.data = 0.0
        neuron.b.data = logit
    loss = negative_log_likelihood(layer([1.0, -2.0]), 3)
    loss.backward()
    known = [
        0.041772570515350445,
        0.8390245074625319,
        0.005653302662216329,
        -0.8864503806400986,
    ]
    assert loss.data == pytest.approx(2.1755153626167147, rel=1e-13)
    assert [n.b.grad for n in layer.neurons] == pytest.approx(known, rel=1e-13)
    assert [n.w[1].grad for n in layer.neurons] == pytest.approx([-2 * g for g in known])


@flavours
def test_a_network_learns_to_tell_four_classes(flavour):
    def loss_of(out):
        return sum(negative_log_likelihood(logits, label) for label, logits in enumerate(out))

    model = network(flavour, 3, [8, 4], seed=1, nonlin="tanh")
    losses = train(model, POINTS, loss_of, 100, 0.1)
    assert losses[-1] < losses[0] / 4
    for label, x in enumerate(POINTS):
        assert max(range(4), key=model(x).__getitem__) == label


@flavours
def test_a_forward_pass_leaves_nothing_to_the_garbage_collector(flavour):
    model = network(flavour, 3, [4, 4, 1])
    gc.collect()
    gc.disable()
    try:
        y = model(X)
        y.backward()
        kept = weakref.ref(y)
        del y
        assert kept() is None
        refused = weakref.ref(model)
        del model
        assert refused() is None
    finally:
        gc.enable()


# --- saved, loaded, copied -------------------------------------------------------------------


@pytest.mark.parametrize("nouts", [[4, 4, 1], [1, 1, 2]])
@flavours
def test_a_pickled_network_is_loaded_by_a_fresh_process(flavour, nouts, tmp_path):
    """One that has not imported micrograd."""
    model = network(flavour, 3, nouts)
    sum(listed(model(X))).backward()
    expected = [v.data for v in listed(model(X))], [p.grad for p in model.parameters()]
    file = tmp_path / "model.pickle"
    file.write_bytes(pickle.dumps(model))
    program = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    model = pickle.load(file)
out = model([2.0, 3.0, -1.0])
out = out if isinstance(out, list) else [out]
print([v.data for v in out], [p.grad for p in model.parameters()], sep=", ")
print(model)
"""
    numbers, shown = python(program, str(file)).splitlines()
    assert tuple(json.loads(f"[{numbers}]")) == expected
    assert shown == repr(model)


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy]
    + [
        lambda m, n=n: pickle.loads(pickle.dumps(m, n))
        for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ],
    ids=["deepcopy"] + [f"pickle {n}" for n in range(2, pickle.HIGHEST_PROTOCOL + 1)],
)
@pytest.mark.parametrize("kind", [MLP, nn.MLP, HalvesMLP, Linear])
def test_a_copy_is_the_same_network_and_lives_on_its_own(kind, duplicate):
    model = kind(3, [4, 4, 1])
    model(X).backward()
    twin = duplicate(model)
    assert type(twin) is kind
    assert repr(twin) == repr(model)
    assert data(twin) == data(model)
    assert [p.grad for p in twin.parameters()] == [p.grad for p in model.parameters()]
    assert twin(X).data == model(X).data
    assert not {*twin.parameters()} & {*model.parameters()}

    before, expected = data(model), model(X).data
    train(twin, [X], lambda out: (out[0] - 1) ** 2, 3, 0.1)
    assert data(twin) != before
    assert (data(model), model(X).data) == (before, expected)


@flavours
def test_neurons_and_layers_are_pickled_too(flavour):
    kinds = FLAVOURS[flavour]
    for part in (kinds.Neuron(3), kinds.Layer(3, 4), kinds.Layer(3, 1, nonlin=False)):
        twin = pickle.loads(pickle.dumps(part))
        assert (type(twin), repr(twin), data(twin)) == (type(part), repr(part), data(part))


@flavours
def test_parameters_saved_as_json_make_the_same_network(flavour):
    model = network(flavour, 3, [4, 4, 1])
    train(model, [X], lambda out: (out[0] - 1) ** 2, 3, 0.05)
    saved = json.dumps(data(model))
    other = network(flavour, 3, [4, 4, 1], seed=99)
    assert other(X).data != model(X).data
    for p, number in zip(other.parameters(), json.loads(saved), strict=True):
        p.data = number
    for x in POINTS:
        assert other(x).data == model(x).data


# --- classes of one's own --------------------------------------------------------------------


def test_a_subclass_sets_class_attributes_and_nothing_else():
    random.seed(1337)
    linear = Linear(3, [4, 4, 1])
    random.seed(1337)
    assert data(linear) == data(MLP(3, [4, 4, 1]))
    assert repr(linear.layers[-1]) == "Layer of [LinearNeuron(4)]"
    assert repr(linear.layers[0].neurons[0]) == "TanhNeuron(3)"
    assert MLP.linear_output is False, "the class it comes from is as it was"
    assert repr(Linear(1, [1, 1], nonlin="sigmoid")) == (
        "MLP of [Layer of [SigmoidNeuron(1)], Layer of [LinearNeuron(1)]]"
    )


def test_a_subclass_reaches_down_to_the_neurons():
    random.seed(1)
    model = HalvesMLP(2, [3, 1])
    assert [type(layer) for layer in model.layers] == [HalvesLayer] * 2
    assert {type(n) for layer in model.layers for n in layer.neurons} == {Halves}
    assert [n.b.data for layer in model.layers for n in layer.neurons] == [0.0] * 4
    assert [n.nonlin for n in model.layers[0].neurons] == ["sigmoid"] * 3
    assert model.layers[1].neurons[0].nonlin is False
    rows, wanted = [[0.5, -1.0], [1.0, 2.0]], [1, -1]
    assert_agrees_with_pytorch(model, rows, wanted, "squared errors")


def test_the_packages_classes_are_subclassed_like_the_others():
    class Squashed(PackageMLP):
        linear_output = False

    random.seed(1)
    model = Squashed(2, [3, 1])
    assert repr(model.layers[-1]) == "Layer of [ReLUNeuron(3)]"
    assert [n.b.data for n in model.layers[0].neurons] == [0.0] * 3


def test_a_network_of_a_subclass_is_trained_as_any_other():
    random.seed(1337)
    model = Linear(3, [4, 4, 1])
    losses = train(model, POINTS, lambda out: squared(out, WANTED), 100, 0.02)
    assert losses[-1] < losses[0] / 10


# --- drawing ---------------------------------------------------------------------------------


def edges(picture):
    return re.findall(r'^\s*"?([\w.]+)"? -> "?([\w.]+)"?', picture.source, re.MULTILINE)


@pytest.mark.parametrize(("nin", "nouts"), SHAPES)
@flavours
def test_the_folded_picture_has_an_edge_for_each_weight(flavour, nin, nouts):
    model = network(flavour, nin, nouts)
    picture = draw_network(model)
    drawn = edges(picture)
    neurons = [n for layer in model.layers for n in layer.neurons]
    assert len(drawn) == len(set(drawn)) == sum(len(n.w) for n in neurons)
    assert len({end for _, end in drawn}) == len(neurons)
    assert len({node for edge in drawn for node in edge}) == nin + len(neurons)
    for name in {n.nonlin or "+" for n in neurons}:
        count = sum((n.nonlin or "+") == name for n in neurons)
        assert len(re.findall(rf'label="?{re.escape(name)}"?[ \]]', picture.source)) == count


def test_positive_and_negative_weights_are_told_apart_and_wider_means_larger():
    layer = Layer(2, 1)
    model = MLP(2, [1])
    model.layers = [layer]
    layer.neurons[0].w[0].data, layer.neurons[0].w[1].data = 0.5, -0.25
    first, second = [line for line in draw_network(model).source.splitlines() if "->" in line]

    def color_and_width(line):
        found = re.search(r'color="(.*?)".*penwidth="?([\d.]+)', line)
        assert found
        return found[1], float(found[2])

    (blue, wide), (red, narrow) = color_and_width(first), color_and_width(second)
    assert blue != red
    assert wide > narrow > 0


def test_a_network_of_more_than_a_thousand_weights_is_not_drawn():
    assert len(edges(draw_network(MLP(25, [40])))) == 1000
    with pytest.raises(ValueError, match="1001 weights"):
        draw_network(MLP(77, [13]))


def test_drawing_a_network_changes_nothing_and_takes_a_format():
    model = MLP(3, [4, 1])
    before = data(model)
    assert draw_network(model).format == "svg"
    assert draw_network(model, format="png").format == "png"
    assert data(model) == before


def test_networks_their_results_and_pictures_are_the_same_whatever_the_hash_seed():
    program = """
import random
from micrograd import MLP, draw_network, nn
for kind in (MLP, nn.MLP):
    random.seed(3)
    model = kind(3, [4, 1, 4, 1])
    y = model([2.0, 3.0, -1.0]) + 1e-4 * sum(p * p for p in model.parameters())
    y.backward()
    print(y, [p.grad for p in model.parameters()], draw_network(model).source)
"""
    outputs = {python(program, PYTHONHASHSEED=seed) for seed in ["0", "1", "12345", "random"]}
    assert len(outputs) == 1
    assert outputs.pop().count("digraph") == 2


@pytest.mark.parametrize("nonlin", ["+", "**"])
def test_an_activation_must_be_a_rule_of_one_number(nonlin):
    with pytest.raises(ValueError, match="tanh"):
        Neuron(2, nonlin=nonlin)


def test_a_neuron_with_one_input_takes_it_bare():
    random.seed(1)
    n = Neuron(1)
    assert n(2.0).data == n([2.0]).data == n(Value(2.0)).data == n(np.float64(2.0)).data
