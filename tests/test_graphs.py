"""Graphs: deep and wide ones, how they are freed, their order, their drawings."""

import gc
import html
import itertools
import os
import re
import shutil
import sys
import weakref
from pathlib import Path

import pytest
from fresh import python

from micrograd import Value, draw_dot, grad, gradcheck, trace

# --- deep and wide ---------------------------------------------------------------------------


def test_a_chain_of_a_million_nodes_is_differentiated_shown_refused_by_draw_dot_and_freed():
    """Without recursion, and without the garbage collector. In a process of its own, since a
    stack that overflows takes the process with it."""
    pytest.importorskip("graphviz")
    program = """
import gc, weakref
from micrograd import Value, draw_dot
gc.disable()
x = y = Value(1.0)
for _ in range(999_999):
    y = y.relu()
inside = weakref.ref(y._prev[0])
y.backward()
print(y, x)
try:
    draw_dot(y)
except ValueError as error:
    print(error)
del y
print("freed" if inside() is None else "still there")
"""
    shown, refusal, freed = python(program).splitlines()
    assert shown == "Value(data=1.0, grad=1.0) Value(data=1.0, grad=1.0)"
    assert "1000000 nodes" in refusal and "limit of 1000" in refusal
    assert "earlier Value" in refusal and "higher limit" in refusal
    assert freed == "freed"


def test_a_long_chain_is_walked_in_order_and_is_text_in_a_notebook():
    chain = [Value(1.0)]
    for _ in range(50_000):
        chain.append(chain[-1].relu())
    assert trace(chain[-1]) == (chain, list(itertools.pairwise(chain)))
    assert chain[-1]._repr_svg_() is None


def test_a_long_chain_has_a_gradient_that_is_a_graph():
    x = y = Value(2.0)
    for _ in range(20_000):
        y = y + x
    (slope,) = grad(y, [x])
    assert slope.data == 20_001.0


def test_a_sum_of_a_hundred_thousand_values_is_differentiated():
    xs = [Value(i) for i in range(100_000)]
    total = sum((x * x for x in xs), Value(0.0))
    total.backward()
    assert total.data == sum(i * i for i in range(100_000))
    assert all(x.grad == 2.0 * x.data for x in xs)


def test_one_value_used_a_hundred_thousand_times_gets_every_contribution():
    x = Value(0.5)
    sum([x * i for i in range(100_000)], Value(0.0)).backward()
    assert x.grad == sum(range(100_000))


def test_a_node_that_very_many_paths_lead_to_is_visited_once():
    """A hundred squarings of one hold 2**100 paths from the root to the leaf."""
    x = y = Value(1.0)
    for _ in range(100):
        y = y * y
    y.backward()
    assert x.grad == 2.0**100
    assert len(trace(y)[0]) == 101


# --- no reference cycles ---------------------------------------------------------------------


@pytest.fixture
def collector_off():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def used(how):
    """A graph on which something was done, as a weak reference to a node inside it."""
    a, b = Value(2.0, label="a"), Value(-3.0)
    inside = a * b
    root = (inside.exp() + abs(inside) / a - b**2 + 1).tanh()
    how(root, [a, b])
    return weakref.ref(inside)


USES = {
    "nothing": lambda root, leaves: None,
    "backward": lambda root, leaves: root.backward(),
    "backward, twice": lambda root, leaves: (root.backward(), root.backward()),
    "grad": lambda root, leaves: grad(root, leaves),
    "grad, twice": lambda root, leaves: grad(grad(root, leaves)[0], leaves),
    "trace": lambda root, leaves: trace(root),
    "repr": lambda root, leaves: repr(root),
    "a failed operator": lambda root, leaves: pytest.raises(TypeError, root.__add__, "1"),
    "draw_dot": lambda root, leaves: draw_dot(root).source,
    "the notebook's display": lambda root, leaves: root._repr_svg_(),
}


@pytest.mark.parametrize("case", USES)
def test_a_graph_is_freed_as_soon_as_it_is_dropped(case, collector_off):
    if "draw" in case:
        pytest.importorskip("graphviz")
    assert used(USES[case])() is None


def test_gradcheck_leaves_nothing_behind(collector_off):
    seen = []

    def f(x):
        y = x * x
        seen.append(weakref.ref(y))
        return y.exp()

    gradcheck(f, [0.5])
    assert seen and all(ref() is None for ref in seen)


def test_nothing_that_values_do_is_left_to_the_garbage_collector(collector_off):
    used(USES["backward"])
    used(USES["grad, twice"])
    assert not [x for x in gc.get_objects() if type(x) is Value and x.label == "a"]


# --- order -----------------------------------------------------------------------------------


def test_results_and_drawings_are_the_same_whatever_the_hash_seed():
    program = """
import random
from micrograd import RULES, Value, draw_dot, grad
random.seed(3)
nodes = [Value(random.uniform(-1, 1), label=f"x{i}") for i in range(8)]
leaves = nodes[:]
for _ in range(150):
    a, b = random.choices(nodes, k=2)
    nodes.append((a * b + a.sigmoid() - b / 3).tanh())
y = sum(nodes)
y.backward()
print(y, leaves, grad(y, leaves), list(RULES))
print(draw_dot(y, limit=10000).source)
"""
    seeds = ["0", "1", "12345", "random"]
    outputs = {python(program, PYTHONHASHSEED=seed) for seed in seeds}
    assert len(outputs) == 1
    assert "digraph" in outputs.pop()


def test_trace_gives_inputs_before_results_each_node_once_and_the_root_last():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    d = c + a
    e = d * c
    nodes, edges = trace(e)
    assert nodes == [a, b, c, d, e]
    assert edges == [(a, c), (b, c), (c, d), (a, d), (d, e), (c, e)]
    assert trace(a) == ([a], [])


def test_an_input_used_twice_has_two_edges():
    x = Value(3.0)
    y = x * x
    assert trace(y) == ([x, y], [(x, y), (x, y)])
    picture = draw_dot(y)
    name_of_x, _ = names_of(picture, "shape=record")
    assert [start for start, _ in edges_of(picture)].count(name_of_x) == 2


# --- drawing ---------------------------------------------------------------------------------


def edges_of(dot):
    """The pairs of node names that edges join."""
    return re.findall(r'^\s*"?(\w+)"? -> "?(\w+)"?', dot.source, re.MULTILINE)


def names_of(dot, what=""):
    """The names of all nodes whose statement contains what."""
    return re.findall(rf'^\s*"?(\w+)"? \[label=.*{what}', dot.source, re.MULTILINE)


@pytest.fixture
def dot(monkeypatch):
    """A dot on the PATH: the pip-installed one next to this Python, or the system's."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    monkeypatch.setenv("PATH", beside)
    if not shutil.which("dot"):
        pytest.skip("no dot")


def texts(svg):
    """The texts of a drawing, top to bottom and left to right as dot wrote them."""
    found = re.findall(r"<text[^>]*>(.*?)</text>", svg, re.DOTALL)
    return [html.unescape(text).replace("\N{NO-BREAK SPACE}", " ") for text in found]


LABELS = [
    *("a|b", "{a}", "a}{b", "<a>", "a<b", "<b>bold</b>", "<port> a", 'say "a"', '"', "'a'"),
    *("a\\b", "a\\", "\\", "\\n", "\\N", "\\G", "\\l", '\\"', "a\\|b", "two  spaces", "a b c"),
    *(
        "x²",
        "∂L/∂a",
        "é",
        "权重",
        "&",
        "a&b",
        "&lt;",
        "&amp;",
        "&#65;",
        "&nbsp",
        "%s",
        "#",
        ";",
    ),
    *("-> b", "//", "/* a */", "0", "node", "digraph", "a,b=c[d]"),
]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("rankdir", ["LR", "TB"])
def test_a_label_draws_as_itself(label, rankdir, dot):
    svg = draw_dot(Value(1.0, label=label), rankdir=rankdir).pipe(encoding="utf-8")
    assert texts(svg) == [label, "data 1.0000", "grad 0.0000"]


@pytest.mark.parametrize("rankdir", ["LR", "TB"])
def test_a_label_of_several_lines_draws_as_several_lines(rankdir, dot):
    svg = draw_dot(Value(1.0, label="one\ntwo|2\n3"), rankdir=rankdir).pipe(encoding="utf-8")
    assert texts(svg) == ["one", "two|2", "3", "data 1.0000", "grad 0.0000"]


def test_a_drawing_shows_label_data_and_grad_and_an_ellipse_for_each_operation(dot):
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a * b
    c.label = "c"
    c.backward()
    picture = draw_dot(c)
    (times,) = set(names_of(picture)) - set(names_of(picture, "shape=record"))
    a_, b_, c_ = (names_of(picture, f"{label}.data")[0] for label in "abc")
    assert sorted(edges_of(picture)) == sorted([(a_, times), (b_, times), (times, c_)])
    svg = picture.pipe(encoding="utf-8")
    shown = texts(svg)
    for rows in (
        ["a", "data 2.0000", "grad -3.0000"],
        ["b", "data -3.0000", "grad 2.0000"],
        ["c", "data -6.0000", "grad 1.0000"],
    ):
        start = shown.index(rows[0])
        assert shown[start : start + 3] == rows
    assert shown.count("*") == 1
    assert svg.count("<ellipse") == 1


def test_a_value_without_a_label_is_drawn_without_an_empty_box(dot):
    assert texts(draw_dot(Value(1.0)).pipe(encoding="utf-8")) == ["data 1.0000", "grad 0.0000"]


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (0.0, "0.0000"),
        (-0.5, "-0.5000"),
        (1234567.0, "1234567.0000"),
        (1e300, "1.000e+300"),
        (-2.5e-7, "-2.500e-07"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_of_every_size_fit_their_boxes(x, shown):
    assert f"data {shown}|grad 0.0000" in draw_dot(Value(x)).source


def test_node_names_come_from_the_graphs_order_and_never_from_id():
    def picture():
        a, b = Value(2.0, label="a"), Value(-3.0)
        return draw_dot((a * b + a).tanh())

    kept = [picture() for _ in range(3)]
    assert len({dot.source for dot in kept}) == 1
    assert len(names_of(kept[0], "shape=record")) == 5
    assert len(set(names_of(kept[0]))) == 5 + 3


def test_a_drawing_goes_left_to_right_or_top_to_bottom():
    y = Value(1.0, label="a") * 2
    assert "rankdir=LR" in draw_dot(y).source
    down = draw_dot(y, rankdir="TB")
    assert "rankdir=TB" in down.source
    assert "{a|data 1.0000|grad 0.0000}" in down.source, "rows lie across when ranks go down"


def test_the_format_of_a_drawing_is_the_callers():
    assert draw_dot(Value(1.0)).format == "svg"
    assert draw_dot(Value(1.0), format="png").format == "png"


def test_the_limit_of_a_drawing_can_be_raised():
    y = sum([Value(1.0)] * 600, Value(0.0))
    assert len(trace(y)[0]) == 602
    with pytest.raises(ValueError, match="602 nodes, more than the limit of 601"):
        draw_dot(y, limit=601)
    assert len(names_of(draw_dot(y, limit=602), "shape=record")) == 602


def test_drawing_changes_nothing():
    a = Value(2.0)
    y = a * a
    y.backward()
    draw_dot(y)
    assert (a.data, a.grad, y.grad) == (2.0, 4.0, 1.0)


def test_a_value_shows_its_graph_in_a_notebook(dot):
    svg = (Value(2.0, label="a") * 3)._repr_svg_()
    assert svg is not None and "<svg" in svg
    assert "a" in texts(svg)


def test_a_graph_too_large_to_read_is_text_in_a_notebook(dot):
    y = sum([Value(1.0)] * 500, Value(0.0))
    assert y._repr_svg_() is None


def test_without_dot_a_value_is_text_in_a_notebook(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (Value(2.0) * 3)._repr_svg_() is None


def test_without_the_graphviz_package_a_value_is_text_in_a_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    assert (Value(2.0) * 3)._repr_svg_() is None
    with pytest.raises(ImportError):
        draw_dot(Value(1.0))


def test_the_engine_imports_nothing_that_must_be_installed():
    loaded = python(
        "import sys; before = set(sys.modules); import micrograd; "
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before})"
    )
    assert set(loaded.split()) <= {*sys.stdlib_module_names, "micrograd"}
