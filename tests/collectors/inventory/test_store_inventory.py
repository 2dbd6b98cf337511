"""The inventory in the database: what is written, by whom, and what stood there at any moment."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inventory_builders import HALL, a_workbook, an_author, hall, put, remove, set_design, take_in
from sqlalchemy import Engine, update
from sqlalchemy.exc import DBAPIError
from telemetry_builders import START, a_meter, add_site, at, constant_load, send

from collectors import store, store_inventory, store_inventory_edit, store_inventory_history
from collectors.inventory.faults import Ref
from collectors.store_inventory_edit import Wishes
from collectors.store_inventory_history import Origin, capture_meters
from suanwang.db.engine import reading, writing
from suanwang.db.tables import inventory_change
from suanwang.errors import BadInput, NotFound, Stale
from suanwang.model.inventory import Inventory, Kind
from suanwang.model.meter import MeterRole

HOUR = timedelta(hours=1)


def prepare(engine: Engine, *site_ids: str) -> None:
    with writing(engine) as connection:
        for site_id in site_ids or ("qd",):
            add_site(connection, site_id)
            set_design(connection, site_id, 100_000)


def test_a_workbook_is_written_once_and_in_one_revision(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        first = take_in(connection, "qd", hall(), START)
        assert (first.revision, first.is_written, first.plan.faults) == (1, True, ())
        assert store_inventory.load(connection, "qd") == first.plan.after
    with writing(engine) as connection:
        again = take_in(connection, "qd", hall(), START + HOUR)
        assert (again.revision, again.plan.changes) == (1, ())
        (only,) = store_inventory_history.revisions(connection, "qd")
        assert (only.at, only.added, only.changed, only.removed) == (START, 14, 0, 0)
        assert (only.actor, only.origin, only.reason) == ("key k", Origin.IMPORT, "test")


def test_a_trial_says_what_would_be_and_writes_nothing(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        trial = take_in(connection, "qd", hall(), START, is_trial=True)
        assert (trial.is_written, len(trial.plan.changes)) == (False, 14)
    with reading(engine) as connection:
        assert store_inventory.load(connection, "qd") == Inventory()
        assert store_inventory_history.newest(connection, "qd") == 0


def test_a_bad_row_stops_nothing_unless_all_or_nothing_is_asked(engine: Engine) -> None:
    prepare(engine)
    content = a_workbook(rooms=[["id", "name"], ["r1", "Hall"], ["r 2", "?"]])
    with writing(engine) as connection:
        strict = take_in(connection, "qd", content, START, is_strict=True)
        assert (strict.is_written, len(strict.plan.faults)) == (False, 1)
        assert store_inventory.load(connection, "qd").rooms == {}
        done = take_in(connection, "qd", content, START)
        assert (done.is_written, len(done.plan.faults)) == (True, 1)
        assert list(store_inventory.load(connection, "qd").rooms) == ["r1"]


def test_every_moment_is_as_it_was(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        states = [take_in(connection, "qd", hall(), START).plan.after]
        edits = [
            a_workbook(racks=[["id", "delivery"], ["k2", "in_use"]]),
            a_workbook(hosts=[["id", "name"], ["h1", "gpu-01b"], ["h2", "new"]]),
            a_workbook(racks=[HALL["racks"][0], HALL["racks"][1], HALL["racks"][2]]),
        ]
        for number, edit in enumerate(edits, 1):
            moment = START + number * HOUR
            made = take_in(connection, "qd", edit, moment, removes_absent=number == 3)
            states.append(made.plan.after)
        for number, state in enumerate(states):
            moment = START + number * HOUR + timedelta(minutes=30)
            assert store_inventory_history.inventory_at(connection, "qd", moment) == state
        before = store_inventory_history.inventory_at(connection, "qd", START - HOUR)
        assert before == Inventory()
        life = store_inventory_history.entries_of(connection, "qd", Ref(Kind.RACKS, "k3"))
        assert [(one.revision, one.change.verb.value) for one in life] == [
            (4, "removed"),
            (1, "added"),
        ]
        pages = store_inventory_history.entries_in(connection, "qd", 1, limit=10)
        rest = store_inventory_history.entries_in(
            connection, "qd", 1, after=f"{pages[-1].change.kind}/{pages[-1].change.id}"
        )
        assert (len(pages), len(rest)) == (10, 4)


def test_a_clock_that_goes_back_does_not_reorder_the_history(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        take_in(connection, "qd", hall(), START)
        edit = a_workbook(racks=[["id", "name"], ["k1", "B"]])
        made = take_in(connection, "qd", edit, START - HOUR)
        newest = store_inventory_history.revisions(connection, "qd")[0]
        assert (newest.revision, newest.at) == (2, START)
        assert store_inventory_history.inventory_at(connection, "qd", START) == made.plan.after


def test_the_history_is_never_changed(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        take_in(connection, "qd", hall(), START)
    with pytest.raises(DBAPIError, match="never changed"), writing(engine) as connection:
        connection.execute(update(inventory_change).values(verb="removed"))


def test_edits_are_whole_or_not_at_all_and_named(engine: Engine) -> None:
    prepare(engine)
    author = an_author(START, "moved", Origin.EDIT)
    with writing(engine) as connection:
        take_in(connection, "qd", hall(), START)
        rack = Ref(Kind.RACKS, "k2")
        made = put(connection, "qd", rack, {"position": "A07"}, author)
        assert (made.revision, made.plan.changes[0].differences()) == (2, {"position": ("", "A07")})
        with pytest.raises(BadInput, match=r"feed a1 carries 40,000 W; k2 feed_b_id") as caught:
            put(connection, "qd", rack, {"rated_w": 50_000}, author)
        assert caught.value.facts["faults"][0]["code"] == "over-feed"  # type: ignore[index]
        with pytest.raises(BadInput, match="did you mean 'position'"):
            put(connection, "qd", rack, {"positions": "A"}, author)
        with pytest.raises(BadInput, match=r"meter m-k1 names it in object_id; .*host pdu1 names"):
            remove(connection, "qd", Ref(Kind.RACKS, "k1"), author)
        with pytest.raises(NotFound, match="rack k9"):
            remove(connection, "qd", Ref(Kind.RACKS, "k9"), author)
        with pytest.raises(Stale, match="at revision 2, you saw 1"):
            put(connection, "qd", rack, {"position": "B"}, author, 1)
        gone = remove(connection, "qd", Ref(Kind.RACKS, "k3"), author, 2)
        assert (gone.revision, sorted(gone.plan.after.racks)) == (3, ["k1", "k2"])


def test_a_plan_is_written_to_its_own_revision_or_not_at_all(engine: Engine) -> None:
    prepare(engine)
    author = an_author(START)
    room = a_workbook(rooms=[["id", "name"], ["r9", "Hall 9"]])
    with reading(engine) as connection:
        planned = store_inventory_edit.plan_file(connection, "qd", room, Wishes())
        assert (planned.revision, planned.is_written) == (0, False)
    with writing(engine) as connection:
        take_in(connection, "qd", hall(), START)
    with writing(engine) as connection:
        assert store_inventory_edit.write(connection, "qd", planned, author) is None
        assert "r9" not in store_inventory.load(connection, "qd").rooms
        again = store_inventory_edit.plan_file(connection, "qd", room, Wishes())
        done = store_inventory_edit.write(connection, "qd", again, author)
        assert done is not None
        assert (done.revision, done.is_written) == (2, True)


def test_meters_of_before_the_first_change_come_into_the_history_with_it(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        store.register_meters(connection, [a_meter("m-it", MeterRole.IT)])
        take_in(connection, "qd", a_workbook(rooms=[["id", "name"], ["r", "R"]]), START)
        found = store_inventory_history.revisions(connection, "qd")
        assert [(one.revision, one.origin.value) for one in found] == [
            (2, "import"),
            (1, "registration"),
        ]


def test_ids_of_meters_and_cards_are_one_networks(engine: Engine) -> None:
    prepare(engine, "qd", "jn")
    with writing(engine) as connection:
        take_in(connection, "qd", hall(), START)
        there = take_in(connection, "jn", hall(), START)
        assert sorted(there.plan.after.racks) == ["k1", "k2", "k3"]
        assert {(one.sheet, one.id, one.code.value) for one in there.plan.faults} == {
            ("meters", "m-main", "other-site"),
            ("meters", "m-r1", "other-site"),
            ("meters", "m-k1", "other-site"),
            ("accelerators", "GPU-0001", "other-site"),
            ("accelerators", "GPU-0002", "other-site"),
        }
        behind = [["id", "name", "role", "rated_w", "parent_id"], ["j", "J", "other", "1", "m-r1"]]
        foreign = take_in(connection, "jn", a_workbook(meters=behind), START)
        assert [one.code.value for one in foreign.plan.faults] == ["other-site"]


def test_a_meter_of_the_record_neither_goes_nor_becomes_another_device(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        store.register_meters(connection, [a_meter("m-it", MeterRole.IT)])
        send(connection, "b", constant_load("m-it", 1_000, [0.0, 900.0, 1_800.0]), 1_800)
        head = ["id", "name", "rated_w", "modulus_wh"]
        changed = a_workbook(meters=[head, ["m-it", "IT", "5", "0"]])
        made = take_in(connection, "qd", changed, at(2_000))
        assert [(one.column, one.code.value) for one in made.plan.faults] == [("rated_w", "in-use")]
        renamed = a_workbook(meters=[["id", "name", "category"], ["m-it", "New", "PUE2"]])
        assert take_in(connection, "qd", renamed, at(2_000)).plan.faults == ()
        empty = a_workbook(meters=[["id"]])
        stays = take_in(connection, "qd", empty, at(2_000), removes_absent=True)
        assert [one.code.value for one in stays.plan.faults] == ["in-use"]
        assert list(stays.plan.after.meters) == ["m-it"]


def test_a_meter_without_energy_goes_with_its_state(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        take_in(connection, "qd", hall(), START)
        gone = take_in(connection, "qd", a_workbook(meters=[["id"]]), START, removes_absent=True)
        assert (gone.plan.faults, len(gone.plan.changes)) == ((), 3)
        assert store_inventory.load(connection, "qd").meters == {}
        back = take_in(connection, "qd", hall(), START)
        assert (back.plan.faults, len(back.plan.changes)) == ((), 3)


def test_meters_that_come_by_registration_are_in_the_history_too(engine: Engine) -> None:
    prepare(engine)
    author = an_author(START, "registered", Origin.REGISTRATION)
    with writing(engine) as connection:
        store.register_meters(connection, [a_meter("m-it", MeterRole.IT)])
        assert capture_meters(connection, "qd", author) == 1
        assert capture_meters(connection, "qd", author) == 1
        store.register_meters(connection, [a_meter("m-it", MeterRole.IT, poll_s=5)])
        assert capture_meters(connection, "qd", author) == 2
        take_in(connection, "qd", a_workbook(rooms=[["id", "name"], ["r", "R"]]), START)
        life = store_inventory_history.entries_of(connection, "qd", Ref(Kind.METERS, "m-it"))
        assert [one.change.differences().get("poll_s") for one in life] == [
            (15.0, 5.0),
            (None, 15.0),
        ]
        newest = store_inventory_history.revisions(connection, "qd")
        assert [one.origin.value for one in newest] == ["import", "registration", "registration"]


def test_a_place_in_the_tree_outlives_a_registration(engine: Engine) -> None:
    prepare(engine)
    with writing(engine) as connection:
        take_in(connection, "qd", hall(), START)
        before = store_inventory.load(connection, "qd").meters["m-k1"]
        store.register_meters(connection, [a_meter("m-k1", MeterRole.IT, rated_w=12_000)])
        after = store_inventory.load(connection, "qd").meters["m-k1"]
        assert (after.parent_id, after.object_id) == (before.parent_id, before.object_id)


_racks = st.dictionaries(
    st.sampled_from(["k1", "k2", "k3"]),
    st.tuples(st.integers(1, 60_000), st.sampled_from(["planned", "delivered", "in_use"])),
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(_racks, st.booleans()), min_size=1, max_size=5))
def test_the_history_replays_to_what_stands_there(
    sqlite_engine: Engine, steps: list[tuple[dict[str, tuple[int, str]], bool]]
) -> None:
    with writing(sqlite_engine) as connection:
        add_site(connection)
        set_design(connection, "qd", 100_000)
        states: dict[int, Inventory] = {}
        for number, (racks, removes_absent) in enumerate(steps):
            rows = [["id", "name", "rated_w", "delivery"]]
            rows += [[name, name, str(watts), state] for name, (watts, state) in racks.items()]
            moment = at(number)
            made = take_in(
                connection, "qd", a_workbook(racks=rows), moment, removes_absent=removes_absent
            )
            states[number] = made.plan.after
            assert store_inventory.load(connection, "qd") == made.plan.after
            standing = [one for one in made.plan.after.racks.values() if one.is_deliverable]
            assert sum(one.rated_w for one in standing) <= 100_000
        for number, state in states.items():
            assert store_inventory_history.inventory_at(connection, "qd", at(number)) == state
        connection.rollback()
