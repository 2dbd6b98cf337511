"""Who applies: codes with both check characters, makers with a sponsor."""

import pytest
from grant_builders import HAIYUN_CODE, OTHER_CODE
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum.cn import uscc

from suanwang.errors import BadInput
from voucher.grants.identity import code_fault, inner_check_character, read_identity

PLAIN = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""Characters of a code: GB 32100 leaves out I, O, S, V and Z."""


@pytest.mark.parametrize("code", [HAIYUN_CODE, OTHER_CODE, "91330106MA3CK7T57Q"])
def test_a_sound_code_passes(code: str) -> None:
    assert code_fault(code) == ""


def test_the_example_of_the_standard_has_the_inner_digit_4() -> None:
    assert inner_check_character("M000100Y") == "4"


@pytest.mark.parametrize(
    ("body", "check"), [("12345678", "8"), ("67395965", "4"), ("MA3CK7T5", "7")]
)
def test_inner_check_characters(body: str, check: str) -> None:
    assert inner_check_character(body) == check


def test_ten_is_written_x_and_eleven_is_written_0() -> None:
    found = {inner_check_character(f"{number:08d}") for number in range(200)}
    assert found == set("0123456789X")


def test_a_code_whose_outer_digit_is_right_may_be_wrong_inside() -> None:
    wrong = "91350100M000100Y5"
    code = wrong + uscc.calc_check_digit(wrong)
    assert uscc.is_valid(code)
    assert "GB 11714" in code_fault(code)


@given(st.integers(0, 17), st.sampled_from(PLAIN))
def test_any_character_changed_is_found(place: int, character: str) -> None:
    assume(HAIYUN_CODE[place] != character)
    assert code_fault(HAIYUN_CODE[:place] + character + HAIYUN_CODE[place + 1 :])


@given(st.text(max_size=20))
def test_no_text_breaks_the_check(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_identity({"name": "x", "code": text})
    assert caught.value.facts["field"] == "code"


def test_blanks_and_small_letters_are_read() -> None:
    identity = read_identity({"name": "海云", "code": " 91350100 m000100y43 "})
    assert (identity.code, identity.key) == (HAIYUN_CODE, f"code:{HAIYUN_CODE}")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "person"}, "kind"),
        ({"name": " "}, "name"),
        ({"code": HAIYUN_CODE}, "code"),
        ({"sponsor_name": ""}, "sponsor_name"),
        ({"sponsor_code": "1"}, "sponsor_code"),
        ({"sponsor_ref": ""}, "sponsor_ref"),
    ],
)
def test_a_maker_needs_a_sponsor_and_has_no_code(change: dict[str, str], field: str) -> None:
    sound = {
        "kind": "maker",
        "name": "张三",
        "sponsor_name": "海云科技",
        "sponsor_code": HAIYUN_CODE,
        "sponsor_ref": "M-7",
    }
    assert read_identity(sound).key == f"maker:{HAIYUN_CODE}:M-7"
    with pytest.raises(BadInput) as caught:
        read_identity(sound | change)
    assert caught.value.facts["field"] == field
