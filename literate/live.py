"""Live figures: what the page plays with is declared in the document, and compiled by it.

A comment whose first line is `live: KIND` declares one. Its other lines are Python, which runs
after the program's own blocks, in the process where blocks run: `x: (low, high) = number` is an
input with its range. JavaScript comes out, printed by the document's own compiler.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

from .org import SESSION, Element, parse
from .run import execute

DECLARED = re.compile(r"# live: (\w+)\n((?:# .*\n)+)")
BLOCK = "#+begin_src python :results silent :exports code\n{}\n#+end_src"
KINDS = ("graph", "descent", "training")
KEPT: dict[str, list[str]] = {}  # what the last page showed: most edits change none of it


# Here, where the page is written.


def scripts(elements: list[Element], document: Path) -> dict[int, str]:
    """The JavaScript of each live figure, by its declaration's line."""
    text, lines = "", []
    for element in elements:
        part = re.sub(".+", "", element.text)
        if found := DECLARED.fullmatch(element.text):
            lines.append(element.line)
            code = re.sub("^# ", "", found[2], flags=re.MULTILINE)
            call = f"__import__({__name__!r}).live.declare({found[1]!r}, {code!r})"
            # On as many lines as before: an error's line is then the document's.
            part = BLOCK.format(call) + part[2:]
        elif element.text.startswith((SESSION, "#+begin_src python :tangle")):
            part = element.text
        text += part
    key = re.sub("\n+", "\n", text)
    if lines and key not in KEPT:
        draw = BLOCK.format(f"__import__({__name__!r}).live.draw(globals())")
        made = execute(parse(f"{text}\n{draw}\n"), document)
        KEPT.clear()
        KEPT[key] = json.loads(made.printed[max(made.printed)])
    return dict(zip(lines, KEPT[key] if lines else [], strict=True))


# There, where blocks run.


DECLARATIONS: list[tuple[str, str, int, str]] = []  # kind, code, and where it stands


def declare(kind: str, code: str) -> None:
    """Keep a declaration for draw(): a figure of chapter 4 needs the compiler of chapter 10."""
    above = sys._getframe(1)
    DECLARATIONS.append((kind, code, above.f_lineno - 1, above.f_code.co_filename))


def draw(space: dict[str, Any]) -> None:
    """Print the JavaScript of all figures, as JSON. An error's line is the declaration's."""
    made: list[str] = []
    for kind, code, line, name in DECLARATIONS:
        tree = ast.parse("\n" * line + code, name)
        call = compile("\n" * line + "made.append(Figure(*args).script(kind))", name, "exec")
        exec(call, globals() | {"made": made, "args": (tree, name, {**space}), "kind": kind})
    print(json.dumps(made))


class Figure:
    """A declaration: its inputs, and what it computes from them, in a namespace of its own."""

    def __init__(self, tree: ast.Module, name: str, space: dict[str, Any]) -> None:
        self.space = space
        self.root: Any = None
        self.inputs: list[dict[str, Any]] = []
        self.caption = ast.get_docstring(tree) or ""
        self.Value, self.Symbol = space["Value"], space["Symbol"]
        space["TAPE"].clear()
        for node in tree.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                low, high = ast.literal_eval(node.annotation)
                start = ast.literal_eval(node.value or ast.Constant(0.0))
                label = node.target.id
                space[label] = self.Value(self.Symbol("x", slot=len(self.inputs)), label=label)
                self.inputs.append({"label": label, "low": low, "high": high, "start": start})
                continue
            exec(compile(ast.Module([node], []), name, "exec", dont_inherit=True), space)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                made = space[node.targets[0].id]
                if isinstance(made, self.Value):
                    self.root, made.label = made, made.label or node.targets[0].id

    def script(self, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"no live figure is called {kind!r}; known: {', '.join(KINDS)}")
        if kind != "training" and self.root is None:
            raise TypeError("no line makes a Value from the inputs; add `name = …`")
        code, more = getattr(self, kind)()
        if missing := re.search(r"\berfc?(?=\()", code):
            raise ValueError(f"browsers have no {missing[0]}(); declare a figure without it")
        facts = {"kind": kind, "caption": self.caption, "inputs": self.inputs, **more}
        text = json.dumps(facts).replace("<", r"\u003c")
        own = ""
        for function, made in self.space["OWN"].items():
            if re.search(rf"\b{function}\(", code):
                own += self.function(f"{function}_", self.space["straight"](*made))
                own += f"const {function} = (...x) => {function}_(x)[0];\n"
        names = re.findall(r"^function (\w+)", code, re.MULTILINE)
        return f"(() => {{\n{own}{code}return {{ ...{text}, {', '.join(names)} }};\n}})(),\n"

    def function(self, name: str, program: Any) -> str:
        """A program as a function of x, and of p if it reads that, which returns y."""
        lines = self.space["script"](program, "JavaScript")
        body = ["const v = [], y = [];", *lines, "return y;"]
        return self.space["function"](name, "x, p", body, "JavaScript")

    def single(self, *outputs: Any) -> str:
        """The function that computes outputs from the inputs, a statement for each Symbol."""
        program = self.space["Program"]([*self.space["TAPE"]], [*outputs], "y", single=True)
        return self.function("run", program)

    def graph(self) -> tuple[str, dict[str, Any]]:
        """Every Value's data, then its gradient after each step back, slopes and shares."""
        order = self.space["topological_order"](self.root)
        place = {v: i for i, v in enumerate(order)}
        names = {id(v.data): v.label for v in reversed(order) if v.label}
        order[-1].grad = 1.0
        outputs = [v.data for v in order] + [v.grad for v in order]
        steps, depth, pairs = [], {order[-1]: 0}, []
        for v in reversed(order):
            for child in v._prev:
                depth[child] = max(depth.get(child, 0), depth[v] + 1)
            if v._prev:
                edges = []
                for child, slope in zip(v._prev, v._local, strict=True):
                    edges.append({"child": place[child], "slope": self.spell(slope, names)})
                    pairs += [slope, slope * v.grad]
                steps.append({"node": place[v], "edges": edges})
                v._backward()
                outputs += [v.grad for v in order]
        nodes = [{"label": v.label or v._op, "op": v._op, "depth": depth[v]} for v in order]
        for v, node in zip(order, nodes, strict=True):
            node["label"] = node["label"] or f"{v.data:g}"  # a constant
        return self.single(*outputs, *pairs), {"nodes": nodes, "steps": steps}

    def spell(self, x: Any, names: dict[int, str], inner: bool = False) -> str:
        """A local derivative, in the names of the figure."""
        if not isinstance(x, self.Symbol):
            return f"{float(x):g}"
        if id(x) in names or not x.args:
            return names.get(id(x), x.op)
        if x.op.isidentifier():
            return f"{x.op}({', '.join(self.spell(a, names) for a in x.args)})"
        text = f" {x.op} ".join(self.spell(a, names, True) for a in x.args)
        return f"({text})" if inner and x.op in "+-" else text

    def descent(self) -> tuple[str, dict[str, Any]]:
        """The last Value, its slope in the first input, and where a step takes that."""
        x, rate = (self.space[one["label"]] for one in self.inputs)
        self.root.backward()
        after = self.space["descend"](x.data, x.grad, rate.data)
        return self.single(self.root.data, x.grad, after), {}

    def training(self) -> tuple[str, dict[str, Any]]:
        """The program of jit, and how a step changes a parameter; scores; how rates fall."""
        space, parameters = self.space, self.space["model"].parameters()
        rows = [[*map(float, row)] for row in space["rows"]]
        made = space["jit"](space["loss"], len(rows[0]), parameters, space.get("penalty"))
        start = [p.data for p in parameters] + [0.0] * (made._places - len(parameters))
        start += [x for program in made._programs for x in program.numbers]
        tape, ends = space["record"](space["score"], len(rows[0]) - 1, parameters, "the score")
        score = space["Program"](tape, ends[-1:], "y", base=len(start))
        code = made.script("JavaScript") + self.function("score", score)
        code += self.function("update", space["straight"](space["descend"], 3))
        falling = space.get("falling", lambda rate, k: rate)
        code += self.function("rate", space["straight"](falling, 2))
        facts = {"rows": rows, "start": start + score.numbers, "trained": len(parameters)}
        return code, {**facts, "steps": space["steps"]}
