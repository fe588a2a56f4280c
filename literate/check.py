"""Checking: what in a document and beside it is not what the document makes.

Elements, and what a run made, come in; texts that say what is wrong go out. Nothing is changed.
"""

from __future__ import annotations

import os
from pathlib import Path

from .files import diff, read
from .live import scripts
from .org import (
    IMAGES,
    Block,
    DocumentError,
    Element,
    anchors,
    drawn,
    links,
    present_results,
)
from .run import Made, execute
from .tangle import advice, edited, load, source, tangle, targets


def differences(elements: list[Element], document: Path, made: Made) -> list[str]:
    """A text for each result, figure, tangled file and link that is not as it should be."""
    found = []
    present = present_results(elements)
    for line, result in made.results.items():
        found += difference(f"{document.name}:{line}: the result", present.get(line), result)
    by = drawn(made.results)
    for name, data in made.figures.items():
        place = f"{document.name}:{by[name]}: " if name in by else ""
        found += difference(place + name, read(document.parent / name), data)
    by_hand = edited(elements, document)
    for name, data in tangle(elements, document).items():
        old = read(document.parent / name)
        line = origin(targets(elements, document)[name], old or b"", data)
        what = "`make` writes it"
        if name in by_hand:
            what = f"{name} {advice(name, by_hand[name], document)}"
        for text in difference(f"{document.name}:{line}: {name}", old, data):
            found.append(f"{text}\n{what}")
    found += check_links(elements, document, set(made.figures))
    try:
        scripts(elements, document)
    except DocumentError as error:
        place = error.place or f"{document.name}:{error.line}"
        found.append(f"{place}: a live figure: {error}")
    return found


def difference(head: str, old: str | bytes | None, new: str | bytes) -> list[str]:
    """Nothing, or the lines that differ, below a line that begins with `head`."""
    if old == new:
        return []
    if old is None:
        return [f"{head} is missing; run the document"]
    return ["\n".join([f"{head} differs", *diff(old, new, "is", "should be")])]


def origin(blocks: list[Block], old: bytes, new: bytes) -> int:
    """The document's line for the first line in which a tangled file differs."""
    return source(blocks, len(os.path.commonprefix([old.splitlines(), new.splitlines()])) + 1)


def check_links(elements: list[Element], document: Path, drawn: set[str]) -> list[str]:
    """Links that lead nowhere, anchors that are not GitHub's, figures that nothing draws."""
    found = []
    slugs = anchors(elements)
    names = set()
    for i, element in enumerate(elements):
        if element.kind == "drawer":
            name, slug = element.text.split()[2], slugs[elements[i - 1].line]
            if "#" + name in names:
                message = f"CUSTOM_ID {name} is there twice, and links lead to the first"
                found.append(f"{document.name}:{element.line + 1}: {message}; rename a heading")
            names.add("#" + name)
            if name != slug:
                message = f"CUSTOM_ID {name} is not the anchor on GitHub; write {slug}"
                found.append(f"{document.name}:{element.line + 1}: {message}")
    for line, target in links(elements):
        path = target.removeprefix("file:")
        if target not in names and path not in drawn and not (document.parent / path).exists():
            found.append(f"{document.name}:{line}: the link to {target} is dead; correct it")
    shown = [target for _, target in links([e for e in elements if e.kind != "result"])]
    for file in sorted((document.parent / IMAGES).rglob("*")):
        path = file.relative_to(document.parent).as_posix()
        if file.is_file() and path not in drawn and f"file:{path}" not in shown:
            what = f"no block of {document.name} draws it, and no link in its text leads to it"
            found.append(f"{path}: {what}; remove it")
    return found


def check_command(document: Path) -> int:
    elements = load(document)
    made = execute(elements, document)
    found = differences(elements, document, made)
    counts = f"{len(made.results)} results, {len(made.figures)} files in {IMAGES}/"
    print("\n\n".join(found) or f"{document.name}: all is as the document makes it ({counts})")
    return 1 if found else 0
