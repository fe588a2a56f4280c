"""The package `literate`: each module says what it is for, and imports point one way."""

import ast
import re

import pytest
from fresh import ROOT

import literate

FOLDER = ROOT / "literate"
ORDER = re.findall(r"^    (\w+)  ", str(literate.__doc__), re.MULTILINE)


def test_the_map_of_the_package_names_each_module_once():
    assert sorted(ORDER) == sorted(
        path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__"
    )


@pytest.mark.parametrize("name", ["__init__", *ORDER])
def test_each_module_imports_only_from_those_above_it(name):
    above = ORDER[: ORDER.index(name)] if name in ORDER else []
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
            assert not {"literate", "importlib", *ORDER} & {*names}, node.lineno
        if isinstance(node, ast.ImportFrom) and node.level:
            found = [node.module] if node.module else [alias.name for alias in node.names]
            assert node.level == 1 and {*found} <= {*above}, node.lineno
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert str(node.module).split(".")[0] not in ("literate", "importlib"), node.lineno


def test_each_module_says_first_what_it_is_for():
    for name in ORDER:
        tree = ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))
        summary, _, rest = str(ast.get_docstring(tree)).partition("\n\n")
        assert summary.endswith(".") and rest, name
