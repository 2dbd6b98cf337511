"""``suanwang discover netbox`` and ``inventory sources``, against servers on sockets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from api_client import site_body
from api_server import PATIENCE_S, RunningCentre, running_centre
from cli_desk import RUNNER
from netbox_part import TOKEN, NetboxPart, netbox_part
from sqlalchemy import Engine

from cli.discover import app
from cli.inventory import app as inventory_app
from cli.netbox import Netbox, NetboxAccess, read_token
from collectors.config import parse_sources
from suanwang.clock import VirtualClock
from suanwang.errors import BadInput, NotFound, Refused, SuanwangError, Unauthorised, Unavailable
from suanwang.model.tenant import Role

MAP = """
rack_rated_w: 5000
roles: {passive: other}
meters:
  ap8941: {profile: apc_rpdu2, resolution_wh: 100}
"""


@pytest.fixture
def netbox() -> Iterator[NetboxPart]:
    with netbox_part() as part:
        yield part


@pytest.fixture
def centre(sqlite_engine: Engine) -> Iterator[RunningCentre]:
    with running_centre(sqlite_engine, cycle_s=30) as running:
        running.key("dc-east", Role.OPERATOR)
        headers = {"Authorization": f"Bearer {running.admin}"}
        body = site_body()
        assert httpx.post(
            f"{running.url}/v1/sites", json=body, headers=headers, timeout=PATIENCE_S
        ).is_success
        yield running


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n", encoding="ascii")
    return path


def asked(netbox: NetboxPart, token: Path, tmp_path: Path, *more: str | Path) -> list[str]:
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    words = [
        "netbox", "--site", "east", "--netbox", netbox.url, "--netbox-site", "qd-a",
        "--token-file", token, "--map", tmp_path / "map.yaml", *more,
    ]  # fmt: skip
    return [str(word) for word in words]


def test_a_site_of_netbox_becomes_an_inventory_and_sources(
    netbox: NetboxPart, centre: RunningCentre, token: Path, tmp_path: Path
) -> None:
    key = ("--url", centre.url, "--api-key", centre.key("dc-east", Role.OPERATOR))
    trial = RUNNER.invoke(app, asked(netbox, token, tmp_path, *key), catch_exceptions=False)
    assert trial.exit_code == 0, trial.output
    assert "+ racks A-01" in trial.output
    assert "would be added 17" in trial.output
    assert "note: rack 旧柜 is deprecated: left out" in trial.output
    done = RUNNER.invoke(
        app, asked(netbox, token, tmp_path, *key, "--apply"), catch_exceptions=False
    )
    assert "added 17, changed 0, removed 0, unchanged 0; revision 2" in done.output
    again = RUNNER.invoke(
        app, asked(netbox, token, tmp_path, *key, "--apply"), catch_exceptions=False
    )
    assert "added 0, changed 0, removed 0, unchanged 17; revision 2" in again.output
    # Pages of two: everything was asked for on the address that was given.
    assert len([path for path in netbox.asked if "/devices/" in path]) >= 3
    assert all("site_id=3" in path for path in netbox.asked if "/racks/" in path)
    assert not any("id=44" in path for path in netbox.asked if "/device-types/" in path)

    defaults = tmp_path / "defaults.yaml"
    defaults.write_text(
        "snmp: {user: reader, auth: sha256, auth_file: /etc/snmp-auth}\n"
        "redfish: {username: reader, password_file: /etc/bmc.password}\n",
        encoding="utf-8",
    )
    out = tmp_path / "sources.yaml"
    made = RUNNER.invoke(
        inventory_app,
        ["sources", "east", "--defaults", str(defaults), "--out", str(out), *key],
        catch_exceptions=False,
    )
    assert "2 sources, 0 left out" in made.output
    sources = yaml.safe_load(out.read_text(encoding="utf-8"))["agent"]["sources"]
    assert [(one["kind"], one["name"]) for one in sources] == [
        ("snmp", "PDU-left"),
        ("redfish", "bmc-gpu-01"),
    ]
    assert sources[0]["user"] == "reader"
    assert sources[1]["url"] == "https://10.0.0.21"
    assert len(parse_sources(sources)) == 2


def test_a_workbook_is_written_without_a_centre(
    netbox: NetboxPart, token: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found.xlsx"
    done = RUNNER.invoke(app, asked(netbox, token, tmp_path, "--out", out), catch_exceptions=False)
    assert done.exit_code == 0
    assert out.read_bytes()[:2] == b"PK"


def test_racks_of_unknown_power_are_faults(
    netbox: NetboxPart, centre: RunningCentre, token: Path, tmp_path: Path
) -> None:
    words = asked(netbox, token, tmp_path, "--url", centre.url, "--api-key", centre.admin)
    place = words.index("--map")
    done = RUNNER.invoke(app, [*words[:place], *words[place + 2 :]])
    assert isinstance(done.exception, Refused)
    assert "racks line 4 A-03, rated_w: is empty (field)" in done.output


def test_a_netbox_that_is_busy_is_asked_again(netbox: NetboxPart, clock: VirtualClock) -> None:
    netbox.refuse_first = [(429, {"Retry-After": "7"}), (503, {}), (502, {"Retry-After": "soon"})]
    before = clock.now()
    with Netbox(NetboxAccess(url=netbox.url, token=TOKEN), clock) as found:
        assert found.site_number("qd-a") == 3
    assert (clock.now() - before).total_seconds() == 9
    netbox.refuse_first = [(503, {})] * 4
    with (
        Netbox(NetboxAccess(url=netbox.url, token="nbt_k.secret"), clock) as found,
        pytest.raises(Unavailable, match="status 503"),
    ):
        found.site_number("qd-a")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        pytest.param({"token": "wrong"}, Unauthorised, "refuses the token", id="token"),
        pytest.param({"slug": "nowhere"}, NotFound, "no site 'nowhere'", id="site"),
        pytest.param({"body": b"<html>"}, Unavailable, "no JSON", id="no JSON"),
        pytest.param({"body": b'{"results": [1]}'}, Unavailable, "no list", id="no list"),
        pytest.param({"refuse": 404}, BadInput, "status 404", id="not there"),
    ],
)
def test_what_netbox_refuses_is_told(
    netbox: NetboxPart,
    clock: VirtualClock,
    change: dict[str, Any],
    error: type[SuanwangError],
    words: str,
) -> None:
    netbox.body = change.get("body")
    if "refuse" in change:
        netbox.refuse_first = [(change["refuse"], {})]
    access = NetboxAccess(url=netbox.url, token=change.get("token", TOKEN))
    with Netbox(access, clock) as found, pytest.raises(error, match=words) as caught:
        found.site_number(change.get("slug", "qd-a"))
    assert TOKEN not in str(caught.value)


def test_a_netbox_that_is_not_there_is_unavailable(clock: VirtualClock) -> None:
    access = NetboxAccess(url="http://127.0.0.1:9", token=TOKEN)
    with Netbox(access, clock) as found, pytest.raises(Unavailable, match="no answer"):
        found.site_number("qd-a")


def test_a_token_goes_over_https_only_and_from_a_file(clock: VirtualClock, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not sent over http://"):
        Netbox(NetboxAccess(url="http://netbox.example", token=TOKEN), clock)
    with pytest.raises(BadInput, match="no address"):
        Netbox(NetboxAccess(url="netbox", token=TOKEN), clock)
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate", encoding="ascii")
    with pytest.raises(BadInput, match="no certificates"):
        Netbox(NetboxAccess(url="https://netbox.example", token=TOKEN, ca_file=bad), clock)
    with pytest.raises(BadInput, match="cannot be read"):
        read_token(tmp_path / "none")
    two = tmp_path / "two"
    two.write_text("a b", encoding="ascii")
    with pytest.raises(BadInput, match="one line"):
        read_token(two)


def test_parts_are_asked_for_by_device_and_only_where_they_are_wanted(
    netbox: NetboxPart, token: Path, clock: VirtualClock
) -> None:
    access = NetboxAccess(url=netbox.url, token=read_token(token))
    with Netbox(access, clock) as reader:
        assert "modules" not in reader.site("qd-a")
        assert not any("/modules/" in path for path in netbox.asked)
        found = reader.site("qd-a", with_parts=True)
    assert [one["id"] for one in found["modules"]] == [81, 82, 83, 84, 85, 86]
    assert [one["id"] for one in found["inventory-items"]] == [91, 92, 93]
    assert all("device_id=61" in path for path in netbox.asked if "/modules/" in path)
