"""Channels as they are written down in the settings: strict, with every mistake named."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from alerts.model import Severity
from alerts.notify import Route
from suanwang.errors import BadInput

CHANNELS_MAX: Final = 20
File = Annotated[Path, AfterValidator(Path.expanduser)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Address = Annotated[str, StringConstraints(pattern=r"^[^@\s<>,]{1,64}@[^@\s<>,]{1,255}$")]


def is_here(host: str) -> bool:
    """Return whether a host is this machine, so that nobody listens on the way."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with http:// or https:// and names a host")
    if parts.username or parts.password:
        raise ValueError("an address holds no password: write it into a file and name that")
    return text.rstrip("/")


Url = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_url)]


class _Spec(BaseModel):
    """Unknown keys are an error; values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    at_least: Severity = Severity.INFO
    sites: tuple[Pattern, ...] = ()
    rules: tuple[Pattern, ...] = ()

    @property
    def route(self) -> Route:
        """Which alerts the channel wants."""
        return Route(channel=self.name, at_least=self.at_least, sites=self.sites, rules=self.rules)


class WebhookSpec(_Spec):
    """JSON by HTTP POST, signed with a secret that the receiver knows too."""

    kind: Literal["webhook"]
    url: Url
    secret_file: File
    ca_file: File | None = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0


class AlertmanagerSpec(_Spec):
    """Prometheus' Alertmanager, by its API v2."""

    kind: Literal["alertmanager"]
    url: Url
    token_file: File | None = None
    ca_file: File | None = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    resend_s: Annotated[float, Field(ge=10, le=600)] = 60.0

    @model_validator(mode="after")
    def _no_secret_in_clear(self) -> Self:
        parts = urlsplit(self.url)
        if self.token_file and parts.scheme == "http" and not is_here(parts.hostname or ""):
            raise ValueError("a token is sent by https:// only")
        return self


class EmailSpec(_Spec):
    """E-mail by SMTP: one letter for each group of alerts."""

    kind: Literal["email"]
    host: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password_file: File | None = None
    ca_file: File | None = None
    sender: Address
    to: Annotated[tuple[Address, ...], Field(min_length=1, max_length=50)]
    language: Literal["zh", "en", "both"] = "both"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 20.0

    @model_validator(mode="after")
    def _no_secret_in_clear(self) -> Self:
        if self.tls == "none" and not is_here(self.host):
            raise ValueError("tls: none is for a mail server on this machine only")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file go together")
        return self


Spec = Annotated[WebhookSpec | AlertmanagerSpec | EmailSpec, Discriminator("kind")]
_SPECS: Final[TypeAdapter[tuple[Spec, ...]]] = TypeAdapter(
    Annotated[tuple[Spec, ...], Field(max_length=CHANNELS_MAX)]
)


def parse_channels(written: Sequence[dict[str, object]]) -> tuple[Spec, ...]:
    """Return the channels of the settings; raise BadInput, which names the channel and the key."""
    try:
        specs = _SPECS.validate_python(tuple(written))
    except ValidationError as failure:
        first = failure.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise BadInput(
            f"alerts.channels.{place}: {message}", next_step="docs/alarms.md lists every key"
        ) from None
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"alerts.channels: two channels have the name {name!r}")
    return specs
