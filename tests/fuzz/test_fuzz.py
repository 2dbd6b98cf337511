"""A short run of the fuzzer over every parser; ``make fuzz`` runs it for longer."""

import random
import signal
from typing import Final

import fuzzing
import pytest

CASES: Final = 1_500
"""Of each parser; those that cost most are tried less."""
SLOW: Final = {
    "bmc": 400,
    "bmcplan": 300,
    "profile": 150,
    "policy": 60,
    "sheet": 300,
    "inventory": 300,
    "netbox": 300,
}
TARGETS: Final = {target.name: target for target in fuzzing.targets()}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_no_damaged_input_breaks_a_parser(name: str) -> None:
    target, rng = TARGETS[name], random.Random(name)
    former = signal.signal(signal.SIGPROF, fuzzing._hang)
    try:
        for _ in range(SLOW.get(name, CASES)):
            raw = fuzzing.damaged(rng.choice(target.seeds), target.seeds, rng)
            assert fuzzing.run_case(target, raw) == "", raw
    finally:
        signal.signal(signal.SIGPROF, former)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_every_undamaged_input_is_accepted(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds:
        list(target.parse(seed))


def test_a_parser_that_fails_or_hangs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "CASE_S", 0.2)

    def broken(raw: bytes):  # type: ignore[no-untyped-def]
        if raw == b"hang":
            while True:
                pass
        yield float("nan") if raw == b"nan" else 1 / len(raw)

    target = fuzzing.Target(name="broken", seeds=(b"x",), parse=broken, refusals=())
    former = signal.signal(signal.SIGPROF, fuzzing._hang)
    try:
        assert "ZeroDivisionError" in fuzzing.run_case(target, b"")
        assert "no end" in fuzzing.run_case(target, b"hang")
        assert "nan" in fuzzing.run_case(target, b"nan")
        assert fuzzing.run_case(target, b"fine") == ""
    finally:
        signal.signal(signal.SIGPROF, former)
