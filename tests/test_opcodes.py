"""How two lists differ is told as difflib tells it, and soon, whatever repeats itself."""

import difflib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from literate.files import opcodes, rising

LISTS = st.lists(st.sampled_from("abc"), max_size=12)


def applied(codes, old, new):
    """The new list, as the codes make it; each code is what it says, and all follow on."""
    made, i, k = [], 0, 0
    for kind, a, b, c, d in codes:
        assert (a, c) == (i, k) and (b > a or d > c)
        assert kind == "equal" or kind == ("replace" if d > c else "delete") or a == b
        assert (kind == "insert") == (a == b)
        made += old[a:b] if kind == "equal" else new[c:d]
        i, k = b, d
    assert (i, k) == (len(old), len(new))
    return made


@settings(deadline=None, derandomize=True, max_examples=300)
@given(LISTS, LISTS)
def test_short_lists_differ_as_difflib_says(old, new):
    old, new = ["<", *old, "["], [">", *new, "]"]  # nothing is alike at the ends
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    assert opcodes(old, new) == matcher.get_opcodes()


@settings(deadline=None, derandomize=True, max_examples=300)
@given(LISTS, LISTS, LISTS)
def test_the_codes_make_one_list_from_the_other(ends, old, new):
    old, new = ends + old + ends, ends + new + ends
    codes = opcodes(old, new)
    assert applied(codes, old, new) == new
    same = sum(b - a for kind, a, b, _, _ in codes if kind == "equal")
    assert same >= min(2 * len(ends), len(old), len(new))


REPEATED = {
    "one line again and again": (["x"] * 20_000, ["x"] * 9_000 + ["y"] + ["x"] * 12_000),
    "two in turn": (["x", "y"] * 10_000, ["y", "x"] * 10_000),
    "blank lines": (
        [row for n in range(10_000) for row in (str(n), "")],
        [row for n in range(10_000) for row in (str(n + n % 7 // 6), "")],
    ),
    "all turned round": (list("abcdefgh") * 2_000, list("hgfedcba") * 2_000),
}


@pytest.mark.parametrize("name", REPEATED)
def test_long_lists_that_repeat_themselves_take_no_time(name):
    old, new = REPEATED[name]
    old, new = ["<", *old, "["], [">", *new, "]"]
    start = time.process_time()
    codes = opcodes(old, new)
    assert time.process_time() - start < 5  # difflib takes minutes
    assert applied(codes, old, new) == new


def test_one_edit_in_a_long_list_that_repeats_itself_is_found():
    rows = [row for n in range(2_000) for row in (f"line {n}", "", "x")]
    new = [*rows[:900], "new", *rows[900:4_000], *rows[4_001:]]
    kinds = [code for code in opcodes(rows, new) if code[0] != "equal"]
    assert kinds == [("insert", 900, 900, 900, 901), ("delete", 4_000, 4_001, 4_001, 4_001)]


@given(st.lists(st.integers(0, 3), max_size=10), st.lists(st.integers(0, 3), max_size=10))
def test_pairs_rise_on_both_sides_and_pair_only_what_is_equal(a, b):
    pairs = rising(a, b)
    assert all(a[x] == b[y] for x, y in pairs)
    assert all(x < u and y < v for (x, y), (u, v) in zip(pairs, pairs[1:], strict=False))
