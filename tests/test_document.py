"""README.org is true: program, results, figures and links are what it makes."""

import subprocess

from fresh import ROOT, TOOL

from literate.tangle import load, tangle

README = ROOT / "README.org"


def test_the_program_is_what_the_readme_tangles_to():
    for name, data in tangle(load(README), README).items():
        assert (ROOT / name).read_bytes() == data, f"{name}: run make tangle"


def test_every_result_figure_and_link_is_what_the_readme_makes():
    done = subprocess.run(
        [*TOOL, "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
