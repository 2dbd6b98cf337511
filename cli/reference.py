"""The page of commands, from the commands: ``python -m cli.reference > docs/commands.md``."""

import typer
from typer.cli import get_docs_for_click

from cli.main import app


def page() -> str:
    """Return every command with its options, as Markdown without loose ends."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="suanwang")
    text = get_docs_for_click(obj=command, ctx=context, name="suanwang", title="Commands")
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


if __name__ == "__main__":
    typer.echo(page(), nl=False)
