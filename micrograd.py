"""micrograd: reverse-mode automatic differentiation and small neural networks.

Tangled from README.org, which explains it. Edit that document; what you edit here comes into
it by `make detangle`.
"""

import math


# Chapter 1: What a derivative is
from collections.abc import Callable


def slopes(f: Callable[..., float], *inputs: float, h: float = 1e-6) -> tuple[float, ...]:
    """Measured slopes of f at inputs, one for each input.

    f takes as many floats as there are inputs and returns a float. Each slope is a central
    difference, (f(x + h) - f(x - h)) / 2h, whose error shrinks with the square of h.
    """

    def moved(i: int, step: float) -> float:
        return f(*(x + step if k == i else x for k, x in enumerate(inputs)))

    return tuple((moved(i, h) - moved(i, -h)) / (2 * h) for i in range(len(inputs)))


# Chapter 2: Rules

# A rule takes an operator's inputs and returns its value, and a local derivative for each.


def add(a, b):
    return a + b, (1.0, 1.0)


def sub(a, b):
    return a - b, (1.0, -1.0)


def mul(a, b):
    return a * b, (b, a)


def divide(a, b):
    """a / b; for floats, x/0 is inf, -inf or nan, as in IEEE 754, and no exception."""
    return a * math.copysign(math.inf, b) if isinstance(b, float) and b == 0 else a / b


def call(f, a):
    """f(a), where f is a function of math such as exp, log, tanh or sin, and a is a float.

    Where f overflows, inf, with the sign that f has at 1, or at -1 if a is negative; -inf for
    log(0); nan where f is not defined. Anything but a float is asked for its own method of
    that name: call(math.exp, a) is then a.exp().
    """
    if not isinstance(a, float):
        return getattr(a, f.__name__)()
    try:
        return f(a)
    except OverflowError:
        return math.copysign(math.inf, f(math.copysign(1.0, a)))
    except ValueError:
        return -math.inf if a == 0 and "log" in f.__name__ else math.nan


def raised(a, b):
    """a ** b; for floats, inf where it overflows or divides by 0, nan where it is complex."""
    if not (isinstance(a, float) and isinstance(b, float)):
        return a**b
    try:
        return math.pow(a, b)
    except (OverflowError, ValueError):
        return math.nan if a < 0 and b % 1 else divide(1.0, math.pow(a, -b))


def where(condition, yes, no):
    """yes if the condition holds, else no; a condition with a where() of its own chooses."""
    if isinstance(condition, bool) or not hasattr(condition, "where"):
        return yes if condition else no
    return condition.where(yes, no)


def equal(a, b):
    """Whether a is b. Not a == b, which asks Values whether they are the same one.

    And not `and`, which has to know at once, as `if` has: & can be written down by letters.
    """
    return (a <= b) & (a >= b)


def div(a, b):
    q = divide(a, b)
    return q, (divide(1.0, b), divide(-q, b))


def exp(a):
    e = call(math.exp, a)
    return e, (e,)


def tanh(a):
    t = call(math.tanh, a)
    return t, (1 - t * t,)


def relu(a):
    return where(a < 0, 0.0, a), (where(a <= 0, False, 1.0),)


def log(a):
    return call(math.log, a), (divide(1.0, a),)


def sqrt(a):
    r = call(math.sqrt, a)
    return r, (divide(0.5, r),)


def sin(a):
    return call(math.sin, a), (call(math.cos, a),)


def cos(a):
    return call(math.cos, a), (-call(math.sin, a),)


def sigmoid(a):
    s = divide(1.0, 1 + call(math.exp, -a)) if isinstance(a, float) else a.sigmoid()
    return s, (s * (1 - s),)


def absolute(a):
    turned = 0.0 - a  # and not -a, because -0.0 is a float of its own, and not a pretty one
    return where(a <= 0, turned, a), (where(a < 0, -1.0, where(a > 0, 1.0, 0.0)),)


def power(a, b):
    p = raised(a, b)
    to_base = where(equal(b, 0), False, b * raised(a, b - 1))
    to_exponent = where(equal(a, 0) & (b >= 0), 0.0, p * call(math.log, a))
    return p, (to_base, to_exponent)


def power_of(b):
    """The rule of a ** b for a number b: one input, and no logarithm."""
    return lambda a: (raised(a, b), (b != 0 and b * raised(a, b - 1),))


def maximum(a, b):
    larger = where(a >= b, a, where(b > a, b, a + b))  # a + b is nan if one of them is
    half = where(equal(a, b), 0.5, 1.0)
    return larger, (where(a < b, False, half), where(b < a, False, half))


def minimum(a, b):
    m, local = maximum(-a, -b)
    return -m, local


class Rules(dict[str, Callable[..., tuple]]):
    """The rule of each operator; also of "**2" and the like, powers with a fixed exponent."""

    def __missing__(self, op: str) -> Callable[..., tuple]:
        if op.startswith("**"):
            return power_of(float(op[2:]))
        raise NotImplementedError(MISSING.format(op=op, name=op or "name"))


MISSING = """the operator {op!r} has no rule and no _backward of its own. Give it a rule:
    def {name}(a):
        return value, (slope,)  # a slope for each input
    RULES[{name!r}] = {name}
or give the Value that comes out a _backward:
    def back():
        a.grad += slope * out.grad
    out._backward = back"""


RULES = Rules({"+": add, "-": sub, "*": mul, "/": div, "**": power})
RULES |= {"exp": exp, "log": log, "sqrt": sqrt, "sin": sin, "cos": cos, "tanh": tanh}
RULES |= {"sigmoid": sigmoid, "relu": relu, "abs": absolute, "max": maximum, "min": minimum}


# Chapter 3: A number that remembers
from contextlib import suppress
from numbers import Real
from typing import Any


def is_array(x: Any) -> bool:
    """Whether x is an array of NumPy's, or of its kind, with dimensions."""
    return hasattr(x, "__array_ufunc__") and x.ndim > 0


def number(x: Any) -> float:
    """x as a float. Raises TypeError unless it is one real number.

    That may be a number of Python's or NumPy's, an array without dimensions, or a tensor of one
    element.
    """
    if type(x) is float:
        return x
    one = x
    if hasattr(x, "item") and not is_array(x):
        with suppress(ValueError, RuntimeError):  # a tensor of several elements
            one = x.item()
    if isinstance(one, Real):
        return one.__float__()
    wrong = f"{x!r:.60}, which is of type {type(x).__name__}"
    raise TypeError(f"a Value holds an int, float, bool or real NumPy scalar, not {wrong}")


def apply(op: str, *inputs: Any) -> "Value":
    """The Value that the rule of op gives at inputs, which are Values or numbers.

    Raises TypeError if the rule gives anything but its value and a slope for each input.
    """
    values = tuple([x if isinstance(x, Value) else Value(x) for x in inputs])
    result = data, local = RULES[op](*[x.data.__float__() for x in values])
    if type(local) is not tuple or len(local) != len(values):
        wanted = f"its value and a tuple of {len(values)}, a slope for each input"
        raise TypeError(f"the rule of {op!r} must return {wanted}, not {result!r:.60}")
    return Value(data, values, op, "", local)


def infix(op: str) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """The two methods of an infix operator: for `a op b` and, reflected, for `b op a`."""

    def forward(a, b):
        if not isinstance(b, Value):
            if is_array(b):
                return NotImplemented
            b = Value(b)
        data, local = RULES[op](a.data.__float__(), b.data.__float__())
        return Value(data, (a, b), op, "", local)

    return forward, lambda a, b: apply(op, b, a)


class Value:
    """A number that remembers how it was computed, and can be differentiated.

    data: the number, a float. grad: after backward(), the derivative with respect to this
    Value. label: a name, for drawings. _prev: the Values it was computed from, in order.
    _op: the operator that did it, which has a rule: a key of RULES, or "**2" and the like.

    + - * / ** take Values and numbers on either side, and every other rule is a method:
    exp(), log(), tanh(), relu(), max(other) and so on. Values and gradients are those of
    PyTorch's float64 scalars up to rounding, inf and nan included; only the gradients of x / b
    and of log(b) overflow early, where |b| < 5.6e-309. Raises TypeError for all but one real
    number. An operator of your own is a rule in RULES, or a function that makes a Value from
    its inputs and sets its _backward.
    """

    __slots__ = ("data", "grad", "_prev", "_op", "_local", "__dict__", "__weakref__")
    label = ""

    def __init__(self, data: Any, _children=(), _op: str = "", label: str = "", _local=()):
        self.data: float = data if type(data) is float else number(data)
        self.grad: float = 0.0
        self._prev = _children if type(_children) is tuple else tuple(_children)
        self._op, self._local = _op, _local
        if label:
            self.label = label

    __add__, __radd__ = infix("+")
    __sub__, __rsub__ = infix("-")
    __mul__, __rmul__ = infix("*")
    __truediv__, __rtruediv__ = infix("/")
    _power, __rpow__ = infix("**")

    def __pow__(self, other: Any) -> "Value":
        if isinstance(other, Value) or is_array(other):
            return self._power(other)
        b = other if type(other) is int else number(other)
        data, local = power_of(float(b))(self.data.__float__())
        return Value(data, (self,), f"**{b}", "", local)

    __lt__, __gt__ = (lambda a, b: a.data < b), (lambda a, b: a.data > b)
    __le__, __ge__ = (lambda a, b: a.data <= b), (lambda a, b: a.data >= b)
    __neg__, __abs__ = (lambda a: -1 * a), (lambda a: apply("abs", a))

    def __getattr__(self, name: str) -> Callable[..., "Value"]:
        if name in RULES:
            return lambda *others: apply(name, self, *others)
        raise AttributeError(f"a Value has no {name!r}, and RULES has no rule of that name")

    # A Value is true, and equal to itself alone. A number that is not there yet (chapter 10)
    # refuses to be asked.
    __bool__, __hash__ = (lambda a: a.data != 0 or True), object.__hash__
    __eq__ = lambda a, b: bool(a) and object.__eq__(a, b)  # noqa: E731

    def _backward(self) -> None:
        """Hand the gradient on: to each input, times its local derivative."""
        if self._prev:
            grad, local = self.grad, self._local or self._slopes()
            for child, slope in zip(self._prev, local, strict=True):
                if slope is not False:
                    child.grad += slope * grad

    def _slopes(self) -> tuple:
        """The local derivatives, asked for anew: a Value made by hand comes without them."""
        return RULES[self._op](*map(float, self._prev))[1]

    def backward(self) -> None:
        """Add the derivative of self with respect to v to v.grad, for each Value v behind it.

        Gradients add up over calls, as PyTorch's do: set them to 0 in between.
        """
        backpropagate(self)

    def __float__(self) -> float:
        return float(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    def _repr_svg_(self) -> str | None:
        return notebook_svg(self)


def topological_order(root: Any) -> list[Any]:
    """All Values behind root, each once, inputs before what is made from them; root is last.

    A depth-first walk with a stack of its own: Python's ends at a depth of a thousand.
    """
    order: dict[Value, None] = {}  # a dict keeps its keys in the order in which they came
    stack, deep = [(root, iter(root._prev))], 1000
    while stack:
        v, inputs = stack[-1]
        for child in inputs:
            if child not in order:
                if child._prev:
                    stack.append((child, iter(child._prev)))
                    break
                order[child] = None
        else:  # none is missing
            order[v] = None
            stack.pop()
            continue
        if len(stack) > deep:  # now and then: does it go round in a circle?
            if len(stack) > len({v for v, _ in stack}):
                raise ValueError(f"the graph has a cycle: {v} was computed from itself")
            deep *= 4
    return list(order)


def trace(root: Value) -> tuple[list[Value], list[tuple[Value, Value]]]:
    """The graph behind root: its nodes in topological order, and its edges (input, result).

    An input that is used twice, as in x * x, has two edges.
    """
    nodes = topological_order(root)
    return nodes, [(child, v) for v in nodes for child in v._prev]


ESCAPES = {ord(ch): "\\" + ch for ch in '\\|{}<>" '} | {ord("&"): "&amp;", ord("\n"): "\\n"}


def short(x: float) -> str:
    """x for a drawing: four decimals, or a power of ten where those would not do."""
    return f"{x:.4f}" if x == 0 or 1e-3 <= abs(x) < 1e7 or not math.isfinite(x) else f"{x:.3e}"


def draw_dot(root: Value, format: str = "svg", rankdir: str = "LR", limit: int = 1000):
    """A graphviz.Digraph of the graph behind root: label, data and grad of each Value.

    rankdir: "LR" draws left to right, "TB" top to bottom. Raises ValueError if the graph has
    more than limit nodes: laying out a large graph takes very long, and no one can read it.
    """
    import graphviz

    nodes, edges = trace(root)
    if len(nodes) > limit:
        raise ValueError(
            f"draw_dot: the graph has {len(nodes)} nodes, more than the limit of {limit}; "
            f"draw a part of it (call draw_dot on an earlier Value), or pass a higher limit"
        )
    dot = graphviz.Digraph(
        format=format,
        graph_attr=dict(rankdir=rankdir, ranksep="0.15", nodesep="0.12", bgcolor="white"),
        node_attr=dict(fontname="Courier", fontsize="9", height="0.1", margin="0.08,0.02"),
        edge_attr=dict(arrowsize="0.6"),
    )
    name = {v: str(i) for i, v in enumerate(nodes)}
    for v in nodes:
        label = str(v.label).translate(ESCAPES)
        rows = [label] * (label != "") + [f"data {short(v.data)}", f"grad {short(v.grad)}"]
        record = "|".join(rows)
        dot.node(name[v], record if rankdir == "LR" else f"{{{record}}}", shape="record")
        if v._op:
            oval = dict(width="0.4", margin="0.02", fontsize="12", fillcolor="#e8eefc")
            dot.node(name[v] + "op", v._op, style="filled", **oval)
            dot.edge(name[v] + "op", name[v])
    for child, v in edges:
        dot.edge(name[child], name[v] + "op")
    return dot


def notebook_svg(root: Value) -> str | None:
    """The drawing of root for a notebook, or None, so that its text is shown instead."""
    try:
        return draw_dot(root, limit=200).pipe(encoding="utf-8")
    except Exception:  # no graphviz, no dot, too large: no reason to show nothing
        return None


# Chapter 4: Backpropagation
def backpropagate(root: Value) -> None:
    """Add the derivative of root to v.grad, for every Value v behind it: backward()'s work."""
    order = topological_order(root)
    kept = [(v, v.grad) for v in order if v.grad]
    for v in order:
        v.grad = 0.0
    root.grad = 1.0
    for v in reversed(order):
        v._backward()
    for v, before in kept:
        v.grad += before


from collections.abc import Sequence


def gradcheck(f: Callable, inputs: Sequence[Any], eps=1e-6, atol=1e-5, rtol=1e-3) -> bool:
    """True if backward() through f agrees with slopes measured at inputs, which are numbers.

    f takes as many Values as there are inputs and returns a Value. eps is the step; a gradient
    g agrees with a measured slope s if |g - s| <= atol + rtol |s|. Raises ValueError if one
    does not. The defaults are those of torch.autograd.gradcheck. As backward() does, it adds to
    the gradients of other leaves that f uses.
    """
    leaves = [Value(x) for x in inputs]
    f(*leaves).backward()
    measured = slopes(lambda *xs: f(*map(Value, xs)).data, *[x.data for x in leaves], h=eps)
    for i, (x, slope) in enumerate(zip(leaves, measured, strict=True)):
        if not abs(x.grad - slope) <= atol + rtol * abs(slope):
            both = f"backward() says {x.grad}, the measured slope is {slope}"
            raise ValueError(f"gradcheck: for input {i}, {x.data}, {both}")
    return True


# Chapter 6: The same in PyTorch
def grad(output: Value, inputs: Sequence[Value]) -> tuple[Value, ...]:
    """The derivatives of output with respect to each of inputs, as Values.

    They can be differentiated again, to any order (torch.autograd.grad with create_graph=True
    and materialize_grads=True: an input without influence gets 0). No Value's grad is changed.
    Raises RuntimeError if the data of a Value was changed after output was computed.
    """
    share = {output: Value(1.0)}
    for v in reversed(topological_order(output)):
        if v._prev and v in share:
            if getattr(v._backward, "__func__", None) is not Value._backward:
                own = f"the operator {v._op!r} has a _backward of its own, which gives a number"
                raise NotImplementedError(f"grad: {own}, no Value: make it a rule, in RULES")
            value, local = RULES[v._op](*v._prev)
            was = v.data, *(v._local or v._slopes())
            if str([*map(float, (value, *local))]) != str([*map(float, was)]):
                raise RuntimeError(f"grad: what {v} was computed from has since been changed")
            for child, slope in zip(v._prev, local, strict=True):
                if slope is not False:
                    part = share[v] * slope
                    share[child] = share[child] + part if child in share else part
    return tuple(share.get(x, Value(0.0)) for x in inputs)


# Chapter 7: Networks
class Module:
    """Anything with parameters: a neuron, a layer, a network."""

    def parameters(self) -> list[Value]:
        """The Values that training changes, in an order that is always the same."""
        return []

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for p in self.parameters():
            p.grad = 0.0


def total(*terms):
    value = 0.0
    for x in terms:
        value = value + x
    return value, (1.0,) * len(terms)


RULES["sum"] = total
SEVERAL = ("sum", "max", "min")  # rules of more than one number


import random


class Neuron(Module):
    """nonlin(w1 x1 + w2 x2 + ... + b): from nin inputs to one Value.

    nin: the number of inputs. nonlin: the name of a rule of one number, False for none, True
    for the class's own, activation. The weights w are drawn by random.uniform(-1, 1), then the
    bias b, if random_bias says so; otherwise it starts at 0. Raises ValueError for an unknown
    rule, and when called with a number of inputs (Values or numbers) other than nin.
    """

    activation, random_bias = "tanh", True

    def __init__(self, nin: int, nonlin: bool | str = True):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(random.uniform(-1, 1) if self.random_bias else 0.0)
        self.nonlin = nonlin if isinstance(nonlin, str) else bool(nonlin) and self.activation
        known = [name for name in RULES if name.isidentifier() and name not in SEVERAL]
        if self.nonlin and self.nonlin not in known:
            raise ValueError(f"nonlin is True, False or one of {known}, not {nonlin!r}")

    def __call__(self, x: Any) -> Value:
        x = list(x) if hasattr(x, "__iter__") else [x]
        if len(x) != len(self.w):
            raise ValueError(f"this neuron has {len(self.w)} inputs, and was given {len(x)}")
        act = apply("sum", self.b, *[wi * xi for wi, xi in zip(self.w, x, strict=True)])
        return getattr(act, self.nonlin)() if self.nonlin else act

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        kind = {"relu": "ReLU", False: "Linear"}.get(self.nonlin, str(self.nonlin).capitalize())
        return f"{kind}Neuron({len(self.w)})"


class Layer(Module):
    """nout neurons side by side: nin inputs to a list of nout Values, or to one bare Value.

    kwargs go to each neuron, such as nonlin="relu".
    """

    neuron = Neuron

    def __init__(self, nin: int, nout: int, **kwargs: Any):
        self.neurons = [self.neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Any) -> Any:
        x = list(x) if hasattr(x, "__iter__") else [x]
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(str, self.neurons))}]"


class MLP(Module):
    """Layers in a row: nin inputs, then layers of nouts[0], nouts[1], ... neurons.

    kwargs go to each neuron. With linear_output, the last layer has no activation.
    """

    layer, linear_output = Layer, False

    def __init__(self, nin: int, nouts: Sequence[int], **kwargs: Any):
        sizes, kinds = [nin, *nouts], [kwargs] * len(nouts)
        if self.linear_output and kinds:
            kinds[-1:] = [kwargs | {"nonlin": False}]
        self.layers = [self.layer(*sizes[i : i + 2], **kind) for i, kind in enumerate(kinds)]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(str, self.layers))}]"


def draw_network(model: MLP, format: str = "svg"):
    """A graphviz.Digraph of model, folded: a circle for each neuron, an edge for each weight.

    Blue edges are positive weights, dashed red ones negative; the wider, the larger. A neuron's
    activation stands in its circle. Raises ValueError if there are no weights, or more than
    1000.
    """
    import graphviz

    weights = sum(len(n.w) for layer in model.layers for n in layer.neurons)
    if not 0 < weights <= 1000:
        raise ValueError(f"draw_network: {weights} weights, where 1 to 1000 can be drawn")
    dot = graphviz.Digraph(
        format=format,
        graph_attr=dict(rankdir="LR", ranksep="1.2", nodesep="0.1", splines="line"),
        node_attr=dict(fontname="Courier", fontsize="9", shape="circle", width="0.45"),
        edge_attr=dict(arrowhead="none"),
    )
    below = [f"x{i + 1}" for i in range(len(model.layers[0].neurons[0].w))]
    for depth, layer in enumerate(model.layers):
        above = [f"{depth}.{i}" for i in range(len(layer.neurons))]
        for name, neuron in zip(above, layer.neurons, strict=True):
            dot.node(name, neuron.nonlin or "+", style="filled", fillcolor="#e8eefc")
            for source, w in zip(below, neuron.w, strict=True):
                color, style = ("#1f77b4", "solid") if w.data > 0 else ("#d62728", "dashed")
                width = min(0.3 + 2 * abs(w.data), 9)
                dot.edge(source, name, color=color, style=style, penwidth=f"{width:.2f}")
        below = above
    return dot


# Chapter 9: The moons
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType


class nn:
    """Networks of relu neurons, with a linear last layer and biases that start at 0."""

    Module, Value = Module, Value

    class Neuron(Neuron):
        activation, random_bias = "relu", False

    class Layer(Layer):
        neuron = property(lambda self: nn.Neuron)  # looked up when asked: yours, if you set it

    class MLP(MLP):
        layer, linear_output = property(lambda self: nn.Layer), True


class Part(ModuleType):
    """A module that can be pickled, by its name: old protocols of pickle ask for that."""

    def __reduce__(self) -> tuple:
        return import_module, (self.__name__,)


class Parts(Loader):
    """Fills the modules micrograd.nn and micrograd.engine, which are no files, for import."""

    def __init__(self, **parts: dict[str, Any]):
        self.parts = {f"{__name__}.{name}": part for name, part in parts.items()}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in self.parts else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Part(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(self.parts[module.__name__], __file__=globals().get("__file__"))

    def load(self) -> Iterator[ModuleType]:
        for name in self.parts:
            sys.modules[name] = module_from_spec(ModuleSpec(name, self))
            self.exec_module(sys.modules[name])
            yield sys.modules[name]


__path__: list[str] = []  # it has parts, as a package has
networks = {name: part for name, part in vars(nn).items() if name[0] != "_"}
parts = Parts(nn=networks, engine={"Value": Value})
sys.meta_path[:] = [f for f in sys.meta_path if type(f).__qualname__ != "Parts"] + [parts]
nn, engine = parts.load()  # type: ignore[assignment, misc]

# What `from micrograd import *` brings: no rule called exp or log, over those of math.
__all__ = ["Value", "RULES", "apply", "call", "divide", "where", "slopes", "gradcheck", "grad"]
__all__ += ["Module", "Neuron", "Layer", "MLP", "nn", "engine", "jit", "to_torch", "from_torch"]
__all__ += ["topological_order", "trace", "draw_dot", "draw_network"]


# Chapter 10: Speed
@Real.register
class Symbol:
    """A number or a condition that is not computed yet: op of args; an input is a bare op.

    Operators on Symbols make Symbols. A Value may hold one as its data. gate: whether it is a
    choice that may turn out to be False, a slope through which nothing passes.
    """

    def __init__(self, op: str, *args: Any):
        self.op, self.args = op, args
        self._prev = [x for x in args if isinstance(x, Symbol)]
        self.gate = op == "where" and any(x is False or getattr(x, "gate", False) for x in args)

    def __bool__(self, *_) -> bool:
        raise TypeError("what is not computed yet can't decide an if, nor be compared by ==")

    def __repr__(self) -> str:
        return self.op

    __eq__, __hash__ = __bool__, object.__hash__
    __float__, __abs__, __neg__ = (lambda a: a), (lambda a: absolute(a)[0]), (lambda a: -1 * a)
    sigmoid, where = (lambda a: 1.0 / (1 + (-a).exp())), (lambda *args: write("where", *args))
    __and__ = __rand__ = lambda a, b: write("&", a, b) if isinstance(b, Symbol) else b and a


FUNCTIONS = "exp log tanh acos acosh asin asinh atan cos cosh erf erfc expm1 fabs".split()
FUNCTIONS += "log10 log2 sin sinh sqrt tan".split()


def write(op: str, *args: Any) -> Any:
    """A new Symbol for op of args, which are Symbols, numbers and bools, or one of args."""
    if op != "where" and any(isinstance(x, Value) for x in args):
        return NotImplemented
    args = tuple([x if x is False else number(x) for x in args])
    for i, x in enumerate(args):
        if (getattr(x, "op", "") in CONDITIONS) != (op == "&" or (op, i) == ("where", 0)):
            raise TypeError("a condition is no number: combine it by &, and ask it by where()")
    for x, other in zip(args, args[::-1], strict=True):
        if op == "*" and getattr(x, "gate", False):
            return x.args[0].where(*[0.0 if y is False else y * other for y in x.args[1:]])
        if type(x) is float and (op, x) in (("+", 0), ("*", 1)):
            return other
    if op == "raised" and type(args[1]) is float and args[1] in (1, 2):
        return args[0] if args[1] == 1 else args[0] * args[0]
    return Symbol(op, *args)


CONDITIONS = ("<", "<=", ">", ">=", "&")
INFIX = {"add": "+", "sub": "-", "mul": "*", "truediv": "divide", "pow": "raised"}
for _name, _op in (INFIX | {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}).items():
    setattr(Symbol, f"__{_name}__", lambda a, b, sign=_op: write(sign, a, b))
    setattr(Symbol, f"__r{_name}__", lambda a, b, sign=_op: write(sign, b, a))
for _name in FUNCTIONS:
    setattr(Symbol, _name, lambda a, f=_name: write("call", Symbol(f), a))


from traceback import walk_tb


def record(f: Callable, ninputs: int, parameters: list, what: str) -> list:
    """The derivatives of f with respect to parameters, and its value: Symbols or numbers."""
    kept = {p: (p.data, p.grad) for p in parameters}
    try:
        for i, p in enumerate(parameters):
            p.data, p.grad = Symbol(f"p[{i}]"), 0.0
        root = f(*[Value(Symbol(f"x[{i}]")) for i in range(ninputs)])
        if not isinstance(root, Value):
            raise TypeError(f"it must return one Value, not {root!r:.60}")
        kept |= {v: (v.data, v.grad) for v in topological_order(root) if v not in kept}
        moving = {v for v in kept if isinstance(v.data, Symbol)}
        if any(type(v.data) is float and moving & {*v._prev} for v in kept):
            raise TypeError("it uses a Value that was computed from a parameter before")
        root.backward()
        return [p.grad for p in parameters] + [0.0 + root.data]
    except Exception as error:
        frames = [f for f, _ in walk_tb(error.__traceback__) if f.f_globals is globals()]
        ops = [f.f_locals["op"] for f in frames if "op" in f.f_locals]
        rule = f"the rule {ops[0]!r}: " if ops else ""
        raise TypeError(f"jit: {what} can't be compiled: {rule}{error}") from error
    finally:
        for v, (data, grad) in kept.items():
            v.data, v.grad = data, grad


def function(name: str, outputs: list, c: bool) -> str:
    """What adds each of outputs to its place in g, as a function in Python or, if c, in C."""
    lines = [f"static void {name}(double *p) {{" if c else f"def {name}(x, p, g):"]
    names: dict[Symbol, str] = {}
    places = [Symbol("+=", Symbol(f"g[{i}]"), x) for i, x in enumerate(outputs)]
    for s in topological_order(Symbol("", places[-1], *places))[:-1]:
        args = [names.get(x, x.op) if isinstance(x, Symbol) else repr(float(x)) for x in s.args]
        # A parameter or a constant (0.5, -1.0, inf, nan) is one number for all lanes of C.
        args = [f"all({x})" if c and x[0] in "p-0123456789in" else x for x in args]
        text = f"{s.op}({', '.join(args)})" if s.op.isidentifier() else f" {s.op} ".join(args)
        if s.args and s.op != "+=":
            names[s] = f"v{len(names)}"
            text = f"{'let ' * c}{names[s]} = {text}"
        lines += [f"    {text}{';' * c}"] if s.args else []
    return "\n".join([*lines, "}" * c, ""])


HEAD = r"""
#include <math.h>
#define LANES for (int j = 0; j < 8; j++)
#define let const __auto_type
#define inf INFINITY
#define nan NAN
#define divide(a, b) ((a) / (b))
#define where(c, a, b) (V)(((M)(c) & (M)(a)) | (~(M)(c) & (M)(b)))
typedef double V __attribute__((vector_size(64)));
typedef long long M __attribute__((vector_size(64)));
static V x[INPUTS + 1], g[P + 1];
static inline V all(double a) { return a - (V){0}; }
static inline V raised(V a, V b) { LANES a[j] = pow(a[j], b[j]); return a; }
#define call(f, a) ({ V y = (a); LANES y[j] = f(y[j]); y; })
"""


LOOPS = r"""
void run(long rows, long steps, const double *rates, const double *data,
         double *p, double *total, double *losses) {
    for (long k = 0; k < steps; k++) {
        for (int i = 0; i <= P; i++) g[i] = all(0);
        for (long n = -(-rows & 7); n < rows; n += 8) {
            for (int i = 0; i < INPUTS; i++)
                LANES x[i][j] = data[(n + j < 0 ? 0 : n + j) * INPUTS + i];
            each(p);
            for (int i = 0; n < 0 && i <= P; i++) LANES g[i][j] = n + j < 0 ? 0 : g[i][j];
        }
        x[0] = all(rows / 8.0);
        once(p);
        for (int i = 0; i <= P; i++) {
            const double *t = (double *)(g + i);
            total[i] = (t[0] + t[4] + (t[1] + t[5]) + (t[2] + t[6] + (t[3] + t[7]))) / rows;
        }
        for (int i = 0; i < P; i++) p[i] -= rates[k] * total[i];
        losses[k] = total[P];
    }
}
"""


import os
import shlex
from shutil import which
from tempfile import TemporaryDirectory


def build(source: str) -> Callable[..., None]:
    """run() of a C program. Raises OSError if there is no compiler, or if it fails.

    The compiler is $CC, or else the first of cc, gcc and clang that is installed.
    """
    import ctypes
    import subprocess

    compiler = os.environ.get("CC") or next(filter(which, ("cc", "gcc", "clang")), "cc")
    flags = "-O2 -ffp-contract=off -w -shared -fPIC -x c - -lm -o".split()
    with TemporaryDirectory(prefix="jit-", ignore_cleanup_errors=True) as folder:
        for machine in ("-march=native", "-mcpu=native", "-O2"):
            command = [*shlex.split(compiler), machine, *flags, f"{folder}/program.so"]
            done = subprocess.run(command, input=source.encode(), capture_output=True)
            if done.returncode == 0:
                run = ctypes.PyDLL(command[-1]).run
                run.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 5
                return lambda *args: run(*args[:2], *[x.buffer_info()[0] for x in args[2:]])
    raise OSError(f"{command[0]} failed:\n{done.stderr.decode(errors='replace'):.400}")


from array import array


def interpret(source: str) -> Callable[..., None]:
    """run(), as C has it, for a program in Python."""
    exec(source, space := globals() | vars(math))

    def run(rows, steps, rates, data, p, total, losses):
        for k in range(steps):
            w, g = [*p], [0.0] * len(total)
            for n in range(rows):
                space["each"](memoryview(data)[len(data) // rows * n :], w, g)
            space["once"]([rows], w, g)
            total[:] = array("d", [x / rows for x in g])
            p[:] = array("d", [x - rates[k] * d for x, d in zip(p, total, strict=False)])
            losses[k] = total[-1]

    return run


import warnings
from collections.abc import Iterable
from itertools import chain


class jit:
    """The mean of loss over any number of examples, plus penalty, compiled with its gradient.

    loss: takes ninputs Values, the numbers of one example, and returns a Value. It is run once,
    and must do the same to all. parameters: the leaves that training changes; other leaves are
    constants, with the data they have now. penalty: None, or a function that takes nothing and
    returns a Value made from parameters alone. Raises TypeError or ValueError for what can't be
    compiled. source: the program. compiled: False if Python runs it, for want of a C compiler.
    """

    def __init__(self, loss: Callable, ninputs: int, parameters: Iterable, penalty=None):
        self.ninputs, self.parameters = ninputs, [*dict.fromkeys(parameters)]
        if wrong := [p for p in self.parameters if not isinstance(p, Value) or p._prev]:
            raise TypeError(f"jit: a parameter is a Value without inputs, not {wrong[0]!r:.60}")
        each = record(loss, ninputs, self.parameters, "the loss")
        once = record(lambda n: (penalty or float)() * n, 1, self.parameters, "the penalty")
        texts = [function("once", once, c) + function("each", each, c) for c in (False, True)]
        if (size := texts[0].count("\n")) > LARGEST:
            limit = f"a program of {size} lines, where {LARGEST} compile in reasonable time"
            raise ValueError(f"jit: {limit}; take a smaller network, or PyTorch")
        sizes = f"#define P {len(self.parameters)}\n#define INPUTS {ninputs}"
        self.source, self.compiled = f"{sizes}{HEAD}{texts[1]}{LOOPS}", True
        try:
            self._run = build(self.source)
        except (OSError, ValueError) as error:
            hint = "install gcc or clang (apt-get install gcc; on macOS xcode-select --install)"
            message = f"jit: {error}\nPython runs the program, slowly; {hint} or set CC"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            self.source, self.compiled, self._run = texts[0], False, interpret(texts[0])

    def _steps(self, rows: Any, rates: list[float]) -> list[array]:
        """The parameters after steps with rates, the last gradient, and all losses."""
        rows = rows.tolist() if hasattr(rows, "tolist") else [*rows]
        for i, row in enumerate(rows):
            if not hasattr(row, "__len__") or len(row) != self.ninputs:
                raise ValueError(f"jit: row {i} is not {self.ninputs} numbers: {row!r:.60}")
        if not rows:
            raise ValueError("jit: there are no rows")
        p = [p.data for p in self.parameters]
        arrays = [array("d", x) for x in (rates, chain(*rows), p, [*p, 0.0], rates)]
        self._run(len(rows), len(rates), *arrays)
        return arrays[2:]

    def backward(self, rows: Any) -> float:
        """The mean loss over rows, plus the penalty. Its gradient is added to p.grad.

        rows: ninputs numbers for each example, in lists or a NumPy array. Raises ValueError if
        there are none or their lengths are wrong, TypeError for what is not a number.
        """
        _, total, losses = self._steps(rows, [0.0])
        for p, derivative in zip(self.parameters, total, strict=False):
            p.grad += derivative
        return losses[0]

    def train(self, rows: Any, steps: Iterable[float]) -> list[float]:
        """Gradient descent: for each of steps, a step size, p.data -= step * derivative.

        Returns the loss before each step. p.grad stays as it is. rows: as for backward(). A
        KeyboardInterrupt waits until the program ends, and then no parameter has changed.
        """
        data, _, losses = self._steps(rows, [number(step) for step in steps])
        for p, x in zip(self.parameters, data, strict=True):
            p.data = x
        return [*losses]


LARGEST = 80_000  # about a minute


# Chapter 11: Beyond one machine
def expect(part: Any, kind: type, where: str) -> None:
    """Raise TypeError unless part computes as kind does, which is Neuron, Layer or MLP."""
    if not isinstance(part, kind) or type(part).__call__ is not kind.__call__:
        given = f"{where} is of type {type(part).__name__}"
        raise TypeError(f"{given}, which does not compute as micrograd's {kind.__name__} does")


def check_neuron(n: Neuron, where: str, width: int, nonlin: Any, used: set[Value]) -> None:
    """Raise TypeError or ValueError unless n is a row of a layer with width inputs."""
    expect(n, Neuron, where)
    if n.nonlin != nonlin:
        both = f"its activation is {n.nonlin or 'none'}, that of neuron 0 is {nonlin or 'none'}"
        raise ValueError(f"{where}: {both}")
    if len(n.w) != width:
        raise ValueError(f"{where}: it has {len(n.w)} weights, for {width} inputs")
    for p in (*n.w, n.b):
        if p in used:
            raise ValueError(f"{where}: one of its parameters is used in two places")
        used.add(p)


def matrices(model: MLP) -> Iterator[tuple[list[list[float]], list[float], Any]]:
    """For each layer: its weights, a row for each neuron; its biases; its activation's name.

    Raises TypeError or ValueError, which names the part, for a model that is no MLP or computes
    in another way, for a layer without neurons or with neurons that differ in their activation
    or number of inputs, and for a parameter that is used in two places.
    """
    expect(model, MLP, "the model")
    used: set[Value] = set()
    width = None
    for i, layer in enumerate(model.layers):
        expect(layer, Layer, f"layer {i}")
        if not layer.neurons:
            raise ValueError(f"layer {i} has no neurons")
        width = len(layer.neurons[0].w) if width is None else width
        nonlin = layer.neurons[0].nonlin
        for k, n in enumerate(layer.neurons):
            check_neuron(n, f"layer {i}, neuron {k}", width, nonlin, used)
        weights = [[float(w) for w in n.w] for n in layer.neurons]
        yield weights, [float(n.b) for n in layer.neurons], nonlin
        width = len(layer.neurons)


MODULES = {tanh: "Tanh", relu: "ReLU", sigmoid: "Sigmoid"}  # rules that torch.nn has, too


def pytorch() -> Any:
    """The module torch. Raises ModuleNotFoundError, with what to do, if it is not installed."""
    try:
        import torch
    except ModuleNotFoundError as error:
        missing = "this needs PyTorch, which is not installed: pip install torch"
        raise ModuleNotFoundError(missing, name="torch") from error
    return torch


def to_torch(model: MLP):
    """A torch.nn.Sequential in float64 that computes what model computes, with its parameters.

    It takes a tensor of shape (..., nin) to one of shape (..., nout); where one output is a
    bare Value here, nout is 1 there. The parameters are copies: training one does not change
    the other. Raises TypeError or ValueError, which names the part, for a model that cannot be
    written as matrices, or an activation other than tanh, relu, sigmoid or none;
    ModuleNotFoundError without PyTorch.
    """
    torch = pytorch()
    modules = []
    for i, (weights, biases, nonlin) in enumerate(matrices(model)):
        # On the device meta a layer draws no random numbers, which it would not keep.
        linear = torch.nn.Linear(len(weights[0]), len(weights), device="meta")
        linear.weight = torch.nn.Parameter(torch.tensor(weights, dtype=torch.float64))
        linear.bias = torch.nn.Parameter(torch.tensor(biases, dtype=torch.float64))
        modules.append(linear)
        if nonlin:
            name = MODULES.get(RULES[nonlin])
            if name is None:
                known = "only for tanh, relu and sigmoid"
                raise ValueError(f"layer {i}: torch.nn has no module for {nonlin}, {known}")
            modules.append(getattr(torch.nn, name)())
    return torch.nn.Sequential(*modules)


def layer_of(weights: list[list[float]], biases: list[float]) -> Layer:
    """A layer without activation, with a row of weights and a bias for each neuron."""
    layer = Layer(0, 0)
    for row, bias in zip(weights, biases, strict=True):
        neuron = nn.Neuron(0, nonlin=False)
        neuron.w, neuron.b = [Value(w) for w in row], Value(bias)
        layer.neurons.append(neuron)
    return layer


def from_torch(sequential) -> MLP:
    """An MLP that computes what sequential, a torch.nn.Sequential, computes.

    Its modules are Linear with a bias, each followed by Tanh, ReLU, Sigmoid or no activation.
    The parameters are copies, exact ones also of 16 or 32 bits; the MLP computes in 64. A
    Linear that stands in two places becomes two, and hooks are left behind. Raises TypeError
    for anything but a Sequential; ValueError, which names the module, for any other;
    ModuleNotFoundError without PyTorch.
    """
    torch = pytorch()
    if type(sequential) is not torch.nn.Sequential:
        given = f"an object of type {type(sequential).__name__}"
        raise TypeError(f"from_torch takes a torch.nn.Sequential, not {given}")
    rules = {getattr(torch.nn, MODULES[f]): name for name, f in RULES.items() if f in MODULES}
    model, width, linear = MLP(0, []), None, torch.nn.Linear
    for i, module in enumerate(sequential):
        kind = type(module)
        if kind is linear and module.bias is not None and width in (None, module.in_features):
            model.layers.append(layer_of(module.weight.tolist(), module.bias.tolist()))
            width = module.out_features
        elif kind in rules and i and type(sequential[i - 1]) is linear:
            for n in model.layers[-1].neurons:
                n.nonlin = rules[kind]
        else:
            known = f"a Linear with a bias and {width or 'any number of'} inputs"
            after = f"or {', '.join(MODULES.values())} right after one"
            raise ValueError(f"module {i}, {module}: what can stand here is {known}, {after}")
    return model
