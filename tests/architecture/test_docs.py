"""The books agree with the program."""

import re
from enum import StrEnum
from pathlib import Path

import pytest
from checkout import ROOT, files

from agent.executors.port import FenceResult, HealthState, RunState
from suanwang.db import dictionary
from suanwang.model.attempt import AttemptState, FailureKind
from suanwang.model.job import JobState
from suanwang.model.meter import WindowState
from suanwang.model.network import Freshness
from suanwang.model.plan import PlannerKind, ReasonCode
from suanwang.model.reading import Quality
from suanwang.model.source import Standing
from suanwang.model.voucher import HoldState
from suanwang.settings import page

REASONS = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
PAGES = [path for path in files() if path.suffix == ".md"]
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
# Folders of the machines on which people work; written so that this file does not match itself.
PRIVATE = re.compile("/" + r"(root|work|home/[a-z]+)/(?!\.cache)")
TEXT_SUFFIXES = {".md", ".py", ".yaml", ".yml", ".toml", ".html", ".tpl", ".sh", ""}


@pytest.mark.parametrize(
    "states",
    [
        ReasonCode,
        JobState,
        AttemptState,
        FailureKind,
        RunState,
        HealthState,
        FenceResult,
        HoldState,
        Quality,
        Freshness,
        Standing,
        WindowState,
        PlannerKind,
    ],
)
def test_every_state_and_reason_is_explained(states: type[StrEnum]) -> None:
    missing = [state.value for state in states if f"`{state.value}`" not in REASONS]
    assert missing == []


def test_every_reason_has_a_row_of_its_own_with_a_next_step() -> None:
    section = REASONS.partition("## Reasons")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert [code for code, _, _ in rows] == [code.value for code in ReasonCode]


def test_the_page_of_settings_is_up_to_date() -> None:
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == page.page(), "run `make docs`"


def test_the_data_dictionary_is_up_to_date() -> None:
    written = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    assert written == dictionary.page(), "run `make docs`"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lost = [link for link in LINK.findall(text) if not (path.parent / link).exists()]
    assert lost == []


def test_every_page_stands_in_the_index_of_the_books() -> None:
    index = ROOT / "docs" / "README.md"
    listed = set(LINK.findall(index.read_text(encoding="utf-8")))
    pages = {path.name for path in PAGES if path.parent == index.parent} - {index.name}
    assert sorted(pages - listed) == []


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    texts = (path for path in files() if path.suffix in TEXT_SUFFIXES)
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in texts
        if (match := PRIVATE.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert found == []
