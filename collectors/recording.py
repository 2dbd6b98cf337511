"""What a device answered, kept in a file and played back: profiles are tested without devices."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from collectors.modbus_client import Identification, ModbusFailure
from collectors.snmp.ber import BerError, Missing, Value, oid_bytes
from collectors.snmp.client import SnmpReader
from collectors.sources.modbus import RegisterReader
from collectors.words import explain
from suanwang.errors import BadInput

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
_ILLEGAL_ADDRESS: Final = 2
_FORMAT: Final = "suanwang-recording/1"

Function = Literal["holding", "input"]
Word = Annotated[int, Field(ge=0, le=65_535)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RecordedValue(_Model):
    """One value of an SNMP object; exactly one key is set. Text stands as hexadecimal bytes."""

    number: int | float | None = None
    hex: str | None = None
    oid: str | None = None
    missing: Missing | None = None


class Recording(_Model):
    """Everything that a device was asked, and what it said; no secret is ever in it."""

    format: Literal["suanwang-recording/1"] = _FORMAT
    protocol: Literal["snmp", "modbus"]
    unit: int = 1
    recorded_at: str
    objects: dict[str, RecordedValue] = Field(default_factory=dict)
    registers: dict[Function, dict[int, Word]] = Field(default_factory=dict)
    identification: dict[str, str] = Field(default_factory=dict)


def load_recording(path: Path) -> Recording:
    """Return a recording from its file; raise BadInput."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise BadInput(f"{path} has more than {FILE_BYTES_MAX} bytes: that is no recording")
        recording = Recording.model_validate(json.loads(path.read_text(encoding="utf-8")))
        for oid in recording.objects:
            oid_bytes(oid)
    except OSError as failure:
        raise BadInput(f"the recording {path} cannot be read: {failure.strerror}") from failure
    except ValidationError as failure:
        known = {*Recording.model_fields, *RecordedValue.model_fields}
        raise BadInput(f"recording {path}: {explain(failure, known)}") from failure
    except (BerError, ValueError, RecursionError) as failure:
        raise BadInput(f"{path} is no recording: {failure}") from failure
    return recording


def save_recording(recording: Recording, path: Path) -> None:
    """Write a recording; raise BadInput where the file is there already or cannot be written."""
    text = recording.model_dump_json(indent=1, exclude_none=True, exclude_defaults=False)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text + "\n")
    except FileExistsError as failure:
        raise BadInput(f"{path} is there already", next_step="name another file") from failure
    except OSError as failure:
        raise BadInput(f"{path} cannot be written: {failure.strerror}") from failure


def _recorded(value: Value) -> RecordedValue:
    match value:
        case Missing():
            return RecordedValue(missing=value)
        case None:
            return RecordedValue(missing=Missing.FAILED)
        case bytes():
            return RecordedValue(hex=value.hex())
        case str():
            return RecordedValue(oid=value)
        case int() | float():
            return RecordedValue(number=value)
        case _:
            assert_never(value)


def _played(value: RecordedValue) -> Value:
    if value.number is not None:
        return value.number
    if value.hex is not None:
        return bytes.fromhex(value.hex)
    return value.oid if value.oid is not None else value.missing or Missing.FAILED


class ObjectRecorder:
    """An SNMP reader that remembers what it is told."""

    def __init__(self, reader: SnmpReader, recording: Recording) -> None:
        self._reader = reader
        self._recording = recording

    @property
    def target(self) -> str:
        """What is read, for messages."""
        return self._reader.target

    async def get(self, oids: Sequence[str]) -> Mapping[str, Value]:
        """Return what the device says."""
        return self._noted(await self._reader.get(oids))

    async def walk(self, oid: str) -> Mapping[str, Value]:
        """Return what the device lists."""
        return self._noted(await self._reader.walk(oid))

    def _noted(self, found: Mapping[str, Value]) -> Mapping[str, Value]:
        for oid, value in found.items():
            self._recording.objects[oid] = _recorded(value)
        return found

    def close(self) -> None:
        """Let go of the device."""
        self._reader.close()


class RecordedObjects:
    """An SNMP reader that plays a recording."""

    def __init__(self, recording: Recording, target: str) -> None:
        self._objects = {oid: _played(value) for oid, value in recording.objects.items()}
        self._in_order = sorted(self._objects, key=lambda oid: [int(arc) for arc in oid.split(".")])
        self.target = target

    async def get(self, oids: Sequence[str]) -> Mapping[str, Value]:
        """Return what was said."""
        return {oid: self._objects.get(oid, Missing.NO_OBJECT) for oid in oids}

    async def walk(self, oid: str) -> Mapping[str, Value]:
        """Return what was listed."""
        return {
            name: self._objects[name]
            for name in self._in_order
            if name.startswith(f"{oid}.") and not isinstance(self._objects[name], Missing)
        }

    def close(self) -> None:
        """Nothing is open."""


class RegisterRecorder:
    """A Modbus reader that remembers what it is told."""

    def __init__(self, reader: RegisterReader, recording: Recording) -> None:
        self._reader = reader
        self._recording = recording

    @property
    def target(self) -> str:
        """What is read, for messages."""
        return self._reader.target

    async def read(self, address: int, count: int, function: Function) -> tuple[int, ...]:
        """Return what the device says."""
        words = await self._reader.read(address, count, function)
        kept = self._recording.registers.setdefault(function, {})
        kept.update(enumerate(words, address))
        return words

    async def identify(self) -> Identification:
        """Return what the device calls itself."""
        found = await self._reader.identify()
        self._recording.identification = {"vendor": found.vendor, "product": found.product}
        return found

    def close(self) -> None:
        """Let go of the device."""
        self._reader.close()


class RecordedRegisters:
    """A Modbus reader that plays a recording; what was not recorded is an illegal address."""

    def __init__(self, recording: Recording, target: str) -> None:
        self._recording = recording
        self.target = target

    async def read(self, address: int, count: int, function: Function) -> tuple[int, ...]:
        """Return what was said."""
        kept = self._recording.registers.get(function, {})
        try:
            return tuple(kept[place] for place in range(address, address + count))
        except KeyError as failure:
            raise ModbusFailure(
                f"{self.target} has no {function} registers {address} to {address + count - 1}",
                target=self.target,
                exception_code=_ILLEGAL_ADDRESS,
            ) from failure

    async def identify(self) -> Identification:
        """Return what the device called itself."""
        kept = self._recording.identification
        return Identification(kept.get("vendor", ""), kept.get("product", ""))

    def close(self) -> None:
        """Nothing is open."""
