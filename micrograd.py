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
    result = RULES[op](*[x.data.__float__() for x in values])
    data, local = result if type(result) is tuple and len(result) == 2 else (None, None)
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
    and of log(b) overflow early, where |b| < 5.6e-309, and -0.0 and -inf to a power are what
    they are in PyTorch with a tensor as the exponent. Raises TypeError for all but one real
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


for _name in filter(str.isidentifier, RULES):  # methods that a subclass can call, and change
    setattr(Value, _name, lambda self, *others, op=_name: self.__getattr__(op)(*others))


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
from threading import RLock

WALKING = RLock()  # one thread walks at a time, because its walk begins with zeros


def backpropagate(root: Value) -> None:
    """Add the derivative of root to v.grad, for every Value v behind it: backward()'s work."""
    order = topological_order(root)
    with WALKING:
        kept = [(v, v.grad) for v in order if v.grad]
        for v in order:
            v.grad = 0.0
        root.grad = 1.0
        try:
            for v in reversed(order):
                v._backward()
        except BaseException:  # an operator without a rule, or Ctrl-C: then nothing has changed
            for v in order:
                v.grad = 0.0
            raise
        finally:
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
import os
from traceback import walk_tb

TAPE: list["Symbol"] = []  # every Symbol, in the order in which they were made
RECORDING = RLock()  # one thread records at a time


@Real.register
class Symbol:
    """A number or a condition that is not there yet: op of args. An input has no args.

    Operators on Symbols make Symbols. A Value may hold one as its data. kind: "?" for a
    condition; "gate" for a choice that may turn out to be False, a slope through which nothing
    passes. made: which function asked for it, in which line, and by which rule, if known.
    """

    kind, uses, level, slot = "", 0, 0, 0
    home: Any = None
    form: Any = None
    now: tuple = ()
    exponent: Callable
    two: Callable

    def __init__(self, op: str, args: Any = (), kind: str = "", slot: int = 0):
        self.op, self.args, self.made = op, args, Symbol.now or asking(sys._getframe(1))
        if kind:
            self.kind = kind
        if not args:
            self.slot, self.form = slot, (f"{op}[]", (self,))
        elif not TAPE:
            raise TypeError("a recording left this Value without a number: make it anew")
        TAPE.append(self)

    def __bool__(self, *_) -> bool:
        raise TypeError(
            "an if, a comparison or a truth asks for a number that is not there yet"
        )

    def __repr__(self) -> str:
        frame = sys._getframe(1)
        while frame.f_back and frame.f_code.co_name in ("__repr__", "__format__"):
            frame = frame.f_back
        if frame.f_globals is not HERE and asking(frame):
            raise TypeError("its text asks for a number that is not there yet")
        return self.op

    __eq__ = __ne__ = __hash__ = __bool__
    __float__, __abs__, __neg__ = (lambda a: a), (lambda a: absolute(a)[0]), (lambda a: -1 * a)
    sigmoid, where = (lambda a: 1.0 / (1 + (-a).exp())), (lambda *args: write("where", *args))
    __and__ = __rand__ = lambda a, b: write("&", a, b) if isinstance(b, Symbol) else b and a


def asking(frame: Any) -> tuple:
    """The code of the function that is being recorded, and the line at which it is."""
    while frame.f_back and not (
        frame.f_back.f_globals is HERE and frame.f_back.f_code.co_name in ("record", "straight")
    ):
        frame = frame.f_back
    return (frame.f_code, frame.f_lineno) if frame.f_back else ()


def write(op: str, *args: Any) -> Any:
    """A new Symbol for op of args, which are Symbols, numbers and bools, or one of args."""
    if op != "where" and any(isinstance(x, Value) for x in args):
        return NotImplemented
    args = tuple([x if x is False else number(x) for x in args])
    for i, x in enumerate(args):
        if (getattr(x, "kind", "") == "?") != (op == "&" or (op, i) == ("where", 0)):
            raise TypeError("a condition is no number: combine it by &, and ask it by where()")
    for x, other in zip(args, args[::-1], strict=True):
        if op == "*" and getattr(x, "kind", "") == "gate":
            return x.args[0].where(*[0.0 if y is False else y * other for y in x.args[1:]])
        if type(x) is float and (op, x) in (("+", 0), ("*", 1)):
            return other
    if op == "raised" and type(args[1]) is float and args[1] in (1, 2):
        return args[0] if args[1] == 1 else args[0] * args[0]
    shut = op == "where" and any(x is False or getattr(x, "kind", "") == "gate" for x in args)
    return Symbol(op, args, "gate" if shut else "?" if op in CONDITIONS else "")


def operators(op: str) -> tuple[Callable, Callable]:
    """The two methods of an infix operator. Two Symbols, the usual case, take a short way."""

    def forward(a, b):
        plain = type(b) is Symbol and not a.kind and not b.kind and op not in CONDITIONS
        return Symbol(op, (a, b)) if plain else write(op, a, b)

    return forward, lambda a, b: write(op, b, a)


HERE, CONDITIONS = globals(), ("<", "<=", ">", ">=", "&")
INFIX = {"add": "+", "sub": "-", "mul": "*", "truediv": "divide", "pow": "raised"}
for _name, _op in (INFIX | {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}).items():
    for _side, _method in zip(("", "r"), operators(_op), strict=True):
        setattr(Symbol, f"__{_side}{_name}__", _method)
FUNCTIONS = "exp log tanh acos acosh asin asinh atan cos cosh erf erfc expm1 fabs".split()
FUNCTIONS += "log10 log2 sin sinh sqrt tan".split()
for _name in [*FUNCTIONS, "two", "exponent"]:
    setattr(Symbol, _name, lambda a, f=_name: Symbol(f, (a,)))


def record(f: Callable, ninputs: int, parameters: list, what: str) -> tuple[list, list]:
    """The tape of f; and its derivatives with respect to parameters, followed by its value."""
    kept = {p: (p.data, p.grad) for p in parameters}
    TAPE.clear()
    try:
        for i, p in enumerate(parameters):
            p.data = Symbol("p", slot=i)
        root = f(*[Value(Symbol("x", slot=i)) for i in range(ninputs)])
        if not isinstance(root, Value):
            raise TypeError(f"it must return one Value, not {root!r:.60}")
        order = topological_order(root)
        kept |= {v: (v.data, v.grad) for v in order if v not in kept}
        moving = {v for v in kept if isinstance(v.data, Symbol)}
        if not {id(v.data) for v in moving} <= {*map(id, TAPE)}:
            raise TypeError("it uses a copy of a Value, or one that another loss has made")
        for v in kept:
            v.grad = 0.0
            if type(v.data) is float and not moving.isdisjoint(v._prev):
                rule = RULES[v._op] if v._op in RULES else lambda *x: (None,)
                value = rule(*[x.data for x in v._prev])[0]  # a constant is as it was
                if isinstance(value, Symbol) or str(value) != str(v.data):
                    which = f"was computed from a parameter before ({v.data}, by {v._op!r})"
                    if v.data != v.data:
                        which = "another loss, or the penalty, has made"
                    raise TypeError(f"it uses a Value that {which}: compute it here")
            for s in (v.data, *v._local):
                if isinstance(s, Symbol) and s.args and len(s.made) == 2:
                    s.made = *s.made, v._op
        root.grad = 1.0
        for v in reversed(order):
            op = v._op
            by_hand = getattr(v._backward, "__func__", None) is not Value._backward
            if by_hand or v._prev and not v._local:
                raise TypeError(
                    f"the operator {op!r} was made by hand: make it a rule, in RULES"
                )
            Symbol.now = *(getattr(v.data, "made", ()) or (None, 0))[:2], f"{op}, backwards"
            v._backward()
        return [*TAPE], [p.grad for p in parameters] + [0.0 + root.data]
    except Exception as error:
        raise TypeError(f"jit: {what} can't be compiled: {explain(error)}") from error
    finally:
        Symbol.now = ()
        TAPE.clear()
        for v, (data, grad) in kept.items():
            v.data, v.grad = data, grad
            if isinstance(data, Symbol):  # a Value that the loss may have kept has no number
                v.data, v._local = math.nan, ()


def explain(error: Exception) -> str:
    """What went wrong while a function ran on Symbols, where, and what to do instead."""
    steps = [*walk_tb(error.__traceback__)]
    ops = [f.f_locals["op"] for f, _ in steps if f.f_globals is HERE and "op" in f.f_locals]
    asked = [(f.f_code, line) for f, line in steps if f.f_globals is not HERE]
    text = f"the rule {ops[0]!r}: {error}" if ops else str(error)
    if asked:
        code, line = asked[-1]
        text += f" (asked at {os.path.basename(code.co_filename)}:{line}). Choose by relu, max"
        text += " or min, or by where() in a rule; and call v.exp(), say, not math.exp(v)"
    return text


import re
from collections.abc import Iterable
from itertools import chain, groupby


class Loop:
    """A statement that many Symbols share, each on numbers of its own, its leaves.

    level: it reads what lower levels made. array: where results go: "v", slots; "g", sums of
    gradients; "y", outputs. runs: the terms that it adds up, as counts of equal texts, which
    have [] for each leaf. last: the level that reads its slots last.
    """

    def __init__(self, level: int, array: str, runs: tuple):
        self.level, self.array, self.runs, self.last = level, array, runs, level
        self.members: list[tuple[Any, list[Symbol]]] = []


class Program:
    """The loops that compute outputs from a tape: all that a printer needs to know.

    array: where outputs go. base: the place in p, behind the parameters, where its constants
    begin. single: no loops; a statement for each Symbol. statements: (made, array, counters,
    target, runs) for each loop. slots: how many. numbers: the constants. tables: indices that
    follow no rule. work: how many numbers a run reads.
    """

    def __init__(self, tape: list, outputs: list, array: str, base: int = 0, single=False):
        self.loops: dict[tuple, Loop] = {}
        self.constants: dict[str, Symbol] = {}
        self.base, self.single = base or len(outputs), single
        self.tables: list[list[int]] = []
        for s in outputs:
            if type(s) is Symbol:
                s.uses += 1
        for s in reversed(tape):  # what nothing uses is dead
            if s.uses:
                for a in s.args:
                    if type(a) is Symbol:
                        a.uses += 1
        for s in tape:
            if s.uses and s.args:
                self.read(s)
        for i, x in enumerate(outputs):
            if type(x) is Symbol or x or array == "y":
                terms = x.form if type(x) is Symbol else None
                self.join(i, terms if type(terms) is list else [self.form(x)], array)
        order = sorted(self.loops.values(), key=lambda loop: loop.level)
        self.slots = give_slots(order)
        self.statements = [self.spell(loop) for loop in order]
        self.numbers = [float(key) for key in self.constants]
        self.work = sum(len(leaves) for loop in order for _, leaves in loop.members)
        del self.loops, self.constants

    def form(self, x: Any) -> tuple[str, tuple]:
        """x as an operand: a text with [] for each number that it reads, and these numbers."""
        if type(x) is not Symbol:
            key = repr(float(x))
            if self.single:
                return key, ()
            if key not in self.constants:
                self.constants[key] = Symbol("p", slot=self.base + len(self.constants))
            return self.constants[key].form
        if type(x.form) is list and len(x.form) > 3:
            self.join(x, x.form)
        elif type(x.form) is list:
            x.form = added(x.form)
        return x.form

    def read(self, s: Symbol) -> None:
        """Give s a form, and a slot if several use it. A sum stays a list of terms for long."""
        first = s.args[0]
        if s.op == "+":
            grows = type(first) is Symbol and first.uses == 1 and type(first.form) is list
            s.form = first.form if grows else [self.form(first)]
            s.form.append(self.form(s.args[1]))
        else:
            texts, leaves = zip(*[self.form(a) for a in s.args], strict=True)
            call = s.op.isidentifier()
            text = (
                f"{s.op}({', '.join(map(bare, texts))})"
                if call
                else f"({f' {s.op} '.join(texts)})"
            )
            s.form = text, (*chain(*leaves),)
        if s.kind != "?" and (s.uses > 1 or type(s.form) is tuple and len(s.form[1]) > 24):
            self.join(s, s.form if type(s.form) is list else [s.form])

    def join(self, target: Any, terms: list, array: str = "v") -> None:
        """Let target, a Symbol or a number of an output, be the sum of terms, in its loop."""
        if len(terms) <= 3:
            terms = [added(terms)]
        leaves = [a for _, more in terms for a in more]
        runs = tuple([(len([*same]), text) for text, same in groupby([t for t, _ in terms])])
        level = max([a.level for a in leaves], default=0)
        key = level, array, runs, self.single and len(self.loops)
        if key not in self.loops:
            self.loops[key] = Loop(level, array, runs)
        self.loops[key].members.append((target, leaves))
        if array == "v":
            target.level, target.home, target.form = (
                level + 1,
                self.loops[key],
                ("v[]", (target,)),
            )

    def place(self, values: list[int], counters: list[tuple[str, int]]) -> str:
        """An index that runs through values as counters go round.

        A counter that takes it up by the same step everywhere is multiplied by that step; of
        the others, a table is made.
        """
        strides, sizes, table, n = [], [], values, 1
        for name, m in counters:
            step = table[n] - table[0] if m > 1 else 0
            rows = [table[q : q + n] for q in range(0, len(table), n)]
            if rows == [[b + step * j for b in row] for row in rows[::m] for j in range(m)]:
                strides.append((step, name))
                table = [*chain(*rows[::m])]
            else:
                sizes.append((n, name))
                n *= m
        if not sizes:
            return index(table[0], strides)
        self.tables.append(table)
        return index(0, [(1, f"t{len(self.tables) - 1}[{index(0, sizes)}]"), *strides])

    def spell(self, loop: Loop) -> tuple:
        """loop as texts that Python, C and JavaScript share."""
        constants = [*self.constants]
        targets = [t if type(t) is int else t.slot for t, _ in loop.members]
        numbers = [[a.slot for a in leaves] for _, leaves in loop.members]
        columns, runs, at = [targets], [], 0
        for count, text in loop.runs:
            n = text.count("[]")
            cells = [[r[at + h : at + count * n : n] for r in numbers] for h in range(n)]
            inner = nest([rows[0] for rows in cells] or [[0] * count])
            columns += [[r[0] for r in rows] for rows in cells]
            names = [(f"k{q}" if q else "k", m) for q, m in enumerate(inner)]
            runs.append((text, names, cells))
            at += count * n
        outer = [(f"i{q}" if q > 1 else "ij"[q], m) for q, m in enumerate(nest(columns))]
        spelt = []
        for text, counters, cells in runs:
            places = iter([self.place([*chain(*rows)], counters + outer) for rows in cells])

            def hole(match, places=places):
                where = next(places)
                if match[0][0] == "p" and where.isdigit() and int(where) >= self.base:
                    return constants[int(where) - self.base]
                return f"{match[0][0]}[{where}]"

            spelt.append((counters, re.sub(r"\b[pvx]\[\]", hole, bare(text))))
        target, leaves = loop.members[0]
        made = max([getattr(s, "made", ()) for s in (target, *leaves)], key=len)
        return made, loop.array, outer, f"{loop.array}[{self.place(targets, outer)}]", spelt


def added(terms: list[tuple[str, tuple]]) -> tuple[str, tuple]:
    """terms, which are texts and their leaves, as one."""
    texts, leaves = zip(*terms, strict=True)
    return f"({' + '.join(texts)})" if texts[1:] else texts[0], (*chain(*leaves),)


def bare(text: str) -> str:
    """text without the brackets around all of it, if it begins with one."""
    return text[1:-1] if text[0] == "(" else text


def give_slots(order: list[Loop]) -> int:
    """Give each Symbol a slot, one that is read no more if there is one; return how many."""
    for loop in order:
        for _, leaves in loop.members:
            for a in leaves:
                if a.home:
                    a.home.last = loop.level
    free: dict[int, list[int]] = {}  # by size, where loops lay that are over
    over: dict[int, list[tuple[int, int]]] = {}
    top, level = 0, 0
    for loop in order:
        while level < loop.level:
            for size, start in over.pop(level, ()):
                free.setdefault(size, []).append(start)
            level += 1
        size = len(loop.members)
        if loop.array == "v":
            start = free[size].pop(0) if free.get(size) else top
            top = max(top, start + size)
            over.setdefault(loop.last, []).append((size, start))
            for i, (s, _) in enumerate(loop.members):
                s.slot = start + i
    return top


def nest(columns: list[list[int]]) -> list[int]:
    """Counts of the nested loops that run through columns together, innermost first.

    Within a loop, each column goes up by a step of its own; [n] if there are no such loops.
    """
    counts: list[int] = []
    n = len(columns[0])
    while n > 1:
        steps, m = [q[1] - q[0] for q in columns], n
        for q, d in zip(columns, steps, strict=True):
            m = next((j for j in range(2, m) if q[j] - q[j - 1] != d), m)
        for q, d in zip(columns, steps, strict=True):
            if n % m or q != [b + j * d for b in q[::m] for j in range(m)]:
                return [n * math.prod(counts)]
        counts.append(m)
        columns, n = [q[::m] for q in columns], n // m
    return counts


def index(base: int, strides: Iterable[tuple[int, str]]) -> str:
    """base + stride * name + ..., as Python, C and JavaScript write it."""
    signs = [(" - " if d < 0 else " + ", abs(d), name) for d, name in strides if d]
    text = "".join([sign + f"{d} * " * (d > 1) + name for sign, d, name in signs])
    return text[3:] if text[:3] == " + " and not base else f"{base}{text}"


C = ("for (int {0} = 0; {0} < {1}; {0}++)", ";", "double ", "static void {}({})")
LANGUAGES = {  # a loop, the end of a line, before a new name, a function, a table
    "Python": ("for {} in range({})", "", "", "def {}({})", "t{} = ({},)"),
    "JavaScript": (
        C[0].replace("int", "let"),
        ";",
        "let ",
        "function {}({})",
        "let t{} = [{}];",
    ),
    "C": (*C, "static const int t{}[] = {{{}}};"),
    "C in lanes": (*C[:2], "V ", C[3], "static const int t{}[] = {{{}}};"),
}


def nested(heads: list[str], body: list[str], braces: bool = True) -> list[str]:
    """body within loops or functions, the outermost first."""
    for head in reversed(heads):
        begin, end = (f"{head} {{".strip(), ["}"]) if braces else (f"{head}:", [])
        body = [begin] + ["    " + line for line in body] + end
    return body


def around(counters: list[tuple[str, int]], body: list[str], language: str = "C") -> list[str]:
    """body within a loop for each of counters, which are names and sizes, innermost first."""
    heads = [LANGUAGES[language][0].format(*c) for c in reversed(counters)]
    return nested(heads, body, language != "Python")


def tables(program: Program, language: str) -> list[str]:
    table = LANGUAGES[language][4]
    return [table.format(q, ", ".join(map(str, x))) for q, x in enumerate(program.tables)]


def script(program: Program, language: str) -> list[str]:
    """The statements of program in language, for one row of plain numbers."""
    _, end, new, _, _ = LANGUAGES[language]
    lines = tables(program, language)
    for _, into, outer, target, runs in program.statements:
        (inner, term), *others = runs
        term = f"all({term})" if new == "V " and "[" not in term else term
        body = [f"{target} {'+' * (into == 'g')}= {term}{end}"]
        if inner or others:
            start = target if into == "g" else "-0.0" if inner else term
            body = [f"{new}s = {f'all({start})' if new == 'V ' else start}{end}"]
            for counters, term in runs[into != "g" and not inner :]:
                body += around(counters, [f"s += {term}{end}"], language)
            body += [f"{target} = s{end}"]
            body = nested([""], body) if end and not outer else body
        lines += around(outer, body, language)
    return lines


def function(name: str, arguments: str, body: list[str], language: str) -> str:
    head = LANGUAGES[language][3].format(name, arguments)
    return "\n".join([*nested([head], body or ["return"], language != "Python"), ""])


HEAD = r"""
#include <math.h>
#include <sched.h>
#include <string.h>
#define inf INFINITY
#define nan NAN
#if __AVX512F__
enum { L = 8, TALL = 6, WIDE = 4 };  // doubles in a vector; sums that fit the registers
#elif __AVX__
enum { L = 4, TALL = 4, WIDE = 3 };
#else
enum { L = 2, TALL = 4, WIDE = 3 };
#endif
enum { STRIDE = (TILE + 3) * (8 / L) };
typedef double V __attribute__((vector_size(8 * L)));
typedef double U __attribute__((vector_size(8 * L), aligned(8)));
typedef double D __attribute__((vector_size(16)));
typedef long long M __attribute__((vector_size(8 * L)));
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define all(a) ((a) - (V){0})
#define own(f, ...) f(__VA_ARGS__)
#define where(c, a, b) (V)(((M)(c) & (M)all(a)) | (~(M)(c) & (M)all(b)))
#define divide(a, b) ((a) / (b))
#define lanewise(f, a) ({ V w = a; for (int j = 0; j < L; j++) w[j] = f(w[j]); w; })
static inline V two(V n) { return (V)(((M)(n + 0x1.8p52) + 1023) << 52); }
static inline V exponent(V x) {
    return (V)(((M)x >> 52) + 0x4330000000000000) - (0x1p52 + 1023);
}
"""

ROWS = r"""
#define ARGS int R, const double *p, V (*x)[STRIDE], V (*restrict v)[STRIDE], \
             double *restrict g, const M *mask
#define FOR(i, n) _Pragma("GCC unroll 16") for (int i = i##0; i < i##0 + n; i++)
#define EACH FOR(i, I) FOR(j, J) FOR(r, H)
#define PLACE (i - i0) * J + j - j0
#define S s[i - i0][j - j0][r - r0]
#define BLOCKS(i, n, m) \
    for (int i##1 = 0, i##0; i##0 = LEAST(i##1, n - m), i##1 < n; i##1 += m)
#define ROWS for (int r0 = 0; r0 < R; r0 += H)
#define SUM_ROWS(...) \
    double t[I * J][8] __attribute__((aligned(64))); \
    int r0 = 0; \
    for (int h = 0; h < 8 / L; h++) { \
        V s[I][J][H] = {0}; \
        for (r0 = h; r0 < R; r0 += 8 / L) { \
            __VA_ARGS__ \
            if (r0 == h) EACH S = (V)((M)S & mask[h]); \
        } \
        EACH *(V *)(t[PLACE] + h * L) = S; \
    }
static inline double across(const double *t) {
    const D *d = (const D *)t, a = (d[0] + d[2]) + (d[1] + d[3]);
    return a[0] + a[1];
}
"""


def in_rows(name: str, program: Program) -> str:
    """program in C, a function for each loop, over rows that fill the lanes of vectors."""
    parts: list[tuple[list[str], list[str]]] = []  # a note, and the body of a function
    rows: list[str] = []  # of the function that is begun, for statements without a loop
    for made, into, outer, target, runs in program.statements:
        (inner, term), *others = runs
        (_, n), (_, m) = [*outer, ("", 1), ("", 1)][:2]
        if into == "v" and not (outer or inner or others):
            if not 0 < len(rows) < 80:
                parts.append((note(made), rows := ["for (int r = 0; r < R; r++) {", "}"]))
            rows.insert(-1, f"    {lanes(target)} = all({lanes(term)});")
            continue
        rows = []
        adds = [*chain(*[around(k, [f"EACH S += {lanes(text)};"]) for k, text in runs])]
        if into == "g":
            jam = f"I = LEAST(TALL, {n}), J = LEAST(WIDE, {m}), H = 1"
            body = ["SUM_ROWS(", *adds, f") EACH {target} = across(t[PLACE]);"]
        else:
            jam = f"I = {min(8, n) if inner or others else 1}, J = 1, H = {1 if n > 3 else 4}"
            start = f"EACH S = all({'-0.0' if inner else lanes(term)});"
            store = f"EACH {lanes(target)} = S;"
            body = nested(["ROWS"], ["V s[I][J][H];", start, *adds[not inner :], store])
        body = around(outer[2:], nested([f"BLOCKS(j, {m}, J)", f"BLOCKS(i, {n}, I)"], body))
        parts.append((note(made), [f"enum {{ {jam} }};", *body]))
    lines, calls = tables(program, "C"), []
    for q, (comment, body) in enumerate(parts):
        lines += [*comment, *nested([f"static void {name}{q}(ARGS)"], body)]
        calls.append(f"{name}{q}(R, p, x, v, g, mask);")
    return "\n".join([*lines, *nested([f"static void {name}(ARGS)"], calls), ""])


def note(made: tuple) -> list[str]:
    """A comment: by which rule a statement came about, and for which line of the loss."""
    if len(made) < 3 or not made[0]:
        return []
    code, line, rule = made
    return [f"// {rule}: line {line - code.co_firstlineno + 1} of {code.co_name}"]


def lanes(text: str) -> str:
    """text for a vector of rows: row r of a slot, one parameter for all lanes."""
    text = re.sub(r"\b[vx]\[((?:[^][]|\[[^]]*\])*)\]", r"\g<0>[r]", text)
    return re.sub(r"\bp\[((?:[^][]|\[[^]]*\])*)\]", r"all(\g<0>)", text)


# exp, log, tanh and powers, from + - * /, two() and exponent() alone: the same bits everywhere
def two(n):
    """2 to the power of n, a whole number from -1022 to 1023."""
    return n.two() if isinstance(n, Symbol) else math.ldexp(1.0, int(n)) if n == n else n


def exponent(x):
    """The power of two in x, which is positive, finite and not subnormal: 3 for 8 <= x < 16."""
    if isinstance(x, Symbol):
        return x.exponent()
    return math.frexp(x)[1] - 1.0 if 0 < x < math.inf else 0.0


def nearest(x):
    """The whole number that is nearest to x: from 2**52 on, doubles have no fractions."""
    return (x + 1.5 * 2.0**52) - 1.5 * 2.0**52


def polynomial(x, coefficients):
    """coefficients[0] + coefficients[1] x + ...: pairs of them, which make one in x * x."""
    if len(coefficients) == 1:
        return coefficients[0]
    pairs = [a + x * b for a, b in zip(coefficients[::2], coefficients[1::2], strict=False)]
    return polynomial(x * x, pairs + [*coefficients[2 * len(pairs) :]])


LN2, LN2_LOW = float.fromhex("0x1.62e42fefa0000p-1"), float.fromhex("0x1.cf79abc9e3b39p-40")
FACTORIALS = [1.0 / math.factorial(n) for n in range(2, 14)]


def reduced(x, low=0.0):
    """n, h and q: e**(x + low) = 2**n (1 + h + q), where h is exact and at most 0.35."""
    n = nearest(x * 1.4426950408889634)
    h = x - n * LN2
    rest = low - n * LN2_LOW
    r = h + rest
    return n, h, r * r * polynomial(r, FACTORIALS) + rest


def own_exp(x, low=0.0):
    """e to the power of x + low, where low is small."""
    n, h, q = reduced(where(x > 710.0, 710.0, where(x < -746.0, -746.0, x)), low)
    half = nearest(n * 0.5)
    return where(x > 710.0, math.inf, (1.0 + (h + q)) * two(half) * two(n - half))


def own_tanh(x):
    """t = e / (e + 1), where e = (exp(2 |x|) - 1) / 2, with the sign of x.

    As long as e is small, e - e t, which is the same number, loses less to rounding.
    """
    sign = where(x < 0.0, -1.0, 1.0)
    a = sign * x
    n, h, q = reduced(where(a > 20.0, 40.0, 2.0 * a))
    half = two(n - 1.0)
    high, low = half * h - (0.5 - half), half * q
    e = high + low
    t = divide(e, e + 1.0)
    return sign * where(a < 0.3, high - (e * t - low), t)


def product(a, b):
    """a * b, and what rounding took from it (T. J. Dekker, 1971)."""
    p = a * b
    c, d = 134217729.0 * a, 134217729.0 * b
    a1, b1 = c - (c - a), d - (d - b)
    a2, b2 = a - a1, b - b1
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def precise_log(x):
    """log(x) as the sum of two numbers, for positive and finite x, to 2**-64.

    x = 2**k m, and log(m) = 2 artanh(s), where s = (m - 1) / (m + 1): s + s**3 / 3 + ...
    """
    tiny = x < 2.2250738585072014e-308
    x = where(tiny, x * 2.0**54, x)
    k = exponent(x)
    half = nearest(k * 0.5)
    m = x * two(-1.0 * half) * two(half - k)
    large = m > 1.4142135623730951
    m = where(large, 0.5 * m, m)
    k = where(tiny, k - 54.0, k) + where(large, 1.0, 0.0)
    f, d = m - 1.0, m + 1.0
    s = divide(f, d)
    p, q = product(s, d)
    s_low = divide((f - p) - q - s * (m - (d - 1.0)), d)
    w, w_low = product(s, s)
    third = w / 3.0
    p, q = product(third, 3.0)
    r = w * w * polynomial(w, [1.0 / n for n in range(5, 28, 2)])
    c = third + r
    c_low = (third - c) + r + ((w - p) - q + w_low + 2.0 * s * s_low) / 3.0
    p, q = product(s, c)
    t = s + p
    t_low = (s - t) + p + (s_low + q + s * c_low + s_low * c)
    y = k * LN2 + 2.0 * t
    return y, (k * LN2 - y) + 2.0 * t + 2.0 * t_low + k * LN2_LOW


def own_log(x):
    high, low = precise_log(x)
    y = where(x <= 0.0, where(x < 0.0, math.nan, -math.inf), high + low)
    return where(x < math.inf, y, x)


def own_raised(x, y):
    """x to the power of y, which is exp(y log(x)), and at the edges what C's pow is."""
    a, b = where(x < 0.0, -1.0 * x, x), where(y < 0.0, -1.0 * y, y)
    grows = where(a > 1.0, y, -1.0 * y)  # how it ends where a is 0 or inf
    limit = where(grows > 0.0, math.inf, where(grows <= 0.0, 0.0, grows))
    high, low = precise_log(a)
    y = where(b > 2.0**64, where(y < 0.0, -(2.0**64), 2.0**64), y)  # no less extreme
    p, q = product(y, high)
    r = own_exp(p, where((p > -746.0) & (p < 710.0), q + y * low, 0.0))
    r = where(a <= 0.0, limit, where(a >= math.inf, limit, r))
    r = where(equal(x, 1.0), 1.0, where(b <= 0.0, 1.0, r))
    signed = where(equal(fraction(0.5 * b), 0.0), r, -1.0 * r)
    signed = where(
        equal(fraction(b), 0.0), signed, where((x < 0.0) & (x > -math.inf), math.nan, r)
    )
    return where(x < 0.0, signed, where(divide(1.0, x) < 0.0, signed, r))


def fraction(x):
    """What x, which is positive, has after the point."""
    return where(x < 2.0**52, x - ((x + 2.0**52) - 2.0**52), 0.0)


OWN: dict[str, tuple[Callable, int]] = {
    "exp": (own_exp, 1),
    "tanh": (own_tanh, 1),
    "log": (own_log, 1),
    "raised": (own_raised, 2),
}


import shlex
from array import array
from functools import partial, reduce
from shutil import which
from tempfile import TemporaryDirectory

SCALARS = r"""
#undef all
#undef own
#undef where
#define all(a) (a)
#define own(f, ...) f(__VA_ARGS__)[0]
#define where(c, a, b) ((c) ? (double)(a) : (double)(b))
"""

RUN = r"""
typedef void update(long, long, double, double *, const double *, double *);
static void meet(long long *sync, long goal) {  // wait until goal calls of it have come here
    if (__atomic_add_fetch(sync + 1, 1, __ATOMIC_ACQ_REL) < goal)
        for (int k = 0; __atomic_load_n(sync + 1, __ATOMIC_ACQUIRE) < goal; k++)
            if (*(volatile long long *)sync) return;
            else if (k > 2000) sched_yield();
}
void run(update *rule, long me, long long *size, long long *sync,
         const double *rates, const double *data, double *p, double *state,
         double *total, double *losses, double *work) {
    long team = size[0], rows = size[1], batch = size[2], tile = size[3], steps = size[4];
    long pad = -batch & 7, units = (batch + pad) / 8, tiles = (units + tile - 1) / tile;
    long blocks = LEAST(tiles, 8), kept = batch < rows ? team : tiles;
    V (*X)[STRIDE] = (V (*)[STRIDE])(((long)work + 63) & ~63L);  // inputs, slots, sums
    V (*v)[STRIDE] = X + INPUTS * kept + SLOTS * me;
    double *G = (double *)(X + INPUTS * kept + SLOTS * team);
    double *g = G + PLACES * (blocks + 1 + me);
    volatile long long *stop = sync;
    M mask[2][8 / L];
    for (int j = 0; j < 16; j++) ((long long *)mask)[j] = -(j < 8 || j - 8 >= pad);
    memset(g, 0, sizeof(double) * PLACES);
    for (long b = me; b < blocks; b += team) memset(G + PLACES * b, 0, sizeof(double) * PLACES);
    for (long k = 0; k < steps && !*stop; k++) {
        for (long b = me; b < blocks; b += team)
            for (long t = b; t < tiles && !*stop; t += blocks) {
                V (*x)[STRIDE] = X + INPUTS * (batch < rows ? me : t);
                for (long q = 0; q < STRIDE * L && (k == 0 || batch < rows); q++) {
                    long n = t * tile * 8 + q - pad;
                    n = n < 0 || n >= batch ? 0 : n;
                    const double *row = data + (k * batch + n) % rows * INPUTS;
                    for (int i = 0; i < INPUTS; i++) ((double *)x[i])[q] = row[i];
                }
                long R = LEAST(units - t * tile, tile);
                double *sum = G + PLACES * b;
                each(R * (8 / L), p, x, v, t == b ? sum : g, mask[t == 0]);
                for (long i = 0; t != b && i < PLACES; i++) sum[i] += g[i];
            }
        if (me == 0) {
            memset(G + PLACES * blocks, 0, sizeof(double) * PLACES);
            once(p, (double[]){batch}, (double *)v, G + PLACES * blocks);
        }
        meet(sync, (2 * k + 1) * team);
        long lo = PLACES / 8 * me / team * 8, hi = PLACES / 8 * (me + 1) / team * 8;
        for (long i = lo; i < hi; i++) {
            double sum = G[i];
            for (long b = 1; b <= blocks; b++) sum += G[PLACES * b + i];
            total[i] = sum / batch;
        }
        if (me == team - 1) losses[k] = total[P];
        if (rule && !*stop) rule(lo, hi, rates[k], p, total, state);
        meet(sync, (2 * k + 2) * team);
    }
}
"""


def straight(f: Callable, ninputs: int, noutputs: int = 1) -> Program:
    """f, which takes numbers and returns noutputs of them, as a program: y[] from x[]."""
    with RECORDING:
        TAPE.clear()
        try:
            y = f(*[Symbol("x", slot=i) for i in range(ninputs)])
            y = y if isinstance(y, tuple) else (y,)
            if len(y) != noutputs:
                raise TypeError(f"it must return {noutputs} numbers, not {y!r:.60}")
            # Adding 0 changes no number, and refuses a condition.
            y = [write("+", x, 0.0) if isinstance(x, Symbol) else number(x) for x in y]
            return Program([*TAPE], y, "y", single=True)
        except Exception as error:
            name = getattr(f, "__name__", "the rule")
            raise TypeError(f"jit: {name} can't be compiled: {explain(error)}") from error
        finally:
            TAPE.clear()


LIBRARY = [f for f in FUNCTIONS if f not in OWN]


def mathematics(text: str) -> str:
    """The functions that text calls, in C: our own, and lane by lane those of C's library."""
    lines = []
    for name in FUNCTIONS + ["raised"]:
        if name in OWN and re.search(rf"\b{name}\(", text):
            f, n = OWN[name]
            program, abc = straight(f, n), ("a", "b")[:n]
            body = [f"V x[] = {{{', '.join(abc)}}}, v[{program.slots + 1}], y[1];"]
            body += [*script(program, "C in lanes"), "return y[0];"]
            head = f"static __attribute__((noinline)) V own_{name}(V {', V '.join(abc)})"
            vectors = ", ".join([f"({a}) - (V){{0}}" for a in abc])
            lines += nested([head], body)
            lines += [f"#define {name}({', '.join(abc)}) own(own_{name}, {vectors})"]
        elif re.search(rf"\b{name}\(", text):
            lines += [f"#define {name}(a) own(lanewise, {name}, (a) - (V){{0}})"]
    return "\n".join([*lines, ""])


def step_in_c(program: Program, states: int) -> str:
    """step(), which changes parameters lo to hi and their state, a vector of them at a time."""
    places = ["*(U *)(p + i)", "*(U *)(g + i)", "all(rate)"]
    places += [f"*(U *)(state + {q} * PLACES + i)" for q in range(states)]
    body = [f"V x[] = {{{', '.join(places)}}}, v[{program.slots + 1}], y[{1 + states}];"]
    body += script(program, "C in lanes")
    body += [f"{place} = y[{q}];" for q, place in enumerate([places[0], *places[3:]])]
    head = "void step(long lo, long hi, double rate, double *p, const double *g, double *state)"
    return "\n".join([*nested([head, "for (long i = lo; i < hi; i += L)"], body), ""])


def build(source: str, name: str) -> int:
    """The address of name() in a C program, compiled.

    The compiler is $CC, or else the first of cc, gcc and clang that is installed. Raises
    OSError if there is none, or if it fails.
    """
    import ctypes
    import subprocess

    compiler = os.environ.get("CC") or next(filter(which, ("cc", "gcc", "clang")), "cc")
    flags = "-fno-fast-math -fno-unsafe-math-optimizations -fno-associative-math".split()
    flags += "-O3 -ffp-contract=off -fno-math-errno -w -shared -fPIC -x c - -lm -o".split()
    with TemporaryDirectory(prefix="jit-", ignore_cleanup_errors=True) as folder:
        for machine in ("-march=native", "-mcpu=native", "-O3"):
            command = [*shlex.split(compiler), machine, *flags, f"{folder}/program.so"]
            done = subprocess.run(command, input=source.encode(), capture_output=True)
            if done.returncode == 0:
                with suppress(AttributeError):  # such as with -fvisibility=hidden
                    found = getattr(ctypes.CDLL(command[-1]), name)
                    return ctypes.cast(found, ctypes.c_void_p).value or 0
                raise OSError(f"{command[0]} built a library without {name}()")
    raise OSError(f"{command[0]} failed:\n{done.stderr.decode(errors='replace'):.400}")


def run_in_c(run: int, rule: int | None, me: int, *arrays: Any) -> None:
    """Call run(), which is at an address, for thread me."""
    import ctypes

    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_long, *[ctypes.c_void_p] * 9)
    kind(run)(rule, me, *[a.buffer_info()[0] for a in arrays])


def interpret(source: str) -> dict[str, Any]:
    """What a program in Python defines; it calls the same functions as the one in C."""
    space = HERE | {f: partial(call, getattr(math, f)) for f in LIBRARY}
    space |= {name: f for name, (f, _) in OWN.items()} | {"inf": math.inf, "nan": math.nan}
    exec(source, space)
    return space


def run_in_python(each: Callable, once: Callable, slots: int, ninputs: int) -> Callable:
    """run(), as C has it, bit for bit: eight lanes, tiles of rows, and blocks of tiles."""

    def plus(*columns):  # as C adds: from Python 3.12 on, sum() makes up for its rounding
        return [reduce(float.__add__, numbers) for numbers in zip(*columns, strict=True)]

    def run(step, me, size, sync, rates, data, p, state, total, losses, work):
        _, rows, batch, tile, steps, last = size
        n, pad, v = len(total), -batch % 8, [0.0] * slots
        tiles = -(-(batch + pad) // (8 * tile))
        for k in range(steps):
            blocks = [[0.0] * n for _ in range(min(tiles, 8) + 1)]
            for t in range(tiles):
                x = [[0.0] * n for _ in range(8)]
                start, stop = (8 * tile * q - pad for q in (t, t + 1))
                for m in range(max(start, 0), min(stop, batch)):
                    at = (k * batch + m) % rows * ninputs
                    each(p, data[at : at + ninputs], v, x[(m + pad) % 8])
                pairs = [plus(x[i], x[i + 4]) for i in range(4)]
                lanes = plus(plus(pairs[0], pairs[2]), plus(pairs[1], pairs[3]))
                b = t % (len(blocks) - 1)
                blocks[b] = plus(blocks[b], lanes)
            once(p, [float(batch)], v, blocks[-1])
            total[:] = array("d", [s / batch for s in plus(*blocks)])
            losses[k] = total[last]
            for i in range(n if step else 0):
                numbers, y = [p[i], total[i], rates[k], *state[i::n]], [0.0] * (n + len(state))
                step(numbers, y)
                p[i], state[i::n] = y[0], array("d", y[1 : 1 + len(state) // n])

    return run


import gc
import warnings
from inspect import signature
from threading import Thread


def descend(p, g, rate):
    """Gradient descent: the new p, from its gradient and the step size."""
    return p - rate * g


class jit:
    """The mean of loss over any number of examples, plus penalty, compiled with its gradient.

    loss: takes ninputs Values, the numbers of one example, and returns a Value. It is run once,
    and must do the same to all. parameters: the leaves that training changes, in lists of any
    depth or arrays; other leaves are constants, with the data they have now. penalty: None, or
    a function that takes nothing and returns a Value made from parameters alone. Raises
    TypeError for what can't be compiled. source: the program. compiled: False if Python runs
    it, for want of a C compiler. state: what the last update rule remembers, by name, a list of
    a number for each parameter.
    """

    def __init__(self, loss: Callable, ninputs: int, parameters: Any, penalty=None):
        check_idle()
        if not hasattr(ninputs, "__index__") or ninputs < 0:
            raise TypeError(f"jit: ninputs is how many numbers a row has, not {ninputs!r:.60}")
        if not isinstance(parameters, Iterable) or isinstance(parameters, dict):
            wanted = "a list of Values, such as model.parameters()"
            raise TypeError(f"jit: parameters must be {wanted}, not {parameters!r:.60}")
        self.ninputs = ninputs = int(ninputs)
        self.parameters = [*dict.fromkeys(flat(parameters))]
        if wrong := [p for p in self.parameters if not isinstance(p, Value) or p._prev]:
            raise TypeError(f"jit: a parameter is a Value without inputs, not {wrong[0]!r:.60}")
        self.state: dict[str, list[float]] = {}
        n = len(self.parameters)
        self._places = (n + 8) // 8 * 8  # parameters, the loss, and up to a full vector
        collecting = gc.isenabled()
        gc.disable()  # a tape has no cycles to look for
        try:
            with RECORDING:
                tape = record(loss, ninputs, self.parameters, "the loss")
                each = Program(*tape, "g", self._places)
                f = lambda n: (penalty or float)() * n  # noqa: E731
                tape = record(f, 1, self.parameters, "the penalty")
                once = Program(*tape, "g", self._places + len(each.numbers))
        finally:
            TAPE.clear()
            if collecting:
                gc.enable()
        if (loops := len(each.statements + once.statements)) > LARGEST:
            limit = f"a program of {loops} loops, where {LARGEST} compile in reasonable time"
            raise ValueError(f"jit: {limit}; take a smaller network, or PyTorch")
        self._programs, self._rules = (each, once), dict[str, Any]()
        self._spare: list[array] = []
        self._tile = max(2, min(14, 10_000_000 // (64 * (each.slots + ninputs + 1)) // 2 * 2))
        self._slots = max(each.slots, once.slots // (8 * (self._tile + 3)) + 1)
        self._sizes = f"enum {{ P = {n}, PLACES = {self._places}, INPUTS = {ninputs}, "
        self._sizes += f"SLOTS = {self._slots}, TILE = {self._tile} }};\n"
        once_in_c = function("once", _ONCE, script(once, "C"), "C")
        text = ROWS + in_rows("each", each) + SCALARS + once_in_c + RUN
        self.source, self.compiled = self._sizes + HEAD + mathematics(text) + text, True
        try:
            run = build(self.source, "run")
            self._run = lambda *args: run_in_c(run, *args)
        except (OSError, ValueError) as error:
            hint = "install gcc or clang (apt-get install gcc; on macOS xcode-select --install)"
            message = f"jit: {error}\nPython runs the program, slowly; {hint} or set CC"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            self.source, self.compiled = self.script("Python"), False
            space = interpret(self.source)
            slots = max(each.slots, once.slots)
            self._run = run_in_python(space["each"], space["once"], slots, ninputs)

    def script(self, language: str) -> str:
        """The program for one row of numbers, each and once, as Python or JavaScript."""
        each, once = [script(program, language) for program in self._programs]
        text = function("each", "p, x, v, g", each, language)
        return text + "\n" + function("once", "p, x, v, g", once, language)

    def _rule(self, update: Callable) -> Any:
        """update, compiled. State of other names than the last rule's starts anew."""
        starts = {x.name: x.default for x in [*signature(update).parameters.values()][3:]}
        for name, x in starts.items():
            if not isinstance(x, Real):
                raise TypeError(f"jit: the update rule must give {name} a value to start at")
        program = straight(update, 3 + len(starts), 1 + len(starts))
        text = step_in_c(program, len(starts))
        if text not in self._rules:
            if self.compiled:
                self._rules[text] = build(self._sizes + HEAD + mathematics(text) + text, "step")
            else:
                body = [f"v = [0.0] * {program.slots}", *script(program, "Python")]
                step = function("step", "x, y", body, "Python")
                self._rules[text] = interpret(step)["step"]
        n = len(self.parameters)
        if {*self.state} != {*starts}:
            self.state = {name: [float(x)] * n for name, x in starts.items()}
        self.state = {name: self.state[name] for name in starts}
        if wrong := [name for name, x in self.state.items() if len(x) != n]:
            raise ValueError(f"jit: state[{wrong[0]!r}] must be {n} numbers, one a parameter")
        return self._rules[text]

    def _steps(self, rows: Any, rates: list[float], update=None, batch=None) -> tuple:
        """Parameters and state after steps with rates, the last gradient, and all losses."""
        check_idle()
        if not isinstance(rows, Iterable):
            raise TypeError(f"jit: rows must be a list of rows, not {rows!r:.60}")
        rows = rows.tolist() if hasattr(rows, "tolist") else [*rows]
        for i, row in enumerate(rows):
            numbers = hasattr(row, "__len__") and hasattr(row, "__getitem__")
            if not numbers or isinstance(row, (str, bytes, dict)) or len(row) != self.ninputs:
                raise ValueError(f"jit: row {i} is not {self.ninputs} numbers: {row!r:.60}")
        if not rows:
            raise ValueError("jit: there are no rows")
        batch = len(rows) if batch is None else batch
        if not hasattr(batch, "__index__") or not 0 < batch <= len(rows):
            raise ValueError(f"jit: a batch is 1 to {len(rows)} of the rows, not {batch!r:.60}")
        rule, n, tile = self._rule(update) if update else None, len(self.parameters), self._tile
        if n >= 2000 and 64 <= batch <= tile * 8:
            tile = -(-batch // 32) * 2  # two tiles, for two threads
        tiles, cores, (each, once) = -(-batch // (8 * tile)), 1, self._programs
        if hasattr(os, "sched_getaffinity") and self.compiled and each.work * batch > 2e6:
            cores = len(os.sched_getaffinity(0))
        team = min(cores, tiles, 8)
        pad = [0.0] * (self._places - n)
        p = array("d", [p.data for p in self.parameters] + pad + each.numbers + once.numbers)
        state = array("d", chain(*[[*x, *pad] for x in self.state.values()]))
        total, losses = array("d", [0.0] * self._places), array("d", rates)
        size = array("q", [team, len(rows), batch, tile, len(rates), n])
        need = (tiles + team) * (self.ninputs + self._slots) * (self._tile + 3) * 8
        need += self._places * (9 + team) + 64
        work = self._spare.pop() if self._spare else array("d")
        if self.compiled and len(work) < need:
            work = array("d", bytes(8 * need))
        try:
            sync, data = array("q", [0, 0]), array("d", chain(*rows))
        except (TypeError, OverflowError):
            i = next(i for i, row in enumerate(rows) if not all(map(fits, row)))
            raise TypeError(f"jit: row {i} must hold numbers, not {rows[i]!r:.60}") from None
        arrays = size, sync, array("d", rates), data, p, state, total, losses, work
        if not self.compiled or team == 1 and each.work * batch * len(rates) < 1e9:
            self._run(rule, 0, *arrays)
        else:
            threads = [Thread(target=self._run, args=(rule, me, *arrays)) for me in range(team)]
            try:
                for t in threads:
                    t.start()
                for t in threads:
                    while t.is_alive():  # awake for Ctrl-C, whichever thread the system tells
                        t.join(0.1)
            finally:  # after Ctrl-C, all stop
                sync[0] = 1
                for t in threads:
                    if t.ident:
                        t.join()
        self._spare = [work]
        at = self._places
        return p[:n], [state[i : i + n] for i in range(0, len(state), at)], total, losses

    def loss(self, rows: Any) -> float:
        """The mean loss over rows, plus the penalty. It changes nothing."""
        return self._steps(rows, [0.0])[3][0]

    def backward(self, rows: Any) -> float:
        """The mean loss over rows, plus the penalty. Its gradient is added to p.grad.

        rows: ninputs numbers for each example, in lists or a NumPy array. Raises ValueError if
        there are none or their lengths are wrong, TypeError for what is not a number.
        """
        _, _, total, losses = self._steps(rows, [0.0])
        for p, derivative in zip(self.parameters, total, strict=False):
            p.grad = (p.grad or 0.0) + derivative
        return losses[0]

    def train(self, rows: Any, steps: Iterable[float], update=descend, batch=None) -> list:
        """Train: a step for each of steps, a step size. Returns the loss before each step.

        update: a function of a parameter, its gradient and the step size, and of numbers that
        it remembers, by name, with the value at which each starts; it returns the new parameter
        and the new numbers. It is recorded on Symbols, as loss is. batch: how many rows a step
        takes, the next ones, round and round; None for all. rows: as for backward(). p.grad
        stays as it is. Ctrl-C ends it within a second, and then no parameter has changed.
        """
        if not isinstance(steps, Iterable):
            raise TypeError(f"jit: steps must be a list of step sizes, not {steps!r:.60}")
        rates = [number(step) for step in steps]
        data, state, _, losses = self._steps(rows, rates, update, batch)
        for p, x in zip(self.parameters, data, strict=True):
            p.data = x
        for name, x in zip(self.state, state, strict=True):
            self.state[name] = [*x]
        return [*losses]


def fits(x: Any) -> bool:
    """Whether x can be one of the numbers that C is given."""
    with suppress(TypeError, OverflowError):
        return bool(array("d", [x]))
    return False


def check_idle() -> None:
    """Raise TypeError within a loss that is being recorded: there are no numbers yet."""
    if asking(sys._getframe()):
        raise TypeError("a loss that is being recorded can't compile or run another")


def flat(parameters: Any) -> Iterator[Any]:
    """The parameters in lists of lists, or in arrays."""
    for p in parameters:
        if isinstance(p, (Value, str)) or not isinstance(p, Iterable):
            yield p
        else:
            yield from flat(p)


LARGEST = 5_000  # about a minute
_ONCE = "const double *p, const double *x, double *v, double *restrict g"


# Chapter 11: Names
def largest(numbers: list) -> Any:
    """The largest of numbers, or of Symbols, in a knockout.

    It has five rounds, or more: few and many numbers take the same steps, so jit finds more
    that is alike, and compiles in half the time.
    """
    for _ in range(max(5, (len(numbers) - 1).bit_length())):
        pairs = zip(numbers[::2], numbers[1::2] + numbers[-1:], strict=False)
        numbers = [where(a < b, b, a) for a, b in pairs]
    return numbers[0]


def exponentials(logits: Sequence) -> tuple[list[Value], list[Value], Value]:
    """The logits, less the largest; e to the power of each; and the sum of these powers."""
    values = [x if isinstance(x, Value) else Value(x) for x in logits]
    if not values:
        raise ValueError("softmax, cross_entropy: there must be at least one logit")
    shift = Value(largest([x.data for x in values]))
    less = [x - shift for x in values]
    powers = [x.exp() for x in less]
    return less, powers, apply("sum", *powers)


def softmax(logits: Sequence) -> list[Value]:
    """Shares that add up to 1: e to the power of each logit, over the sum of these powers.

    Logits are Values or numbers of any size. Values and gradients are PyTorch's.
    """
    _, powers, total = exponentials(logits)
    return [x / total for x in powers]


def cross_entropy(logits: Sequence, target: Any) -> Value:
    """-log of the share that softmax(logits) gives to target: an index, or a list of weights.

    With a weight for each logit, it is the weighted sum of what all indices would cost.
    """
    less, _, total = exponentials(logits)
    if type(target) is int and 0 <= target < len(less):
        return total.log() - less[target]
    if not isinstance(target, (list, tuple)) or len(target) != len(less):
        wanted = f"an index below {len(less)}, or {len(less)} weights"
        raise ValueError(f"cross_entropy: the target must be {wanted}, not {target!r:.60}")
    cost = total.log()
    return apply("sum", *[weight * (cost - x) for weight, x in zip(target, less, strict=True)])


def dot(xs: Iterable, ys: Iterable) -> Value:
    """x1 y1 + x2 y2 + ..."""
    return apply("sum", *[x * y for x, y in zip(xs, ys, strict=True)])


def linear(matrix: Iterable, x: Sequence) -> list[Value]:
    """A weighted sum of x for each row of matrix: a layer without biases."""
    return [dot(row, x) for row in matrix]


def norm(x: Sequence) -> list[Value]:
    """x, over the root of its mean square: numbers of a size that suits the next layer."""
    scale = 1 / (dot(x, x) * (1 / len(x)) + 1e-5).sqrt()
    return [a * scale for a in x]


def adam(p, g, rate, m=0.0, v=0.0, a=1.0, b=1.0):
    """Adam's step, with microgpt's numbers: an update for jit's train(), or for floats."""
    m, v, a, b = 0.85 * m + 0.15 * g, 0.99 * v + 0.01 * g * g, 0.85 * a, 0.99 * b
    return p - rate * (m / (1 - a)) / (raised(v / (1 - b), 0.5) + 1e-8), m, v, a, b


def attend(query: Sequence, keys: Sequence, values: Sequence) -> tuple[list, list]:
    """How much query looks at each key, as shares; and the mix of values in these shares."""
    shares = softmax([dot(query, key) * len(query) ** -0.5 for key in keys])
    return shares, [dot(shares, column) for column in zip(*values, strict=True)]


class LetterModel(Module):
    """Matrices of Values, and the cost of a name; a call gives the logits after a letter."""

    letters: list[list[Value]]

    def parameters(self) -> list[Value]:
        matrices = [x for x in vars(self).values() if isinstance(x, list)]
        return [p for matrix in matrices for row in matrix for p in row]

    def __call__(self, letter: Any, past: list) -> list[Value]:
        raise NotImplementedError

    def loss(self, *numbers: Any) -> Value:
        """The cost of a name, for jit.

        numbers: its letters, one-hot, with the dots around it and after it; then a weight for
        each place, by which the cost of the letter that follows it is multiplied.
        """
        n, past = len(self.letters), list[Any]()
        places = len(numbers) // (n + 1)
        letters = [numbers[i * n : (i + 1) * n] for i in range(places + 1)]
        pairs = zip(letters[:-1], letters[1:], strict=True)
        costs = [cross_entropy(self(x, past), y) for x, y in pairs]
        return dot(costs, numbers[-places:])


class GPT(LetterModel):
    """A transformer of one layer, with the architecture of microgpt.

    tokens: how many letters there are. width: the numbers that stand for one. heads: they
    share the width. block: the number of places. All are drawn by random.gauss(0, 0.08).
    """

    def __init__(self, tokens: int = 27, width: int = 16, heads: int = 4, block: int = 16):
        def matrix(rows, columns):
            return [[Value(random.gauss(0, 0.08)) for _ in range(columns)] for _ in range(rows)]

        self.heads, square = heads, (width, width)
        self.letters, self.places = matrix(tokens, width), matrix(block, width)
        self.query, self.key, self.value, self.mix = (matrix(*square) for _ in range(4))
        self.up, self.down = matrix(4 * width, width), matrix(width, 4 * width)
        self.scores = matrix(tokens, width)

    def __call__(self, letter: Any, past: list) -> list[Value]:
        """A logit for each letter that may follow.

        letter: an index, or one-hot. past: a key and a value for each place before; this
        place's are added.
        """
        columns = zip(*self.letters, strict=True)
        found = self.letters[letter] if type(letter) is int else linear(columns, letter)
        x = norm([a + b for a, b in zip(found, self.places[len(past)], strict=True)])
        query, key, value = (linear(m, norm(x)) for m in (self.query, self.key, self.value))
        past.append((key, value))
        seen: list[Value] = []
        for h in range(self.heads):
            part = slice(h * len(x) // self.heads, (h + 1) * len(x) // self.heads)
            keys, values = ([row[part] for row in rows] for rows in zip(*past, strict=True))
            seen += attend(query[part], keys, values)[1]
        x = [a + b for a, b in zip(x, linear(self.mix, seen), strict=True)]
        hidden = [a.relu() for a in linear(self.up, norm(x))]
        x = [a + b for a, b in zip(x, linear(self.down, hidden), strict=True)]
        return linear(self.scores, x)


__all__ += ["softmax", "cross_entropy", "adam", "GPT"]


# Chapter 12: Beyond one machine
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
    for x in (-2.0, 0.5) if nonlin else ():
        if getattr(Value(x), nonlin)().data != RULES[nonlin](x)[0]:
            raise TypeError(f"{where}: its activation is a method of Value now, and no rule")
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
