"""The published run on the moons, with code as it is written for the published package."""

import gc
import random

import numpy as np
import pytest
import torch
from micrograd.engine import Value
from micrograd.nn import MLP
from sklearn.datasets import make_moons
from test_networks import as_torch, forward

from micrograd import jit

pytestmark = pytest.mark.dear
PUBLISHED = {
    0: (0.8958441028683222, 0.50),
    1: (1.7235905336972022, 0.81),
    2: (0.7429006313851131, 0.77),
    3: (0.7705641260584198, 0.82),
    9: (0.2704862551637922, 0.91),
    99: (0.010978370135492717, 1.00),
}


@pytest.fixture(scope="module", autouse=True)
def collector_off():
    """Graphs have no cycles: the collector would look at all Values over and over, in vain."""
    gc.disable()
    yield
    gc.enable()


def moons(nouts):
    """The data, with labels -1 and 1, and a model: the seeds and their order are the demo's."""
    np.random.seed(1337)
    random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    y = y * 2 - 1
    return X, y, MLP(2, nouts)


def loss(model, Xb, yb):
    """The max-margin loss with the penalty on the parameters, and the accuracy."""
    inputs = [list(map(Value, xrow)) for xrow in Xb]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(yb, scores, strict=True)]
    data_loss = sum(losses) * (1.0 / len(losses))
    alpha = 1e-4
    reg_loss = alpha * sum(p * p for p in model.parameters())
    accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(yb, scores, strict=True)]
    return data_loss + reg_loss, sum(accuracy) / len(accuracy)


def step(model, total_loss, learning_rate):
    model.zero_grad()
    total_loss.backward()
    for p in model.parameters():
        p.data -= learning_rate * p.grad


@pytest.fixture(scope="module")
def run(collector_off):
    """The trained model, its data, and the loss and accuracy of steps 0 to 9 and 99.

    Between them the same steps are compiled, to save time; the document takes all of them as
    they are here, and its results hold the published losses, too.
    """
    X, y, model = moons([16, 16, 1])
    rates = [1.0 - 0.9 * k / 100 for k in range(100)]
    history = {}

    def take(k):
        total_loss, acc = loss(model, X, y)
        step(model, total_loss, rates[k])
        history[k] = total_loss.data, acc

    for k in range(10):
        take(k)
    parameters = model.parameters()
    compiled = jit(
        lambda x1, x2, label: (1 + -label * model([x1, x2])).relu(),
        3,
        parameters,
        penalty=lambda: 1e-4 * sum(p * p for p in parameters),
    )
    compiled.train(np.column_stack([X, y]), rates[10:99])
    take(99)
    return model, X, y, history


def test_the_published_network_has_337_parameters():
    _, _, model = moons([16, 16, 1])
    assert len(model.parameters()) == 337
    relu2, relu16 = (", ".join([f"ReLUNeuron({n})"] * 16) for n in (2, 16))
    assert repr(model) == (
        f"MLP of [Layer of [{relu2}], Layer of [{relu16}], Layer of [LinearNeuron(16)]]"
    )


@pytest.mark.parametrize("k", PUBLISHED)
def test_the_published_losses_and_accuracies_are_reproduced(run, k):
    (found, accuracy), (published, published_accuracy) = run[-1][k], PUBLISHED[k]
    assert found == pytest.approx(published, rel=1e-12, abs=0)
    assert accuracy == published_accuracy


def test_the_history_holds_plain_floats(run):
    assert {type(found) for found, _ in run[-1].values()} == {float}


def test_every_point_of_the_moons_ends_on_its_side_of_the_boundary(run):
    """The demo's evaluation on a mesh, and its answers at the points themselves."""
    model, X, y, _ = run
    h = 0.25
    x_min, x_max = X[:, 0].min() - 1, X[:, 0].max() + 1
    y_min, y_max = X[:, 1].min() - 1, X[:, 1].max() + 1
    xx, yy = np.meshgrid(np.arange(x_min, x_max, h), np.arange(y_min, y_max, h))
    Xmesh = np.c_[xx.ravel(), yy.ravel()]
    inputs = [list(map(Value, xrow)) for xrow in Xmesh]
    scores = list(map(model, inputs))
    Z = np.array([s.data > 0 for s in scores])
    Z = Z.reshape(xx.shape)
    assert Z.dtype == bool
    assert 0.3 < Z.mean() < 0.7
    corner = Z[0, 0], Z[0, -1], Z[-1, 0], Z[-1, -1]
    assert corner[1] and not corner[2], "lower right is blue, upper left is red"

    expected = forward(as_torch(model), torch.tensor(Xmesh))[:, 0].tolist()
    assert [s.data for s in scores] == pytest.approx(expected, rel=1e-10, abs=1e-10)
    assert [bool(model(row).data > 0) for row in X] == (y > 0).tolist()


def test_training_on_random_batches_goes_where_pytorch_goes():
    X, y, model = moons([8, 8, 1])
    layers = as_torch(model)
    parameters = [p for w, b, _ in layers for p in (w, b)]
    sgd = torch.optim.SGD(parameters, lr=0.2)
    before = loss(model, X, y)
    for _ in range(25):
        ri = np.random.permutation(X.shape[0])[:20]
        Xb, yb = X[ri], y[ri]
        found, _ = loss(model, Xb, yb)
        step(model, found, 0.2)

        out = forward(layers, torch.tensor(Xb))[:, 0]
        margins = torch.relu(1 - torch.tensor(yb) * out)
        expected = margins.mean() + 1e-4 * sum((p * p).sum() for p in parameters)
        sgd.zero_grad()
        expected.backward()
        sgd.step()
        assert found.data == pytest.approx(expected.item(), rel=1e-10)
    after = loss(model, X, y)
    assert after[0].data < before[0].data / 2
    assert after[1] >= 0.8


def test_two_runs_are_the_same_to_the_last_bit():
    def losses():
        X, y, model = moons([4, 4, 1])
        found = []
        for _ in range(3):
            total_loss, _ = loss(model, X, y)
            step(model, total_loss, 1.0)
            found.append(total_loss.data)
        return found, [p.data for p in model.parameters()]

    assert losses() == losses()
