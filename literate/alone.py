"""Run a command alone: `python -m literate.alone LOCK COMMAND...` waits for its turn.

The lock belongs to a process, and ends with it; the file LOCK stays, and says nothing.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys


def alone(path: str, command: list[str]) -> int:
    """Run command while this process holds the lock at path; gives its exit status."""
    with open(path, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another make is setting up .venv; this one waits", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(alone(sys.argv[1], sys.argv[2:]))
