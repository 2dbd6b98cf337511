"""The pages about the API agree with the routes, the rights, the wishes and the metrics."""

import re

from api_client import World
from api_routes import routes
from checkout import ROOT
from prometheus_client.parser import text_string_to_metric_families

from api.identity import ALLOWED
from scheduler.metrics import HELP
from suanwang.errors import SuanwangError
from suanwang.model.tenant import Role
from suanwang.model.wishes import WISH_KEYS

OF_THE_CENTRE = {"suanwang", "api", "scheduler", "voucher", "optimizer"}
"""Packages whose errors can reach a caller of the API; agents and sources run elsewhere."""


def page(name: str) -> str:
    """Return a page of the docs."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


ROUTE_ROW = re.compile(r"^\| `([A-Z]+)` \| `([^`]+)` \| ([^|]+) \|", re.MULTILINE)
METRIC_ROW = re.compile(r"^\| `(suanwang_[a-z_]+)` \| (\w+) \| ([^|]+) \|", re.MULTILINE)


def test_the_page_lists_every_route_once() -> None:
    listed = [(method, path) for method, path, _ in ROUTE_ROW.findall(page("api.md"))]
    assert sorted(listed) == sorted(routes())


def test_the_page_names_the_roles_that_get_through(small_world: World) -> None:
    small_world.register()
    keys = {
        "enterprise": small_world.enterprise,
        "researcher": small_world.researcher,
        "operator": small_world.operator,
        "reviewer-district": small_world.key("dc-west", Role.REVIEWER_DISTRICT),
        "reviewer-city": small_world.key("platform", Role.REVIEWER_CITY),
        "admin": small_world.admin,
        "agent": small_world.token(),
    }
    wrong = []
    for method, path, roles in ROUTE_ROW.findall(page("api.md")):
        named = {role.strip() for role in roles.split(",")}
        if method == "WS" or named & {"anybody", "any key"}:
            continue
        address = re.sub(r"\{[a-z0-9_]+\}", "absent", path)
        for role, key in keys.items():
            body = {"x": 1} if method in ("POST", "PUT") else None
            status = small_world.client.call(method, address, key, json=body).status_code
            if (status not in (401, 403)) != (role in named):
                wrong.append((method, path, role, status))
    assert wrong == []


def test_the_page_lists_every_code_of_an_error() -> None:
    def codes(kind: type[SuanwangError]) -> set[str]:
        own = {kind.code} if kind.__module__.partition(".")[0] in OF_THE_CENTRE else set()
        return own.union(*(codes(child) for child in kind.__subclasses__()))

    listed = set(re.findall(r"^\| \d{3} \| `([a-z-]+)` \|", page("api.md"), re.MULTILINE))
    assert codes(SuanwangError) - {"error"} <= listed


def test_the_page_of_the_gateway_lists_every_wish_in_order() -> None:
    section = page("gateway.md").partition("## Wishes")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)) == WISH_KEYS


def test_the_page_of_metrics_lists_every_metric_with_its_labels(small_world: World) -> None:
    small_world.register()
    small_world.hello(small_world.token())
    small_world.fund()
    for path in ("/healthz", "/v1/jobs/some-id", "/nowhere"):
        small_world.client.get(path)
    listed = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in METRIC_ROW.findall(page("metrics.md"))
    }
    assert set(HELP) <= set(listed)
    text = small_world.client.get("/metrics", small_world.admin).text
    for family in text_string_to_metric_families(text):
        if family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        kind, labels = listed[name]
        assert family.type == kind, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, name


def test_every_right_has_a_role_and_the_roles_are_explained() -> None:
    text = page("api.md")
    roles = {role.value for allowed in ALLOWED.values() for role in allowed}
    assert all(allowed for allowed in ALLOWED.values())
    assert [role for role in roles if f"\n| {role} | `sw" not in text] == []
