"""Arrays are read as Slurm reads them."""

import pytest

from suanwang.errors import BadInput
from suanwang.model.array import parse_array


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        pytest.param("7", (7,), id="one"),
        pytest.param("0-3", (0, 1, 2, 3), id="a range"),
        pytest.param("1,3,5-7", (1, 3, 5, 6, 7), id="a list"),
        pytest.param("0-10:5", (0, 5, 10), id="steps"),
        pytest.param("3,1-3, 2", (1, 2, 3), id="each once, rising"),
    ],
)
def test_indices_are_read(text: str, indices: tuple[int, ...]) -> None:
    assert parse_array(text, 100) == indices


@pytest.mark.parametrize(
    "text", ["", "a", "3-1", "0-9:0", "-1", "0-", "1,,2", "0-99%5", "99999999", "0x10", "\uff11"]
)
def test_what_is_no_array_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="array"):
        parse_array(text, 100)


def test_an_array_has_a_limit() -> None:
    assert len(parse_array("0-99,0-99", 100)) == 100
    with pytest.raises(BadInput, match="more than 100 jobs"):
        parse_array("0-100", 100)
    with pytest.raises(BadInput, match="more than 100 jobs"):
        parse_array("0-10000000", 100)
