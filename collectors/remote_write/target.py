"""Where samples are sent and who we are there, checked before anything is sent."""

import base64
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from collectors.remote_write.names import is_label
from collectors.tls import trust
from suanwang.errors import BadInput, Unavailable
from suanwang.settings import RemoteWriteSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address, and the files with our credentials, which are read for each request."""

    url: str
    token_file: Path | None = None
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None

    @property
    def shown(self) -> str:
        """The address without its query, which may hold a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    @property
    def is_overheard(self) -> bool:
        """Whether credentials would go in clear over a network."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and self.has_secret and not _is_loopback(parts.hostname or "")

    @property
    def has_secret(self) -> bool:
        """Whether we show who we are."""
        return self.token_file is not None or bool(self.username)

    def headers(self) -> Mapping[str, str]:
        """Return who we are as headers; raise Unavailable where a file cannot be read."""
        if self.token_file is not None:
            return {"Authorization": f"Bearer {_secret(self.token_file)}"}
        if self.password_file is not None:
            both = f"{self.username}:{_secret(self.password_file)}"
            return {"Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}
        return {}

    def trust(self) -> ssl.SSLContext | bool:
        """Return whom to believe; raise BadInput for a file without certificates."""
        return trust(self.ca_file) if self.url.startswith("https:") else True


def target_of(settings: RemoteWriteSettings) -> Target:
    """Return what the settings mean; raise BadInput that names what cannot be."""
    _check_url(settings.url)
    if settings.token_file and settings.username:
        raise BadInput(
            "remote_write.token_file and remote_write.username are both set",
            next_step="keep the one that the database asks for",
        )
    if bool(settings.username) != bool(settings.password_file):
        raise BadInput(
            "remote_write.username and remote_write.password_file belong together",
            next_step="set both or neither",
        )
    wrong = [name for name in settings.external_labels if not is_label(name)]
    if wrong:
        raise BadInput(
            f"remote_write.external_labels: {', '.join(wrong)} cannot be a label",
            next_step="letters, digits and underscores, no digit and no two underscores in front",
        )
    target = Target(
        url=settings.url,
        token_file=_path(settings.token_file),
        username=settings.username,
        password_file=_path(settings.password_file),
        ca_file=_path(settings.ca_file),
    )
    target.trust()
    return target


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(
            "remote_write.url is no http:// or https:// address",
            next_step="such as http://127.0.0.1:8428/api/v1/write",
        )
    if parts.username or parts.password:
        raise BadInput(
            "remote_write.url holds a name or a password",
            next_step="use remote_write.username and remote_write.password_file",
        )


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as failure:
        raise Unavailable(f"{path} cannot be read: {failure}") from failure


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
