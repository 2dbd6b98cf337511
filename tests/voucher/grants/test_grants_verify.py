"""Every policy still is what awards were made under, or the fault names both digests."""

from collections.abc import Iterator

import pytest
from grant_builders import Office, a_file
from sqlalchemy import Engine, delete, update

from suanwang.clock import VirtualClock
from suanwang.db.tables import grant_application, grant_programme
from suanwang.errors import Conflict
from suanwang.ids import SeededIds
from voucher.grants import store_programmes
from voucher.grants.store_verify import FaultKind, faults
from voucher.programmes.files import shipped_text
from voucher.writer import DirectWriter


@pytest.fixture
def office(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Iterator[Office]:
    with DirectWriter(engine, clock).turn() as turn:
        yield Office(turn, clock, ids)


def test_policies_that_are_as_they_were_used_are_sound(office: Office) -> None:
    office.adopt()
    office.to_publicity()
    assert faults(office.connection) == ()


def test_a_changed_file_is_named_with_both_digests_and_its_awards(office: Office) -> None:
    programme = office.adopt()
    record = office.to_publicity()
    other = a_file(tiers=[{"id": "all", "ratio": {"num": 1, "den": 2}}])
    office.connection.execute(update(grant_programme).values(policy=other))
    (fault,) = faults(office.connection)
    found = store_programmes.read_programme(other, "x").digest
    assert (fault.kind, fault.used_digest, fault.found_digest, fault.awards) == (
        FaultKind.CHANGED, programme.digest, found, (record.id,),
    )  # fmt: skip
    assert programme.digest in fault.message
    assert found in fault.message
    assert record.id in fault.message


@pytest.mark.parametrize("text", ["", "schema: voucher_policy/v1", a_file(id="other")])
def test_a_file_that_cannot_be_read_or_is_another_one_is_changed(office: Office, text: str) -> None:
    office.adopt()
    office.connection.execute(update(grant_programme).values(policy=text))
    (fault,) = faults(office.connection)
    assert (fault.kind, fault.found_digest) == (FaultKind.CHANGED, "")


def test_a_policy_that_is_gone_is_missing(office: Office) -> None:
    programme = office.adopt()
    record = office.to_publicity()
    office.connection.execute(delete(grant_programme))
    (fault,) = faults(office.connection)
    assert (fault.kind, fault.used_digest, fault.awards) == (
        FaultKind.MISSING, programme.digest, (record.id,),
    )  # fmt: skip


def test_an_application_with_another_digest_is_found(office: Office) -> None:
    programme = office.adopt()
    office.to_publicity()
    office.connection.execute(update(grant_application).values(programme_digest="0" * 64))
    (fault,) = faults(office.connection)
    assert (fault.used_digest, fault.found_digest) == ("0" * 64, programme.digest)


def test_a_shipped_version_that_was_adopted_with_other_words_is_found(office: Office) -> None:
    text = shipped_text("chengdu-2025")
    own = text.replace("den: 5", "den: 4")
    with pytest.raises(Conflict, match="was used with digest"):
        store_programmes.adopt(office.connection, own, "own", "boss", office.clock.now())
    store_programmes.adopt(office.connection, text, "own", "boss", office.clock.now())
    digest = store_programmes.read_programme(own, "own").digest
    office.connection.execute(update(grant_programme).values(policy=own, digest=digest))
    (fault,) = faults(office.connection)
    assert (fault.where, fault.kind) == ("the shipped files", FaultKind.CHANGED)
