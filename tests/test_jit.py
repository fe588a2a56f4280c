"""The compiler does what the engine does, edges included, and refuses what it can't do."""

import copy
import math
import os
import pickle
import random
import subprocess
import sys
import warnings
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import micrograd
from micrograd import MLP, RULES, Value, apply, call, jit, nn, where

EDGES = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, 700.0, -700.0, 1e200, -1e200, 1e-200]
EDGES += [math.inf, -math.inf, math.nan]


def eager(loss, rows, parameters, penalty=None):
    """Mean loss and gradients by the engine itself."""
    for p in parameters:
        p.grad = 0.0
    total = sum(loss(*row) for row in rows) * (1.0 / len(rows))
    if penalty:
        total = total + penalty()
    total.backward()
    return [total.data, *(p.grad for p in parameters)]


def agree(got, wanted, rel=1e-12):
    """Equal up to rounding; nan agrees with nan, inf only with the same inf."""
    return len(got) == len(wanted) and all(
        math.isclose(a, b, rel_tol=rel, abs_tol=1e-300) or (a != a and b != b)
        for a, b in zip(got, wanted, strict=True)
    )


def run(fast, rows):
    for p in fast.parameters:
        p.grad = 0.0
    return [fast.backward(rows), *(p.grad for p in fast.parameters)]


@pytest.fixture(params=["C", "Python"])
def language(request, monkeypatch):
    """Both readings of the rules: by the C compiler, and by Python where there is none."""
    if request.param == "Python":
        monkeypatch.setenv("CC", "no-such-compiler")
        warnings.filterwarnings("ignore", "jit:", RuntimeWarning)
    return request.param


def moons():
    from sklearn.datasets import make_moons

    np.random.seed(1337)
    random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    model = nn.MLP(2, [16, 16, 1])
    return model, np.column_stack([X, y * 2 - 1])


def moons_jit(model):
    parameters = model.parameters()
    return jit(
        lambda x1, x2, label: (1 - label * model([x1, x2])).relu(),
        3,
        parameters,
        penalty=lambda: 1e-4 * sum(p * p for p in parameters),
    )


def test_the_published_run_of_the_moons_is_reproduced(language):
    model, rows = moons()
    losses = moons_jit(model).train(rows, [1.0 - 0.9 * k / 100 for k in range(100)])
    published = {0: 0.8958441028683222, 1: 1.7235905336972022, 2: 0.7429006313851131}
    published |= {3: 0.7705641260584198, 9: 0.2704862551637922, 99: 0.010978370135492717}
    for step, loss in published.items():
        assert math.isclose(losses[step], loss, rel_tol=1e-12)
    hits = [(row[2] > 0) == (model(row[:2]).data > 0) for row in rows]
    assert all(hits)


def test_training_follows_the_engine_step_by_step_and_ends_on_its_weights(language):
    random.seed(3)
    model, twin = (MLP(2, [5, 4, 1]) for _ in "ab")
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        q.data = p.data
    rows = [[random.uniform(-1, 1) for _ in range(3)] for _ in range(11)]
    rates = [0.3 / (k + 1) for k in range(12)]
    losses = jit(lambda a, b, t: (model([a, b]) - t) ** 2, 3, model.parameters()).train(
        rows, rates
    )
    for rate, loss in zip(rates, losses, strict=True):
        wanted = eager(lambda a, b, t: (twin([a, b]) - t) ** 2, rows, twin.parameters())
        assert math.isclose(loss, wanted[0], rel_tol=1e-11)
        for q in twin.parameters():
            q.data -= rate * q.grad
    got = [p.data for p in model.parameters()]
    assert agree(got, [q.data for q in twin.parameters()], rel=1e-10)


BINARY = ["+", "-", "*", "/", "**", "max", "min"]


@pytest.mark.parametrize("op", [*RULES])
def test_every_rule_gives_the_engines_values_and_gradients_at_every_edge(op, language):
    """Each pair of edges is a row: of inputs, and (through w, which is 1) of gradients."""
    two = op in BINARY
    points = [(a, b) for a in EDGES for b in EDGES] if two else [(a, 1.0) for a in EDGES]
    w, v = Value(1.0), Value(1.0)

    def loss(a, b):
        return apply(op, w * a, v * b) if two else apply(op, w * a)

    fast = jit(loss, 2, [w, v])
    for point in points:
        assert agree(run(fast, [point]), eager(loss, [point], [w, v])), point


@pytest.mark.parametrize("name", micrograd.FUNCTIONS)
def test_every_function_of_math_is_the_engines_at_every_edge(name, language, monkeypatch):
    f = getattr(math, name)
    monkeypatch.setitem(RULES, "mine", lambda a: (call(f, a), (call(f, a),)))
    w = Value(1.0)
    fast = jit(lambda x: (w * x).mine(), 1, [w])
    for a in EDGES:
        assert agree(run(fast, [[a]]), eager(lambda x: (w * x).mine(), [[a]], [w])), a


def test_a_shut_gate_passes_nothing_not_even_an_infinite_gradient(language):
    w = Value(-1.0)
    fast = jit(lambda x: (w * x).relu().log(), 1, [w])
    assert run(fast, [[1.0]]) == [-math.inf, 0.0]
    assert run(fast, [[-1.0]]) == [0.0, -1.0]


def test_one_bad_lane_leaves_the_padding_and_the_other_lanes_alone(language):
    w = Value(1.0)
    fast = jit(lambda x: (w * x).log(), 1, [w])
    rows = [[0.0], *[[float(k)] for k in range(1, 11)]]
    assert agree(run(fast, rows), eager(lambda x: (w * x).log(), rows, [w]))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17, 100])
def test_any_number_of_rows_gives_the_mean_over_exactly_these(count, language):
    random.seed(count)
    model = MLP(2, [3, 1])
    parameters = model.parameters()

    def loss(a, b):
        return (model([a, b]) - a * b) ** 2

    fast = jit(loss, 2, parameters)
    rows = [[random.uniform(-2, 2), random.uniform(-2, 2)] for _ in range(count)]
    wanted = eager(loss, rows, parameters)
    assert agree(run(fast, rows), wanted)
    assert agree(run(fast, np.array(rows)), wanted)
    assert agree(run(fast, np.array(rows, order="F")), wanted)
    assert agree(run(fast, [tuple(row) for row in rows]), wanted)


UNARY = [op for op in RULES if op.isidentifier() and op not in ("sum", "max", "min")]
NODE = st.tuples(st.sampled_from(UNARY + BINARY * 2), st.integers(0, 99), st.integers(0, 99))
GRAPH = st.lists(NODE, min_size=1, max_size=12)
NUMBER = st.one_of(st.sampled_from(EDGES), st.floats(-3, 3))


def build(nodes, leaves):
    """The value of a random graph: each node takes its inputs from those before it."""
    values = [*leaves, Value(2.0), Value(0.5)]
    for op, i, j in nodes:
        inputs = [values[i % len(values)], values[j % len(values)]]
        values.append(apply(op, *inputs[: 2 if op in BINARY else 1]))
    return values[-1]


@settings(max_examples=25, deadline=None)
@given(GRAPH, st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=12), st.data())
def test_random_graphs_agree_with_the_engine(nodes, rows, data):
    parameters = [Value(data.draw(NUMBER)) for _ in range(2)]

    def loss(a, b):
        return build(nodes, [a, b, *parameters])

    fast = jit(loss, 2, parameters)
    for row in rows:
        assert agree(run(fast, [row]), eager(loss, [row], parameters))


@settings(max_examples=100, deadline=None)
@given(GRAPH, st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=12), st.data())
def test_random_graphs_read_as_python_agree_with_the_engine(nodes, rows, data):
    parameters = [Value(data.draw(NUMBER)) for _ in range(2)]

    def loss(a, b):
        return build(nodes, [a, b, *parameters])

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("CC", "no-such-compiler")
        fast = jit(loss, 2, parameters)
    for row in rows:
        assert agree(run(fast, [row]), eager(loss, [row], parameters))


@pytest.mark.parametrize(
    "branch", [lambda x: x.data in {0.0, 1.0}, lambda x: {1.0: True}.get(x.data)]
)
def test_a_set_or_a_dictionary_decides_nothing_in_a_compiled_loss(branch):
    w = Value(2.0)
    with pytest.raises(TypeError, match="not there yet .asked at test_jit.py"):
        jit(lambda x: w * x if branch(x) else w * 5, 1, [w])


def test_values_of_another_recording_are_refused():
    w, made = Value(2.0), []

    def loss(x):
        made.append((w * x).tanh())
        return made[-1] * made[-1]

    with pytest.raises(TypeError, match="the penalty can't .* another loss"):
        jit(loss, 1, [w], penalty=lambda: 0.1 * sum(a * a for a in made))
    with pytest.raises(TypeError, match="the loss can't .* another loss"):
        jit(lambda x: made[0] * w, 1, [w])


def test_a_batch_may_be_numpys_integer_and_parameters_are_no_text():
    w = Value(2.0)
    assert jit(lambda x: w * x, 1, [w]).train([[1.0], [3.0]], [0.0], batch=np.int64(2)) == [4.0]
    with pytest.raises(TypeError, match="a parameter is a Value without inputs, not 'a'"):
        jit(lambda x: x, 1, "ab")


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (1.0000000000008973, 791036169587255.1),
        (1.2914526970403228, 2775.106844316885),
        (2.0, math.nextafter(1024.0, 0.0)),
    ],
)
def test_powers_overflow_where_they_do_and_not_before(x, y):
    true = mpmath.mpf(x) ** mpmath.mpf(y)
    got = jit(lambda b: Value(x) ** b, 1, [Value(0.0)]).loss([[y]])
    assert true < sys.float_info.max and abs(got - true) <= 2 * math.ulp(got)


def test_a_loss_without_inputs(language):
    w = Value(2.0)
    fast = jit(lambda: w**3, 0, [w])
    assert run(fast, [[]]) == [8.0, 12.0]
    assert fast.train([[], []], [0.5]) == [8.0] and w.data == -4.0


def test_an_update_rule_may_give_numbers_that_do_not_depend_on_anything(language):
    def flagged(p, g, rate, first=1.0, limit=math.inf, unknown=0.0):
        return where(first > 0.5, p - rate * g, 3.0), 0.0, -math.inf, math.nan

    w = Value(2.0)
    fast = jit(lambda x: w * x, 1, [w])
    assert fast.train([[1.0]], [0.5], flagged) == [2.0] and w.data == 1.5
    assert fast.state["first"] == [0.0] and fast.state["limit"] == [-math.inf]
    assert math.isnan(fast.state["unknown"][0])
    fast.train([[1.0]], [0.5], lambda p, g, rate: 7.0)
    assert w.data == 7.0


@pytest.mark.parametrize("exponent", [-1074, -1030, -1022, -54, -53, -1, 0, 1, 54, 1023])
def test_where_log_and_powers_are_not_defined_they_are_nan(language, exponent):
    w, x = Value(1.0), -(2.0**exponent)
    assert math.isnan(jit(lambda x: (w * x).log(), 1, [w]).loss([[x]]))
    assert math.isnan(jit(lambda x: (w * x) ** 0.5, 1, [w]).loss([[x]]))


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    "loss", [lambda x, w, c: w * x + c, lambda x, w, c: w * c + x, lambda x, w, c: (c * w) ** x]
)
def test_infinite_numbers_and_nan_are_constants_like_others(language, loss, number):
    w = Value(2.0)
    one, rows = (lambda x: loss(x, w, number)), [[3.0], [-1.0]]
    assert agree(run(jit(one, 1, [w]), rows), eager(one, rows, [w]))
    by_index = [number, 2.0, number]  # one neuron each, so that they come from a table, too
    many = lambda x: sum((w * x + c).tanh() * c for c in by_index)  # noqa: E731
    assert agree(run(jit(many, 1, [w]), rows), eager(many, rows, [w]))
    fast = jit(lambda x: w * x, 1, [w], penalty=lambda: w * number)
    w.data, steps = 2.0, fast.train([[3.0]], [0.5])
    assert agree(steps, [6.0 + 2.0 * number])


def test_backward_adds_to_the_gradients_and_leaves_the_data(language):
    w = Value(2.0)
    fast = jit(lambda x: w * x, 1, [w])
    assert fast.backward([[3.0]]) == 6.0
    assert fast.backward([[3.0]]) == 6.0
    assert (w.data, w.grad) == (2.0, 6.0)


def test_training_leaves_the_gradients_and_no_steps_change_nothing(language):
    w = Value(2.0)
    w.grad = 5.0
    fast = jit(lambda x: w * x, 1, [w])
    assert fast.train([[3.0]], []) == []
    assert (w.data, w.grad) == (2.0, 5.0)
    assert fast.train([[3.0]], [1.0, 1.0]) == [6.0, -3.0]
    assert (w.data, w.grad) == (-4.0, 5.0)


def test_parameters_that_the_loss_does_not_use_have_gradient_0(language):
    w, idle = Value(2.0), Value(7.0)
    fast = jit(lambda x: w * x, 1, [idle, w])
    assert run(fast, [[3.0]]) == [6.0, 0.0, 3.0]
    fast.train([[3.0]], [1.0])
    assert idle.data == 7.0


def test_a_penalty_counts_once_whatever_the_number_of_rows(language):
    w, v = Value(2.0), Value(-3.0)

    def penalty():
        return 0.5 * (w * w + abs(v)) + v.relu()

    fast = jit(lambda x: w * x * v, 1, [w, v], penalty)
    rows = [[float(k)] for k in range(11)]
    assert agree(run(fast, rows), eager(lambda x: w * x * v, rows, [w, v], penalty))


def test_a_loss_may_be_a_constant_an_input_or_a_parameter(language):
    w = Value(2.0)
    assert run(jit(lambda x: Value(5.0), 1, [w]), [[1.0], [2.0]]) == [5.0, 0.0]
    assert run(jit(lambda x: x, 1, [w]), [[1.0], [2.0]]) == [1.5, 0.0]
    assert run(jit(lambda x: w, 1, [w]), [[1.0], [2.0]]) == [2.0, 1.0]


def test_two_programs_live_side_by_side(language):
    w, v = Value(2.0), Value(3.0)
    first, second = jit(lambda x: w * x, 1, [w]), jit(lambda x, y: v * x * y, 2, [v])
    assert run(first, [[1.0]]) == [2.0, 1.0]
    assert run(second, [[1.0, 2.0]]) == [6.0, 2.0]
    assert run(first, [[5.0]]) == [10.0, 5.0]


def test_a_rule_of_the_readers_own_compiles(language, monkeypatch):
    def sin(a):
        return call(math.sin, a), (call(math.sin, a + math.pi / 2),)

    def leaky(a):
        return where(a > 0, a, 0.1 * a), (where(a > 0, 1.0, 0.1),)

    def nested(a):
        inside = (a > -1) & (a < 1)
        return where(inside, a * a, 0.0), (where(a <= -1, False, where(inside, 2 * a, False)),)

    monkeypatch.setitem(RULES, "sin", sin)
    monkeypatch.setitem(RULES, "leaky", leaky)
    monkeypatch.setitem(RULES, "nested", nested)
    w = Value(0.7)

    def loss(x):
        return (w * x).sin() + (w * x).leaky() * (w * x).nested().exp()

    fast = jit(loss, 1, [w])
    for x in (-3.0, -1.0, -0.3, 0.0, 0.4, 2.0):
        assert agree(run(fast, [[x]]), eager(loss, [[x]], [w]))


@pytest.mark.parametrize(
    "rule",
    [
        lambda a: (a, (1.0,)) if a > 0 else (0.0, (0.0,)),
        lambda a: (math.sin(a), (math.cos(a),)),
        lambda a: (where(a == 0, 1.0, a), (1.0,)),
        lambda a: (max(a, 0.0), (1.0,)),
        lambda a: (call(math.gamma, a), (1.0,)),
        lambda a: (a, ()),
        lambda a: a,
    ],
)
def test_a_rule_that_cannot_be_compiled_is_refused_by_name(rule, monkeypatch):
    monkeypatch.setitem(RULES, "mine", rule)
    w = Value(2.0)
    with pytest.raises(TypeError, match="the loss can't be compiled: the rule 'mine': "):
        jit(lambda x: (w * x).mine() * x, 1, [w])
    assert (w.data, w.grad) == (2.0, 0.0)


@pytest.mark.parametrize(
    "loss",
    [
        lambda w, x, y: w * x if x > 0 else 2.0 * w,
        lambda w, x, y: w * x if x.data == 1 else 2.0 * w,
        lambda w, x, y: w * max(x, y),
        lambda w, x, y: w * x * float(y),
        lambda w, x, y: w * math.exp(x),
        lambda w, x, y: w * x if w.data else x,
        lambda w, x, y: [w, x, y].index(y.data),
        lambda w, x, y: w * x * round(y.data),
        lambda w, x, y: w * x * len(f"{y:.3f}"),
    ],
)
def test_a_loss_that_asks_for_a_number_is_refused_and_nothing_changes(loss):
    w = Value(2.0)
    w.grad = 5.0
    with pytest.raises(TypeError, match="the loss can't be compiled"):
        jit(lambda x, y: loss(w, x, y), 2, [w])
    assert (w.data, w.grad) == (2.0, 5.0)


def test_a_number_taken_from_data_has_no_gradient_as_in_the_engine(language):
    w = Value(2.0)
    rows = [[1.0, 3.0], [-2.0, 0.5]]
    for loss in (
        lambda x, y: w * x * w.data,
        lambda x, y: w.data * y * w + x.data,
        lambda x, y: Value(w.data) * x + w * 0.0,
    ):
        wanted = eager(lambda *row, loss=loss: loss(*map(Value, row)), rows, [w])
        assert agree(run(jit(loss, 2, [w]), rows), wanted)


def test_a_value_computed_from_a_parameter_beforehand_would_be_stale_and_is_refused():
    w, c = Value(2.0), Value(3.0)
    outside = 10.0 * w * w + c
    outside.grad = 7.0
    with pytest.raises(TypeError, match="the penalty can't be .* computed from a parameter"):
        jit(lambda x: w * x, 1, [w], penalty=lambda: outside)
    with pytest.raises(TypeError, match="the loss can't be .* computed from a parameter"):
        jit(lambda x: outside * x, 1, [w])
    assert (outside.data, outside.grad, w.data, w.grad) == (43.0, 7.0, 2.0, 0.0)


def test_other_values_made_outside_are_constants_and_keep_their_gradients(language):
    w, c = Value(2.0), Value(3.0)
    outside = c * c
    outside.grad, c.grad = 7.0, 8.0
    fast = jit(lambda x: outside * x * w * c, 1, [w])
    assert (outside.grad, c.grad, w.grad, w.data) == (7.0, 8.0, 0.0, 2.0)
    assert run(fast, [[5.0]]) == [270.0, 135.0]


def test_a_gate_works_wherever_it_stands(language, monkeypatch):
    def leaky(a):
        return where(a > 0, a, 0.01 * a), (0.01 + where(a <= 0, False, 0.99),)

    def halved(a):
        return where(a > 0, a / 2, 0.0), (where(a <= 0, False, 1.0) / 2,)

    monkeypatch.setitem(RULES, "leaky", leaky)
    monkeypatch.setitem(RULES, "halved", halved)
    w = Value(1.0)
    for loss in (lambda x: (w * x).leaky() * 3.0, lambda x: (w * x).halved().log()):
        fast = jit(loss, 1, [w])
        for x in (-2.0, 0.0, 2.0):
            assert agree(run(fast, [[x]]), eager(loss, [[x]], [w]))


@pytest.mark.parametrize(
    "rule",
    [
        lambda a: (where(a > 1, 2 * a, a), (where(a > 1, a > 0, 1.0),)),
        lambda a: (where(where(a > 1, 1.0, a < -1), 5.0, 7.0), (0.0,)),
        lambda a: (where(a, 5.0, 0.1), (0.0,)),
        lambda a: (a * (a > 0), (1.0,)),
        lambda a: (a & (a > 0), (1.0,)),
        lambda a: (a > 0, (1.0,)),
    ],
)
def test_a_condition_used_as_a_number_or_the_other_way_is_refused(rule, monkeypatch):
    monkeypatch.setitem(RULES, "mine", rule)
    w = Value(2.0)
    with pytest.raises(TypeError, match="a condition is no number"):
        jit(lambda x: (w * x).mine(), 1, [w])


def test_where_on_values_in_a_loss_is_refused_with_a_reason():
    w = Value(2.0)
    with pytest.raises(TypeError, match="the rule 'where': a Value holds"):
        jit(lambda x: where(x > 0, w * x, w), 1, [w])


def test_what_is_no_loss_or_no_parameter_is_refused():
    w = Value(2.0)
    with pytest.raises(TypeError, match="the loss can't be compiled: it must .* not 3.0"):
        jit(lambda x: 3.0, 1, [w])
    with pytest.raises(TypeError, match=r"it must return one Value, not \["):
        jit(lambda x: MLP(1, [2])([x]), 1, [w])
    with pytest.raises(TypeError, match="the penalty can't be compiled: .* not None"):
        jit(lambda x: w * x, 1, [w], penalty=lambda: None)
    with pytest.raises(TypeError, match="a parameter is a Value without inputs, not 1.0"):
        jit(lambda x: w * x, 1, [w, 1.0])
    with pytest.raises(TypeError, match="a parameter is a Value without inputs"):
        jit(lambda x: w * x, 1, [w * 2])


def test_rows_of_another_shape_are_refused_and_nothing_changes(language):
    w = Value(2.0)
    fast = jit(lambda x, y: w * x * y, 2, [w])
    for rows, message in (
        ([], "no rows"),
        (np.zeros((0, 2)), "no rows"),
        ([[1.0, 2.0], [1.0]], r"row 1 is not 2 numbers: \[1.0\]"),
        ([[1.0, 2.0, 3.0]], "row 0 is not 2 numbers"),
        ([1.0, 2.0], "row 0 is not 2 numbers: 1.0"),
        (np.zeros(4), "row 0 is not 2 numbers: 0.0"),
        (["ab"], "row 0 is not 2 numbers: .ab"),
        ([b"ab"], "row 0 is not 2 numbers"),
        ([{1.0, 2.0}], "row 0 is not 2 numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            fast.train(rows, [1.0])
    for wrong in ([["a", 1.0]], [[None, 1.0]], [[1j, 1.0]], [[[1.0], 1.0]]):
        with pytest.raises(TypeError, match="number"):
            fast.train(wrong, [1.0])
    with pytest.raises(TypeError, match="'0.1', which is of type str"):
        fast.train([[1.0, 1.0]], ["0.1"])  # type: ignore[list-item]
    assert w.data == 2.0


def test_ints_bools_and_numpys_numbers_are_numbers(language):
    w = Value(2.0)
    fast = jit(lambda x, y: w * x * y, 2, [w])
    for rows in ([[1, True]], [[np.float32(1), np.int8(1)]], np.ones((1, 2), dtype="int16")):
        assert fast.backward(rows) == 2.0


def test_a_program_that_is_too_large_is_refused_with_its_size(monkeypatch):
    monkeypatch.setattr(micrograd, "LARGEST", 20)
    w = Value(2.0)

    def loss(x):
        for k in range(20):
            x = (w * x * x).tanh() + k
        return x

    with pytest.raises(ValueError, match=r"a program of \d+ loops, where 20 compile"):
        jit(loss, 1, [w])


def test_a_copy_of_a_model_and_its_program_trains_by_itself(language):
    w = Value(2.0)
    fast = jit(lambda x: w * x, 1, [w])
    twin, other = copy.deepcopy((w, fast))
    other.train([[3.0]], [1.0])
    assert (w.data, twin.data) == (2.0, -1.0)
    refused = (AttributeError, TypeError, pickle.PicklingError)
    with pytest.raises(refused, match="pickle|local object"):
        pickle.dumps(fast)


def test_without_a_compiler_a_warning_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    w = Value(2.0)
    with pytest.warns(
        RuntimeWarning, match="No such file or directory: 'cc'\n.*install gcc or clang"
    ) as caught:
        fast = jit(lambda x: w * x, 1, [w])
    assert caught[0].filename == __file__
    assert not fast.compiled
    assert run(fast, [[3.0]]) == [6.0, 3.0]


@pytest.mark.parametrize("name", ["cc", "gcc", "clang"])
def test_the_compiler_that_is_installed_is_found(monkeypatch, tmp_path, name):
    compiler = tmp_path / name
    compiler.write_text(f'#!/bin/sh\nPATH="{os.environ["PATH"]}" exec cc "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    w = Value(2.0)
    fast = jit(lambda x: w * x, 1, [w])
    assert fast.compiled
    assert run(fast, [[3.0]]) == [6.0, 3.0]


def test_a_compiler_that_fails_is_quoted(monkeypatch, tmp_path):
    failing = tmp_path / "cc"
    failing.write_text("#!/bin/sh\necho 'you have not agreed to the license' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setenv("CC", str(failing))
    w = Value(2.0)
    with pytest.warns(RuntimeWarning, match="cc failed:\nyou have not agreed"):
        fast = jit(lambda x: w * x, 1, [w])
    assert run(fast, [[3.0]]) == [6.0, 3.0]


def test_a_cc_that_is_no_command_is_quoted(monkeypatch):
    monkeypatch.setenv("CC", "'gcc")
    w = Value(2.0)
    with pytest.warns(RuntimeWarning, match="No closing quotation\n.* set CC"):
        fast = jit(lambda x: w * x, 1, [w])
    assert run(fast, [[3.0]]) == [6.0, 3.0]


def test_cc_may_have_arguments_and_march_native_may_be_unknown(monkeypatch, tmp_path):
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text(
        "import subprocess, sys\n"
        "args = sys.argv[2:]\n"
        "if any('native' in a for a in args): sys.exit('unknown: native')\n"
        "sys.exit(subprocess.call(['cc', *args]))\n"
    )
    monkeypatch.setenv("CC", f"'{sys.executable}' '{wrapper}' --verbose")
    w = Value(2.0)
    fast = jit(lambda x: w * x, 1, [w])
    assert fast.compiled
    assert run(fast, [[3.0]]) == [6.0, 3.0]


def test_no_file_is_left_behind(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    w = Value(2.0)
    assert run(jit(lambda x: w * x, 1, [w]), [[3.0]]) == [6.0, 3.0]
    assert os.listdir(tmp_path) == []


def test_importing_the_module_imports_nothing_that_only_the_compiler_needs():
    code = "import sys, micrograd; print(*{'ctypes', 'subprocess', 'numpy'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_the_program_is_the_same_text_on_every_run():
    model, _ = moons()
    assert moons_jit(model).source == moons_jit(model).source


# --- loops ------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["relu", "tanh"])
def test_a_network_has_the_same_loops_at_any_width_and_no_table(act):
    """However wide the layers are: what grows is a number in a loop, not the program."""
    lines = set()
    for width in (4, 7, 16):
        model = MLP(2, [width, width, 1], nonlin=act)
        fast = jit(lambda a, b, m=model: m([a, b]) ** 2, 2, model.parameters())
        assert "static const int" not in fast.source
        lines.add(fast.source.count("\n"))
    assert len(lines) == 1


def test_the_program_says_which_rule_and_which_line_made_each_loop():
    model = MLP(2, [4, 1])

    def loss(a, b):
        score = model([a, b])
        return (score - 1.0).exp()

    source = jit(loss, 2, model.parameters()).source
    assert "// exp: line 3 of loss" in source
    assert "// sum: line 2 of loss" in source
    assert "backwards: line 2 of loss" in source


def test_places_without_a_rule_are_looked_up_in_a_table(language):
    random.seed(2)
    ws = [Value(random.uniform(-1, 1)) for _ in range(12)]
    mixed = random.sample(ws, 12)

    def loss(*xs):
        return sum((w * x).tanh() * v for w, x, v in zip(ws, xs, mixed, strict=True))

    fast = jit(loss, 12, ws)
    rows = [[random.uniform(-1, 1) for _ in range(12)] for _ in range(5)]
    assert agree(run(fast, rows), eager(loss, rows, ws))


def irregular(seed):
    """A loss from a random list of operations, its parameters, and the number of its inputs."""
    source = random.Random(seed)
    parameters = [Value(source.uniform(-1, 1)) for _ in range(source.choice([1, 3, 7, 20]))]
    ninputs = source.choice([1, 2, 5])
    operations = {
        "sum": lambda a, b, c: apply("sum", a * b, b * c, c * a, a, b) * 0.1,
        "quotient": lambda a, b, c: a / (b * b + 1.5) - c,
        "log": lambda a, b, c: (a * a + 0.5).log() * b,
        "exp": lambda a, b, c: (a * 0.1).tanh().exp() + c,
        "power": lambda a, b, c: (a * a + 1.0) ** b.tanh(),
        "root": lambda a, b, c: (a * a + 0.1) ** 0.5 * c,
        "max": lambda a, b, c: a.max(b) + b.min(c),
        "abs": lambda a, b, c: abs(a) * b.sigmoid(),
        "relu": lambda a, b, c: (a * b - c).relu(),
    }
    size = (5, 30, 90)[seed % 3]
    plan = [
        (source.choice([*operations]), [source.random() for _ in "abc"]) for _ in range(size)
    ]

    def loss(*xs):
        pool = [*parameters, *xs]
        for name, places in plan:
            a, b, c = [pool[int(at * len(pool))] for at in places]
            pool.append(operations[name](a, b, c).tanh())
        return apply("sum", *pool[-5:])

    return loss, parameters, ninputs


@pytest.mark.parametrize("seed", range(15))
def test_irregular_programs_agree_with_the_engine_and_are_the_same_bits_in_python(
    seed, monkeypatch
):
    loss, parameters, ninputs = irregular(seed)
    source = random.Random(seed)

    def penalty():
        return 0.01 * sum(p * p for p in parameters)

    in_c = jit(loss, ninputs, parameters, penalty)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.warns(RuntimeWarning):
        in_python = jit(loss, ninputs, parameters, penalty)
    for count in (1, 3, 8, 107, 250):
        rows = [[source.uniform(-1, 1) for _ in range(ninputs)] for _ in range(count)]
        found = run(in_c, rows)
        wanted = eager(lambda *row: loss(*map(Value, row)), rows, parameters, penalty)
        assert agree(found, wanted, rel=1e-10)
        assert repr(run(in_python, rows)) == repr(found)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these flags are for x86")
def test_lanes_of_any_width_and_any_number_of_threads_give_the_same_bits(monkeypatch):
    random.seed(4)
    model = MLP(2, [46, 46, 1], nonlin="tanh")  # over 2,000 parameters
    parameters = model.parameters()
    start = [p.data for p in parameters]
    rows = [[random.uniform(-1, 1) for _ in range(2)] for _ in range(300)]

    def trained():
        for p, x in zip(parameters, start, strict=True):
            p.data = x
        fast = jit(lambda a, b: (model([a, b]) - a * b) ** 2, 2, parameters)
        assert fast.compiled
        return repr((fast.train(rows, [0.01] * 3), [p.data for p in parameters]))

    both = trained()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert trained() == both
    for flag in ("-mno-avx512f", "-mno-avx", "-O1"):  # the last, so that it is what counts
        monkeypatch.setenv("CC", f"sh -c 'exec cc \"$@\" {flag}' sh")
        assert trained() == both, flag


# --- exp, log, tanh, powers -------------------------------------------------------------------


def ulps(got, true):
    """How many units in the last place got is away from true, a number of mpmath's."""
    if abs(true) > sys.float_info.max * (1 + mpmath.mpf(2) ** -54):
        return 0.0 if got == math.copysign(math.inf, true) else math.inf
    return float(abs(mpmath.mpf(got) - true) / math.ulp(float(true)))


def points(name, count=400):
    source = random.Random(name)
    uniform = source.uniform
    kinds: dict[str, list] = {
        "exp": [
            lambda: uniform(-745, 709.78),
            lambda: uniform(-1, 1),
            lambda: uniform(-1e-9, 1e-9),
        ],
        "tanh": [
            lambda: uniform(-22, 22),
            lambda: uniform(-1, 1),
            lambda: 10 ** uniform(-300, 0),
        ],
        "log": [
            lambda: 10 ** uniform(-307, 308),
            lambda: uniform(0.5, 2),
            lambda: uniform(0, 1e-307),
        ],
    }
    kinds["log"] += [lambda: 1 + source.gauss(0, 1e-3)]
    kinds["raised"] = [
        lambda: (10 ** uniform(-307, 308), uniform(-1, 1)),
        lambda: (uniform(0.5, 2), uniform(-500, 500)),
        lambda: (1 + source.gauss(0, 1e-8), uniform(-1e9, 1e9)),
        lambda: (uniform(0, 5e-308), uniform(-1, 1)),
        lambda: (uniform(0, 10), source.choice([0.5, -0.5, 3.0, -1.0, 1 / 3])),
    ]
    for kind in kinds[name]:
        for _ in range(count):
            x = kind()
            yield x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("name", ["exp", "tanh", "log", "raised"])
def test_the_programs_own_functions_are_within_two_units_in_the_last_place(name):
    own, _ = micrograd.OWN[name]
    true = {"exp": mpmath.exp, "tanh": mpmath.tanh, "log": mpmath.log, "raised": mpmath.power}
    with mpmath.workprec(200):
        for x in points(name):
            assert ulps(own(*x), true[name](*map(mpmath.mpf, x))) <= 2, x


# Where exp(2 x) - 1, the 1 or 2 that is added to it, and the quotient are all rounded badly.
HARD = [0.06222491004058757, 0.06234356494029636, 0.12283486418842823, 0.12348057412349354]
HARD += [0.12500880992570895, 0.2199384339146901, 0.22064273922667582, 0.217742640145077]


@pytest.mark.parametrize("x", HARD)
def test_tanh_is_within_two_units_in_the_last_place_where_rounding_adds_up(x):
    with mpmath.workprec(200):
        assert ulps(micrograd.OWN["tanh"][0](x), mpmath.tanh(mpmath.mpf(x))) <= 2


EXTREMES = [*EDGES, 5e-324, -5e-324, 1e-310, 1e308, -1e308, 1e20, 1.5, -1.5, 1 / 3]
EXTREMES += [2.0**52 + 1, -(2.0**52) - 1, 2.0**53 + 2, 4503599627370495.5, 2251799813685248.5]
EXTREMES += [1 - 2.0**-53, 1 + 2.0**-52, 709.782712893384, 709.7827128933841, -745.13, -745.14]
EXTREMES += [-708.4, 19.07, 22.0]


@pytest.mark.parametrize("name", ["exp", "tanh", "log", "raised"])
def test_at_every_edge_the_programs_own_functions_are_those_of_pythons_math(name):
    own, n = micrograd.OWN[name]
    library = micrograd.raised if n == 2 else lambda a: call(getattr(math, name), a)
    for x in [(a, b) for a in EXTREMES for b in EXTREMES][:: 1 if n == 2 else len(EXTREMES)]:
        a, b = own(*x[:n]), library(*x[:n])
        same_sign = math.copysign(1, a) == math.copysign(1, b)
        near = math.isfinite(b) and abs(a - b) <= 2 * math.ulp(b)
        assert (a != a and b != b) or (same_sign and (a == b or near)), x


# --- update rules -----------------------------------------------------------------------------


def momentum(p, g, rate, v=0.0):
    v = 0.9 * v + g
    return p - rate * v, v


def adam(p, g, rate, m=0.0, v=0.0, a=1.0, b=1.0):
    m, v, a, b = 0.85 * m + 0.15 * g, 0.99 * v + 0.01 * g * g, 0.85 * a, 0.99 * b
    return p - rate * (m / (1 - a)) / ((v / (1 - b)) ** 0.5 + 1e-8), m, v, a, b


@pytest.mark.parametrize(
    ("update", "optimizer"),
    [
        (momentum, lambda ps: torch.optim.SGD(ps, lr=0.1, momentum=0.9)),
        (adam, lambda ps: torch.optim.Adam(ps, lr=0.1, betas=(0.85, 0.99), eps=1e-8)),
    ],
)
def test_an_update_rule_is_pytorchs_step_by_step_in_batches_and_over_calls(
    update, optimizer, language
):
    random.seed(6)
    w, v = Value(0.5), Value(-1.0)
    rows = [[random.uniform(-1, 1), random.uniform(-1, 1)] for _ in range(12)]
    fast = jit(lambda x, y: (w * x + v - y) ** 2, 2, [w, v])
    losses = fast.train(rows, [0.1] * 6, update, batch=4)
    losses += fast.train(rows, [0.1] * 3, update, batch=4)
    tensor = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    steps = optimizer([tensor])
    data = torch.tensor(rows, dtype=torch.float64)
    for k, loss in enumerate(losses):
        batch = data[4 * (k % 3) : 4 * (k % 3) + 4]
        steps.zero_grad()
        wanted = ((tensor[0] * batch[:, 0] + tensor[1] - batch[:, 1]) ** 2).mean()
        wanted.backward()
        steps.step()
        assert math.isclose(loss, wanted.item(), rel_tol=1e-9)
    assert agree([w.data, v.data], tensor.tolist(), rel=1e-8)
    names = {momentum: ["v"], adam: ["m", "v", "a", "b"]}[update]
    assert [*fast.state] == names
    assert all(len(x) == 2 for x in fast.state.values())
    assert math.isclose(
        fast.loss(rows), ((tensor[0] * data[:, 0] + tensor[1] - data[:, 1]) ** 2).mean().item()
    )


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (lambda p, g, rate: p - rate * g if g > 0 else p, "that is not there yet"),
        (lambda p, g, rate, v=0.0: p - rate * g, "must return 2 numbers"),
        (lambda p, g, rate: None, "NoneType"),
        (lambda p, g, rate: p - rate * math.sqrt(g), "math"),
        (lambda p, g, rate, v: (p, v), "give v a value to start at"),
    ],
)
def test_an_update_rule_that_cannot_be_recorded_is_refused_and_nothing_changes(update, message):
    w = Value(2.0)
    fast = jit(lambda x: w * x, 1, [w])
    with pytest.raises(TypeError, match=message):
        fast.train([[1.0]], [0.1], update)
    assert (w.data, fast.state) == (2.0, {})


@pytest.mark.parametrize("batch", [0, 3, -1, 1.5, "2"])
def test_a_batch_that_the_rows_cannot_fill_is_refused(batch):
    w = Value(2.0)
    with pytest.raises(ValueError, match="a batch is 1 to 2 of the rows"):
        jit(lambda x: w * x, 1, [w]).train([[1.0], [2.0]], [0.1], batch=batch)


def test_loss_changes_nothing(language):
    w = Value(2.0)
    fast = jit(lambda x: w * x, 1, [w], penalty=lambda: w * w)
    assert fast.loss([[1.0], [2.0]]) == 7.0
    assert (w.data, w.grad, fast.state) == (2.0, 0.0, {})


def test_parameters_may_be_nested_or_an_array():
    ws = [[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]]
    for parameters in (ws, np.array(ws), iter(ws), (row for row in ws)):
        fast = jit(lambda x: ws[0][0] * x + ws[1][1], 1, parameters)
        assert fast.parameters == [*ws[0], *ws[1]]
        assert fast.backward([[3.0]]) == 7.0


@pytest.mark.parametrize("width", [16, 64])  # the second takes two threads, if there are cores
def test_ctrl_c_ends_training_within_a_second_and_changes_no_parameter(width):
    code = f"""
import os, signal, threading, time
from micrograd import MLP, jit
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
model = MLP(2, [{width}, {width}, 1])
fast = jit(lambda a, b: (model([a, b]) - a * b) ** 2, 2, model.parameters())
start = [p.data for p in model.parameters()]
rows = [[k / 1000, 1 - k / 1000] for k in range(1000)]
sent = []
def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(1.0, interrupt).start()
try:
    fast.train(rows, [1e-9] * 2_000_000)
except KeyboardInterrupt:
    inside = all(p.data == x for p, x in zip(model.parameters(), start, strict=True))
    print("stopped", inside, time.perf_counter() - sent[0] < 10)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout == "stopped True True\n", done.stderr


# --- questions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [
        lambda w, y: w if y == 1 else w * y,
        lambda w, y: w if y != 0 else w * y,
        lambda w, y: w if y in (0, 1) else w * y,
        lambda w, y: w * y if y else w,
        lambda w, y: w * y if not y else w,
        lambda w, y: y and w,
        lambda w, y: y or w,
        lambda w, y: w * max(v.data for v in (w, y)),
        lambda w, y: w * math.exp(y),
        lambda w, y: w * int(y.data),
        lambda w, y: w * [0.0, 1.0][y.data],
        lambda w, y: w * sorted([y, w])[0],
    ],
)
def test_a_question_to_a_number_that_is_not_there_is_refused_with_its_line_and_a_way_out(loss):
    w = Value(2.0)
    where_and_way = (
        r"test_jit\.py:\d+\)\. Choose by relu, max or min, or by where\(\) in a rule"
    )
    with pytest.raises(TypeError, match=where_and_way) as caught:
        jit(lambda y: loss(w, y), 1, [w])
    line = int(str(caught.value).split("test_jit.py:")[1].split(")")[0])
    assert line == loss.__code__.co_firstlineno
    assert (w.data, w.grad) == (2.0, 0.0)


def test_outside_of_jit_equality_stays_identity_and_a_value_is_true():
    a, b = Value(0.0), Value(0.0)
    assert a == a and a != b and a in [b, a] and bool(a) and len({a, b}) == 2


def test_an_operator_made_by_hand_is_refused_by_name():
    w = Value(2.0)

    def square(v):
        out = Value(v.data * v.data, (v,), "square")

        def back():
            v.grad += 2 * v.data * out.grad

        out._backward = back  # type: ignore[method-assign]
        return out

    with pytest.raises(TypeError, match="'square' was made by hand: make it a rule"):
        jit(lambda x: square(w * x), 1, [w])
    with pytest.raises(TypeError, match="'square' was made by hand: make it a rule"):
        jit(lambda x: Value(x.data * x.data, (x,), "square") * w, 1, [w])
    assert (w.data, w.grad) == (2.0, 0.0)


# --- what a fresh pair of eyes found ---------------------------------------------------------


def velocity(p, g, rate, v=0.0, n=0.0):
    v, n = 0.5 * v + g, n + 1.0
    return p - rate * v, v, n


def test_a_state_that_was_saved_goes_on_in_any_order_and_must_fit(language):
    def fresh():
        ws = [Value(0.1 * k) for k in range(6)]
        return ws, jit(lambda x: sum(w * w * x for w in ws), 1, ws)

    ws, whole = fresh()
    whole.train([[1.0]], [0.1] * 4, velocity)
    us, half = fresh()
    half.train([[1.0]], [0.1] * 2, velocity)
    half.state = {"n": half.state["n"], "v": half.state["v"]}  # as JSON sorts it
    half.train([[1.0]], [0.1] * 2, velocity)
    assert [u.data for u in us] == [w.data for w in ws] and half.state == whole.state
    for wrong in ([1.0] * 5, [1.0] * 3000):
        half.state["v"] = wrong
        with pytest.raises(ValueError, match=r"state\['v'\] must be 6 numbers"):
            half.train([[1.0]], [0.1], velocity)
    assert [u.data for u in us] == [w.data for w in ws]


@pytest.mark.parametrize(
    "rule", [lambda p, g, rate: p > 0, lambda p, g, rate, up=0.0: (p - rate * up, g > 0)]
)
def test_an_update_rule_that_returns_a_condition_is_refused(language, rule):
    w = Value(0.5)
    fast = jit(lambda x: w * x, 1, [w])
    with pytest.raises(TypeError, match="a condition is no number"):
        fast.train([[1.0]], [0.1] * 2, rule)
    assert w.data == 0.5 and fast.state == {}


@pytest.mark.parametrize("text", [str, repr, "{}".format, "%s".__mod__, lambda v: f"{v!r:>20}"])
def test_the_text_of_a_number_that_is_not_there_yet_is_refused(text):
    w = Value(0.5)
    for question in (lambda x: text(x), lambda x: text(w * x), lambda x: text(x.data)):
        with pytest.raises(TypeError, match=r"its text asks for a number.*test_jit.py:\d+"):
            jit(lambda x, q=question: w * x * len(q(x)), 1, [w])
    fast = jit(lambda x: w * x, 1, [w])
    with pytest.raises(TypeError, match="its text asks"):
        fast.train([[1.0]], [0.1], lambda p, g, rate: p - rate * len(text(g)))
    assert text(w) and text(w * 2)


@pytest.mark.parametrize(
    "flags", ["-ffast-math", "-funsafe-math-optimizations", "-fassociative-math", "-Ofast"]
)
def test_flags_that_change_what_arithmetic_is_change_nothing(monkeypatch, flags):
    w = Value(0.5)
    losses = [lambda x: (w * x).tanh(), lambda x: (w * x).exp(), lambda x: (w * x) ** x]
    monkeypatch.setenv("CC", f"gcc {flags}")
    got = [jit(loss, 1, [w]).loss([[1.5]]) for loss in losses]
    tiny = jit(lambda x: w * x, 1, [w]).loss([[1e-310]])
    monkeypatch.delenv("CC")
    assert got == [jit(loss, 1, [w]).loss([[1.5]]) for loss in losses]
    assert (
        tiny == 5e-311 and 1e-310 * 0.5 == 5e-311
    )  # Python's own arithmetic is as before, too


def test_a_value_that_a_loss_has_kept_holds_no_number():
    w, kept = Value(0.1), [Value(1.0)]

    def loss(x):
        kept[0] = kept[0] * 0.5 + w * x
        return kept[0] ** 2

    jit(loss, 1, [w])
    y = loss(Value(3.0))
    y.backward()
    assert math.isnan(y.data) and math.isnan(w.grad) and type(w.grad) is float


def test_a_rule_whose_value_is_a_constant_compiles(monkeypatch, language):
    monkeypatch.setitem(RULES, "seven", lambda a: (7.0, (3.0,)))
    monkeypatch.setitem(RULES, "sign", lambda a: (where(a < 0, -1.0, 1.0), (0.0,)))
    w = Value(0.5)
    for loss in (lambda x: (w * x).seven() + w * x, lambda x: (w * x).sign() * w * x.seven()):
        wanted = eager(loss, [[Value(2.0)]], [w])
        assert run(jit(loss, 1, [w]), [[2.0]]) == wanted
    by_hand: Any = Value(3.0, (w,), "thrice")
    by_hand._backward = lambda: None
    with pytest.raises(
        TypeError, match=r"computed from a parameter before \(3.0, by 'thrice'\)"
    ):
        jit(lambda x: by_hand * x, 1, [w])
    before = w * w
    with pytest.raises(TypeError, match=r"computed from a parameter before \(0.25, by '\*'\)"):
        jit(lambda x: before * x, 1, [w])


def test_a_loss_cannot_compile_another():
    w = Value(0.5)
    fast = jit(lambda x: w * x, 1, [w])
    for inner in (lambda: jit(lambda x: x, 1, [w]), lambda: fast.train([[1.0]], [0.1])):
        with pytest.raises(TypeError, match="can't compile or run another"):
            jit(lambda x, f=inner: f() or w * x, 1, [w])
    assert w.data == 0.5


def test_a_library_without_the_function_is_no_compiler(monkeypatch):
    monkeypatch.setenv("CC", "gcc -fvisibility=hidden")
    w = Value(0.5)
    with pytest.warns(RuntimeWarning, match="without run"):
        fast = jit(lambda x: w * x, 1, [w])
    assert not fast.compiled and fast.loss([[3.0]]) == 1.5


def test_what_a_call_cannot_take_is_named():
    model: Any = nn.MLP(1, [1])
    w = model.parameters()[0]
    wrong: Any
    for wrong in (model, model.parameters, w, None, {"w": w}):
        with pytest.raises(TypeError, match="jit: parameters must be a list of Values"):
            jit(lambda x: w * x, 1, wrong)
    for wrong in (-1, 1.5, None):
        with pytest.raises(TypeError, match="jit: ninputs"):
            jit(lambda x: w * x, wrong, [w])
    fast: Any = jit(lambda x: w * x, True, [w])
    assert fast.compiled and fast.loss([[2.0]]) == 2 * w.data
    for rows in (None, 3.0):
        with pytest.raises(TypeError, match="jit: rows must be a list of rows, not"):
            fast.loss(rows)
    for row in (["1"], [None], [[1.0]], [10**400]):
        with pytest.raises(TypeError, match="jit: row 1 must hold numbers, not"):
            fast.loss([[1.0], row])
    with pytest.raises(TypeError, match="jit: steps must be a list of step sizes, not 0.1"):
        fast.train([[1.0]], 0.1)
