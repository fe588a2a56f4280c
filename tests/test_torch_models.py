"""to_torch and from_torch: the same network, with the same parameters, on either side."""

import random

import pytest
import torch
from fresh import python
from hypothesis import given
from hypothesis import strategies as st

import micrograd
from micrograd import MLP, Layer, Neuron, Value, from_torch, nn, to_torch

KINDS = {"tanh": "Tanh", "relu": "ReLU", "sigmoid": "Sigmoid", False: None}


networks = st.tuples(
    st.sampled_from([MLP, nn.MLP]),
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(list(KINDS))), min_size=2, max_size=4
    ),
    st.booleans(),
    st.integers(0, 2**32),
)


def build(flavour, plan, mixed, seed):
    """A network of either flavour; if mixed, each layer has an activation of its own."""
    random.seed(seed)
    sizes = [size for size, _ in plan]
    model = flavour(sizes[0], sizes[1:])
    if mixed:
        pairs = zip(sizes, plan[1:], strict=False)
        model.layers = [Layer(nin, nout, nonlin=kind) for nin, (nout, kind) in pairs]
    return model


def values(out):
    return out if isinstance(out, list) else [out]


def close(ours, theirs):
    return ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)


def parameters(net, what=torch.Tensor.detach):
    """The numbers of a Sequential in the order of our parameters(): row, bias, row, bias..."""
    linears = [module for module in net if isinstance(module, torch.nn.Linear)]
    pairs = [(what(linear.weight), what(linear.bias)) for linear in linears]
    return [x for w, b in pairs for x in torch.column_stack([w, b]).flatten().tolist()]


@given(networks, st.data())
def test_outputs_and_gradients_agree_to_twelve_digits(network, data):
    model = build(*network)
    nin = len(model.layers[0].neurons[0].w)
    x = data.draw(st.lists(st.floats(-3, 3), min_size=nin, max_size=nin))
    net = to_torch(model)
    inputs = [Value(xi) for xi in x]
    tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    ours, theirs = values(model(inputs)), net(tensor)
    assert theirs.shape == (len(ours),)
    assert close([v.data for v in ours], theirs.tolist())

    sum(v * (i + 1) for i, v in enumerate(ours)).backward()
    (theirs * torch.arange(1, len(ours) + 1)).sum().backward()
    assert tensor.grad is not None
    assert close([v.grad for v in inputs], tensor.grad.tolist())
    assert close([p.grad for p in model.parameters()], parameters(net, lambda p: p.grad))


@given(networks)
def test_a_model_is_made_of_torchs_own_modules_in_float64_and_nothing_else(network):
    model = build(*network)
    expected = []
    for layer in model.layers:
        name = KINDS[layer.neurons[0].nonlin]
        expected += ["Linear"] + [name] * (name is not None)
    net = to_torch(model)
    assert type(net) is torch.nn.Sequential
    assert [type(module).__name__ for module in net] == expected
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())
    assert parameters(net) == [p.data for p in model.parameters()]


@given(networks)
def test_there_and_back_again_is_the_same_network_to_the_last_bit(network):
    model = build(*network)
    again = from_torch(to_torch(model))
    assert repr(again) == repr(model)
    assert [p.data for p in again.parameters()] == [p.data for p in model.parameters()]
    assert parameters(to_torch(again)) == parameters(to_torch(model))


def test_parameters_are_copies_in_both_directions():
    model = MLP(2, [3, 1])
    net = to_torch(model)
    before = parameters(net)
    for p in model.parameters():
        p.data += 1
    assert parameters(net) == before
    again = from_torch(net)
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
    assert [p.data for p in again.parameters()] == before


def test_no_random_number_is_drawn_on_either_side():
    model = MLP(2, [3, 1])
    states = random.getstate(), torch.random.get_rng_state()
    from_torch(to_torch(model))
    assert random.getstate() == states[0]
    assert torch.equal(torch.random.get_rng_state(), states[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_shorter_numbers_come_over_exactly(dtype):
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    model = from_torch(net.to(dtype))
    assert [p.data for p in model.parameters()] == parameters(net)
    assert parameters(to_torch(model)) == parameters(net.double())


def test_a_network_trained_in_torch_computes_the_same_here():
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    net = net.double()
    x = torch.randn(40, 2, dtype=torch.float64)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(50):
        loss = (net(x)[:, 0] - x[:, 0] * x[:, 1]).square().mean()
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    model = from_torch(net)
    assert close([model(row).data for row in x.tolist()], net(x)[:, 0].tolist())


def test_a_model_without_layers_hands_on_its_inputs_on_either_side():
    net = to_torch(MLP(2, []))
    assert net(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert from_torch(net)([1.0, 2.0]) == [1.0, 2.0]


class Residual(MLP):
    def __call__(self, x):
        return super().__call__(x) + x[0]


class Doubled(Neuron):
    def __call__(self, x):
        return super().__call__(x) * 2


class DoubledLayer(Layer):
    neuron = Doubled


class Reversed(Layer):
    def __call__(self, x):
        return super().__call__(x)[::-1]


def mixed():
    model = MLP(2, [4, 4, 1])
    model.layers[1].neurons[3].nonlin = "relu"
    return model


def ragged():
    model = MLP(2, [4, 4, 1])
    model.layers[1].neurons[2].w.pop()
    return model


def misfit():
    model = MLP(2, [4, 1])
    model.layers[1] = Layer(3, 1)
    return model


def tied(i, k):
    model = MLP(2, [3, 2])
    model.layers[i].neurons[k].b = model.layers[0].neurons[0].w[1]
    return model


def with_layer(layer):
    model = MLP(2, [2, 1])
    model.layers[0] = layer
    return model


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (
            mixed,
            ValueError,
            "layer 1, neuron 3: its activation is relu, that of neuron 0 is tanh",
        ),
        (ragged, ValueError, "layer 1, neuron 2: it has 3 weights, for 4 inputs"),
        (misfit, ValueError, "layer 1, neuron 0: it has 3 weights, for 4 inputs"),
        (
            lambda: tied(1, 1),
            ValueError,
            "layer 1, neuron 1: one of its parameters is used in two",
        ),
        (
            lambda: tied(0, 0),
            ValueError,
            "layer 0, neuron 0: one of its parameters is used in two",
        ),
        (lambda: MLP(2, [3, 0]), ValueError, "layer 1 has no neurons"),
        (
            lambda: MLP(2, [2], nonlin="exp"),
            ValueError,
            "layer 0: torch.nn has no module for exp",
        ),
        (
            lambda: nn.MLP(2, [2, 2, 1], nonlin="abs"),
            ValueError,
            "layer 0: torch.nn has no .* abs",
        ),
        (lambda: Residual(2, [2]), TypeError, "the model is of type Residual, .* MLP does"),
        (
            lambda: with_layer(Reversed(2, 2)),
            TypeError,
            "layer 0 is of type Reversed, .* Layer",
        ),
        (
            lambda: with_layer(DoubledLayer(2, 2)),
            TypeError,
            "layer 0, neuron 0 is of type Doubled",
        ),
        (lambda: Layer(2, 2), TypeError, "the model is of type Layer, .* MLP does"),
        (lambda: Neuron(2), TypeError, "the model is of type Neuron, .* MLP does"),
        (lambda: torch.nn.Linear(2, 2), TypeError, "the model is of type Linear, .* MLP does"),
        (lambda: None, TypeError, "the model is of type NoneType, .* MLP does"),
    ],
)
def test_a_model_without_such_a_form_is_refused_and_the_part_is_named(make, error, says):
    with pytest.raises(error, match=says):
        to_torch(make())


def test_a_readers_own_rule_is_refused_even_under_a_known_name(monkeypatch):
    monkeypatch.setitem(micrograd.RULES, "square", lambda a: (a * a, (2 * a,)))
    with pytest.raises(ValueError, match="layer 0: torch.nn has no module for square"):
        to_torch(MLP(2, [2, 1], nonlin="square"))
    monkeypatch.setitem(micrograd.RULES, "relu", lambda a: (a * 0.1, (0.1,)))
    with pytest.raises(ValueError, match="layer 0: torch.nn has no module for relu"):
        to_torch(nn.MLP(2, [2, 1]))
    with pytest.raises(ValueError, match="module 1, ReLU"):
        from_torch(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()))


@pytest.mark.parametrize(
    ("modules", "says"),
    [
        (
            [torch.nn.Linear(2, 3, bias=False)],
            r"module 0, Linear\(.*bias=False\): .* with a bias",
        ),
        ([torch.nn.Linear(2, 3), torch.nn.GELU()], r"module 1, GELU\(.*\): .* or Tanh, ReLU"),
        ([torch.nn.Linear(2, 3), torch.nn.Linear(4, 1)], r"module 1, Linear.*and 3 inputs"),
        ([torch.nn.Tanh(), torch.nn.Linear(2, 3)], r"module 0, Tanh\(\): "),
        ([torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Tanh()], r"module 2, Tanh\(\): "),
        ([torch.nn.Sequential(torch.nn.Linear(2, 3))], "module 0, Sequential"),
        ([torch.nn.Conv1d(2, 3, 1)], "module 0, Conv1d"),
        ([torch.nn.Linear(2, 3), torch.nn.Dropout(0.5)], "module 1, Dropout"),
    ],
)
def test_a_sequential_without_a_form_here_is_refused_and_the_module_is_named(modules, says):
    with pytest.raises(ValueError, match=says):
        from_torch(torch.nn.Sequential(*modules))


@pytest.mark.parametrize("other", [torch.nn.Linear(2, 3), MLP(2, [1]), [], None])
def test_only_a_sequential_comes_over(other):
    with pytest.raises(TypeError, match=f"not an object of type {type(other).__name__}"):
        from_torch(other)


def test_torch_is_imported_only_when_it_is_asked_for():
    program = "import sys, micrograd; print('torch' in sys.modules)"
    assert python(program) == "False\n"


@pytest.mark.parametrize("call", ["to_torch(micrograd.MLP(2, [1]))", "from_torch(None)"])
def test_without_torch_the_message_says_what_to_install(call):
    program = f"""
import sys, micrograd
sys.modules["torch"] = None
try:
    micrograd.{call}
except ModuleNotFoundError as error:
    print(error.name, error)
"""
    said = "torch this needs PyTorch, which is not installed: pip install torch\n"
    assert python(program) == said


def test_an_activation_that_is_a_method_now_is_refused(monkeypatch):
    monkeypatch.setattr(Value, "relu", lambda v: v.max(0.01 * v), raising=False)
    with pytest.raises(
        TypeError, match="layer 0, neuron 0: its activation is a method of Value"
    ):
        to_torch(nn.MLP(1, [2, 1]))
