"""A failing test says where README.org explains the lines of micrograd.py that it ran."""

import os
import traceback
from pathlib import Path

import pytest

from literate.org import DocumentError, chapter
from literate.tangle import load, source, tangle, targets

# Nothing that a user has set for Python, such as where it looks for modules, decides a test.
for name in [name for name in os.environ if name.startswith("PYTHON")]:
    del os.environ[name]

README = Path(__file__).resolve().parent.with_name("README.org")
PROGRAM = README.with_name("micrograd.py")


def pytest_collection_modifyitems(items):
    """What takes long begins first, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("dear") is None)


@pytest.fixture(scope="session")
def elements():
    """The elements of README.org, which no test changes."""
    return load(README)


@pytest.fixture(scope="session")
def text(elements):
    """The page that README.org makes."""
    from literate.page import page

    return page(elements, README)


def explained(error, document=README, program=PROGRAM):
    """A text for each line of the program in an exception's traceback, and in its causes'."""
    rows, seen = [], []
    while error and error not in seen:
        seen.append(error)
        frames = reversed(list(traceback.walk_tb(error.__traceback__)))
        rows += [row for frame, row in frames if Path(frame.f_code.co_filename) == program]
        error = error.__cause__ or error.__context__
    if not rows:
        return []
    try:
        elements = load(document)
    except DocumentError as wrong:
        return [f"{document.name}:{wrong.line}: {wrong}"]
    if program.read_bytes() != tangle(elements, document)[program.name]:
        return [f"{program.name} is not what {document.name} makes; `make check` says more"]
    found = []
    for row in rows:
        line = source(targets(elements, document)[program.name], row)
        title = chapter(elements, line)
        where = f'in chapter "{title}"' if title else "above the first chapter"
        found.append(f"{program.name}:{row} is {document.name}:{line}, {where}")
    return list(dict.fromkeys(found))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call):
    report = yield
    if report.failed and call.excinfo and (lines := explained(call.excinfo.value)):
        report.sections.append((README.name, "\n".join(lines)))
    return report
