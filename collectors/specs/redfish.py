"""Settings of a Redfish source."""

import ipaddress
import ssl
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import aiohttp
from pydantic import AfterValidator, BaseModel, Field, model_validator

from collectors.http_port import HttpPort
from collectors.json_values import check_pointer
from collectors.lanes import Place
from collectors.redfish_client import IN_FLIGHT_MAX, Access, RedfishClient
from collectors.redfish_memory import PlanMemory
from collectors.redfish_plan import Resource
from collectors.sources.port import Source
from collectors.sources.redfish import PointerRule, RedfishSource, Wants
from collectors.specs.base import Factor, Metric, Name, Part, Seconds, Spec, Workshop, this_host
from collectors.tls import pinned, trust

_Path = Annotated[str, Field(pattern=r"^/redfish/[^\s?#]{1,500}$")]
_Subject = Annotated[str, Field(min_length=1, max_length=200)]


class ResourceSpec(Part):
    """A chassis, power distributor or system, and the subject of its readings."""

    path: _Path
    subject: _Subject


class PointerSpec(Part):
    """One rule of the operator's own; see ``PointerRule``."""

    path: _Path
    pointer: Annotated[str, Field(min_length=1), AfterValidator(check_pointer)]
    metric: Metric
    subject: _Subject
    scale: Factor = 1.0


class RedfishSpec(Spec):
    """A BMC or an intelligent PDU by Redfish."""

    parts: ClassVar[tuple[type[BaseModel], ...]] = (ResourceSpec, PointerSpec)

    kind: Literal["redfish"] = "redfish"
    url: Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+/?$")]
    host: Name = Field(default_factory=this_host)
    username: str = ""
    password_file: Path | None = None
    auth: Literal["session", "basic"] = "session"
    ca_file: Path | None = None
    fingerprint: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$")] | None = (
        None
    )
    resources: tuple[ResourceSpec, ...] = ()
    groups: frozenset[Literal["power", "temperature", "health", "sensors"]] = frozenset(
        {"power", "temperature", "health"}
    )
    rules: tuple[PointerSpec, ...] = ()
    interval_s: Seconds = 60.0
    timeout_s: Seconds = 55.0
    request_timeout_s: Seconds = 25.0

    @model_validator(mode="after")
    def _is_whole(self) -> "RedfishSpec":
        if not self.groups and not self.rules:
            raise ValueError("give groups or rules")
        if self.ca_file and self.fingerprint:
            raise ValueError("give ca_file or fingerprint, not both")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file go together")
        if self.username and self.url.startswith("http:") and not _is_loopback(self.url):
            raise ValueError("a password is not sent over http://; use https://")
        return self

    @property
    def place(self) -> Place:
        """Return the protocol and the address."""
        return Place(self.kind, f"bmc {urlsplit(self.url).hostname}")

    def build(self, workshop: Workshop) -> Source:
        """Return the source; sources of one BMC and user share a session, all share the gate."""
        url = self.url.rstrip("/")
        client = workshop.shared(
            f"redfish {url} {self.username} {self.auth} {self.ca_file} {self.fingerprint} "
            f"{self.password_file} {self.request_timeout_s}",
            lambda: self._client(url, workshop),
        )
        wants = Wants(
            host=self.host,
            resources=tuple(Resource(each.path, each.subject) for each in self.resources),
            groups=frozenset(self.groups),
            rules=tuple(
                PointerRule(
                    path=each.path,
                    pointer=each.pointer,
                    metric=each.metric,
                    subject=each.subject,
                    scale=each.scale,
                )
                for each in self.rules
            ),
        )
        return RedfishSource(workshop.clock, client, wants, self.pace, _memory(workshop))

    def _client(self, url: str, workshop: Workshop) -> RedfishClient:
        access = Access(
            url=url,
            username=self.username,
            password_file=self.password_file,
            auth=self.auth,
            timeout_s=self.request_timeout_s,
            tls=self._tls(workshop),
        )
        gate = workshop.gate(f"bmc {urlsplit(url).hostname}", IN_FLIGHT_MAX)
        return RedfishClient(access, gate, workshop.clock, workshop.shared("http", HttpPort))

    def _tls(self, workshop: Workshop) -> ssl.SSLContext | aiohttp.Fingerprint:
        """Return whom to trust; a context is dear in memory, so that one serves all its sources."""
        if self.fingerprint:
            return pinned(self.fingerprint)
        return workshop.shared(f"ca {self.ca_file}", lambda: trust(self.ca_file))


def _memory(workshop: Workshop) -> PlanMemory | None:
    folder = workshop.folder
    if folder is None:
        return None
    return workshop.shared("redfish memory", lambda: PlanMemory(folder / "redfish"))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
