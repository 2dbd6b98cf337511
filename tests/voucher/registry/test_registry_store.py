"""The registry keeps every statement, and says what held on a day."""

from datetime import date

import pytest
from sqlalchemy import Engine, delete, update
from sqlalchemy.exc import DatabaseError

from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.db.tables import registry_entry
from suanwang.errors import BadInput
from voucher.registry import store
from voucher.registry.entries import Kind
from voucher.registry.graph import Relations, TieKind
from voucher.registry.reading import make_pseudonym, read_statement

A, B, C = "91350100M000100Y43", "91330106673959654P", "91370200MA3TEKT04D"
DAY = date(2026, 10, 14)


def record(engine: Engine, clock: VirtualClock, kind: Kind, **raw: object) -> store.Outcome:
    """Record what somebody typed."""
    with writing(engine) as connection:
        hide = store.begin_recording(connection)
        statement = read_statement(kind, raw, "hand", DAY, hide)
        return store.record(connection, statement, "key-1", clock.now())


def organisation(engine: Engine, clock: VirtualClock, code: str, **raw: object) -> store.Outcome:
    """Record an organisation."""
    return record(engine, clock, Kind.ORGANISATION, code=code, name=f"Org {code[-2:]}", **raw)


def names_on(engine: Engine, day: date) -> list[str]:
    """Return the names of organisations on a day."""
    with reading(engine) as connection:
        held, _ = store.page(connection, Kind.ORGANISATION, day)
    return [getattr(one.statement.entry, "name", "") for one in held]


def test_a_statement_holds_from_its_day_until_the_next(engine: Engine, clock: VirtualClock) -> None:
    for name, day in (("old", "2026-01-01"), ("new", "2026-06-01"), ("corrected", "2026-01-01")):
        record(engine, clock, Kind.ORGANISATION, code=A, name=name, valid_from=day)
    assert names_on(engine, date(2025, 12, 31)) == []
    assert names_on(engine, date(2026, 3, 1)) == ["corrected"]
    assert names_on(engine, date(2026, 6, 1)) == ["new"]
    ended = {"valid_from": "2026-06-01", "valid_to": "2026-08-31"}
    record(engine, clock, Kind.ORGANISATION, code=A, name="new", **ended)
    assert names_on(engine, date(2026, 9, 1)) == []
    with reading(engine) as connection:
        kept = store.history(connection, Kind.ORGANISATION, "code", A)
    assert [one.version for one in kept] == [1, 2, 3, 4]
    assert {one.recorded_by for one in kept} == {"key-1"}


def test_a_repeat_changes_nothing_even_when_it_comes_late(
    engine: Engine, clock: VirtualClock
) -> None:
    assert organisation(engine, clock, A, valid_from="2026-01-01").is_new
    assert organisation(engine, clock, A, group="东海", valid_from="2026-02-01").is_new
    clock.advance(1_000)
    late = organisation(engine, clock, A, valid_from="2026-01-01")
    assert (late.is_new, late.recorded.version) == (False, 1)


def test_rows_are_never_changed(engine: Engine, clock: VirtualClock) -> None:
    organisation(engine, clock, A)
    for statement in (update(registry_entry).values(source="x"), delete(registry_entry)):
        with pytest.raises(DatabaseError), writing(engine) as connection:
            connection.execute(statement)


def test_ties_are_found_over_any_number_of_steps(engine: Engine, clock: VirtualClock) -> None:
    organisation(engine, clock, A, legal_representative="王 五")
    organisation(engine, clock, B, legal_representative="王五")
    organisation(engine, clock, C, parent=B)
    with reading(engine) as connection:
        network = store.network(connection, [A], DAY)
        kept = store.history(connection, Kind.ORGANISATION, "code", A)
    path = Relations(network, 250_000).path(A, C)
    assert path is not None
    assert [hop.tie.kind for hop in path] == [
        TieKind.SAME_LEGAL_REPRESENTATIVE,
        TieKind.PARENT,
    ]
    assert "王" not in str(kept)


def test_the_search_does_not_go_through_who_owns_for_the_state(
    engine: Engine, clock: VirtualClock
) -> None:
    organisation(engine, clock, C, roles="state-owner")
    for code in (A, B):
        organisation(engine, clock, code, parent=C)
    with reading(engine) as connection:
        network = store.network(connection, [A], DAY)
    assert B not in network.names
    assert Relations(network, 250_000).path(A, B) is None


def test_a_tie_that_has_ended_is_none(engine: Engine, clock: VirtualClock) -> None:
    span = {"valid_from": "2026-01-01", "valid_to": "2026-06-30"}
    record(engine, clock, Kind.RELATION, tie="shares", one=A, other=B, share_percent="30", **span)
    with reading(engine) as connection:
        then = store.network(connection, [A], date(2026, 6, 30))
        now = store.network(connection, [A], DAY)
    assert Relations(then, 300_000).path(B, A) is not None
    assert Relations(now, 300_000).path(B, A) is None


@pytest.mark.parametrize(
    ("kind", "raw", "field"),
    [
        (Kind.ORGANISATION, {"code": A[:-1] + "0", "name": "x"}, "code"),
        (Kind.ORGANISATION, {"code": A, "name": "x", "parent": A}, "parent"),
        (Kind.ORGANISATION, {"code": A, "name": "x", "roles": "king"}, "roles"),
        (Kind.ORGANISATION, {"code": A, "name": "x", "legal_person": "王五"}, "legal_person"),
        (Kind.ORGANISATION, {"code": A}, "name"),
        (Kind.ORGANISATION, {"code": A, "name": "x", "colour": "red"}, "colour"),
        (Kind.RELATION, {"tie": "shares", "one": A, "other": B}, "share_ppm"),
        (Kind.RELATION, {"tie": "parent", "one": A, "other": B}, "tie"),
        (Kind.RELATION, {"tie": "same-group", "one": A, "other": A}, "other"),
        (
            Kind.RELATION,
            {"tie": "shares", "one": A, "other": B, "share_percent": "101"},
            "share_ppm",
        ),
        (Kind.INVOICE, {"number": "123", "line": 1, "seller": A, "buyer": B}, "number"),
        (Kind.INVOICE, {"number": 2.5e19, "line": 1, "seller": A, "buyer": B}, "number"),
        (
            Kind.CONTRACT,
            {"number": "H", "customer": A, "provider": B, "signed_on": "x", "amount_yuan": "1"},
            "signed_on",
        ),
        (
            Kind.CONTRACT,
            {"number": "H", "customer": A, "provider": B, "signed_on": "2026-01-01",
             "amount_yuan": "0"},
            "amount_fen",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_field(
    kind: Kind, raw: dict[str, object], field: str
) -> None:
    with pytest.raises(BadInput) as refused:
        read_statement(kind, raw, "hand", DAY, make_pseudonym("salt"))
    assert refused.value.facts["field"] == field


def test_names_are_hidden_by_a_salt_that_is_drawn_once(engine: Engine) -> None:
    with writing(engine) as connection:
        first = store.begin_recording(connection)("王五")
        assert store.begin_recording(connection)("王　五") == first
        assert store.pseudonym(connection)("王五") == first
    assert make_pseudonym("other")("王五") != first
