"""A Python process of its own, for tests of what one process cannot show."""

import os
import subprocess
import sys
from pathlib import Path

import micrograd

ROOT = Path(micrograd.__file__).resolve().parent
TOOL = [sys.executable, "-m", "literate"]  # to run in ROOT, as make does


def python(program, *arguments, cwd=ROOT, **environment):
    """What program prints, run with arguments in cwd, with micrograd importable there."""
    result = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
