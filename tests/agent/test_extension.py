"""More time at the site: the new limit, what comes too late, lines of the centre in the output."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from agent_builders import NOON, Site, a_note, a_start, a_stop, an_extension

from suanwang.clock import VirtualClock

LONG = "echo one; sleep 10; echo two; sleep 600"


@pytest.fixture
def site(tmp_path: Path, clock: VirtualClock) -> Iterator[Site]:
    """An empty site."""
    made = Site(tmp_path, clock)
    yield made
    made.spool.close()


async def ran_s(site: Site) -> float:
    """Let the run end; return how long it ran."""
    await site.turns(60)
    end = site.deliver()[-1]
    assert end.state == "stopped"
    assert end.started_at is not None
    assert end.ended_at is not None
    return (end.ended_at - end.started_at).total_seconds()


async def test_an_extended_run_goes_on_to_its_new_limit(site: Site) -> None:
    site.runner.take([a_start(LONG, run_s_max=20)])
    await site.turns(15)
    order = an_extension(40)
    assert site.runner.take([order]) == (order.id,)
    assert site.book.late([order]) == ()
    assert 40 <= await ran_s(site) <= 42


async def test_an_extension_outlives_a_killed_agent(site: Site) -> None:
    site.runner.take([a_start(LONG, run_s_max=20)])
    await site.turns(15)
    site.runner.take([an_extension(40)])
    site.restart()
    assert 40 <= await ran_s(site) <= 42


async def test_a_run_cut_off_from_the_centre_ends_at_the_limit_it_knows(site: Site) -> None:
    site.runner.take([a_start(LONG, run_s_max=20)])
    assert 20 <= await ran_s(site) <= 22


async def test_an_extension_after_the_stop_began_changes_nothing_and_is_late(site: Site) -> None:
    site.runner.take([a_start(f"trap; {LONG}", run_s_max=20, stop_grace_s=10)])
    await site.turns(25)
    order = an_extension(40)
    site.runner.take([order])
    assert site.book.late([order]) == (order.id,)
    assert 30 <= await ran_s(site) <= 32
    assert "longer" not in site.output()


async def test_a_stop_wins_over_an_extension(site: Site) -> None:
    site.runner.take([a_start(LONG, run_s_max=20)])
    await site.turns(5)
    site.runner.take([a_stop(), an_extension(40)])
    assert await ran_s(site) <= 8


async def test_limits_never_shrink_whatever_comes_first(site: Site) -> None:
    site.runner.take([a_start(LONG, run_s_max=20)])
    await site.turns(5)
    newer, older = an_extension(60, 2), an_extension(40, 1)
    site.runner.take([newer, older])
    assert site.book.late([newer, older]) == ()
    assert 60 <= await ran_s(site) <= 62


async def test_the_lease_grows_with_the_limit(site: Site) -> None:
    lease = NOON + timedelta(seconds=30)
    site.runner.take([a_start(LONG, run_s_max=20, lease_expires_at=lease)])
    await site.turns(5)
    site.runner.take([an_extension(60)])
    assert 60 <= await ran_s(site) <= 62


async def test_an_extension_for_an_attempt_that_is_not_known_is_late(site: Site) -> None:
    order = an_extension()
    assert site.runner.take([order, a_note()]) == (order.id, "job_1-a1-note20")
    assert site.book.late([order]) == (order.id,)
    assert site.book.records() == ()


async def test_an_extension_for_an_attempt_that_has_ended_is_late(site: Site) -> None:
    site.runner.take([a_start("sleep 1", run_s_max=20)])
    await site.turns(5)
    site.deliver()
    await site.turns(2)
    order = an_extension()
    site.runner.take([order])
    assert site.book.late([order]) == (order.id,)


async def test_lines_of_the_centre_join_the_output_once_and_nothing_of_it_is_lost(
    site: Site,
) -> None:
    site.runner.take([a_start("echo one; sleep 10; echo two; sleep 5; echo three")])
    await site.turns(5)
    site.runner.take([a_note(), a_note()])
    site.restart()
    site.runner.take([a_note()])
    await site.turns(5)
    site.runner.take([an_extension()])
    await site.turns(15)
    noted = "one\n\n[suanwang: 2 s are left]\n"
    assert site.output() in {
        f"{noted}\n[suanwang: longer]\ntwo\nthree\n",
        f"{noted}two\n\n[suanwang: longer]\nthree\n",
    }


async def test_no_line_is_added_to_an_output_that_has_ended(site: Site) -> None:
    site.runner.take([a_start("echo one; sleep 1")])
    await site.turns(5)
    site.runner.take([a_note()])
    assert site.output() == "one\n"
