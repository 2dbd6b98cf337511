"""Runs ipmitool, a process for each question, and ends it when it takes too long.

A process of its own cannot hang the agent, ends its session with itself, and is given the password
as the name of a file, never as an argument.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.sources.port import SourceError

OUTPUT_BYTES_MAX: Final = 1024 * 1024
_SAID_CHARS_MAX: Final = 300
_STEPS: Final = (
    ("authentication algorithm", "set cipher to 3, if the BMC is too old for 17"),
    ("rivilege", "set privilege to one that the user has"),
    ("Unable to establish", "check address, username, password_file and cipher"),
    ("Could not open device", "load the module ipmi_devintf, and let the agent read /dev/ipmi0"),
)
"""What to do by a part of ipmitool's words; the first that fits."""

_log = logging.getLogger(__name__)


class IpmiFailure(SourceError):
    """ipmitool did not bring an answer; ``is_refused`` where the BMC answered, but said no."""

    def __init__(
        self, message: str, *, target: str, is_refused: bool = False, next_step: str = ""
    ) -> None:
        super().__init__(message, next_step=next_step, target=target, is_refused=is_refused)
        self.is_refused = is_refused


@dataclass(frozen=True, slots=True, kw_only=True)
class IpmiTarget:
    """A BMC on the network, or without a host the one of this machine (``/dev/ipmi0``)."""

    host: str = ""
    port: int = 623
    username: str = ""
    password_file: Path | None = None
    cipher: int = 17
    privilege: str = "USER"

    @property
    def words(self) -> str:
        """What is asked, for messages."""
        return f"{self.host}:{self.port}" if self.host else "this machine's BMC"

    def arguments(self) -> tuple[str, ...]:
        """Return the arguments that lead to the BMC; no secret is among them."""
        if not self.host:
            return ("-I", "open")
        login = ("-U", self.username) if self.username else ()
        secret = ("-f", str(self.password_file)) if self.password_file else ("-P", "")
        where = ("-I", "lanplus", "-H", self.host, "-p", str(self.port))
        return (*where, *login, *secret, "-C", str(self.cipher), "-L", self.privilege)


class Ipmitool:
    """Asks one BMC, one question at a time for what shares the gate."""

    def __init__(self, target: IpmiTarget, gate: asyncio.Semaphore, *, program: str) -> None:
        self.target = target
        self._gate = gate
        self._program = program

    async def ask(self, *question: str, timeout_s: float) -> str:
        """Return what ipmitool prints; raise IpmiFailure. A process that hangs is killed."""
        program = shutil.which(self._program)
        if program is None:
            raise IpmiFailure(
                f"{self._program} is not installed",
                next_step="install the package ipmitool on the agent's machine",
                target=self.target.words,
            )
        async with self._gate:
            try:
                return await asyncio.wait_for(
                    self._run([program, *self.target.arguments(), *question]), timeout_s
                )
            except TimeoutError as failure:
                raise IpmiFailure(
                    f"{self.target.words} did not answer within {timeout_s:g} s",
                    next_step="check address, cable and that IPMI over LAN is switched on",
                    target=self.target.words,
                ) from failure

    async def _run(self, command: Sequence[str]) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ | {"LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as failure:
            raise IpmiFailure(
                f"{self._program} cannot be started: {failure}", target=self.target.words
            ) from failure
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.communicate()  # to its end, so that no pipe is left open
        if process.returncode:
            raise self._refusal(err.decode("utf-8", "replace"))
        if len(out) > OUTPUT_BYTES_MAX:
            raise IpmiFailure(
                f"{self.target.words} has {len(out)} bytes of sensors", target=self.target.words
            )
        return out.decode("utf-8", "replace")

    def _refusal(self, said: str) -> IpmiFailure:
        words = " ".join(said.split())[:_SAID_CHARS_MAX] or "ipmitool failed without a word"
        is_refused = "Invalid command" in words or "request failed because" in words
        step = next((step for part, step in _STEPS if part in words), "")
        return IpmiFailure(
            f"{self.target.words}: {words}",
            next_step=step,
            is_refused=is_refused,
            target=self.target.words,
        )
