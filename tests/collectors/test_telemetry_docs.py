"""The page on telemetry names every metric, every setting and every profile."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from collectors.profiles.profile import MeterProfile, RegisterSpec, load_profile, profile_names
from collectors.sources.nvml import METRICS
from collectors.sources.prometheus import PRESETS
from collectors.specs.registry import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")

MODELS: set[type[BaseModel]] = {MeterProfile, RegisterSpec}
MODELS.update(*(spec.models() for spec in KINDS.values()))
SETTINGS = {name for model in MODELS for name in model.model_fields}
FROM_PROFILES = {metric for name in profile_names() for metric in load_profile(name).registers}
FROM_PRESETS = {rule.metric for rules in PRESETS.values() for rule in rules}


@pytest.mark.parametrize(
    "word",
    sorted(
        {*KINDS, *SETTINGS, *FROM_PROFILES, *FROM_PRESETS, *METRICS, *profile_names(), *PRESETS}
    ),
)
def test_it_is_on_the_page(word: str) -> None:
    assert f"`{word}`" in PAGE
