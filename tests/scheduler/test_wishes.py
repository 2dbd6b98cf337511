"""What users may write into a job's metadata, and what they are told when it is wrong."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.errors import BadInput
from suanwang.model.job import Predecessor, Width, Wishes
from suanwang.model.site import DataClass
from suanwang.model.wishes import WISH_KEYS, parse_wishes


def test_every_key_is_read() -> None:
    wishes = parse_wishes(
        {
            "units": "8",
            "accelerator": "h20, ascend910b",
            "max_minutes": "90",
            "origin": "qingdao",
            "latency_ms": "12.5",
            "data_class": "important",
            "data_home": "hospital",
            "domestic_only": "yes",
            "voucher": "no",
            "cash_max": "1,250.50",
            "deadline": "2026-10-15T08:00:00+08:00",
            "earliest": "2026-10-14T00:00:00Z",
            "sites": "a,b",
            "grace_s": "20",
            "elastic": "16:50, 4:170.5",
            "after": "prepare:12.5, other",
            "owner": "the user's own",
        }
    )
    assert wishes == Wishes(
        units=8,
        accelerators=frozenset({"h20", "ascend910b"}),
        run_s_max=5_400,
        origin="qingdao",
        latency_ms_max=12.5,
        data_class=DataClass.IMPORTANT,
        data_home="hospital",
        domestic_only=True,
        uses_voucher=False,
        cash_fen_max=125_050,
        deadline=datetime(2026, 10, 15, tzinfo=UTC),
        earliest_start=datetime(2026, 10, 14, tzinfo=UTC),
        stop_grace_s=20,
        sites=frozenset({"a", "b"}),
        widths=(Width(16, 3_000), Width(4, 10_230)),
        after=(Predecessor("prepare", 12.5), Predecessor("other")),
    )


@pytest.mark.parametrize(
    ("cpus", "gpus", "units", "accelerators"),
    [
        pytest.param(None, None, 1, {"cpu"}, id="nothing asked: one core"),
        pytest.param(2.5, None, 3, {"cpu"}, id="cores are rounded up"),
        pytest.param(2.0, 4.0, 4, set(), id="GPUs count, of any kind"),
        pytest.param(2.0, 0.0, 2, {"cpu"}, id="no GPU is a core job"),
    ],
)
def test_without_words_the_driver_s_request_counts(
    cpus: float | None, gpus: float | None, units: int, accelerators: set[str]
) -> None:
    wishes = parse_wishes({}, num_cpus=cpus, num_gpus=gpus)
    assert (wishes.units, wishes.accelerators) == (units, frozenset(accelerators))


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("units", "0", "whole number from 1"),
        ("units", "1.5", "whole number"),
        ("units", "٣", "whole number"),
        ("accelerator", "h20,,a", "commas"),
        ("max_minutes", "0", "above 0"),
        ("after", "a:x", "number above 0"),
        ("after", "a,a", "once"),
        ("elastic", "4", "pairs of units and minutes"),
        ("elastic", "0:5", "whole number from 1"),
        ("elastic", ",".join(f"{at}:5" for at in range(2, 11)), "at most 8 other widths"),
        ("max_minutes", "nan", "above 0"),
        ("max_minutes", "1e9", "up to 44640"),
        ("latency_ms", "-3", "above 0"),
        ("data_class", "secret", "general, important, government"),
        ("domestic_only", "maybe", "yes and no"),
        ("voucher", "", "yes and no"),
        ("cash_max", "12.345", "two digits"),
        ("cash_max", "-1", "0 or more"),
        ("deadline", "tomorrow", "2026-10-14T08:00:00"),
        ("earliest", "2026-10-14T00:00:00", "time zone"),
        ("origin", "", "1 to 200"),
        ("grace_s", "9999", "0 to 3600"),
    ],
)
def test_a_bad_value_is_named_with_its_key_and_what_is_allowed(
    key: str, value: str, allowed: str
) -> None:
    with pytest.raises(BadInput) as error:
        parse_wishes({"origin": "qingdao", key: value})
    assert repr(key) in error.value.message
    assert repr(value) in error.value.message
    assert allowed in error.value.message
    assert error.value.facts["key"] == key


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("unit", "units"), ("max_minute", "max_minutes"), ("Voucher", "voucher"), ("site", "sites")],
)
def test_a_misspelt_key_is_refused_with_the_nearest_one(key: str, nearest: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_wishes({key: "1"})
    assert error.value.facts == {"key": key, "nearest": nearest}


def test_a_latency_limit_without_an_origin_is_refused() -> None:
    with pytest.raises(BadInput, match="needs 'origin'"):
        parse_wishes({"latency_ms": "10"})


def test_a_deadline_before_the_earliest_start_is_refused() -> None:
    with pytest.raises(BadInput, match="not after"):
        parse_wishes({"deadline": "2026-10-14T00:00:00Z", "earliest": "2026-10-14T00:00:00Z"})


@pytest.mark.parametrize("cpus", [float("nan"), float("inf"), -1.0])
def test_a_request_that_is_no_number_of_units_is_refused(cpus: float) -> None:
    with pytest.raises(BadInput, match="units"):
        parse_wishes({}, num_cpus=cpus)


@given(st.dictionaries(st.sampled_from(WISH_KEYS) | st.text(), st.text()))
def test_any_metadata_is_read_or_refused_in_words(metadata: dict[str, str]) -> None:
    with suppress(BadInput):
        wishes = parse_wishes(metadata)
        assert wishes.units >= 1
        assert wishes.run_s_max >= 1
