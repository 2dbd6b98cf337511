"""A log line is one line, carries its facts, and never a secret."""

import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.ids import new_secret
from suanwang.log import configure, redact

SECRETS = st.sampled_from(["swk", "swt", "swa"]).map(new_secret)


@pytest.fixture(autouse=True)
def _root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@given(st.text(), SECRETS, st.text())
def test_a_secret_is_cut_out_wherever_it_stands(before: str, secret: str, after: str) -> None:
    # A secret ends where its own alphabet ends, and begins at a word's beginning.
    line = f"{before} {secret}\u3000{after}"
    assert secret not in redact(line)
    assert redact(line).startswith(redact(before + " "))


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer abcdefgh12345678",
        'headers={"authorization": "bearer abcdefgh12345678"}',
        "token=swt_abcdefgh12345678",
        "http://swk_abcdefgh12345678@host/",
    ],
)
def test_credentials_are_redacted_in_every_common_place(line: str) -> None:
    assert "abcdefgh12345678" not in redact(line)
    assert "[secret]" in redact(line)


@pytest.mark.parametrize("line", ["the bearer of this letter", "swk_short", "site swt", "answer"])
def test_ordinary_words_are_left_alone(line: str) -> None:
    assert redact(line) == line


def test_a_json_line_holds_the_facts_and_the_exception() -> None:
    out = StringIO()
    configure("info", "json", out)
    try:
        raise RuntimeError("no swk_abcdefgh12345678")
    except RuntimeError:
        logging.getLogger("scheduler.cycle").exception("cycle failed", extra={"job": "j1", "n": 2})
    (line,) = out.getvalue().splitlines()
    written = json.loads(line)
    assert written["message"] == "cycle failed"
    assert written["logger"] == "scheduler.cycle"
    assert (written["level"], written["job"], written["n"]) == ("error", "j1", 2)
    assert "RuntimeError: no [secret]" in written["exception"]
    assert written["at"].endswith("+00:00")


def test_what_a_library_notes_in_records_for_itself_is_not_shown() -> None:
    out = StringIO()
    configure("warning", "text", out)
    logging.getLogger("agent").warning("full", extra={"_noted_ns": 7, "site": "near"})
    assert out.getvalue().splitlines()[0][8:] == " warning agent full site=near"


def test_a_text_line_reads_from_left_to_right() -> None:
    out = StringIO()
    configure("warning", "text", out)
    logging.getLogger("agent").warning("spool is %d %% full", 90, extra={"site": "near"})
    logging.getLogger("agent").info("not shown")
    (line,) = out.getvalue().splitlines()
    assert line[8:] == " warning agent spool is 90 % full site=near"


def test_libraries_that_chatter_are_kept_to_warnings() -> None:
    configure("debug", "text", StringIO())
    assert logging.getLogger("httpx").level == logging.WARNING
