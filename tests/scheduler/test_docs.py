"""The pages name every wish, every metric, and every demand that can be in a job's way."""

from pathlib import Path

import pytest

from optimizer.conflict import CODES, Demand
from scheduler import conflict_words
from scheduler.metrics import HELP
from suanwang.model.wishes import WISH_KEYS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "scheduling.md"
REASONS = DOCS / "reasons.md"


@pytest.mark.parametrize("name", [*WISH_KEYS, *HELP])
def test_every_wish_and_every_metric_has_a_line(name: str) -> None:
    assert f"| `{name}` |" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("demand", Demand)
def test_every_demand_has_a_line_with_its_sentences(demand: Demand) -> None:
    words = conflict_words.template(demand)
    row = f"| `{demand}` | {words.en} | {words.zh} | `{CODES[demand]}` |"
    assert row in REASONS.read_text(encoding="utf-8")
