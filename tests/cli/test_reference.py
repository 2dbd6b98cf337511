"""The page of commands is what the commands say of themselves."""

from pathlib import Path

from cli.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_lists_every_command_and_option() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"
