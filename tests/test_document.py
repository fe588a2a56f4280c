"""README.org is true: program, results, figures and links are what it makes."""

import os
import subprocess
import sys
from pathlib import Path

import literate

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.org"


def test_the_program_is_what_the_readme_tangles_to():
    for name, data in literate.tangle(literate.load(README), README).items():
        assert (ROOT / name).read_bytes() == data, f"{name}: run make tangle"


def test_every_result_figure_and_link_is_what_the_readme_makes():
    # Not the hash seed that the committed results were made with: no set may order them.
    done = subprocess.run(
        [sys.executable, str(ROOT / "literate.py"), "check"],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONHASHSEED": "20"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
