"""Value: what it accepts, what it is as a number and as an object, and what backward() does."""

import copy
import inspect
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import micrograd
from micrograd import RULES, Value, call, grad, gradcheck, slopes, where


def gradients(f, *xs):
    """f's value at xs, and the gradients that backward() gives."""
    values = [Value(x) for x in xs]
    y = f(*values)
    y.backward()
    return y.data, *(v.grad for v in values)


@pytest.fixture
def sine():
    """The sine, as a reader adds it: three lines."""

    def sin(a):
        return call(math.sin, a), (call(math.sin, a + math.pi / 2),)

    before = RULES.get("sin")
    RULES["sin"] = sin
    yield
    if before is None:
        del RULES["sin"]
    else:
        RULES["sin"] = before


# --- backward() ------------------------------------------------------------------------------


def test_a_value_used_twice_gets_both_contributions():
    a = Value(3.0)
    b = a + a
    b.backward()
    assert (b.data, a.grad) == (6.0, 2.0)


def test_a_node_is_visited_after_everything_made_from_it():
    a = Value(1.0)
    b = a + a
    c = b + b
    c.backward()
    assert (a.grad, b.grad, c.grad) == (4.0, 2.0, 1.0)
    assert gradients(lambda x: (x * x) * ((x * x) + x), 2.0) == (24.0, 44.0)


def test_a_second_backward_adds_to_every_gradient_and_its_walk_starts_afresh():
    x = Value(3.0)
    square = x * x
    y = square * x
    y.backward()
    assert (y.data, x.grad) == (27.0, 27.0)
    y.backward()
    assert (x.grad, square.grad, y.grad) == (54.0, 6.0, 2.0)
    x.grad = 0.0
    y.backward()
    assert x.grad == 27.0


def test_two_graphs_add_to_the_leaves_they_share():
    x = Value(2.0)
    (x * x).backward()
    (5 * x).backward()
    assert x.grad == 9.0


def test_backward_of_an_interior_value_leaves_what_is_above_it_alone():
    x = Value(2.0)
    square = x * x
    y = square * 10
    square.backward()
    assert (x.grad, square.grad, y.grad) == (4.0, 1.0, 0.0)


def test_backward_of_a_leaf_adds_one_to_it():
    a = Value(2.0)
    a.backward()
    assert a.grad == 1.0
    a.backward()
    assert a.grad == 2.0


def test_a_value_that_is_not_behind_the_result_is_untouched():
    a, b = Value(1.0), Value(2.0)
    b.grad = 7.0
    unused = a * b
    (a + 1).backward()
    assert (b.grad, unused.grad) == (7.0, 0.0)


def test_gradients_are_those_of_the_run_that_was_made_when_data_is_edited_afterwards():
    a, b = Value(2.0), Value(3.0)
    y = a * b + a.exp()
    a.data, b.data = 100.0, 200.0
    y.backward()
    assert (a.grad, b.grad) == (3.0 + math.exp(2.0), 2.0)
    z = a * b
    assert z.data == 20000.0, "the next forward pass reads the new data"


@pytest.mark.parametrize("edited", ["leaf", "inside", "root"])
def test_grad_refuses_a_graph_whose_data_was_edited(edited):
    a, b = Value(2.0), Value(3.0)
    inside = a * b
    y = inside * inside
    {"leaf": a, "inside": inside, "root": y}[edited].data = 5.0
    with pytest.raises(RuntimeError, match="has since been changed"):
        grad(y, [a, b])


def test_grad_accepts_an_edit_that_was_taken_back():
    a = Value(2.0)
    y = a * a
    a.data = 5.0
    a.data = 2.0
    assert grad(y, [a])[0].data == 4.0


def test_grad_works_where_values_are_not_numbers():
    a = Value(-1.0)
    y = a.log() * a
    assert math.isnan(grad(y, [a])[0].data)


def test_grad_gives_values_in_order_and_changes_no_grad():
    a, b, unused = Value(2.0), Value(3.0), Value(4.0)
    y = a * b * b
    da, dunused, db, dy = grad(y, [a, unused, b, y])
    assert [v.data for v in (da, dunused, db, dy)] == [9.0, 0.0, 12.0, 1.0]
    assert all(isinstance(v, Value) for v in (da, dunused, db, dy))
    assert [v.grad for v in (a, b, unused, y)] == [0.0] * 4
    assert [v.data for v in grad(da, [a, b])] == [0.0, 6.0]


# --- what a Value holds ----------------------------------------------------------------------

REAL_KINDS = [
    *(
        np.bool_,
        np.int8,
        np.int16,
        np.int32,
        np.int64,
        np.uint8,
        np.uint16,
        np.uint32,
        np.uint64,
    ),
    *(np.float16, np.float32, np.float64, np.longdouble),
]
NUMBERS = [3, 3.0, True, *(kind(1) for kind in REAL_KINDS)]
REFUSED = {
    "a string": ("3", "'3'", "str"),
    "None": (None, "None", "NoneType"),
    "a complex": (1j, "1j", "complex"),
    "NumPy's complex": (np.complex128(1j), "1j", "complex128"),
    "a Value": (Value(1.0), "Value(data=1.0, grad=0.0)", "Value"),
    "a list": ([1.0], "[1.0]", "list"),
    "an array": (np.array([1.0]), "array([1.])", "ndarray"),
    "a tensor of two": (torch.tensor([1.0, 2.0]), "tensor([1., 2.])", "Tensor"),
}
INFIX = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}


def name(x):
    return type(x).__name__


@pytest.mark.parametrize("x", NUMBERS, ids=name)
def test_every_kind_of_real_number_is_accepted_and_stored_as_a_float(x):
    v = Value(x)
    assert type(v.data) is float
    assert v.data == float(x)


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_refused_with_what_was_given_and_what_is_accepted(case):
    x, shown, kind = REFUSED[case]
    with pytest.raises(TypeError) as error:
        Value(x)
    message = str(error.value)
    assert shown in message
    assert f"type {kind}" in message
    assert "int, float, bool or real NumPy scalar" in message


def test_a_refusal_of_something_large_is_short():
    with pytest.raises(TypeError) as error:
        Value(list(range(1000)))
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("op", INFIX)
@pytest.mark.parametrize("case", ["a string", "None", "a complex", "NumPy's complex", "a list"])
def test_an_operator_refuses_the_same_things_in_the_same_words(op, case):
    x, shown, kind = REFUSED[case]
    accepted = "int, float, bool or real NumPy scalar"
    with pytest.raises(TypeError, match=accepted) as error:
        INFIX[op](Value(3.0), x)
    assert shown in str(error.value)
    if case != "NumPy's complex":
        with pytest.raises(TypeError, match=accepted):
            INFIX[op](x, Value(3.0))


@pytest.mark.parametrize("op", INFIX)
@pytest.mark.parametrize("x", NUMBERS, ids=name)
def test_a_number_on_either_side_of_an_operator_gives_a_value(op, x):
    """Unsigned integers and bools, too, which NumPy cannot negate."""
    f, n = INFIX[op], float(x)
    v = Value(2.0)
    for y, expected in ((f(v, x), f(2.0, n)), (f(x, v), f(n, 2.0))):
        assert type(y) is Value
        assert type(y.data) is float
        assert y.data == expected
        v.grad = 0.0
        y.backward()
        assert type(v.grad) is float
    assert f(n, Value(2.0)).data == f(n, 2.0)


@pytest.mark.parametrize(
    "x", [np.uint8(1), np.uint64(1), np.int8(-128), np.bool_(True)], ids=name
)
def test_a_small_numpy_integer_is_subtracted_without_wrapping_around(x):
    assert (Value(3.0) - x).data == 3.0 - float(x)


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (lambda v: 1 - v, 3.0, (-2.0, -1.0)),
        (lambda v: v - 1, 3.0, (2.0, 1.0)),
        (lambda v: 1 / v, 4.0, (0.25, -0.0625)),
        (lambda v: v / 4, 3.0, (0.75, 0.25)),
        (lambda v: 2**v, 3.0, (8.0, 8.0 * math.log(2.0))),
        (lambda v: v**2, 3.0, (9.0, 6.0)),
        (lambda v: v**v, 2.0, (4.0, 4.0 + 4.0 * math.log(2.0))),
        (lambda v: 1 + v, 3.0, (4.0, 1.0)),
        (lambda v: 2 * v, 3.0, (6.0, 2.0)),
        (lambda v: -v, 3.0, (-3.0, -1.0)),
        (lambda v: abs(v), -3.0, (3.0, -1.0)),
    ],
)
def test_gradients_flow_through_each_operator_and_its_reflection(f, x, expected):
    assert gradients(f, x) == pytest.approx(expected, rel=1e-15)


def test_in_place_operators_make_a_new_value():
    a = b = Value(2.0)
    a += 1
    a *= b
    a -= 0.5
    a /= 2
    a **= 2
    a.backward()
    assert (a.data, b.data) == (7.5625, 2.0)
    assert b.grad == 2 * 2.75 * 2.5


def test_the_further_exercise_has_the_known_answer(sine):
    def f(a, b, c):
        return -(a**3) + (3 * b).sin() - 1 / c + b**2.5 - a**0.5

    known = (6.336362190988558, -12.353553390593273, 10.25699027111255, 0.0625)
    assert gradients(f, 2, 3, 4) == pytest.approx(known, rel=1e-13)


def test_softmax_and_negative_log_likelihood_have_the_known_answer():
    def loss(*logits):
        powers = [x.exp() for x in logits]
        return -(powers[3] / sum(powers)).log()

    assert gradients(loss, 0, 3, -2, 1) == pytest.approx(
        (
            2.1755153626167147,
            *(0.041772570515350445, 0.8390245074625319),
            *(0.005653302662216329, -0.8864503806400986),
        ),
        rel=1e-13,
    )


# --- a Value as a number ---------------------------------------------------------------------


def test_sum_max_min_and_abs_work_on_values():
    a, b, c = Value(1.0), Value(-3.0), Value(2.0)
    total: Any = sum([a, b, c])
    total.backward()
    assert (total.data, a.grad, b.grad, c.grad) == (0.0, 1.0, 1.0, 1.0)
    assert max(a, b, c) is c
    assert min([a, b, c]) is b
    assert sorted([a, b, c]) == [b, a, c]
    assert abs(b).data == 3.0


def test_values_compare_with_values_and_with_numbers():
    a, b = Value(1.0), Value(2.0)
    assert a < b and b > a and a <= b and b >= a and a <= Value(1.0)
    assert not (b < a or a > b or b <= a or a >= b)
    assert a < 1.5 and 1.5 > a and 0 < a <= 1 and 1 >= a
    assert np.float64(0.5) < a and a > np.float64(0.5)
    assert all(type(x) is bool for x in (a < b, a > 0, 0 <= a))
    nan = Value(math.nan)
    assert not (nan < a or nan > a or nan <= nan or nan >= nan)
    with pytest.raises(TypeError):
        _ = a < "1"


def test_a_value_converts_and_formats_as_its_number():
    v = Value(3.14159)
    assert float(v) == 3.14159
    assert f"{v:.2f}" == "3.14"
    assert f"{v:>10.3e}" == " 3.142e+00"
    assert f"{v}" == str(v) == repr(v) == "Value(data=3.14159, grad=0.0)"
    assert math.isclose(v, 3.14159)


def test_equality_and_hash_are_identity():
    a, b = Value(1.0), Value(1.0)
    assert a == a and a != b and a != 1.0
    assert len({a, b}) == 2
    assert {a: "a", b: "b"}[b] == "b"
    assert a in [a] and a not in [b]


def test_repr_shows_data_and_grad():
    a = Value(2, label="a")
    (a * 3).backward()
    assert repr(a) == "Value(data=2.0, grad=3.0)"
    assert repr([Value(-0.0), Value(math.inf)]) == (
        "[Value(data=-0.0, grad=0.0), Value(data=inf, grad=0.0)]"
    )


@pytest.mark.parametrize("f", ["exp", "log", "tanh"])
def test_numpy_functions_call_the_method_of_a_value(f):
    x = Value(0.5)
    y = getattr(np, f)(x)
    assert type(y) is Value
    assert y.data == pytest.approx(getattr(np, f)(0.5), rel=1e-14)
    y.backward()
    assert x.grad == pytest.approx(slopes(getattr(np, f), 0.5)[0], rel=1e-6)


# --- a Value as an object --------------------------------------------------------------------


def test_a_value_has_the_attributes_code_in_the_field_expects():
    a, b = Value(2.0, label="a"), Value(3.0)
    c = a * b
    assert (a.data, a.grad, a.label, a._op, tuple(a._prev)) == (2.0, 0.0, "a", "", ())
    assert (c._op, tuple(c._prev), b.label) == ("*", (a, b), "")
    c.label = "c"
    assert c.label == "c"


def test_inputs_are_kept_in_order_and_as_often_as_they_are_used():
    a, b = Value(2.0), Value(3.0)
    assert (b - a)._prev[0] is b
    assert (b / a)._prev == (b, a)
    assert (a**a)._prev == (a, a)


def test_a_value_built_by_hand_from_its_inputs_is_differentiated():
    a, b = Value(2.0), Value(3.0)
    c = Value(6.0, (a, b), "*")
    c.backward()
    assert (c.data, a.grad, b.grad) == (6.0, 3.0, 2.0)
    assert [v.data for v in grad(c, [a, b])] == [3.0, 2.0]


def test_an_unknown_attribute_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="a Value has no 'sine'.*RULES"):
        _ = Value(1.0).sine
    assert not hasattr(Value(1.0), "requires_grad")


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.deepcopy,
        *(
            lambda v, n=n: pickle.loads(pickle.dumps(v, n))
            for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
def test_a_deep_copy_or_pickle_is_a_graph_of_its_own(duplicate):
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    a.grad = 0.5
    root, a2, b2 = duplicate(((a * b).relu() + a * a, a, b))
    assert (a2.data, a2.grad, a2.label, b2.label) == (2.0, 0.5, "a", "b")
    root.backward()
    assert (root.data, a2.grad, b2.grad) == (4.0, 4.5, 0.0)
    assert (a.grad, b.grad) == (0.5, 0.0), "the original is not touched"


def test_a_shallow_copy_shares_its_inputs():
    a = Value(2.0, label="a")
    y = a * a
    twin = copy.copy(y)
    assert twin is not y
    assert (twin.data, twin._op, twin._prev) == (y.data, "*", (a, a))
    twin.backward()
    assert (a.grad, y.grad) == (4.0, 0.0)


# --- rules -----------------------------------------------------------------------------------


def test_a_rule_of_the_readers_own_is_a_method_that_is_differentiated(sine):
    value, slope = gradients(lambda x: x.sin() * 2, 0.5)
    assert value == 2 * math.sin(0.5)
    assert slope == pytest.approx(2 * math.cos(0.5), rel=1e-14)
    assert gradcheck(lambda x: (x * x).sin(), [0.7])


def test_a_rule_of_the_readers_own_has_derivatives_of_every_order(sine):
    x = Value(0.5)
    y = x.sin()
    for expected in (math.cos(0.5), -math.sin(0.5), -math.cos(0.5), math.sin(0.5)):
        (y,) = grad(y, [x])
        assert y.data == pytest.approx(expected, rel=1e-12)


def test_a_rule_that_is_removed_is_gone(sine):
    rule = RULES.pop("sin")
    with pytest.raises(AttributeError):
        Value(1.0).sin()
    RULES["sin"] = rule


def smooth(op):
    """A place where the rule op is smooth."""
    return (
        [1.3, -0.6]
        if op in INFIX or op in ("max", "min")
        else [1.3, -0.6, 2.0]
        if op == "sum"
        else [0.7]
    )


@pytest.mark.parametrize("op", RULES)
def test_gradcheck_passes_on_every_rule(op):
    f = INFIX[op] if op in INFIX else lambda x, *others: getattr(x, op)(*others)
    assert gradcheck(f, smooth(op))


@pytest.mark.parametrize("op", RULES)
def test_a_rule_gives_a_value_and_as_many_slopes_as_it_has_inputs(op):
    """And they agree with measured slopes, on plain floats."""
    xs = smooth(op)
    value, local = RULES[op](*xs)
    assert isinstance(value, float)
    assert local == pytest.approx(slopes(lambda *xs: RULES[op](*xs)[0], *xs), rel=1e-8)


def test_gradcheck_takes_many_inputs_of_any_real_kind():
    assert gradcheck(lambda a, b, c: (a * b).tanh() / c + a**c, [1, np.float32(0.5), 2.0])
    assert gradcheck(lambda: Value(1.0), [])


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.01, 2.0, math.nan, math.inf])
def test_gradcheck_catches_a_wrong_rule(factor, monkeypatch):
    monkeypatch.setitem(RULES, "wrong", lambda a: (a * a, (2 * a * factor,)))
    with pytest.raises(ValueError, match="input 1.*backward.* says .*slope is"):
        gradcheck(lambda a, b: a + b.wrong(), [1.0, 3.0])


def test_gradcheck_catches_a_gradient_that_is_lost():
    with pytest.raises(ValueError, match="input 0"):
        gradcheck(lambda a: Value(a.data) * 2, [1.0])


def test_gradchecks_defaults_are_those_of_pytorch():
    ours = inspect.signature(micrograd.gradcheck).parameters
    theirs = inspect.signature(torch.autograd.gradcheck).parameters
    for default in ("eps", "atol", "rtol"):
        assert ours[default].default == theirs[default].default


def test_gradcheck_keeps_to_the_tolerances_it_is_given(monkeypatch):
    monkeypatch.setitem(RULES, "coarse", lambda a: (a * a, (2 * a * 1.01,)))
    with pytest.raises(ValueError):
        gradcheck(lambda a: a.coarse(), [3.0])
    assert gradcheck(lambda a: a.coarse(), [3.0], rtol=0.02)
    assert gradcheck(lambda a: a.coarse(), [3.0], atol=0.1)


# --- slopes ----------------------------------------------------------------------------------


def test_slopes_are_measured_at_each_input():
    assert slopes(lambda x: 3 * x**2 - 4 * x + 5, 3.0) == pytest.approx((14.0,), rel=1e-8)
    assert slopes(lambda a, b, c: a * b + c, 2.0, -3.0, 10.0) == pytest.approx(
        (-3.0, 2.0, 1.0), rel=1e-8
    )
    assert slopes(lambda: 1.0) == ()


def test_a_central_difference_is_exact_for_parabolas_and_takes_the_step_it_is_given():
    seen = []

    def square(x):
        seen.append(x)
        return x * x

    assert slopes(square, 3.0, h=0.25) == (6.0,)
    assert sorted(seen) == [2.75, 3.25]


@pytest.mark.parametrize("x", [-1000.0, -745.0, -710.0, -709.0, -40.0, 40.0, 710.0, 1000.0])
def test_a_saturated_sigmoid_has_higher_derivatives_as_in_pytorch(x):
    mine, theirs = Value(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y, reference = mine.sigmoid(), torch.sigmoid(theirs)
    for _ in range(3):
        (y,) = grad(y, [mine])
        (reference,) = torch.autograd.grad(reference, theirs, create_graph=True)
        assert y.data == pytest.approx(reference.item(), rel=1e-12, abs=0)


@pytest.mark.parametrize("f", [lambda x: x.relu(), lambda x: x**2, lambda x: x.tanh()])
def test_data_set_to_a_numpy_scalar_can_be_differentiated_twice(f):
    x, plain = Value(2.0), Value(2.0)
    x.data = np.float64(2.0)
    (mine,), (expected,) = grad(f(x), [x]), grad(f(plain), [plain])
    assert grad(mine, [x])[0].data == grad(expected, [plain])[0].data


def test_a_rule_with_two_inputs_is_a_method_too(monkeypatch):
    def maximum(a, b):
        return where(a < b, b, a), (where(a < b, 0.0, 1.0), where(a < b, 1.0, 0.0))

    monkeypatch.setitem(RULES, "maximum", maximum)
    a, b = Value(1.0), Value(2.0)
    a.maximum(b).backward()
    assert (a.grad, b.grad, a.maximum(3.0).data) == (0.0, 1.0, 3.0)


def test_gradcheck_refuses_what_a_value_refuses():
    with pytest.raises(TypeError, match="'3'"):
        gradcheck(lambda x: x * x, ["3"])


def test_a_walk_that_fails_leaves_every_gradient_as_it_was():
    a, b = Value(2.0), Value(3.0)
    (a * 5 + b).backward()
    out = Value(8.0, (a,), "cube")  # its _backward was forgotten
    y = out * a * b
    y.grad = 7.0
    with pytest.raises(NotImplementedError, match="cube"):
        y.backward()
    assert (a.grad, b.grad, out.grad, y.grad) == (5.0, 1.0, 0.0, 7.0)


@pytest.mark.parametrize(
    "rule", [lambda a: a, lambda a: (a,), lambda a: (a, 1.0), lambda a: None]
)
def test_a_rule_that_returns_no_slopes_is_named(monkeypatch, rule):
    monkeypatch.setitem(RULES, "half", rule)
    with pytest.raises(TypeError, match="the rule of 'half' must return its value and a tuple"):
        Value(2.0).half()
