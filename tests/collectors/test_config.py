"""The operator's source settings: what is wrong is said by key, with the nearest known one."""

import pytest

from collectors.config import build_source, build_sources, parse_source, parse_sources
from collectors.specs.base import Workshop
from collectors.specs.modbus import ModbusSpec
from collectors.specs.prometheus import PrometheusSpec
from collectors.specs.registry import KINDS
from suanwang.clock import SystemClock
from suanwang.errors import BadInput

MODBUS: dict[str, object] = {
    "kind": "modbus",
    "name": "m",
    "meter_id": "m1",
    "profile": "schneider_iem3000",
    "host": "10.0.0.5",
}
PROM: dict[str, object] = {"kind": "prometheus", "name": "p", "url": "http://h:9100/metrics"}
RULE = {"name": "a", "metric": "power_w", "subject": "gpu:{UUID}"}


def test_defaults_are_filled_in() -> None:
    spec = parse_source(MODBUS)
    assert isinstance(spec, ModbusSpec)
    assert (spec.port, spec.unit, spec.interval_s, spec.ct) == (502, 1, 15.0, 1.0)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param({"kind": "modbuss"}, "did you mean 'modbus'", id="kind"),
        pytest.param({}, "kind None is not known", id="no kind"),
        pytest.param(MODBUS | {"meterid": 1}, "did you mean 'meter_id'", id="nearest key"),
        pytest.param(MODBUS | {"port": 0}, "source 'm': port", id="port"),
        pytest.param(MODBUS | {"interval_s": 0}, "interval_s", id="interval"),
        pytest.param(PROM, "give a preset", id="nothing wanted"),
        pytest.param(PROM | {"preset": "nodes"}, "preset", id="unknown preset"),
        pytest.param(PROM | {"url": "ftp://x", "preset": "node"}, "url", id="url"),
        pytest.param(
            PROM | {"metrics": [RULE | {"scal": 2}]}, "did you mean 'scale'", id="nested key"
        ),
        pytest.param(
            PROM | {"metrics": [RULE | {"subject": "{0.__class__}"}]}, "names in braces", id="trick"
        ),
        pytest.param(
            PROM | {"metrics": [RULE | {"subject": "{a!r}"}]}, "names in braces", id="conversion"
        ),
        pytest.param(PROM | {"metrics": [RULE | {"metric": "Power W"}]}, "metric", id="metric"),
    ],
)
def test_wrong_settings_are_refused_by_their_key(raw: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        parse_source(raw)


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(BadInput, match="two sources are called 'm'"):
        parse_sources([MODBUS, MODBUS])


def test_every_kind_is_built_without_opening_anything() -> None:
    raw: list[dict[str, object]] = [
        {"kind": "host"},
        {"kind": "nvml"},
        MODBUS,
        PROM | {"preset": "dcgm"},
    ]
    sources = build_sources(parse_sources(raw), SystemClock())
    assert [source.name for source in sources] == ["host", "nvml", "m", "p"]


def test_an_unknown_profile_is_refused_when_the_source_is_built() -> None:
    with pytest.raises(BadInput, match="no profile"):
        build_source(parse_source(MODBUS | {"profile": "x"}), SystemClock())


def test_own_rules_come_before_those_of_the_preset() -> None:
    spec = parse_source(PROM | {"preset": "node", "metrics": [RULE]})
    assert isinstance(spec, PrometheusSpec)
    assert spec.metrics[0].subject == "gpu:{UUID}"


def test_a_kind_stands_in_the_registry_under_its_own_name() -> None:
    for kind, spec in KINDS.items():
        assert spec.model_fields["kind"].default == kind


def test_sources_of_one_agent_share_the_gate_of_an_address() -> None:
    workshop = Workshop(SystemClock())
    assert workshop.gate("bmc-1", 2) is workshop.gate("bmc-1", 8)
    assert workshop.gate("bmc-1", 2) is not workshop.gate("bmc-2", 2)
