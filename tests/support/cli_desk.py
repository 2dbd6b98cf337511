"""Somebody who uses ``suanwang voucher apply`` with a key."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from api_server import RunningCentre
from typer.testing import CliRunner

from cli.vouchers import app

RUNNER: Final = CliRunner()


class Desk:
    """Runs the command with somebody's key."""

    def __init__(self, centre: RunningCentre, key: str) -> None:
        self._where = ("--url", centre.url, "--api-key", key)

    def run(self, *words: str | Path) -> str:
        """Run a command that must succeed and return what it prints."""
        result = RUNNER.invoke(
            app, ["apply", *map(str, words), *self._where], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    def json(self, *words: str | Path) -> Any:
        """Run a command and return the JSON that it prints."""
        return json.loads(self.run(*words, "--json"))

    def refusal(self, *words: str | Path) -> BaseException:
        """Run a command that must fail and return its error."""
        result = RUNNER.invoke(app, ["apply", *map(str, words), *self._where])
        assert result.exception is not None, result.output
        return result.exception

    def refused(self, *words: str | Path) -> "Told":
        """Run a command that must fail and return its error with what it printed."""
        result = RUNNER.invoke(app, ["apply", *map(str, words), *self._where])
        assert result.exception is not None, result.output
        return Told(result.exception, result.output)


@dataclass(frozen=True)
class Told:
    """How a command failed, and everything that it printed."""

    error: BaseException
    output: str
