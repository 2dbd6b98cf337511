"""Reading policy files: what is refused, marks, gaps, digests and versions."""

from datetime import date
from pathlib import Path

import pytest
from programme_builders import a_document, a_policy

from suanwang.document import Document, parse_document
from suanwang.errors import BadInput, Conflict, NotFound
from voucher.programmes.files import load, shipped, shipped_ids, text_of
from voucher.programmes.values import (
    check_unchanged,
    digest,
    fill,
    gaps,
    mark_of,
    parse_settings,
    read_policy,
)
from voucher.programmes.words import in_words, money_text


def complaint(**changes: object) -> str:
    document = Document(name="plain.yaml", value=a_document(**changes), root=None)
    with pytest.raises(BadInput) as refused:
        read_policy(document)
    return refused.value.message


TIER = {"id": "all", "ratio": {"num": 1, "den": 5}}
CAP = {"id": "c", "scope": "award", "period": "life", "amount_fen": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"tears": []}, "unknown key; did you mean 'tiers'?", id="unknown key"),
        pytest.param({"tiers": []}, "at least 1 item", id="no tier"),
        pytest.param({"tiers": [TIER, TIER]}, "id 'all' appears twice", id="an id twice"),
        pytest.param({"tiers": [{**TIER, "id": "1"}]}, "looks like a place", id="a number as id"),
        pytest.param(
            {"tiers": [{"id": "all", "ratio": {"num": 6, "den": 5}}]},
            "6/5 is more than the whole", id="ratio above one",
        ),
        pytest.param(
            {"tiers": [{"id": "all", "ratio": {"num": 0.2, "den": 1}}]}, "valid integer", id="float"
        ),
        pytest.param({"caps": [{**CAP, "amount_fen": "5"}]}, "valid integer", id="text for money"),
        pytest.param({"caps": [{**CAP, "amount_fen": -1}]}, "greater than or equal", id="minus"),
        pytest.param({"caps": [{**CAP, "amount_fen": True}]}, "valid integer", id="yes for money"),
        pytest.param(
            {"caps": [{**CAP, "scope": "pool", "counts": "both"}]},
            "a cap of scope pool counts what is claimed", id="a pool of redemptions",
        ),
        pytest.param(
            {"caps": [{**CAP, "scope": "pool",
                       "when": [{"fact": "applicant.is_startup", "op": "is_true"}]}]},
            "a pool is for all", id="a pool for some",
        ),
        pytest.param(
            {"eligibility": [{"fact": "applicant.regionn", "op": "eq", "value": "x"}]},
            "did you mean 'applicant.region'?", id="misspelt fact",
        ),
        pytest.param(
            {"eligibility": [{"fact": "line.service", "op": "eq", "value": "x"}]},
            "is about a line; only applicant.… fits here", id="line fact of an applicant",
        ),
        pytest.param(
            {"eligibility": [{"fact": "applicant.is_startup", "op": "eq", "value": "x"}]},
            "is a flag, which op eq cannot ask", id="op on a flag",
        ),
        pytest.param(
            {"eligibility": [{"fact": "applicant.region", "op": "ge", "value": "x"}]},
            "has no order", id="order of texts",
        ),
        pytest.param(
            {"eligibility": [{"fact": "applicant.score", "op": "ge", "value": "3"}]},
            "is a count, the value is not", id="value of another kind",
        ),
        pytest.param(
            {"eligibility": [{"fact": "applicant.region", "op": "in", "value": "x"}]},
            "op in needs a list", id="no list",
        ),
        pytest.param(
            {"eligibility": [{"fact": "applicant.is_startup", "op": "is_true", "value": 1}]},
            "takes no value", id="a value too many",
        ),
        pytest.param(
            {"eligibility": [{"fact": "applicant.region", "op": "eq"}]},
            "needs a value", id="a value too few",
        ),
        pytest.param(
            {"facts": {"applicant.region": {"kind": "text", "meaning": "x"}}},
            "is known already", id="a fact declared again",
        ),
        pytest.param(
            {"funders": [{"id": "f", "name": "F", "share": {"num": 1, "den": 3}}]},
            "shares add up to 1/3", id="funders",
        ),
        pytest.param({"shortage": {"rule": "fcfs"}}, "needs last", id="fcfs without its end"),
        pytest.param(
            {"shortage": {"rule": "ranked", "last": "refuse"}}, "needs rank_by", id="no rank"
        ),
        pytest.param(
            {"shortage": {"rule": "ranked", "last": "refuse", "rank_by": "applicant.kind"}},
            "is not a counted fact", id="rank by a text",
        ),
        pytest.param(
            {"valid": {"from": date(2025, 1, 2), "to": date(2025, 1, 1)}},
            "the last day 2025-01-01 is before the first", id="days in the wrong order",
        ),
        pytest.param(
            {"workflow": [{"id": "a", "name": "A", "role": "r", "not_same_as": ["b"]}]},
            "'b' is not a stage before 'a'", id="four eyes with a later stage",
        ),
        pytest.param({"marks": {}}, "has no mark", id="no mark"),
        pytest.param(
            {"marks": {"*": {"mark": "decided"}, "tears": {"mark": "decided"}}},
            "marks a path that the policy does not have", id="mark of nothing",
        ),
        pytest.param(
            {"marks": {"*": {"mark": "read", "source": "x"}}},
            "source 'x' is not under sources", id="unknown source",
        ),
        pytest.param({"marks": {"*": {"mark": "read"}}}, "needs its source", id="read nowhere"),
        pytest.param({"marks": {"*": {"mark": "assumed"}}}, "needs a note", id="no note"),
        pytest.param({"issuer": None}, "null and not_seen go together", id="null not marked"),
        pytest.param(
            {"marks": {"*": {"mark": "decided"}, "tiers": {"mark": "not_seen"}}},
            "null and not_seen go together", id="marked not null",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    assert message in complaint(**changes)


def test_a_complaint_names_file_line_and_path() -> None:
    text = text_of("henan-2025").replace("applicant.province", "applicant.provinse")
    with pytest.raises(BadInput, match=r"^mine\.yaml:12: eligibility\.0\.fact: unknown fact"):
        read_policy(parse_document(text, "mine.yaml"))


def test_a_float_in_a_file_is_refused() -> None:
    text = text_of("henan-2025").replace("{num: 1, den: 5}", "{num: 0.2, den: 1}")
    with pytest.raises(BadInput, match=r"mine\.yaml:\d+: tiers\.0\.ratio\.num"):
        read_policy(parse_document(text, "mine.yaml"))


def test_the_digest_is_of_what_is_said_not_of_how_it_is_written() -> None:
    text = text_of("henan-2025")
    policy = read_policy(parse_document(text, "a.yaml"))
    again = read_policy(parse_document(f"# a comment\n{text}", "b.yaml"))
    assert digest(policy) == digest(again)
    assert len(digest(policy)) == 64
    other = read_policy(parse_document(text.replace("den: 5", "den: 6"), "c.yaml"))
    assert digest(other) != digest(policy)


def test_a_used_version_never_changes() -> None:
    policy = shipped("henan-2025")
    used = {("henan-2025", 1): digest(policy)}
    check_unchanged(policy, used)
    changed = read_policy(parse_document(text_of("henan-2025").replace("den: 5", "den: 6"), "c"))
    with pytest.raises(Conflict, match="henan-2025 v1 was used with digest"):
        check_unchanged(changed, used)
    text = text_of("henan-2025").replace("den: 5", "den: 6").replace("version: 1", "version: 2")
    check_unchanged(read_policy(parse_document(text, "c")), used)


def test_filling_a_gap_marks_it_as_decided() -> None:
    policy = shipped("beijing-2023")
    own = fill(policy, {"caps.pool.amount_yuan": "1,000,000.50", "shortage": {"rule": "prorata"}})
    assert set(gaps(policy)) - set(gaps(own)) == {"caps.pool.amount_fen", "shortage"}
    cap = next(cap for cap in own.caps or () if cap.id == "pool")
    assert cap.amount_fen == 100_000_050
    mark = mark_of(own, "caps.pool.amount_fen")
    assert mark is not None
    assert mark.mark == "decided"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tiers.all.ratio": "a fifth"}, "does not fit"),
        ({"tiers.all.ratio": "6/5"}, "more than the whole"),
        ({"caps.applicant.amount_yuan": "1.005"}, "more than two digits"),
        ({"caps.applicant.amount_fen": 1.5}, "valid integer"),
        ({"caps.aplicant.amount_fen": 1}, "is not an empty value"),
    ],
)
def test_what_does_not_fit_a_gap_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        fill(shipped("guizhou-2023"), values)


def test_settings_are_paths_and_values() -> None:
    assert parse_settings(["a.ratio=1/5", "b_yuan=1,000", "shortage={rule: prorata}", "n=3"]) == {
        "a.ratio": "1/5", "b_yuan": "1,000", "shortage": {"rule": "prorata"}, "n": 3,
    }  # fmt: skip
    with pytest.raises(BadInput, match="is not PATH=VALUE"):
        parse_settings(["a"])


def test_a_fact_of_your_own_is_declared() -> None:
    declared = {"applicant.staff": {"kind": "count", "meaning": "people employed"}}
    policy = a_policy(
        facts=declared, eligibility=[{"fact": "applicant.staff", "op": "le", "value": 300}]
    )
    assert policy.known_facts["applicant.staff"].meaning == "people employed"


def test_policies_are_found_by_file_or_id(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text_of("henan-2025"), encoding="utf-8")
    assert load(str(mine)) == load("henan-2025")
    with pytest.raises(BadInput, match="no such file"):
        load(str(tmp_path / "other.yaml"))
    with pytest.raises(NotFound, match="no policy 'atlantis' is shipped"):
        load("atlantis")


@pytest.mark.parametrize("policy_id", shipped_ids())
def test_every_policy_can_be_told_in_words(policy_id: str) -> None:
    sections = {section.title: section.lines for section in in_words(shipped(policy_id))}
    assert policy_id in sections["Programme"][0]
    assert all(lines for lines in sections.values())
    assert sections["Not seen in any source (refused at use)"] == gaps(shipped(policy_id))


@pytest.mark.parametrize(
    ("fen", "text"),
    [
        (200_000_000, "2,000,000.00 CNY (200万)"),
        (25_000_000_000, "250,000,000.00 CNY (2.5亿)"),
        (60_000_000_000, "600,000,000.00 CNY (6亿)"),
        (123, "1.23 CNY"),
        (0, "0.00 CNY"),
    ],
)
def test_money_is_written_as_in_the_official_texts(fen: int, text: str) -> None:
    assert money_text(fen) == text
