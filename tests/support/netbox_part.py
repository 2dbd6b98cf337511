"""A stand-in for NetBox: its REST API's shape, over a real socket.

It is no NetBox. Objects have the fields and nesting of NetBox 4's serializers (brief where those
are brief), lists come in pages with ``count``, ``next`` and ``previous``, and filters and tokens
work as far as discovery uses them.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "0123456789abcdef0123456789abcdef01234567"
Json = Any


def choice(value: str | None) -> Json:
    """Return a choice as NetBox writes it."""
    return None if value is None else {"value": value, "label": value.title()}


def brief(number: int, name: str, **more: Json) -> Json:
    """Return a nested object."""
    return {"id": number, "url": f"http://inside/{number}/", "display": name, "name": name, **more}


SITE = brief(3, "青岛一号", slug="qd-a")
LOCATION = brief(11, "Hall 1", slug="hall-1", _depth=0)


def a_rack(number: int, name: str, status: str = "active", **more: Json) -> Json:
    """Return a rack."""
    return {
        **brief(number, name), "facility_id": None, "site": SITE, "location": LOCATION,
        "status": choice(status), "role": None, "serial": "", "rack_type": None,
        "width": {"value": 19, "label": "19 inches"}, "u_height": 42, "starting_unit": 1,
        "desc_units": False, "custom_fields": {}, "device_count": 1, "powerfeed_count": 2, **more,
    }  # fmt: skip


def a_feed(number: int, name: str, rack: int | None, kind: str = "primary", **more: Json) -> Json:
    """Return a power feed of 32 A at 230 V in one phase."""
    return {
        **brief(number, name), "power_panel": brief(21, "RPP-1", description=""),
        "rack": None if rack is None else brief(rack, f"rack {rack}"), "status": choice("active"),
        "type": choice(kind), "supply": choice("ac"), "phase": choice("single-phase"),
        "voltage": 230, "amperage": 32, "max_utilization": 80, **more,
    }  # fmt: skip


def a_device(number: int, name: str | None, kind: int, **more: Json) -> Json:
    """Return a device; device types come brief, without their height."""
    return {
        **brief(number, name or ""), "name": name, "display": name or f"device {number}",
        "device_type": {"id": kind, "display": "?", "model": MODELS[kind], "slug": SLUGS[kind]},
        "role": brief(1, "Server", slug="gpu-server"), "site": SITE, "location": LOCATION,
        "rack": brief(31, "A-01"), "position": None, "face": choice("front"),
        "status": choice("active"), "serial": f"S{number}", "parent_device": None,
        "primary_ip": None, "oob_ip": None, "custom_fields": {}, **more,
    }  # fmt: skip


def a_module(number: int, device: int, bay: str, **more: Json) -> Json:
    """Return a module in a bay of a device."""
    return {
        "id": number, "display": f"{bay}: H100", "device": brief(device, f"device {device}"),
        "module_bay": {"id": number, "display": bay, "name": bay, "installed_module": None},
        "module_type": {"id": 71, "display": "H100", "model": "H100 SXM5 80GB"},
        "status": choice("active"), "serial": f"GPU-{number:08d}", "asset_tag": None,
        "custom_fields": {}, **more,
    }  # fmt: skip


def an_item(number: int, device: int, name: str, **more: Json) -> Json:
    """Return an inventory item of a device."""
    return {
        **brief(number, name), "device": brief(device, f"device {device}"), "parent": None,
        "label": "", "role": None, "part_id": "900-2G193", "serial": f"S-{number}",
        "asset_tag": None, "discovered": True, "custom_fields": {"gpu_uuid": None}, **more,
    }  # fmt: skip


MODELS = {41: "DGX H100", 42: "AP8941", 43: "Patch panel"}
SLUGS = {41: "dgx-h100", 42: "ap8941", 43: "patch-panel"}
OBJECTS: dict[str, list[Json]] = {
    "sites": [SITE, brief(4, "Elsewhere", slug="elsewhere")],
    "locations": [{**LOCATION, "site": SITE, "parent": None, "status": choice("active")}],
    "racks": [
        a_rack(31, "A-01"),
        a_rack(32, "A-02", "available", location=None, u_height=47),
        a_rack(33, "A-03", "planned"),
        a_rack(34, "旧柜", "deprecated"),
        a_rack(39, "B-01", site=brief(4, "Elsewhere", slug="elsewhere")),
    ],
    "power-panels": [{**brief(21, "RPP-1"), "site": SITE, "location": LOCATION}],
    "power-feeds": [
        a_feed(51, "1L", 31),
        a_feed(52, "1R", 31, "redundant", amperage=63, phase=choice("three-phase"), voltage=400),
        a_feed(53, "2L", 32, voltage=-240, supply=choice("dc"), amperage=100),
        a_feed(54, "2R", 32),
        a_feed(55, "spare", None),
    ],
    "device-types": [
        {"id": 41, "model": MODELS[41], "slug": SLUGS[41], "u_height": 8.0, "is_full_depth": True},
        {"id": 42, "model": MODELS[42], "slug": SLUGS[42], "u_height": 0.0, "is_full_depth": False},
        {"id": 43, "model": MODELS[43], "slug": SLUGS[43], "u_height": 0.5, "is_full_depth": False},
        {"id": 44, "model": "not here", "slug": "x", "u_height": 1.0, "is_full_depth": True},
    ],
    "devices": [
        a_device(61, "gpu-01", 41, position=1.0, oob_ip={"id": 1, "address": "10.0.0.21/24"}),
        a_device(62, "PDU left", 42, role=brief(2, "PDU", slug="rack-pdu"), face=None,
                 primary_ip={"id": 2, "address": "10.0.0.31/24"}),
        a_device(63, "panel", 43, position=20.5, role=brief(3, "Panel", slug="passive")),
        a_device(64, "panel", 43, position=21.0, face=choice("rear"),
                 role=brief(3, "Panel", slug="passive")),
        a_device(65, None, 41, rack=None),
        a_device(66, "old", 41, status=choice("decommissioning"), position=1.0),
        a_device(67, "PDU of old", 42, rack=brief(34, "旧柜")),
    ],
    "modules": [
        a_module(81, 61, "GPU0"),
        a_module(82, 61, "GPU1"),
        a_module(83, 61, "GPU2", status=choice("decommissioning")),
        a_module(84, 61, "NIC0", module_type={"id": 72, "model": "ConnectX-7"}),
        a_module(85, 66, "GPU0"),
        a_module(86, 61, "GPU3", serial=""),
    ],
    "inventory-items": [
        an_item(91, 65, "L40S-0", custom_fields={"gpu_uuid": "GPU-l40s-0"}),
        an_item(92, 65, "L40S-1"),
        an_item(93, 65, "Fan 1", part_id="FAN"),
    ],
}  # fmt: skip


@dataclass
class NetboxPart:
    """What the stand-in serves, how it misbehaves, and what it was asked."""

    url: str
    objects: dict[str, list[Json]]
    refuse_first: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    body: bytes | None = None
    asked: list[str] = field(default_factory=list)


def _filtered(objects: list[Json], query: dict[str, list[str]]) -> list[Json]:
    if "slug" in query:
        objects = [one for one in objects if one.get("slug") in query["slug"]]
    if "id" in query:
        objects = [one for one in objects if str(one["id"]) in query["id"]]
    if "device_id" in query:
        objects = [one for one in objects if str(one["device"]["id"]) in query["device_id"]]
    if "site_id" in query:
        objects = [one for one in objects if _site_of(one) in query["site_id"]]
    return objects


def _site_of(one: Json) -> str:
    return str(one["site"]["id"]) if "site" in one else "3"


@contextmanager
def netbox_part(objects: dict[str, list[Json]] | None = None) -> Iterator[NetboxPart]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        """Answers GETs below ``/api/dcim/``."""

        def do_GET(self) -> None:
            part.asked.append(self.path)
            if part.refuse_first:
                status, headers = part.refuse_first.pop(0)
                self._answer(status, {"detail": "not now"}, headers)
                return
            if self.headers["Authorization"] not in (f"Token {TOKEN}", "Bearer nbt_k.secret"):
                self._answer(403, {"detail": "Invalid token"})
                return
            parts = urlsplit(self.path)
            name = parts.path.removeprefix("/api/dcim/").strip("/")
            if name not in part.objects:
                self._answer(404, {"detail": "Not found."})
                return
            query = parse_qs(parts.query)
            found = _filtered(part.objects[name], query)
            low, size = int(query["offset"][0]), min(2, int(query["limit"][0]))
            more = low + size < len(found)
            # NetBox names itself by the host that it believes to have.
            link = f"http://inside.invalid/api/dcim/{name}/?offset={low + size}" if more else None
            page = {"count": len(found), "next": link, "previous": None}
            self._answer(200, {**page, "results": found[low : low + size]})

        def _answer(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
            content = part.body if part.body is not None else json.dumps(body).encode()
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    part = NetboxPart(f"http://127.0.0.1:{server.server_port}", objects or OBJECTS)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield part
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
