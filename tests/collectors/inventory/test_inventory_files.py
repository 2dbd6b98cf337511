"""Files of things: sound rows go in, bad ones are named by sheet, line and column."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventory_builders import AROUND, HALL, a_workbook, hall, things
from openpyxl import load_workbook

from collectors.inventory.fields import FIELDS
from collectors.inventory.files import csv_file, read_file, workbook
from collectors.inventory.plan import Plan, plan
from suanwang.errors import BadInput
from suanwang.model.inventory import Inventory, Kind
from suanwang.sheets import write_csv, write_xlsx


def planned(content: bytes, before: Inventory | None = None, **options: bool) -> Plan:
    there = before or Inventory()
    return plan(there, read_file(content, there), AROUND, **options)


def places(made: Plan) -> list[tuple[str, int, str, str]]:
    return [(one.sheet, one.line, one.column, one.code.value) for one in made.faults]


def test_a_workbook_says_everything_and_says_it_again_without_a_change() -> None:
    first = planned(hall())
    assert first.faults == ()
    assert [len(first.after.of(kind)) for kind in Kind] == [1, 3, 3, 3, 2, 2]
    again = planned(hall(), first.after)
    assert (again.changes, again.unchanged, again.after) == ((), 14, first.after)
    written = planned(workbook(first.after), first.after)
    assert (written.changes, written.faults, written.unchanged) == ((), (), 14)
    for kind in Kind:
        read = read_file(csv_file(first.after, kind), Inventory(), kind)
        assert {row.item.id: row.item for row in read.rows} == dict(first.after.of(kind))


def test_the_template_has_every_column_and_explains_it() -> None:
    book = load_workbook(io.BytesIO(workbook(Inventory())))
    assert book.sheetnames == [*(kind.value for kind in Kind), "columns"]
    for kind in Kind:
        headings = [cell.value for cell in book[kind.value][1]]
        assert headings == [each.name for each in FIELDS[kind]]
    assert planned(workbook(Inventory())).changes == ()
    explained = {(row[0].value, row[1].value) for row in book["columns"].iter_rows(min_row=2)}
    assert explained == {(kind.value, each.name) for kind in Kind for each in FIELDS[kind]}


def test_chinese_sheets_and_headings_are_read() -> None:
    content = a_workbook(
        机柜=[["编号", "名称", "额定功率W", "交付状态"], ["k", "甲", "5000", "IN_USE"]]
    )
    made = planned(content)
    assert made.after.racks["k"].rated_w == 5_000
    assert made.after.racks["k"].delivery == "in_use"


def test_a_bad_row_is_named_and_loses_no_other() -> None:
    content = a_workbook(
        racks=[
            ["id", "name", "rated_w", "height_u", "cooling"],
            ["k1", "A", "1000", "42", "air"],
            ["k 2", "B", "1000", "42", ""],
            ["k3", "C", "much", "0", "oil"],
            ["k1", "D", "1000", "42", ""],
            ["k5", "", "1000", "42", ""],
            ["k6", "F", "1000", "42", "", "stray"],
            ["k7", "G", "1,000", "", ""],
        ]
    )
    made = planned(content)
    assert sorted(made.after.racks) == ["k1", "k7"]
    assert made.after.racks["k1"].name == "A"
    assert made.after.racks["k7"].height_u == 42
    assert places(made) == [
        ("racks", 3, "id", "field"),
        ("racks", 4, "cooling", "field"),
        ("racks", 4, "height_u", "field"),
        ("racks", 4, "rated_w", "field"),
        ("racks", 5, "id", "field"),
        ("racks", 6, "name", "field"),
        ("racks", 7, "", "field"),
    ]


def test_what_cannot_stand_without_a_bad_row_is_left_out_with_it() -> None:
    made = planned(
        a_workbook(
            rooms=[["id", "name", "it_design_w"], ["r1", "Hall", "minus"]],
            racks=[
                ["id", "name", "rated_w", "room_id"],
                ["k1", "A", "1", "r1"],
                ["k2", "B", "1", ""],
            ],
            hosts=[["id", "name", "rack_id"], ["h1", "x", "k1"], ["h2", "y", "k2"]],
        )
    )
    assert (sorted(made.after.racks), sorted(made.after.hosts)) == (["k2"], ["h2"])
    assert places(made) == [
        ("rooms", 2, "it_design_w", "field"),
        ("racks", 2, "room_id", "unknown"),
        ("hosts", 2, "rack_id", "unknown"),
    ]


def test_a_row_that_makes_another_thing_impossible_is_the_one_refused() -> None:
    before = planned(hall()).after
    made = planned(a_workbook(racks=[["id", "height_u"], ["k1", "7"], ["k2", "40"]]), before)
    assert places(made) == [("racks", 2, "", "place")]
    assert "host h1" in made.faults[0].reason
    assert [(one.id, one.differences()) for one in made.changes] == [("k2", {"height_u": (42, 40)})]


def test_racks_that_pass_the_design_are_refused_wherever_their_ids_sort() -> None:
    before = planned(hall()).after
    head = ["id", "name", "rated_w", "delivery"]
    more = planned(a_workbook(racks=[head, ["a9", "B", "85000", ""], ["a8", "C", "1", ""]]), before)
    assert {one.code.value for one in more.faults} == {"over-design"}
    assert more.changes == ()
    fits = planned(a_workbook(racks=[head, ["z1", "B", "80000", ""], ["z2", "C", "1", ""]]), before)
    assert [(one.line, one.id) for one in fits.faults] == [(3, "z2")]
    assert [one.id for one in fits.changes] == ["z1"]


def test_absent_things_stay_unless_they_are_to_go() -> None:
    before = planned(hall()).after
    only = a_workbook(racks=[HALL["racks"][0], HALL["racks"][1], HALL["racks"][2]])
    kept = planned(only, before)
    assert ([str(ref) for ref in kept.absent], kept.changes) == (["rack k3"], ())
    gone = planned(only, before, removes_absent=True)
    assert [(one.verb.value, one.id) for one in gone.changes] == [("removed", "k3")]
    assert gone.absent == ()
    assert "k3" not in gone.after.racks


def test_what_others_name_does_not_go() -> None:
    before = planned(hall()).after
    only = a_workbook(racks=[HALL["racks"][0], HALL["racks"][2]], rooms=[["id", "name"]])
    made = planned(only, before, removes_absent=True)
    assert sorted(made.after.racks) == ["k1", "k2"]
    assert sorted(made.after.rooms) == ["r1"]
    assert {(one.sheet, one.id, one.code.value) for one in made.faults} == {
        ("racks", "k1", "in-use"),
        ("rooms", "r1", "in-use"),
    }


def test_nothing_goes_where_a_rows_id_cannot_be_read() -> None:
    before = planned(hall()).after
    made = planned(a_workbook(racks=[["id"], ["k 1"]]), before, removes_absent=True)
    assert made.changes == ()
    assert [(one.line, one.column) for one in made.faults] == [(0, "id"), (2, "id")]


def test_a_column_that_is_not_there_stays_and_an_empty_cell_empties() -> None:
    before = planned(hall()).after
    made = planned(a_workbook(racks=[["id", "contracted_w"], ["k1", ""]]), before)
    assert [one.differences() for one in made.changes] == [{"contracted_w": (8_000, None)}]


def test_old_faults_do_not_stop_new_edits() -> None:
    broken = things(racks=[{"id": "k", "rated_w": 200_000}])
    made = planned(a_workbook(rooms=[["id", "name"], ["r", "Hall"]]), broken)
    assert (made.faults, len(made.changes)) == ((), 1)
    more = planned(a_workbook(racks=[["id", "name", "rated_w"], ["z", "Z", "1"]]), broken)
    assert places(more) == [("racks", 2, "rated_w", "over-design")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"PK\x03\x04 broken", "cannot be read", id="no workbook"),
        pytest.param(a_workbook(walls=[["id"], ["w"]]), "unknown sheet 'walls'", id="sheet"),
        pytest.param(a_workbook(racks=[["id", "colour"], ["k", "red"]]), "colour", id="column"),
        pytest.param(a_workbook(racks=[["id", "编号"], ["k", "k"]]), "twice", id="column twice"),
        pytest.param(a_workbook(racks=[["name"], ["A"]]), "lacks the column id", id="no id"),
        pytest.param(a_workbook(racks=[]), "no sheet with headings", id="empty"),
        pytest.param(a_workbook(racks=[["id"]], 机柜=[["id"]]), "two sheets", id="twice"),
        pytest.param(write_csv([["id"], ["k"]]), "does not say which", id="CSV of what?"),
    ],
)
def test_a_file_that_is_no_inventory_is_refused_whole(content: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        planned(content)


@given(st.lists(st.lists(st.text(max_size=6), min_size=3, max_size=4), max_size=6))
def test_no_row_however_odd_breaks_the_reading(rows: list[list[str]]) -> None:
    table = [["id", "name", "rated_w"], *rows]
    content = write_xlsx(table, "racks")
    made = planned(content)
    assert len(made.after.racks) <= len(rows)
    assert planned(content, made.after).changes == ()
