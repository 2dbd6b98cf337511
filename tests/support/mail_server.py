"""A real mail server on the loopback, which keeps what it is handed."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Mailbox:
    """Letters that came, and whether the next ones are refused."""

    letters: list[EmailMessage] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    answer: str = "250 taken"
    port: int = 0

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep a letter, or refuse it."""
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            letter = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(letter, EmailMessage)
            self.letters.append(letter)
        return self.answer

    def let_in(
        self, server: SMTP, session: Session, envelope: Envelope, way: str, who: object
    ) -> AuthResult:
        """Let in whoever knows the password."""
        assert isinstance(who, LoginPassword)
        self.users.append(who.login.decode())
        return AuthResult(success=who.password == b"open sesame")


class _AnyPort(Controller):
    """A controller on whatever port is free."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # as in the package


@contextmanager
def mail_server(trust: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """Run a mail server; with ``trust`` it speaks STARTTLS and wants a password."""
    box = Mailbox()
    more: dict[str, Any] = {"hostname": "127.0.0.1", "port": 0}
    if trust is not None:
        more |= {"tls_context": trust, "require_starttls": True}
        more |= {"auth_required": True, "authenticator": box.let_in}
    controller = _AnyPort(box, **more)
    controller.start()
    try:
        box.port = controller.port
        yield box
    finally:
        controller.stop()
