"""``python -m agent``: an agent as a process. ``suanwang agent`` starts the same."""

import sys

from agent.main import main

if __name__ == "__main__":
    sys.exit(main())
