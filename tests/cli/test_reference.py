"""The page of commands is what the commands say of themselves."""

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_lists_every_command_and_option() -> None:
    written = subprocess.run(
        [
            sys.executable, "-m", "typer", "cli.main", "utils", "docs",
            "--name", "suanwang", "--title", "Commands",
        ],
        capture_output=True, text=True, check=True, cwd=PAGE.parents[1],
    ).stdout  # fmt: skip
    assert PAGE.read_text(encoding="utf-8") == written, "run `make docs`"
