"""The page on scheduling names every wish and every metric."""

from pathlib import Path

import pytest

from scheduler.metrics import HELP
from suanwang.model.wishes import WISH_KEYS

PAGE = Path(__file__).parents[2] / "docs" / "scheduling.md"


@pytest.mark.parametrize("name", [*WISH_KEYS, *HELP])
def test_every_wish_and_every_metric_has_a_line(name: str) -> None:
    assert f"| `{name}` |" in PAGE.read_text(encoding="utf-8")
