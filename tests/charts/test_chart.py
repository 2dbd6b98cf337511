"""The chart lints, refuses wrong values, and renders objects that Kubernetes accepts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

helm_python = pytest.importorskip("helm_python", reason="helm-python-sdk has no wheel here")

CHART = Path(__file__).parents[2] / "charts" / "suanwang"
IMAGE = {"image": {"repository": "registry.example.org/suanwang"}}
AGENT = {
    "agent": {
        "enabled": True,
        "site": "laoshan",
        "existingSecret": "laoshan",
        "ray": {"address": "http://raycluster-head-svc:8265"},
        "sources": [{"kind": "host", "name": "host"}],
    }
}
POSTGRESQL = {"centre": {"replicas": 3, "database": {"existingSecret": "db"}}}
EVERYTHING = {
    **AGENT,
    "centre": {
        "replicas": 2,
        "database": {"existingSecret": "db"},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "suanwang.example.org",
            "tlsSecret": "tls",
        },
        "podDisruptionBudget": {"enabled": True},
        "serviceMonitor": {"enabled": True},
    },
    "networkPolicy": {"enabled": True, "fromNamespaces": [{"team": "research"}]},
    "dashboards": {"enabled": True, "files": {"overview.json": "{}"}},
}
SETS = [
    pytest.param({}, id="defaults"),
    pytest.param(POSTGRESQL, id="three replicas on PostgreSQL"),
    pytest.param({"centre": {"enabled": False}, **AGENT}, id="agent alone"),
    pytest.param(EVERYTHING, id="everything"),
]


def objects(values: Mapping[str, object]) -> list[dict[str, Any]]:
    chart = helm_python.Chart.load(str(CHART))
    rendered = chart.render(values={**IMAGE, **values}, name="city")
    texts = [text for name, text in sorted(rendered.items()) if name.endswith(".yaml")]
    return [item for text in texts for item in yaml.safe_load_all(text) if item]


def pods(values: Mapping[str, object]) -> list[dict[str, Any]]:
    return [o["spec"]["template"]["spec"] for o in objects(values) if o["kind"] == "Deployment"]


def test_the_chart_lints() -> None:
    result = helm_python.lint(str(CHART), values=IMAGE)
    assert not [message for message in result["messages"] if message["severity"] >= 3]


@pytest.mark.parametrize("version", ["1.27", "1.37"])
@pytest.mark.parametrize("values", SETS)
def test_every_object_is_valid_for_kubernetes(values: dict[str, object], version: str) -> None:
    for item in objects(values):
        if item["apiVersion"].startswith("monitoring.coreos.com"):
            continue
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("values", SETS)
def test_containers_run_without_rights_and_with_limits(values: dict[str, object]) -> None:
    for pod in pods(values):
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
            assert container["resources"]["limits"]["memory"]
            assert container["livenessProbe"]
            assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("values", SETS)
def test_selectors_match_their_pods(values: dict[str, object]) -> None:
    for item in objects(values):
        if item["kind"] == "Deployment":
            wanted = item["spec"]["selector"]["matchLabels"]
            assert wanted.items() <= item["spec"]["template"]["metadata"]["labels"].items()
        if item["kind"] == "Service":
            wanted = item["spec"]["selector"]
            labels = [
                p["spec"]["template"]["metadata"]["labels"]
                for p in objects(values)
                if p["kind"] == "Deployment"
            ]
            assert any(wanted.items() <= found.items() for found in labels)


def test_sqlite_has_one_owner_at_a_time() -> None:
    centre = next(o for o in objects({}) if o["kind"] == "Deployment")
    assert centre["spec"]["replicas"] == 1
    assert centre["spec"]["strategy"]["type"] == "Recreate"


def test_no_secret_is_rendered() -> None:
    assert not [item for item in objects(EVERYTHING) if item["kind"] == "Secret"]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"image": {"repository": ""}}, id="no image"),
        pytest.param({"image": {"repository": "x", "tag": "latest"}}, id="tag latest"),
        pytest.param({"centre": {"replicas": 2}}, id="two replicas on SQLite"),
        pytest.param({"centre": {"port": 80}}, id="privileged port"),
        pytest.param({"centre": {"databse": {}}}, id="misspelt key"),
        pytest.param({"centre": {"ingress": {"enabled": True}}}, id="ingress without host"),
        pytest.param({"agent": {"enabled": True}}, id="agent without site"),
        pytest.param({"agent": {"centreUrl": "ftp://x"}}, id="centre by ftp"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(helm_python.HelmError):
        objects(values)


def test_the_configuration_is_one_the_product_reads() -> None:
    for item in objects(EVERYTHING):
        if item["kind"] == "ConfigMap" and "suanwang.yaml" in item["data"]:
            assert isinstance(yaml.safe_load(item["data"]["suanwang.yaml"]), dict)


def test_replicas_reach_each_other_at_their_pods_addresses() -> None:
    """One writes the ledger, the others pass on to it: through no Service, past no policy."""
    (centre,) = (pod for pod in pods(POSTGRESQL) if pod["containers"][0]["name"] == "centre")
    variables = {one["name"]: one for one in centre["containers"][0]["env"]}
    names = [one["name"] for one in centre["containers"][0]["env"]]
    assert names.index("POD_IP") < names.index("SUANWANG_SERVER__ADVERTISE_URL")
    assert variables["POD_IP"]["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    port = centre["containers"][0]["ports"][0]["containerPort"]
    assert variables["SUANWANG_SERVER__ADVERTISE_URL"]["value"] == f"http://$(POD_IP):{port}"
    policy = next(item for item in objects(EVERYTHING) if item["kind"] == "NetworkPolicy")
    inside = [rule for rule in policy["spec"]["egress"] if "to" in rule]
    assert [rule["ports"][0]["port"] for rule in inside] == [port]
