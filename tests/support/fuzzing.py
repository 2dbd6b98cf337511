"""Mutated input for every parser that reads what strangers write: ``make fuzz``.

Each case takes a valid input, damages it, and hands it to its parser. Allowed is a result without a
single number that is none, or the parser's own refusal. Anything else, and what takes longer than
the limit, ends the run; the input is kept in a file that ``--replay`` runs again.
"""

import argparse
import json
import math
import random
import signal
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Final

import fuzzing_inventory
import fuzzing_redfish
import numpy as np

from collectors import ipmi_text, redfish_readings
from collectors.admission import SeriesFacts, judge, words
from collectors.config import parse_source
from collectors.json_values import parse_json
from collectors.mqtt_rules import Nonsense, TopicRule
from collectors.profiles.profile import parse_profile, profile_names
from collectors.prometheus_text import WantedNames
from collectors.recorded_lines import BadLine, FileForm, parse_header, parse_line
from collectors.snmp import pdu, usm
from collectors.snmp.ber import BerError
from collectors.sources.port import SourceError
from suanwang.document import parse_document
from suanwang.errors import BadInput
from suanwang.model.batch import gathered
from suanwang.model.reading import Reading, SourceReport
from suanwang.periods import parse_period
from suanwang.sheets import read_table, write_csv, write_xlsx
from suanwang.wire.batch import BatchDamaged, TelemetryUpload, decode, encode, sealed
from voucher.programmes.files import shipped_ids, shipped_text
from voucher.programmes.values import read_policy

CASE_S: Final = 5.0
"""Most processor time that one case may take: a hang is a failure, a busy machine is none."""
BYTES_MAX: Final = 20_000
_AT: Final = datetime(2026, 11, 20, tzinfo=UTC)
_TOKENS: Final = tuple(
    token.encode()
    for token in (
        "NaN", "-inf", "1e999", "9" * 400, "-0", "0x10", "null", "true", "{", "}", "[", "]", '"',
        "\\u0000", "\x00", "\ud7ff", "&a", "*a", "!!python/object:os.system", "<<:", "---", "\t",
        "\r\n", ",", ";", "=cmd()", "{{", "%s", "../", "\uff11", "0" * 5_000, "[" * 500, "{" * 500,
    )
)  # fmt: skip


class Hang(Exception):
    """A case took too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parser with valid inputs, and the refusals that are its own."""

    name: str
    seeds: tuple[bytes, ...]
    parse: Callable[[bytes], Iterator[float]]
    refusals: tuple[type[Exception], ...]


def _text(raw: bytes) -> str:
    """Return bytes as a text that could have come over the wire; raise what a file would raise."""
    return raw.decode("utf-8")


_WANTED: Final = WantedNames(["DCGM_FI_DEV_POWER_USAGE", "node_load1", "pdu_power_kw"])


def _prometheus(raw: bytes) -> Iterator[float]:
    for sample in _WANTED.samples(raw.decode("utf-8", "replace")):
        yield sample.value


def _snmp(raw: bytes) -> Iterator[float]:
    version, at, end = pdu.version_of(raw)
    if version == 1:
        pdu.community_and_answer(raw, at, end)
    else:
        usm.letter_of(raw, at, end)
    yield 0.0


def _profile(raw: bytes) -> Iterator[float]:
    parse_profile(_text(raw), "fuzz")
    yield 0.0


def _source(raw: bytes) -> Iterator[float]:
    document = parse_json(raw)
    if isinstance(document, dict):
        parse_source(document)
    yield 0.0


def _redfish(raw: bytes) -> Iterator[float]:
    document = parse_json(raw)
    for read in (
        redfish_readings.environment,
        redfish_readings.power,
        redfish_readings.supply,
        redfish_readings.thermal_metrics,
        redfish_readings.thermal,
        redfish_readings.health,
        redfish_readings.sensor,
    ):
        yield from read(document).values()
    redfish_readings.members(document)
    redfish_readings.path_of(document)


_RULE: Final = TopicRule(
    topic="dc/{rack}/power", metric="power_w", subject="meter:{rack}", value="/p/0/w", time="/at"
)


def _mqtt(raw: bytes) -> Iterator[float]:
    reading = _RULE.reading({"rack": "r1"}, raw, _AT, is_retained=False)
    if reading is not None:
        yield from _of(reading)


def _of(reading: Reading) -> Iterator[float]:
    assert reading.subject
    assert reading.at.tzinfo is not None
    yield reading.value


def _recorded(raw: bytes) -> Iterator[float]:
    lines = raw.decode("utf-8", "replace").split("\n")
    is_csv = not lines[0].startswith("{")
    columns = parse_header(lines[0]) if is_csv else ()
    for line in lines[is_csv:]:
        form = FileForm.CSV if is_csv else FileForm.JSONL
        yield from _of(parse_line(line, form, columns))


def _ipmi(raw: bytes) -> Iterator[float]:
    text = raw.decode("utf-8", "replace")
    yield from (sensor.value for sensor in ipmi_text.sensors(text))
    yield from ipmi_text.dcmi_power(text).values()


def _upload(raw: bytes) -> Iterator[float]:
    readings = decode(sealed(raw)).readings
    count = len(readings.series)
    facts = SeriesFacts(
        keys=readings.series,
        is_foreign=np.zeros(count, np.bool_),
        kept_from_ms=np.zeros(count, np.int64),
    )
    judged = judge(readings.rows, facts, 0, _AT)
    assert all(words(judged, facts, _AT))
    yield from readings.rows.value[judged.causes == 0].tolist()


def _policy(raw: bytes) -> Iterator[float]:
    read_policy(parse_document(_text(raw), "fuzz.yaml"))
    yield 0.0


def _sheet(raw: bytes) -> Iterator[float]:
    read_table(raw)
    yield 0.0


def _period(raw: bytes) -> Iterator[float]:
    from zoneinfo import ZoneInfo

    period = parse_period(_text(raw), ZoneInfo("Asia/Shanghai"), _AT)
    yield (period.end - period.start).total_seconds()


def _yaml_of_profiles() -> tuple[bytes, ...]:
    from importlib import resources

    folder = resources.files("collectors.profiles")
    return tuple((folder / f"{name}.yaml").read_bytes() for name in profile_names())


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _inside(batch: bytes) -> bytes:
    """Return what is inside a batch: damage under the checksum is what a parser must bear."""
    return zlib.decompress(batch[9:])


_UPLOADED: Final = gathered(
    Reading(
        subject=f"meter:m{number % 5}",
        metric=("energy_wh", "power_w")[number % 2],
        value=1.5 * number,
        at=_AT - timedelta(seconds=number),
        labels={"rack": "r1"} if number % 5 == 0 else {},
    )
    for number in range(40)
)
_UPLOAD: Final = _inside(
    encode(
        TelemetryUpload(
            id="b1",
            made_at=_AT,
            readings=_UPLOADED,
            reports=(SourceReport(source="pdu", is_up=True, duration_s=0.1, at=_AT),),
        )
    )
)
_ASKED: Final = pdu.request_pdu(pdu.Request.GET, 7, ["1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.5.0"])
_SNMP_SEEDS: Final = (pdu.message_2c(b"public", b"\xa2" + _ASKED[1:]),)
"""An answer: it differs from its question in the tag."""
_ROWS: Final = (("ref", "amount"), ("a-1", "12.50"), ("b-2", "7"))


def targets() -> tuple[Target, ...]:
    """Return every parser that reads what strangers write."""
    return (*_device_targets(), *_agent_targets(), *_people_targets())


def _device_targets() -> tuple[Target, ...]:
    """Return the parsers of what devices and agents send."""
    return (
        Target(
            name="prometheus",
            seeds=(b'node_load1{a="b\\"c",d="e"} 1.5 1700\npdu_power_kw 3e2\n# HELP x\n',),
            parse=_prometheus,
            refusals=(),
        ),
        Target(name="snmp", seeds=_SNMP_SEEDS, parse=_snmp, refusals=(BerError, usm.SecurityError)),
        Target(
            name="redfish",
            seeds=(
                _json({"PowerWatts": {"Reading": 4.5}, "EnergykWh": {"Reading": 12}}),
                _json({"PowerControl": [{"PowerConsumedWatts": 344}], "@odata.id": "/x"}),
                _json({"Temperatures": [{"Name": "Inlet", "ReadingCelsius": 21.5}]}),
                _json(
                    {
                        "Reading": 7,
                        "ReadingType": "Power",
                        "ReadingUnits": "W",
                        "Status": {"State": "Enabled", "Health": "OK"},
                    }
                ),
                _json({"Members": [{"@odata.id": "/redfish/v1/Chassis/1"}]}),
            ),
            parse=_redfish,
            refusals=(ValueError,),
        ),
        Target(
            name="bmc",
            seeds=fuzzing_redfish.trees(),
            parse=fuzzing_redfish.look_through,
            refusals=(ValueError, SourceError),
        ),
        Target(
            name="bmcplan",
            seeds=fuzzing_redfish.kept(),
            parse=fuzzing_redfish.remember,
            refusals=(),
        ),
        Target(
            name="mqtt",
            seeds=(_json({"p": [{"w": 12.5}], "at": "2026-11-20T00:00:00Z"}),),
            parse=_mqtt,
            refusals=(Nonsense,),
        ),
    )


def _agent_targets() -> tuple[Target, ...]:
    """Return the parsers of what files, programs and agents hand over."""
    return (
        Target(
            name="recorded",
            seeds=(
                b"at,subject,metric,value\n2026-11-20T00:00:00Z,meter:m1,power_w,12",
                _json(
                    {
                        "at": "2026-11-20T00:00:00Z",
                        "subject": "meter:m",
                        "metric": "power_w",
                        "value": 3,
                    }
                ),
            ),
            parse=_recorded,
            refusals=(BadLine,),
        ),
        Target(
            name="ipmi",
            seeds=(
                b"Inlet Temp,21,degrees C,ok\nPS1,350,Watts,ok\n",
                b"    Instantaneous power reading:   220 Watts\n    Power reading state is:  "
                b"activated\n",
            ),
            parse=_ipmi,
            refusals=(),
        ),
        Target(name="upload", seeds=(_UPLOAD,), parse=_upload, refusals=(BatchDamaged,)),
    )


def _people_targets() -> tuple[Target, ...]:
    """Return the parsers of what operators and applicants write."""
    return (
        Target(
            name="profile",
            seeds=_yaml_of_profiles(),
            parse=_profile,
            refusals=(BadInput, UnicodeDecodeError),
        ),
        Target(
            name="source",
            seeds=(
                _json(
                    {
                        "kind": "modbus",
                        "name": "m",
                        "device_id": "m",
                        "profile": "acrel_dtsd1352",
                        "host": "10.0.0.1",
                        "ct": 40,
                    }
                ),
                _json({"kind": "prometheus", "name": "p", "preset": "dcgm", "url": "http://h/m"}),
                _json({"kind": "host", "disk_paths": ["/"]}),
            ),
            parse=_source,
            refusals=(BadInput, ValueError),
        ),
        Target(
            name="policy",
            seeds=tuple(shipped_text(one).encode() for one in shipped_ids()),
            parse=_policy,
            refusals=(BadInput, UnicodeDecodeError),
        ),
        Target(
            name="sheet",
            seeds=(write_csv(_ROWS), write_xlsx(_ROWS)),
            parse=_sheet,
            refusals=(BadInput,),
        ),
        *(
            Target(name=name, seeds=seeds, parse=parse, refusals=refusals)
            for name, seeds, parse, refusals in fuzzing_inventory.PARSERS
        ),
        Target(
            name="period",
            seeds=(b"2026-11", b"2026-W47", b"last-24h", b"2026-11-01..2026-11-02T10:00+08:00"),
            parse=_period,
            refusals=(BadInput, UnicodeDecodeError),
        ),
    )


def damaged(seed: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an input with one to eight faults of a kind that the wire or a person makes."""
    raw = bytearray(seed)
    for _ in range(rng.randint(1, 8)):
        _FAULTS[rng.randrange(len(_FAULTS))](raw, others, rng)
    return bytes(raw[:BYTES_MAX])


def _flip(raw: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    if raw:
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)


def _drop(raw: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randint(0, len(raw))
    del raw[at : at + rng.randint(1, 16)]


def _double(raw: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randint(0, len(raw))
    raw[at:at] = raw[at : at + rng.randint(1, 64)]


def _cut(raw: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    del raw[rng.randint(0, len(raw)) :]


def _put(raw: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randint(0, len(raw))
    raw[at : at + rng.randint(0, 8)] = rng.choice(_TOKENS)


def _splice(raw: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    raw[rng.randint(0, len(raw)) :] = other[rng.randint(0, len(other)) :]


_FAULTS: Final = (_flip, _flip, _drop, _double, _cut, _put, _put, _splice)


def run_case(target: Target, raw: bytes) -> str:
    """Return what is wrong with a case, or nothing."""
    signal.setitimer(signal.ITIMER_PROF, CASE_S)
    try:
        for value in target.parse(raw):
            if not math.isfinite(value):
                return f"a reading of {value}"
    except target.refusals:
        return ""
    except Hang:
        return f"no end after {CASE_S:g} s"
    except BaseException as failure:  # noqa: BLE001 - whatever it is, it is what we look for
        return f"{type(failure).__name__}: {failure}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return ""


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise Hang


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a run found: how many cases of each parser, and the first failure."""

    cases: dict[str, int]
    failure: str = ""
    raw: bytes = b""


def fuzz(seconds: float, seed: int, wanted: Sequence[str] = ()) -> Found:
    """Run cases of all parsers in turn until the time is over or one fails."""
    signal.signal(signal.SIGPROF, _hang)
    rng = random.Random(seed)
    chosen = [one for one in targets() if not wanted or one.name in wanted]
    cases = dict.fromkeys((one.name for one in chosen), 0)
    # The clock of the machine: this program measures itself and is no part of the product.
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for target in chosen:
            for _ in range(20):
                raw = damaged(rng.choice(target.seeds), target.seeds, rng)
                cases[target.name] += 1
                if wrong := run_case(target, raw):
                    return Found(cases=cases, failure=f"{target.name}: {wrong}", raw=raw)
    return Found(cases=cases)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run from the command line; exit 1 after a failure, whose input is kept."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long, 60 for a night's run")
    parser.add_argument("--seed", type=int, default=0, help="0 draws one")
    parser.add_argument("--only", action="append", default=[], metavar="PARSER")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one kept input again")
    given = parser.parse_args()
    if given.replay:
        signal.signal(signal.SIGPROF, _hang)
        name = given.replay.name.split("-")[1]
        target = next(one for one in targets() if one.name == name)
        _say(run_case(target, given.replay.read_bytes()) or "no failure")
        return 0
    seed = given.seed or random.SystemRandom().randrange(1, 2**31)
    found = fuzz(given.minutes * 60, seed, given.only)
    for name, count in found.cases.items():
        _say(f"{name:<12} {count:>10,} cases")
    _say(f"{'in all':<12} {sum(found.cases.values()):>10,} cases, seed {seed}")
    if not found.failure:
        return 0
    path = Path(f"fuzz-{found.failure.split(':')[0]}-{seed}.bin")
    path.write_bytes(found.raw)
    _say(f'FAILED {found.failure}\n  make fuzz ARGS="--replay {path}"')
    return 1


if __name__ == "__main__":
    sys.exit(main())
