"""How a command finds the centre and its key: flags, settings, then the network `up` left here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.client import Client
from suanwang.errors import Unauthorised

Url = Annotated[str | None, typer.Option("--url", help="Address of the centre.")]
ApiKey = Annotated[str | None, typer.Option("--api-key", help="Your API key (swk_…).")]

CONNECTION_FILE: Final = "connection.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the centre is, and the key to it."""

    url: str
    api_key: str

    def save(self, state_dir: Path) -> Path:
        """Write it to the state folder, readable by this user alone."""
        path = state_dir / CONNECTION_FILE
        path.touch(mode=0o600)
        path.write_text(json.dumps({"url": self.url, "api_key": self.api_key}), encoding="utf-8")
        return path


def connect(url: str | None = None, api_key: str | None = None) -> Client:
    """Return a client; raise Unauthorised where no key is to be found."""
    found = find(url, api_key)
    if not found.api_key:
        raise Unauthorised(
            "no API key is known",
            next_step="give --api-key, set SUANWANG_CLIENT__API_KEY, or start `suanwang up` here",
        )
    return Client(found.url, found.api_key)


def connect_once(url: str | None = None, api_key: str | None = None) -> Client:
    """Return a client whose requests are each done once, however often they are sent."""
    from suanwang.clock import SystemClock
    from suanwang.ids import RandomIds

    ids = RandomIds(SystemClock())
    with connect(url, api_key) as found:
        return Client(found.url, found.api_key, lambda: ids.new("req"))


def find(url: str | None = None, api_key: str | None = None) -> Connection:
    """Return the centre's address and key; the key is empty where none is known."""
    from suanwang import settings

    loaded = settings.load({"client.url": url, "client.api_key": api_key})
    client = loaded.settings.client
    key = client.api_key.get_secret_value()
    is_named = loaded.origins.get("client.url", "default") != "default"
    left_here = None if key and is_named else read_saved(loaded.settings.server.state_dir)
    return Connection(
        url=client.url if is_named or left_here is None else left_here.url,
        api_key=key or (left_here.api_key if left_here else ""),
    )


def read_saved(state_dir: Path) -> Connection | None:
    """Return the connection that `up` saved in its state folder, if there is one."""
    try:
        saved = json.loads((state_dir / CONNECTION_FILE).read_text(encoding="utf-8"))
        return Connection(url=saved["url"], api_key=saved["api_key"])
    except (OSError, ValueError, KeyError):
        return None
