"""Every domain error knows its code, its HTTP status, its exit code, and the next step."""

import pytest

from suanwang import errors
from suanwang.errors import BadInput, Conflict, InvalidTransition, SuanwangError

TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SuanwangError)
]
EXIT_CODES = {0, 1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("kind", TREE)
def test_an_error_is_fit_for_people_and_for_programs(kind: type[SuanwangError]) -> None:
    error = kind("12 units asked, 8 there", next_step="ask for 8", asked=12, there=8)
    assert str(error) == error.message == "12 units asked, 8 there"
    assert error.next_step == "ask for 8"
    assert error.facts == {"asked": 12, "there": 8}
    assert 400 <= error.status < 600
    assert error.exit_code in EXIT_CODES - {0}


def test_every_kind_of_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in TREE]
    assert len(set(codes)) == len(codes)


def test_the_tree_in_the_docstring_names_every_kind() -> None:
    assert errors.__doc__ is not None
    for kind in TREE:
        assert f"``{kind.__name__}``" in errors.__doc__


def test_an_impossible_event_is_a_conflict() -> None:
    assert issubclass(InvalidTransition, Conflict)


def test_the_next_step_may_be_left_out() -> None:
    assert BadInput("no").next_step == ""
