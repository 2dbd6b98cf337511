"""E-mail: one letter for each message, in Chinese, English or both."""

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from alerts.channels.config import EmailSpec
from alerts.channels.port import DeliveryFailed, read_secret
from alerts.message import AlertBody, MessageBody

ALERTS_SHOWN: Final = 50
OWN_NAME: Final = "suanwang"
"""How it greets a mail server; asking the system for a name may take long."""
_WORDS: Final = {
    "zh": {
        "firing": "触发", "resolved": "恢复", "since": "始于", "chart": "曲线",
        "runbook": "处置手册", "more": "另有 {} 条，见 suanwang alerts list",
        "reminder": "（提醒）", "flapping": "（抖动）", "head": "[算网告警]",
    },
    "en": {
        "firing": "firing", "resolved": "resolved", "since": "since", "chart": "chart",
        "runbook": "runbook", "more": "and {} more, see suanwang alerts list",
        "reminder": " (reminder)", "flapping": " (flapping)", "head": "[Suanwang]",
    },
}  # fmt: skip


class Mail:
    """Sends letters through a mail server."""

    kind = "email"
    resend_s: float | None = None

    def __init__(self, spec: EmailSpec) -> None:
        self._spec = spec

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self._spec.name

    def send(self, message: MessageBody, now: datetime) -> None:
        """Hand a letter to the mail server; raise DeliveryFailed."""
        letter = compose(message, self._spec, now)
        try:
            with self._connect() as server:
                if self._spec.tls == "starttls":
                    server.starttls(context=self._trust())
                if self._spec.username and self._spec.password_file:
                    server.login(self._spec.username, read_secret(self._spec.password_file))
                server.send_message(letter, self._spec.sender, list(self._spec.to))
        except smtplib.SMTPRecipientsRefused as failure:
            codes = [code for code, _ in failure.recipients.values()]
            raise DeliveryFailed(
                f"{self._spec.host} takes none of the addresses: {failure.recipients}",
                is_final=all(code >= 500 for code in codes),
            ) from failure
        except smtplib.SMTPDataError as failure:
            raise DeliveryFailed(
                f"{self._spec.host} refused the letter: {failure}",
                is_final=failure.smtp_code >= 500,
            ) from failure
        except (OSError, smtplib.SMTPException) as failure:
            raise DeliveryFailed(f"{self._spec.host}:{self._spec.port}: {failure}") from failure

    def resend(self, alerts: Sequence[AlertBody], now: datetime) -> None:
        """Do nothing: a letter is not repeated."""

    def _connect(self) -> smtplib.SMTP:
        spec = self._spec
        if spec.tls == "tls":
            return smtplib.SMTP_SSL(
                spec.host, spec.port, OWN_NAME, timeout=spec.timeout_s, context=self._trust()
            )
        return smtplib.SMTP(spec.host, spec.port, OWN_NAME, timeout=spec.timeout_s)

    def _trust(self) -> ssl.SSLContext:
        file = self._spec.ca_file
        return ssl.create_default_context(cafile=None if file is None else str(file))


def compose(message: MessageBody, spec: EmailSpec, now: datetime) -> EmailMessage:
    """Return the letter of a message; its id is that of the message."""
    languages = ("zh", "en") if spec.language == "both" else (spec.language,)
    letter = EmailMessage()
    letter["Subject"] = _subject(message, languages[0])
    letter["From"] = spec.sender
    letter["To"] = ", ".join(spec.to)
    letter["Date"] = format_datetime(now)
    letter["Message-ID"] = f"<{message['id']}@{spec.sender.partition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    parts = ["\n".join(_lines(message, language)) for language in languages]
    letter.set_content("\n\n".join(parts) + "\n")
    return letter


def _subject(message: MessageBody, language: str) -> str:
    words = _WORDS[language]
    counts = [
        f"{words[state]} {number}"
        for state in ("firing", "resolved")
        if (number := sum(one["state"] == state for one in message["alerts"]))
    ]
    common = " ".join(value for value in message["group"].values() if value)
    return " ".join(f"{words['head']} {', '.join(counts)}: {common}".split())


def _lines(message: MessageBody, language: str) -> Iterator[str]:
    words = _WORDS[language]
    for one in message["alerts"][:ALERTS_SHOWN]:
        marks = words["reminder"] if one["is_reminder"] else ""
        marks += words["flapping"] if one["is_flapping"] else ""
        yield f"{words[one['state']]}{marks} [{one['severity']}] {one['summary'][language]}"
        if one["words"]:
            yield f"  {one['words']}"
        yield f"  {words['since']} {one['bad_at']}"
        yield f"  {words['chart']}: {one['chart']}"
        yield f"  {words['runbook']}: {one['runbook']}"
    left = len(message["alerts"]) - ALERTS_SHOWN
    if left > 0:
        yield words["more"].format(left)
