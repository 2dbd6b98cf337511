"""Sources change while the agent polls, and what is wrong changes nothing."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.site_file import SiteFile
from agent.source_keeper import SourceKeeper
from collectors.config import build_in, parse_sources, places_of
from collectors.poller import Poller
from collectors.specs.base import Workshop
from suanwang.clock import SystemClock
from suanwang.model.reading import Reading, SourceReport
from suanwang.settings import load


class Site:
    """A settings file, and what is polled by it."""

    def __init__(self, folder: Path, **intervals: float) -> None:
        self.path = folder / "agent.yaml"
        self.folder = folder
        self.write(**intervals)
        loaded = load({}, config=self.path, user_file=folder / "none")
        specs = parse_sources(loaded.settings.agent.sources)
        workshop = Workshop(SystemClock(), folder)
        self.keeper = SourceKeeper(SiteFile(loaded, self.path), specs, workshop)
        self.polls: dict[str, int] = {}
        self.poller = Poller(
            build_in(workshop, specs), self._take, SystemClock(), 1, places_of(specs)
        )

    def _take(self, _: Sequence[Reading], report: SourceReport) -> None:
        self.polls[report.source] = self.polls.get(report.source, 0) + 1

    def write(self, *more: dict[str, object], **intervals: float) -> None:
        """Write sources down, each a recorded file with an interval."""
        (self.folder / "r.csv").write_text("at,subject,metric,value\n", encoding="utf-8")
        sources: list[dict[str, object]] = [
            {
                "kind": "file",
                "name": name,
                "path": str(self.folder / "r.csv"),
                "interval_s": interval_s,
            }
            for name, interval_s in intervals.items()
        ]
        self.put(json.dumps({"agent": {"sources": [*sources, *more]}}))

    def put(self, text: str) -> None:
        """Put a text into the file, at once, as editors do."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.path)

    async def polled(self, *names: str) -> None:
        """Wait until each was polled once more."""
        before = {name: self.polls.get(name, 0) for name in names}
        for _ in range(400):
            if all(self.polls.get(name, 0) > before[name] for name in names):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"not all of {names} were polled")


@asynccontextmanager
async def polling(site: Site) -> AsyncIterator[None]:
    """Poll until the block ends."""
    stop = asyncio.Event()
    running = asyncio.create_task(site.poller.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def test_sources_are_added_changed_and_removed_while_the_others_are_polled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    site = Site(tmp_path, stays=0.02, changes=60.0, goes=0.02)
    async with polling(site):
        await site.polled("stays", "goes")
        stats = site.poller.stats["stays"]
        site.write(stays=0.02, changes=0.02, comes=0.02)
        change = await site.keeper.reread(site.poller)
        gone = site.polls["goes"]
        await site.polled("stays", "changes", "comes")
        assert site.polls["goes"] == gone
        assert site.poller.stats["stays"] is stats, "who stays is not touched"
    assert [each.name for each in change.added] == ["comes"]
    assert [each.name for each in change.changed] == ["changes"]
    assert change.removed == ("goes",)
    (told,) = [each for each in caplog.records if each.message == "settings read"]
    assert (vars(told)["added"], vars(told)["changed"], vars(told)["removed"]) == (
        "comes", "changes", "goes",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("agent: [", "cannot be read", id="no YAML"),
        pytest.param("agent: {sauces: []}", "unknown setting", id="an unknown key"),
        pytest.param("agent: {sources: [{kind: hots}]}", "is not known", id="an unknown kind"),
        pytest.param(
            "agent: {sources: [{kind: host}, {kind: host}]}", "two sources are called", id="twice"
        ),
        pytest.param(
            "agent: {sources: [{kind: modbus, name: m, meter_id: m, host: h, profile: nope}]}",
            "there is no profile",
            id="one that cannot be built",
        ),
    ],
)
async def test_what_is_wrong_changes_nothing_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, words: str
) -> None:
    site = Site(tmp_path, a=0.02)
    async with polling(site):
        site.put(text)
        assert not await site.keeper.reread(site.poller)
        assert words in site.keeper.problem
        assert "the sources go on as they were" in caplog.text
        await site.polled("a")
        site.write(a=0.02, b=0.02)
        assert await site.keeper.reread(site.poller)
        assert site.keeper.problem == ""
        await site.polled("a", "b")


async def test_a_file_that_is_gone_ends_no_source(tmp_path: Path) -> None:
    site = Site(tmp_path, a=0.02)
    async with polling(site):
        site.path.unlink()
        assert not await site.keeper.reread(site.poller)
        assert "is gone" in site.keeper.problem
        await site.polled("a")


async def test_other_settings_wait_for_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path, a=0.02)
    site.put(json.dumps({"agent": {"site_id": "other", "sources": []}}))
    async with polling(site):
        await site.keeper.reread(site.poller)
    (told,) = [each for each in caplog.records if "started anew" in each.message]
    assert vars(told)["settings"] == "agent.site_id"


def test_a_change_is_seen_when_it_rests(tmp_path: Path) -> None:
    site = Site(tmp_path, a=1.0)
    assert not site.keeper.has_changed()
    site.put("agent: {sources: []}")
    assert not site.keeper.has_changed(), "it may be half written"
    assert site.keeper.has_changed()
    os.utime(site.path, ns=(1, 1))
    assert not site.keeper.has_changed()
    site.path.unlink()
    assert not site.keeper.has_changed()
    assert site.keeper.has_changed()
