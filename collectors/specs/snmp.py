"""Settings of an SNMP device."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AliasChoices, Field, SecretStr, model_validator

from collectors.lanes import Place
from collectors.profiles.profile import load_profile_of
from collectors.profiles.snmp import SnmpProfile
from collectors.snmp.client import Patience, SnmpClient
from collectors.snmp.port import SnmpPort
from collectors.snmp.usm import PASSWORD_CHARS_MIN, Auth, Priv, User
from collectors.snmp.voices import CommunityVoice, UserVoice, Voice
from collectors.sources.port import Source
from collectors.sources.snmp import SnmpSource
from collectors.specs.base import Name, Port, Seconds, Spec, Workshop
from suanwang.errors import BadInput

SECRET_BYTES_MAX = 4_096


class SnmpSpec(Spec):
    """A device on SNMP: version 2c with a community, or version 3 where a user is named."""

    aliases: ClassVar[tuple[str, ...]] = ("meter_id",)

    kind: Literal["snmp"] = "snmp"
    device_id: Name = Field(validation_alias=AliasChoices("device_id", "meter_id"))
    profile: str
    host: str
    port: Port = 161
    unit: Annotated[int, Field(ge=0, le=65_535)] = 1
    community: SecretStr | None = None
    community_file: Path | None = None
    user: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    auth: Auth | None = None
    auth_file: Path | None = None
    priv: Priv | None = None
    priv_file: Path | None = None
    context: Annotated[str, Field(max_length=64)] = ""
    interval_s: Seconds = 60.0
    timeout_s: Seconds = 10.0
    request_timeout_s: Seconds = 1.0
    tries: Annotated[int, Field(ge=1, le=10)] = 3

    @model_validator(mode="after")
    def _speaks_one_version(self) -> "SnmpSpec":
        if self.community and self.community_file:
            raise ValueError("give community or community_file, not both")
        if self.user and (self.community or self.community_file):
            raise ValueError("give a user (version 3) or a community (version 2c), not both")
        if not self.user and (self.auth or self.priv or self.auth_file or self.priv_file):
            raise ValueError("auth and priv need a user")
        if bool(self.auth) != bool(self.auth_file) or bool(self.priv) != bool(self.priv_file):
            raise ValueError("auth goes with auth_file, and priv with priv_file")
        if self.priv and not self.auth:
            raise ValueError("priv needs auth: SNMP seals nothing that it does not sign")
        return self

    @property
    def place(self) -> Place:
        """Return the protocol and the address."""
        return Place(self.kind, f"snmp {self.host}")

    def build(self, workshop: Workshop) -> Source:
        """Return the source; raise BadInput where profile or secrets are not there."""
        profile = workshop.shared(
            f"snmp profile {self.profile}", lambda: load_profile_of(SnmpProfile, self.profile)
        )
        return SnmpSource(
            workshop.clock,
            self.client(workshop),
            profile,
            self.pace,
            device_id=self.device_id,
            unit=self.unit,
        )

    def client(self, workshop: Workshop) -> SnmpClient:
        """Return a client for the device."""
        port = workshop.shared("snmp port", SnmpPort)
        patience = Patience(timeout_s=self.request_timeout_s, tries=self.tries)
        return SnmpClient(port, self.host, self.port, self.voice(), patience)

    def voice(self) -> Voice:
        """Return who speaks to the device; raise BadInput where a secret is not there."""
        if self.user is None:
            if self.community_file:
                return CommunityVoice(read_secret(self.community_file))
            return CommunityVoice(self.community.get_secret_value() if self.community else "public")
        return UserVoice(
            User(
                name=self.user,
                auth=self.auth,
                auth_password=_password(self.auth_file),
                priv=self.priv,
                priv_password=_password(self.priv_file),
                context=self.context,
            )
        )


def read_secret(path: Path) -> str:
    """Return the one line of a file; raise BadInput, in which the secret is never shown."""
    try:
        raw = path.read_bytes()
    except OSError as failure:
        raise BadInput(f"the secret in {path} cannot be read: {failure.strerror}") from failure
    text = raw[: SECRET_BYTES_MAX + 1].decode("utf-8", errors="replace").strip()
    if not text or len(raw) > SECRET_BYTES_MAX or "\n" in text:
        raise BadInput(f"{path} must hold one line of text, the secret")
    return text


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    text = read_secret(path)
    if len(text) < PASSWORD_CHARS_MIN:
        raise BadInput(
            f"the password in {path} has {len(text)} characters, and SNMP wants at least "
            f"{PASSWORD_CHARS_MIN}"
        )
    return text
