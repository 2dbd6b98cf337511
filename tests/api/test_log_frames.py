"""Output is cut as Ray's head cuts it, and nothing of it is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.context import Followers
from api.routers.gateway_tail import FRAME_CHARS_MAX, FRAME_LINES_MAX, frames
from suanwang.errors import Unavailable


@given(st.text(st.sampled_from("ab\n\r\x0c一\x85"), max_size=400))
def test_frames_add_up_to_the_output(text: str) -> None:
    cut = list(frames(text))
    assert "".join(cut) == text
    assert all(cut)
    assert all(len(frame.splitlines()) <= FRAME_LINES_MAX for frame in cut)


@pytest.mark.parametrize("size", [1, FRAME_CHARS_MAX, FRAME_CHARS_MAX + 1, 3 * FRAME_CHARS_MAX])
def test_a_long_line_is_cut(size: int) -> None:
    cut = list(frames("x" * size + "\nend"))
    assert "".join(cut) == "x" * size + "\nend"
    assert max(map(len, cut)) <= FRAME_CHARS_MAX


def test_followers_are_counted_and_limited() -> None:
    followers = Followers(most=1)
    with followers, pytest.raises(Unavailable, match="1 clients follow"), followers:
        pass
    with followers:
        pass
