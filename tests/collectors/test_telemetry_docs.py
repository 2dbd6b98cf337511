"""The page on telemetry names every metric, every setting and every profile."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from collectors import ipmi_text, kube_readings, ray_readings, redfish_readings
from collectors.config import build_sources, parse_sources
from collectors.formulas import FORMULAS
from collectors.nvml_fields import METRICS
from collectors.profiles.base import UNITS, Device, Mark, split_key
from collectors.profiles.profile import PROTOCOLS, load_profile, profile_names
from collectors.sources import mqtt
from collectors.sources.prometheus import PRESETS
from collectors.specs.registry import KINDS
from suanwang.clock import SystemClock

DOCS = Path(__file__).parents[2] / "docs"
TELEMETRY = (DOCS / "telemetry.md").read_text(encoding="utf-8")
PAGE = TELEMETRY + (DOCS / "profiles.md").read_text(encoding="utf-8")

MODELS: set[type[BaseModel]] = set()
for protocol in PROTOCOLS.values():
    MODELS.update((protocol, *protocol.parts))
MODELS.update(*(spec.models() for spec in KINDS.values()))
SETTINGS = {name for model in MODELS for name in model.model_fields}
PROFILES = tuple(load_profile(name) for name in profile_names())
FROM_PROFILES = {split_key(key)[1] for profile in PROFILES for key in profile.all_keys()}
FROM_BMC = {*redfish_readings.METRICS, *ipmi_text.UNITS.values()}
FROM_PRESETS = {rule.metric for rules in PRESETS.values() for rule in rules}


@pytest.mark.parametrize(
    "word",
    sorted(
        {
            *KINDS,
            *SETTINGS,
            *PROTOCOLS,
            *FORMULAS,
            *UNITS,
            *Device,
            *Mark,
            *profile_names(),
            *PRESETS,
        }
    ),
)
def test_it_is_on_the_page(word: str) -> None:
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize(
    "metric",
    sorted(
        {
            *(*FROM_PROFILES, *FROM_PRESETS, *FROM_BMC, *METRICS, *mqtt.METRICS),
            *(*ray_readings.METRICS, *kube_readings.METRICS),
        }
    ),
)
def test_every_metric_has_its_row(metric: str) -> None:
    assert f"`{metric}`" in TELEMETRY


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(sources:.*?)```", TELEMETRY, re.DOTALL))
def test_the_examples_are_settings_that_work(example: str, tmp_path: Path) -> None:
    for name in re.findall(r"/etc/suanwang/([\w.-]+)", example):
        (tmp_path / name).write_text("twelve letters", encoding="utf-8")
    text = example.replace("/etc/suanwang", str(tmp_path))
    specs = parse_sources(yaml.safe_load(text)["sources"])
    assert build_sources(specs, SystemClock(), tmp_path)


def test_every_kind_has_its_part_of_the_page() -> None:
    assert [kind for kind in KINDS if f"### `{kind}`" not in TELEMETRY] == []
