"""Run a command that gets SIGTERM when the process that asked for it dies, however it dies.

``python -m agent.die_with_parent PARENT_PID -- command …`` replaces itself by the command.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the command; exit 1 where the parent is gone."""
    parent, separator, *command = arguments
    if separator != "--" or not command:
        raise SystemExit("usage: python -m agent.die_with_parent PARENT_PID -- command …")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise SystemExit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        raise SystemExit("the process that asked for this command is gone")
    os.execvp(command[0], command)  # noqa: S606 - its whole purpose


if __name__ == "__main__":
    main(sys.argv[1:])
