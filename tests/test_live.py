"""The live figures, in a browser: their numbers are PyTorch's, their controls are for all."""

import json
import math
import os
import random
import re

import pytest
import torch
from chrome import BROWSER, chrome
from fresh import ROOT

from literate import live
from literate import page as page_module
from literate.org import DocumentError, parse
from literate.tangle import load

README = ROOT / "README.org"
pytestmark = pytest.mark.skipif(
    not BROWSER and not os.environ.get("CI"), reason="neither Chromium nor Chrome is installed"
)
TOOLS = """
const boxes = [...document.querySelectorAll(".play")];
const named = (labels) => boxes.find(
  (box) => box.live.inputs.map(({ label }) => label).join(" ") === labels);
const type = (box, texts) => box.querySelectorAll("[type=text]").forEach((field, i) => {
  field.value = texts[i];
  field.dispatchEvent(new Event("input"));
});
const push = (box, name) => [...box.querySelectorAll("button")].find(
  (button) => button.textContent === name).click();
const read = (box) => [...box.querySelectorAll("g > title")].map((title) => title.textContent);
const told = (box) => box.querySelector(".told").textContent;
"""
EXPRESSION, SUMS, NEURON = "a b c f", "a b", "x1 x2 w1 w2 b"
DESCENT, FOUR, MOONS = "x step", "rate", "rate u v"
ALL = [EXPRESSION, SUMS, NEURON, DESCENT, FOUR, MOONS]


@pytest.fixture(scope="module")
def address(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(text, "utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser():
    with chrome() as made:
        yield made


@pytest.fixture
def fresh(browser, address):
    """A page just opened, which must have nothing to complain about when the test is over."""
    browser.open(address)
    browser.run(
        f"{{{TOOLS}; Object.assign(window, {{ boxes, named, type, push, read, told }}); 0}}"
    )
    yield browser
    assert browser.wrong() == []


def call(browser, function, *arguments):
    return browser.run(f"{function}(...{json.dumps(arguments)})")


def numbers(titles):
    """The data and gradient in the boxes of a graph, by label."""
    found = {}
    for title in titles:
        ((label, data, grad),) = re.findall(r"^(.*): data (\S+), grad (\S+)$", title)
        found[label] = float(data), None if grad == "?" else float(grad)
    return found


# PyTorch's scalars: what each figure's document says it computes.


def expression(a, b, c, f):
    e = a * b
    d = e + c
    return {"e": e, "d": d, "L": d * f}


def sums(a, b):
    d, c = a * b, a + b
    return {"d": d, "c": c, "L": c * d}


def neuron(x1, x2, w1, w2, b):
    x1w1, x2w2 = x1 * w1, x2 * w2
    total = x1w1 + x2w2
    n = total + b
    return {"x1w1": x1w1, "x2w2": x2w2, "sum": total, "n": n, "o": torch.tanh(n)}


GRAPHS = [(EXPRESSION, expression), (SUMS, sums), (NEURON, neuron)]
EDGES = ["0", "-0.0", "1e300", "-1e300", "1e-300", "5e-324", "inf", "-inf", "nan", "40", "0.1"]


def reference(f, labels, texts):
    """PyTorch's data and gradients, by label."""
    inputs = [torch.tensor(float(x), dtype=torch.float64, requires_grad=True) for x in texts]
    made = f(*inputs)
    for value in made.values():
        value.retain_grad()
    list(made.values())[-1].backward()
    nodes = {**dict(zip(labels.split(), inputs, strict=True)), **made}
    return {label: (value.item(), value.grad.item()) for label, value in nodes.items()}


def same(a, b, near=0.0):
    """Equal up to rounding, of which 1 - tanh² near 0 has `near`."""
    return math.isnan(a) and math.isnan(b) or math.isclose(a, b, rel_tol=1e-12, abs_tol=near)


@pytest.mark.parametrize(("labels", "f"), GRAPHS)
def test_a_graphs_numbers_are_those_of_pytorch(fresh, labels, f):
    rng = random.Random(7)
    count = len(labels.split())
    tries = [[repr(rng.uniform(-5, 5)) for _ in range(count)] for _ in range(20)]
    tries += [[rng.choice(EDGES) for _ in range(count)] for _ in range(40)]
    code = f"""{json.dumps(tries)}.map((texts) => {{
        const box = named({labels!r});
        type(box, texts);
        return read(box);
    }})"""
    for texts, titles in zip(tries, fresh.run(code), strict=True):
        found, wanted = numbers(titles), reference(f, labels, texts)
        assert found.keys() == wanted.keys()
        for label, pair in wanted.items():
            data, grad = found[label]
            near = 1e-14 if labels == NEURON else 0.0
            assert same(data, pair[0]) and same(grad, pair[1], near), (texts, label, pair)


def test_the_numbers_at_first_are_those_of_the_static_figures(fresh):
    found = numbers(fresh.run(f"read(named({EXPRESSION!r}))"))
    assert found["L"] == (-8, 1) and found["a"] == (2, 6) and found["b"] == (-3, -4)
    found = numbers(fresh.run(f"read(named({NEURON!r}))"))
    assert found["w1"][1] == pytest.approx(1, rel=1e-12) and found["w2"] == (1, 0)
    assert found["o"][0] == pytest.approx(0.7071067811865476, rel=1e-15)


def test_the_way_back_is_walked_node_by_node(fresh):
    box = f"named({EXPRESSION!r})"
    stages = []
    for _ in range(4):
        fresh.run(f"push({box}, 'Step')")
        known = {k: grad for k, (_, grad) in numbers(fresh.run(f"read({box})")).items()}
        stages.append(
            ({k: g for k, g in known.items() if g is not None}, fresh.run(f"told({box})"))
        )
    assert [stage for stage, _ in stages] == [
        {"L": 1},
        {"L": 1, "d": -2, "f": 4},
        {"L": 1, "d": -2, "f": 4, "e": -2, "c": -2},
        {"L": 1, "d": -2, "f": 4, "e": -2, "c": -2, "a": 6, "b": -4},
    ]
    assert "d gets f × grad of L = -2 × 1 = -2" in stages[1][1]
    assert "a gets b × grad of e = -3 × -2 = 6" in stages[3][1]
    fresh.run(f"push({box}, 'Step')")
    assert numbers(fresh.run(f"read({box})"))["d"][1] is None
    fresh.run(f"type({box}, [5, -3, 10, -2]); push({box}, 'Reset')")
    assert numbers(fresh.run(f"read({box})"))["a"] == (2, 6)


def test_where_a_value_is_used_twice_its_gradient_arrives_in_parts(fresh):
    box = f"named({SUMS!r})"
    seen = []
    for _ in range(4):
        fresh.run(f"push({box}, 'Step')")
        seen.append((numbers(fresh.run(f"read({box})"))["a"][1], fresh.run(f"told({box})")))
    # L = (a + b) (a b) at 3 and -2, whose slope in a is ab + (a + b) b.
    assert [grad for grad, _ in seen[:2]] == [None, None]
    assert seen[2][0] in (-6, -2) and seen[3][0] == -8
    assert "add up: the gradient of a is now -8" in seen[3][1]
    assert "add up" not in seen[2][1]


def test_what_is_no_number_is_marked_and_changes_nothing(fresh):
    box = f"named({EXPRESSION!r})"
    marked = f"{box}.querySelector('[type=text]').ariaInvalid"
    for wrong in ("", "x", "1,5", "1e", "--1"):
        fresh.run(f"type({box}, [{json.dumps(wrong)}, '4', '10', '-2'])")
        assert numbers(fresh.run(f"read({box})"))["a"][0] == 2, wrong
        assert fresh.run(marked) == "true", wrong
        fresh.run(f"type({box}, ['2', '4', '10', '-2'])")
        assert fresh.run(marked) != "true", wrong


def test_the_steps_on_the_parabola(fresh):
    starts, rates = ["2", "-3", "1e9"], ["0.02", "0.3", "0.34", "0.5", "inf", "nan"]
    tries = [(start, rate) for start in starts for rate in rates]
    code = f"""{json.dumps(tries)}.map((texts) => {{
        const box = named({DESCENT!r});
        push(box, "Reset");
        type(box, texts);
        for (let i = 0; i < 8; i++) push(box, "Step");
        return box.live.path.map(String);
    }})"""
    for (start, rate), path in zip(tries, fresh.run(code), strict=True):
        x = torch.tensor(float(start), dtype=torch.float64)
        assert len(path) > 1
        for found in path:
            assert same(float(found.replace("Infinity", "inf")), x.item()), (start, rate)
            x.requires_grad_()
            (slope,) = torch.autograd.grad(3 * x**2 - 4 * x + 5, x)
            x = (x - float(rate) * slope).detach()


def test_it_creeps_or_arrives_or_blows_up_and_says_so(fresh):
    code = f"""(() => {{
        const box = named({DESCENT!r}), texts = [];
        for (const [start, rate] of [
            ["2", "0.02"], ["2", "0.3"], ["2", "0.5"], ["2", "0"], ["1e7", "0.1"]]) {{
            type(box, [start, rate]);
            for (let i = 0; i < (/[35]/.test(rate) ? 300 : 5); i++) {{
                push(box, "Step");
                if (/arrived|blown/.test(told(box))) break;
            }}
            texts.push(told(box));
        }}
        return texts;
    }})()"""
    creeps, arrives, blows, stands, nears = fresh.run(code)
    assert stands.endswith(" It stands still.") and "blown" not in nears
    assert creeps.startswith("Step 5: ") and creeps.endswith(".")
    assert "arrived" not in creeps + blows and "It has arrived" in arrives
    assert "It has blown up" in blows


def test_a_number_that_is_long_has_its_size_and_as_many_digits_as_fit(fresh):
    code = f"""(() => {{
        const box = named({GRAPHS[0][0]!r});
        type(box, ["123456789", "3", "10", "-1e20"]);
        return [...box.querySelectorAll("svg text")].map((text) => text.textContent).join(" ");
    }})()"""
    text = fresh.run(code)
    for number in ("1.2346e8", "3.7037e8", "-1e20", "-3.7e28"):
        assert number in text, text


def trained(browser, labels, steps):
    code = f"""(() => {{
        const box = named({labels!r});
        for (let i = 0; i < {steps}; i++) push(box, "Step");
        return box.live.losses;
    }})()"""
    return browser.run(code)


def test_the_losses_of_the_four_points_are_those_that_the_text_prints(fresh):
    text = README.read_text("utf-8").split("** The loop")[1].split("** Forgetting")[0]
    printed = re.findall(r"\d\.\d{4}", re.findall(r"(?:^: [\d. ]+\n)+", text, re.M)[0])
    assert len(printed) == 20
    assert [f"{loss:.4f}" for loss in trained(fresh, FOUR, 20)] == printed


def moons_in_pytorch(steps):
    """The moons' losses, by PyTorch, from the document's seed."""
    import numpy as np
    from sklearn.datasets import make_moons

    import micrograd

    np.random.seed(1337)
    random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    layers = [
        [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in (w, b)]
        for layer in micrograd.nn.MLP(2, [16, 16, 1]).layers
        for w in [[[wi.data for wi in n.w] for n in layer.neurons]]
        for b in [[n.b.data for n in layer.neurons]]
    ]
    X, y = torch.tensor(X), torch.tensor(y * 2.0 - 1)
    parameters = [p for layer in layers for p in layer]
    losses = []
    for k in range(steps):
        h = X
        for w, b in layers:
            h = h @ w.T + b
            h = h if w is layers[-1][0] else h.relu()
        loss = (1 - y * h[:, 0]).relu().mean() + 1e-4 * sum((p * p).sum() for p in parameters)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, gradient in zip(parameters, gradients, strict=True):
                p -= (1.0 - 0.9 * k / 100) * gradient
    return losses


def test_the_losses_of_the_moons_are_those_of_pytorch_and_of_the_text(fresh):
    losses = trained(fresh, MOONS, 100)
    assert losses[:20] == pytest.approx(moons_in_pytorch(20), rel=1e-9)
    printed = re.findall(
        r"^: +(\d+)  (\d\.\d{12})  \d\.\d{12} .*True$", README.read_text(), re.M
    )
    assert len(printed) == 6
    assert all(f"{losses[int(k)]:.12f}" == loss for k, loss in printed)
    assert "100 of 100 points" in fresh.run(f"told(named({MOONS!r}))")


def test_a_click_adds_a_point_which_the_network_then_learns(fresh):
    add = f"""(() => {{
        const box = named({MOONS!r}), plane = box.querySelector("canvas");
        plane.scrollIntoView();
        const {{ left, top, width, height }} = plane.getBoundingClientRect();
        return [left + width / 4, top + height / 3];
    }})()"""
    x, y = fresh.run(add)
    before = trained(fresh, MOONS, 1)
    for kind in ("mousePressed", "mouseReleased"):
        fresh("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    assert "of 101 points" in fresh.run(f"told(named({MOONS!r}))")
    after = trained(fresh, MOONS, 1)
    fresh.run(f"push(named({MOONS!r}), 'Reset')")
    again = trained(fresh, MOONS, 2)
    assert again[0] == before[0] and after[:1] == before
    assert after[1] != again[1] and after[1] == pytest.approx(again[1], rel=0.1)
    ink = f"""(() => {{
        const plane = named({MOONS!r}).querySelector("canvas");
        const data = plane.getContext("2d").getImageData(0, 0, plane.width, plane.height).data;
        const pixels = [...new Uint32Array(data.buffer)];
        const count = (color) => pixels.filter((pixel) => pixel === color).length;
        return [count(0xffd3d5f9), count(0xfff5e3d4), count(0xff000000)];
    }})()"""
    red, blue, black = fresh.run(ink)
    assert red > 9000 and blue > 9000 and black > 300  # both sides, and the line between


# What a person does.


def tab_to(browser, test, limit=400):
    """Press Tab until what has the focus passes a test in JavaScript."""
    for _ in range(limit):
        browser.press("Tab")
        if browser.run(f"((it) => {test})(document.activeElement)"):
            return
    raise AssertionError(f"Tab never came to {test}")


def test_every_control_is_reached_and_moved_by_keyboard(fresh):
    start = f"named({EXPRESSION!r})"
    fresh.run(f"{start}.closest('figure').tabIndex = -1; {start}.closest('figure').focus()")
    tab_to(fresh, f"named({EXPRESSION!r}).contains(it) && it.type === 'range'")
    fresh.press("ArrowRight")
    assert numbers(fresh.run(f"read({start})"))["a"][0] == 2.1
    fresh.press("Tab")
    fresh.run("document.activeElement.select()")
    for key in "7.5":
        fresh.press(key, text=key)
    assert numbers(fresh.run(f"read({start})"))["a"][0] == 7.5
    tab_to(fresh, "it.textContent === 'Step'", 9)
    fresh.press("Enter")
    assert numbers(fresh.run(f"read({start})"))["a"][1] is None
    fresh.press("Tab")
    fresh.press(" ")
    assert fresh.run("document.activeElement.textContent") == "Pause"
    fresh.press(" ")
    assert fresh.run("document.activeElement.textContent") == "Play"
    fresh.press("Tab")
    fresh.press("Enter")
    assert numbers(fresh.run(f"read({start})"))["a"] == (2, 6)


def test_a_point_is_added_by_keyboard(fresh):
    moons = f"named({MOONS!r})"
    fresh.run(f"{moons}.querySelector('canvas').focus()")
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "Enter"):
        fresh.press(key)
    point = fresh.run(f"{moons}.querySelector('canvas').ariaLabel")
    assert "of 101 points" in point
    tab_to(fresh, "it.tagName === 'SELECT'", 9)
    fresh.press("ArrowDown")
    assert fresh.run("document.activeElement.value") == "add a blue circle"


def test_all_controls_are_in_the_order_of_tab_and_have_names(fresh):
    every = "[...document.querySelectorAll('.play :is(input, button, select, canvas)')]"
    assert fresh.run(f"{every}.every((it) => it.tabIndex === 0 && !it.disabled)")
    names = fresh.run(f"{every}.map((it) => it.ariaLabel || it.textContent)")
    assert all(names) and len(names) == 2 * 15 + 3 * 6 + 2
    for role, count in (("slider", 15), ("textbox", 15), ("button", 18), ("combobox", 1)):
        seen = []
        for i in range(len(ALL)):
            box = fresh("Runtime.evaluate", expression=f"boxes[{i}]")["result"]["objectId"]
            tree = fresh("Accessibility.queryAXTree", objectId=box, role=role)["nodes"]
            seen += [node["name"]["value"] for node in tree if not node["ignored"]]
        assert len(seen) == count and all(seen), role


WAIT = "new Promise((done) => setTimeout(done, {}))"


def test_play_goes_on_by_itself_and_pauses(fresh):
    box = f"named({MOONS!r})"
    fresh.run(f"push({box}, 'Play')")
    while fresh.run(f"{box}.live.losses.length") < 3:
        fresh.run(WAIT.format(50))
    fresh.run(f"push({box}, 'Pause')")
    count = fresh.run(f"{box}.live.losses.length")
    fresh.run(WAIT.format(300))
    assert count == fresh.run(f"{box}.live.losses.length")


def test_who_asks_for_less_motion_gets_less(browser, address):
    browser.open(address, prefers_reduced_motion="reduce")
    browser.run(f"{{{TOOLS}; Object.assign(window, {{ named, push }}); 0}}")
    browser.run(f"push(named({MOONS!r}), 'Play')")
    browser.run(WAIT.format(600))
    assert browser.run(f"named({MOONS!r}).live.losses.length") == 1


SEEN = "[...document.images].filter((it) => it.getBoundingClientRect().height).length"


def test_without_scripts_nothing_is_live_and_nothing_is_missing(browser, address, text):
    browser.open(address, scripts=False)
    browser.run("document.querySelectorAll('details').forEach((it) => it.open = true)")
    assert browser.run(SEEN) == text.count("<img ")
    assert browser.run("document.querySelectorAll('.play *').length") == 0
    tall = "[...document.querySelectorAll('.alone')].map((it) => it.offsetHeight)"
    assert set(browser.run(tall)) == {0}


def test_on_paper_the_figures_are_the_static_ones(browser, address, text):
    browser.open(address)
    browser.run("document.querySelectorAll('details').forEach((it) => it.open = true)")
    live = browser.run(SEEN)
    assert live == text.count("<img ") - 2
    browser("Emulation.setEmulatedMedia", media="print")
    assert browser.run(SEEN) == text.count("<img ")
    tall = "[...document.querySelectorAll('.play')].map((it) => it.offsetHeight)"
    assert set(browser.run(tall)) == {0}
    browser("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize("width", [360, 412, 700, 1280])
def test_it_fits_any_screen_and_asks_for_nothing(browser, address, width):
    browser.open(address, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelectorAll('.play').length") == len(ALL)
    wide = f"""[...document.querySelectorAll('.play *')].filter(
        (it) => it.getBoundingClientRect().right > {width} + 0.5).length"""
    assert browser.run(wide) == 0
    browser.run(f"{{{TOOLS}; type(named({NEURON!r}), {EDGES[3:8]}); 0}}")
    over = """[...document.querySelectorAll('.play g.node')].filter((it) => {
        const [frame, ...texts] = [...it.querySelectorAll('rect, text')].map(
            (part) => part.getBoundingClientRect());
        return texts.some((text) => text.left < frame.left || text.right > frame.right);
    }).length"""
    assert browser.run(over) == 0
    assert [url for url in browser.requests() if not url.startswith("data:")] == [address]
    assert browser.wrong() == []


def test_the_page_is_small(text):
    assert len(text.encode()) < 4_000_000


# What a declaration may be.

ERF = """\
# live: graph
# a: (-1, 1) = 0.5
# RULES["erf"] = lambda a: (call(math.erf, a), (1.0,))
# b = a.erf()
"""
HOSTILE = '</script><script>document.title = \\"hacked\\"</script><img src=x>'


def small(declaration):
    """A document of the program and one live figure."""
    elements = load(README)
    program = "".join(
        f"{element.text}\n" for element in elements if "tangle" in getattr(element, "args", {})
    )
    head = "#+title: Small\n#+property: header-args:python :session micrograd\n\n"
    return parse(f"{head}{program}{declaration}\nThe end.\n")


RULES = """\
# live: graph
# a: (0, 5) = 0.7
# b: (0, 5) = 1.9
# c = a.exp() / b.log() - a.sigmoid() * b.sqrt()
# d = abs(a.sin() - b.cos()) + (a - b).relu() + 2 * (b - a).relu()
# e = a.max(b) ** 3 + a.min(b) ** b + 5 ** a
# f = (c + d) * (0.1 * e).tanh() + a ** 2
"""


def of_rules(a, b):
    c = a.exp() / b.log() - a.sigmoid() * b.sqrt()
    d = (a.sin() - b.cos()).abs() + (a - b).relu() + 2 * (b - a).relu()
    e = torch.maximum(a, b) ** 3 + torch.minimum(a, b) ** b + 5**a
    return {"c": c, "d": d, "e": e, "f": (c + d) * (0.1 * e).tanh() + a**2}


def test_a_graph_may_use_any_rule(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page_module.page(small(RULES), tmp_path / "README.org"), "utf-8")
    browser.open(path.as_uri())
    browser.run(f"{{{TOOLS}; Object.assign(window, {{ named, type, read }}); 0}}")
    for texts in (["0.7", "1.9"], ["1.9", "0.7"], ["1.5", "1.5"], ["0.3", "0.2"]):
        titles = browser.run(f"type(named('a b'), {texts}), read(named('a b'))")
        found = numbers(titles)
        for label, pair in reference(of_rules, "a b", texts).items():
            assert all(map(same, found[label], pair)), (texts, label, found[label], pair)
    assert browser.wrong() == []


def test_text_of_the_document_becomes_neither_markup_nor_script(browser, tmp_path):
    said = f'# "{HOSTILE}"'
    made = small(f"# live: graph\n{said}\n# a: (-1, 1) = 0.5\n# b = a * a\n")
    path = tmp_path / "page.html"
    page = page_module.page(made, tmp_path / "README.org")
    path.write_text(page.replace("<main>", "<main><script>document.title = 'in'</script>"))
    browser.open(path.as_uri())
    assert browser.run("document.title") == "Small"
    assert browser.run("document.querySelector('.told').textContent") == HOSTILE.replace(
        "\\", ""
    )
    assert browser.run("document.querySelectorAll('img').length") == 0
    blocked = [w["entry"]["text"] for w in browser.wrong() if "entry" in w]
    assert len(blocked) == 1 and "Content Security Policy" in blocked[0]


@pytest.mark.parametrize(
    ("declaration", "line", "what"),
    [
        ("# live: game\n# a: (-1, 1) = 0.5\n", 0, "game"),
        ("# live: graph\n# a: (-1, 1) = 0.5\n# b = a * c\n", 2, "name 'c' is not defined"),
        ("# live: graph\n# a: (-1, 1) = 0.5\n# b = = a\n", 2, "invalid syntax"),
        (ERF, 0, "browsers have no erf"),
        ("# live: graph\n# a: (-1, 1) = 0.5\n# b = 2.0\n", 0, "makes a Value"),
    ],
)
def test_a_wrong_declaration_is_refused_at_its_line(tmp_path, declaration, line, what):
    elements = small(declaration)
    (first,) = [e.line for e in elements if e.text.startswith("# live")]
    with pytest.raises(DocumentError, match=what) as caught:
        live.scripts(elements, tmp_path / "README.org")
    assert caught.value.line in (first + line, first + 1)[: 2 if line == 0 else 1]
