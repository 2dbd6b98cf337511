"""Loads profiles: devices as data, one strict schema for each protocol."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import ValidationError

from collectors.profiles.base import Profile
from collectors.profiles.modbus import ModbusProfile
from collectors.profiles.snmp import SnmpProfile
from collectors.words import explain, nearest
from suanwang.errors import BadInput

PROTOCOLS: Final[Mapping[str, type[ModbusProfile] | type[SnmpProfile]]] = {
    "modbus": ModbusProfile,
    "snmp": SnmpProfile,
}
"""The schema of each protocol."""

FILE_BYTES_MAX: Final = 1_048_576

AnyProfile = ModbusProfile | SnmpProfile
P = TypeVar("P", bound=Profile)


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that come with the product."""
    files = resources.files("collectors.profiles").iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def load_profile(name_or_path: str) -> AnyProfile:
    """Return a profile by its name, or from a YAML file; raise BadInput that says what is wrong."""
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise BadInput(f"there is no profile file {path}", path=str(path))
        if path.stat().st_size > FILE_BYTES_MAX:
            raise BadInput(f"{path} has more than {FILE_BYTES_MAX} bytes: that is no profile")
        return parse_profile(path.read_text(encoding="utf-8"), str(path))
    names = profile_names()
    if name_or_path not in names:
        raise BadInput(
            f"there is no profile {name_or_path!r}{nearest(name_or_path, names)}",
            next_step=f"use one of {', '.join(names)}, or the path of a YAML file",
        )
    file = resources.files("collectors.profiles") / f"{name_or_path}.yaml"
    return parse_profile(file.read_text(encoding="utf-8"), name_or_path)


def load_profile_of(protocol: type[P], name_or_path: str) -> P:
    """Return a profile that must be of one protocol; raise BadInput where it is of another."""
    profile = load_profile(name_or_path)
    if not isinstance(profile, protocol):
        wanted = next(name for name, model in PROTOCOLS.items() if issubclass(model, protocol))
        raise BadInput(
            f"profile {profile.name} speaks {profile.protocol}, and the source {wanted}",
            next_step=f"use a profile for {wanted}, or a source of kind {profile.protocol}",
        )
    return profile


def parse_profile(text: str, origin: str) -> AnyProfile:
    """Return the profile that a YAML text describes; raise BadInput naming ``origin`` and key."""
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        raise BadInput(f"profile {origin} is not YAML: {failure}") from failure
    if not isinstance(raw, dict):
        raise BadInput(f"profile {origin} is not a mapping of keys to values")
    protocol = raw.get("protocol")
    if not isinstance(protocol, str) or protocol not in PROTOCOLS:
        hint = nearest(str(protocol), PROTOCOLS)
        raise BadInput(
            f"profile {origin}: protocol {protocol!r} is not known{hint}",
            next_step=f"use one of {', '.join(PROTOCOLS)}",
        )
    model = PROTOCOLS[protocol]
    try:
        return model.model_validate(raw)
    except ValidationError as failure:
        known = {key for part in (model, *model.parts) for key in part.model_fields}
        raise BadInput(f"profile {origin}: {explain(failure, known)}") from failure
