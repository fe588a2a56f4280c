"""README.org is true: program, results, figures and links are what it makes."""

import pytest
from fresh import ROOT

from literate.check import differences
from literate.exercise import exercises, judge, template, with_answer
from literate.org import present_results
from literate.run import execute, format_output
from literate.tangle import load, tangle

README = ROOT / "README.org"


def test_the_program_is_what_the_readme_tangles_to():
    for name, data in tangle(load(README), README).items():
        assert (ROOT / name).read_bytes() == data, f"{name}: run make tangle"


@pytest.mark.dear
def test_the_readme_makes_every_result_figure_and_link_and_takes_each_solution_for_right(
    tmp_path,
):
    """One run for both: as `make check` does it, but with each solution in a reader's file."""
    elements = load(README)
    known = exercises(elements)
    answered = elements
    for one in known.values():
        code = template(one, README) + one.solution.code
        (tmp_path / f"{one.number}.py").write_text(code, "utf-8")
        answered = with_answer(answered, one, tmp_path)
    made = execute(answered, README)
    for one in known.values():
        printed = made.printed[one.printing.line]
        assert judge(printed, one.result)[1] == "", one.number
        made.results[one.printing.line] = format_output(one.printing, printed.encode())
    assert made.results.keys() == present_results(elements).keys()
    assert differences(elements, README, made) == []
