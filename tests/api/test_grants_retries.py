"""Whatever about grants is asked twice is done once, whether or not the first answer arrived."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from api_client import World
from api_routes import routes
from grant_builders import WAN
from grant_routes import CLAIM, SCENARIOS, Ask, Bureau, content_of
from sqlalchemy import Engine, event

ABOUT_GRANTS = ("/v1/programmes", "/v1/applications", "/v1/messages", "/v1/reviews")
EVERY = [pytest.param(route, id=" ".join(route)) for route in SCENARIOS]
Route = tuple[str, str]


def test_every_route_that_changes_a_grant_is_retried_here() -> None:
    changing = {
        (method, path)
        for method, path in routes()
        if path.startswith(ABOUT_GRANTS) and method != "GET"
    }
    assert set(SCENARIOS) == changing


@pytest.mark.parametrize("route", EVERY)
def test_the_same_request_under_its_key_has_one_answer_for_ever(world: World, route: Route) -> None:
    ask = SCENARIOS[route].begin(world)
    first = ask.send(world, "k1")
    assert first.is_success, first.text
    before = content_of(world.engine)
    world.clock.sleep(400 * 86_400)
    for _ in range(2):
        again = ask.send(world, "k1")
        assert (again.status_code, again.content) == (first.status_code, first.content)
    assert content_of(world.engine) == before


@pytest.mark.parametrize("route", EVERY)
def test_the_same_request_without_a_key_changes_nothing(world: World, route: Route) -> None:
    ask = SCENARIOS[route].begin(world)
    first = ask.send(world)
    assert first.is_success, first.text
    before = content_of(world.engine)
    world.clock.sleep(60)
    again = ask.send(world)
    assert again.is_success, again.text
    assert content_of(world.engine) == before
    if not route[1].endswith("/import"):  # Its answer says what it found, not what it did.
        assert again.content == first.content


@pytest.mark.parametrize("route", EVERY)
def test_another_request_under_the_key_is_a_conflict(small_world: World, route: Route) -> None:
    ask = SCENARIOS[route].begin(small_world)
    assert ask.send(small_world, "k1").is_success
    before = content_of(small_world.engine)
    other = ask.changed().send(small_world, "k1")
    assert other.status_code in (409, 422), other.text
    assert content_of(small_world.engine) == before


@contextmanager
def failing_commits(engine: Engine) -> Iterator[None]:
    """Let every commit fail: the step is done, and lost before anybody can know it."""

    def fail(_: object) -> None:
        raise OSError("no space left on device")

    event.listen(engine, "commit", fail)
    try:
        yield
    finally:
        event.remove(engine, "commit", fail)


@pytest.mark.parametrize("route", EVERY)
def test_a_step_that_was_lost_with_its_answer_is_done_by_the_retry(
    world: World, route: Route
) -> None:
    ask = SCENARIOS[route].begin(world)
    before = content_of(world.engine)
    with failing_commits(world.engine):
        assert ask.send(world, "k1").status_code >= 500
    assert content_of(world.engine) == before
    assert ask.send(world, "k1").is_success
    if route != ("POST", "/v1/messages/read"):
        assert content_of(world.engine) != before


def test_a_whole_life_sent_again_at_its_end_changes_nothing(world: World) -> None:
    bureau = Bureau(world, benefit=CLAIM)
    later: list[Callable[[], Ask]] = [
        lambda: bureau.step(bureau.firm, "redeem", ref="p1", lines={"1": {"line.paid_fen": WAN}}),
        lambda: bureau.step(bureau.payer, "settle", receipt="BANK-1", payment=1),
        lambda: bureau.step(bureau.district, "clawback", trigger="fraud", reason="材料造假"),
        lambda: bureau.step(bureau.payer, "clawback/decide", verdict="approve", reason="属实"),
    ]
    sent: list[tuple[Ask, str, bytes]] = []
    for number, make in enumerate([*bureau.life(), *later]):
        if number == 6:
            bureau.wait(7)
        ask, key = make(), f"step-{number}"
        answer = ask.send(world, key)
        assert answer.is_success, answer.text
        bureau.id = bureau.id or answer.json()["id"]
        sent.append((ask, key, answer.content))
    before = content_of(world.engine)
    for ask, key, told in sent:
        assert ask.send(world, key).content == told
    assert content_of(world.engine) == before


def test_a_key_is_its_senders_own(small_world: World) -> None:
    bureau = Bureau(small_world)
    ask = bureau.life()[0]()
    assert ask.send(small_world, "k1").status_code == 201
    other = Ask(secret=small_world.admin, method="POST", path="/v1/programmes",
                json={"shipped": "chengdu-2025"})  # fmt: skip
    assert other.send(small_world, "k1").status_code == 201


def test_a_document_is_the_same_however_it_is_written(small_world: World) -> None:
    bureau = Bureau(small_world)
    ask = bureau.life()[0]()
    assert ask.send(small_world, "k1").status_code == 201
    turned = Ask(secret=ask.secret, method=ask.method, path=ask.path,
                 json=dict(reversed(ask.json.items())))  # fmt: skip
    assert turned.send(small_world, "k1").status_code == 201


def test_another_step_in_between_makes_a_repeat_a_step_of_its_own(small_world: World) -> None:
    bureau = Bureau(small_world)
    bureau.go(3)
    back = bureau.step(bureau.district, "review", verdict="return", reason="缺页")
    bureau.must(back)
    bureau.must(bureau.step(bureau.firm, "submit"))
    assert bureau.must(back)["state"] == "returned"
    bureau.must(bureau.step(bureau.firm, "withdraw", reason=""))
    assert bureau.step(bureau.firm, "submit").send(small_world).status_code == 409


def test_one_request_that_comes_eight_times_at_once_is_done_once(world: World) -> None:
    bureau = Bureau(world)
    bureau.go(2)
    ask = bureau.step(bureau.firm, "submit")
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: ask.send(world, "k1"), range(8)))
    assert {(one.status_code, one.content) for one in told} == {(200, told[0].content)}
    events = world.client.get(f"/v1/applications/{bureau.id}/events", bureau.firm).json()["items"]
    assert [row["action"] for row in events] == ["create", "attach", "submit"]
    filed = bureau.life()[0]()
    other = Ask(secret=filed.secret, method="POST", path=filed.path,
                json=filed.json | {"ref": "2026-2"})  # fmt: skip
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(lambda _: other.send(world).status_code, range(8)))
    assert statuses == [200] * 7 + [201]
