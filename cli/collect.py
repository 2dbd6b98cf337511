"""``suanwang collect``: what a device is, which profile fits, and whether one reads it rightly."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.collect_device import (
    Access,
    Auth,
    AuthFile,
    CommunityFile,
    Ct,
    Priv,
    PrivFile,
    Pt,
    TargetText,
    TimeoutS,
    Tries,
    User,
    live_device,
    recorded_device,
    source_of,
)
from cli.collect_redfish import (
    CaFile,
    Fingerprint,
    PasswordFile,
    RedfishAccess,
    read_redfish,
    redfish_settings,
)
from cli.output import AsJson, Json, emit_json, line, note, table
from suanwang.errors import BadInput, SuanwangError

if TYPE_CHECKING:
    from collectors.probe import Fit
    from collectors.recording import Recording
    from collectors.target import Target
    from suanwang.model.reading import Reading

SAMPLES_SHOWN = 12

app = typer.Typer(no_args_is_help=True, help="Look at devices, and try profiles on them.")
profile_app = typer.Typer(no_args_is_help=True, help="Profiles: what a kind of device measures.")
app.add_typer(profile_app, name="profile")

Profiles = Annotated[
    list[str] | None, typer.Option("--profile", help="Try only these: names, or YAML files.")
]


@app.command()
def probe(
    target: TargetText,
    profiles: Profiles = None,
    community_file: CommunityFile = None,
    user: User = None,
    auth: Auth = None,
    auth_file: AuthFile = None,
    priv: Priv = None,
    priv_file: PrivFile = None,
    timeout_s: TimeoutS = 1.0,
    tries: Tries = 2,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    fingerprint: Fingerprint = None,
    ct: Ct = 1.0,
    pt: Pt = 1.0,
    as_json: AsJson = False,
) -> None:
    """Read a device and say which profiles fit, what they read, and what to write down for it."""
    from collectors.target import parse_target

    where = parse_target(target)
    if where.protocol.startswith("redfish"):
        trust = RedfishAccess(
            user=user, password_file=password_file, ca_file=ca_file, fingerprint=fingerprint
        )
        _print_redfish(redfish_settings(where, trust), as_json=as_json)
        return

    access = Access(
        community_file=community_file, user=user, auth=auth, auth_file=auth_file,
        priv=priv, priv_file=priv_file, timeout_s=timeout_s, tries=tries,
    )  # fmt: skip
    fits = asyncio.run(_probe(where, access, profiles or (), ct, pt))
    if as_json:
        emit_json([_fit_document(fit, where, access, ct, pt) for fit in fits])
    else:
        _print_fits(fits, where, access, ct, pt)
    if not any(fit.fits for fit in fits):
        raise typer.Exit(1)


def _print_redfish(settings: dict[str, object], *, as_json: bool) -> None:
    readings = read_redfish(settings)
    if as_json:
        emit_json({"readings": [_reading(each) for each in readings], "source": settings})
        return
    line("a Redfish device describes itself, and needs no profile; it reads:")
    _print_readings(readings)
    _print_settings(settings)


def _print_settings(settings: Json) -> None:
    line("into the agent's file, under sources:")
    line("  - {" + ", ".join(f"{key}: {value}" for key, value in settings.items()) + "}")


async def _probe(
    target: "Target", access: Access, names: Sequence[str], ct: float, pt: float
) -> "list[Fit]":
    from collectors.probe import Ratios, best_first, probe_modbus, probe_snmp
    from suanwang.clock import SystemClock

    ratios = Ratios(unit=target.unit, ct=ct, pt=pt)
    device, clock = live_device(target, access), SystemClock()
    if device.objects is not None:
        try:
            return best_first(await _told(probe_snmp(device.objects, clock, ratios, names)))
        finally:
            device.objects.close()
    assert device.registers is not None
    try:
        return best_first(await _told(probe_modbus(device.registers, clock, ratios, names)))
    finally:
        device.registers.close()


async def _told(fits: "AsyncIterator[Fit]") -> "list[Fit]":
    found = []
    async for fit in fits:
        note(f"{fit.profile}: {f'fits, {fit.score} of 100' if fit.fits else 'does not fit'}")
        found.append(fit)
    return found


@app.command()
def record(
    target: TargetText,
    file: Annotated[Path, typer.Argument(help="JSON file to write; it must not exist.")],
    profiles: Profiles = None,
    walk: Annotated[
        list[str] | None, typer.Option("--walk", help="SNMP: also all objects below this one.")
    ] = None,
    community_file: CommunityFile = None,
    user: User = None,
    auth: Auth = None,
    auth_file: AuthFile = None,
    priv: Priv = None,
    priv_file: PrivFile = None,
    timeout_s: TimeoutS = 1.0,
    tries: Tries = 2,
    as_json: AsJson = False,
) -> None:
    """Record what a live device answers, without any secret, for `profile test --recorded`."""
    from collectors.recording import save_recording
    from collectors.target import parse_target

    access = Access(
        community_file=community_file, user=user, auth=auth, auth_file=auth_file,
        priv=priv, priv_file=priv_file, timeout_s=timeout_s, tries=tries,
    )  # fmt: skip
    where = parse_target(target)
    recording = asyncio.run(_record(where, access, profiles or (), walk or ()))
    save_recording(recording, file)
    numbers = len(recording.objects) + sum(len(kept) for kept in recording.registers.values())
    if as_json:
        emit_json({"file": str(file), "protocol": recording.protocol, "values": numbers})
    else:
        line(f"{numbers} values of {where} are in {file}")


async def _record(
    target: "Target", access: Access, names: Sequence[str], walks: Sequence[str]
) -> "Recording":
    from collectors.probe import Ratios, probe_modbus, probe_snmp
    from collectors.recording import ObjectRecorder, Recording, RegisterRecorder
    from suanwang.clock import SystemClock

    clock = SystemClock()
    ratios = Ratios(unit=target.unit)
    at = clock.now().isoformat()
    device = live_device(target, access)
    if device.objects is not None:
        recording = Recording(protocol="snmp", unit=target.unit, recorded_at=at)
        objects = ObjectRecorder(device.objects, recording)
        try:
            await _told(probe_snmp(objects, clock, ratios, names))
            for oid in walks:
                await objects.walk(oid)
        finally:
            objects.close()
        return recording
    assert device.registers is not None
    recording = Recording(protocol="modbus", unit=target.unit, recorded_at=at)
    registers = RegisterRecorder(device.registers, recording)
    try:
        await _told(probe_modbus(registers, clock, ratios, names))
    finally:
        registers.close()
    return recording


@profile_app.command("list")
def list_profiles(as_json: AsJson = False) -> None:
    """List the profiles that come with the product."""
    from collectors.profiles.profile import load_profile, profile_names

    found = [load_profile(name) for name in profile_names()]
    if as_json:
        emit_json(
            [
                {
                    "name": each.name,
                    "protocol": each.protocol,
                    "device": each.device,
                    "title": each.title,
                    "mark": each.mark,
                    "points": len(list(each.all_keys())),
                }
                for each in found
            ]
        )
        return
    rows = [
        (e.name, e.protocol, e.device, e.mark, str(len(list(e.all_keys()))), e.title) for e in found
    ]
    table(("profile", "protocol", "device", "mark", "points", "title"), rows)


@profile_app.command("show")
def show_profile(
    name: Annotated[str, typer.Argument(help="Name of a profile, or a YAML file.")],
    as_json: AsJson = False,
) -> None:
    """Show a profile: where it is from, and what it reads where."""
    from collectors.profiles.profile import load_profile

    profile = load_profile(name)
    if as_json:
        emit_json(profile.model_dump(mode="json", exclude_defaults=True))
        return
    line(f"{profile.name}: {profile.title} ({profile.protocol}, {profile.device})")
    line(f"source: {profile.source} ({profile.mark})")
    rows = [
        (key, "" if point.required else "optional", _settings_of(point.model_dump(mode="json")))
        for key, point in profile.points_of().items()
    ]
    rows += [
        (key, "derived", f"{recipe.formula} of {', '.join(recipe.of)}")
        for key, recipe in profile.derived.items()
    ]
    table(("point", "", "where and how"), rows)


def _settings_of(values: Json) -> str:
    """Return a point's settings but those that say nothing."""
    silent: tuple[Json, ...] = (None, "", {}, [], False, "none")
    shown = {
        key: value
        for key, value in values.items()
        if not any(value == nothing and type(value) is type(nothing) for nothing in silent)
    }
    for key, default in (("scale", 1.0), ("offset", 0.0), ("resolution", 1.0), ("modulus", 0)):
        if shown.get(key) == default:
            del shown[key]
    shown.pop("required", None)
    return ", ".join(f"{key} {value}" for key, value in shown.items())


@profile_app.command("test")
def try_profile(
    name: Annotated[str, typer.Argument(help="Name of a profile, or a YAML file.")],
    target: Annotated[str | None, typer.Option(help="Live device: snmp://… or modbus://…")] = None,
    recording: Annotated[
        Path | None, typer.Option("--recorded", help="Recording of a device.")
    ] = None,
    community_file: CommunityFile = None,
    user: User = None,
    auth: Auth = None,
    auth_file: AuthFile = None,
    priv: Priv = None,
    priv_file: PrivFile = None,
    timeout_s: TimeoutS = 1.0,
    tries: Tries = 2,
    ct: Ct = 1.0,
    pt: Pt = 1.0,
    as_json: AsJson = False,
) -> None:
    """Read a live or recorded device by one profile; exit code 1 where it cannot be read."""
    from collectors.profiles.profile import load_profile
    from collectors.target import parse_target

    if (target is None) == (recording is None):
        raise BadInput("give --target or --recorded, and not both")
    access = Access(
        community_file=community_file, user=user, auth=auth, auth_file=auth_file,
        priv=priv, priv_file=priv_file, timeout_s=timeout_s, tries=tries,
    )  # fmt: skip
    profile = load_profile(name)
    if recording is not None:
        device = recorded_device(recording)
    else:
        device = live_device(parse_target(target or ""), access)
    source = source_of(profile, device, ct=ct, pt=pt)

    async def once() -> "Sequence[Reading]":
        try:
            return await source.collect()
        finally:
            await source.close()

    try:
        readings = asyncio.run(once())
    except SuanwangError as failure:
        if as_json:
            emit_json({"profile": profile.name, "ok": False, "problem": failure.message})
            raise typer.Exit(1) from failure
        raise
    if as_json:
        emit_json(
            {"profile": profile.name, "ok": True, "readings": [_reading(each) for each in readings]}
        )
    else:
        _print_readings(readings)


def _reading(reading: "Reading") -> Json:
    return {
        "subject": reading.subject,
        "metric": reading.metric,
        "value": reading.value,
        "quality": reading.quality.value,
    }


def _print_readings(readings: "Sequence[Reading]") -> None:
    rows = [(each.subject, each.metric, f"{each.value:,.6g}", each.quality) for each in readings]
    table(("subject", "metric", "value", "quality"), rows)


def _source_settings(fit: "Fit", target: "Target", access: Access, ct: float, pt: float) -> Json:
    """Return what to write into the agent's file."""
    settings: dict[str, object] = {
        "kind": target.protocol,
        "name": "NAME",
        "device_id": "ID",
        "profile": fit.profile,
        "host": target.host,
        "port": target.port,
        "unit": target.unit,
    }
    if target.protocol == "snmp":
        settings |= access.settings()
    else:
        settings |= {key: ratio for key, ratio in (("ct", ct), ("pt", pt)) if ratio != 1.0}
    return settings


def _fit_document(fit: "Fit", target: "Target", access: Access, ct: float, pt: float) -> Json:
    return {
        "profile": fit.profile,
        "title": fit.title,
        "mark": fit.mark,
        "fits": fit.fits,
        "score": fit.score,
        "is_known": fit.is_known,
        "problem": fit.problem,
        "lacking": list(fit.lacking),
        "readings": [_reading(reading) for reading in fit.readings],
        "source": _source_settings(fit, target, access, ct, pt) if fit.fits else None,
        "registration": fit.registration or None,
    }


def _print_fits(fits: "list[Fit]", target: "Target", access: Access, ct: float, pt: float) -> None:
    rows = [
        (
            fit.profile,
            str(fit.score),
            {True: "yes", False: "no", None: "–"}[fit.is_known],
            str(len(fit.readings)),
            fit.problem or "fits",
        )
        for fit in fits
    ]
    table(("profile", "score", "known", "readings", "verdict"), rows)
    best = fits[0] if fits and fits[0].fits else None
    if best is None:
        line("no profile fits; write your own (docs/profiles.md) and try it with --profile FILE")
        return
    line()
    line(f"{best.profile} ({best.mark}) reads:")
    _print_readings(best.readings[:SAMPLES_SHOWN])
    if len(best.readings) > SAMPLES_SHOWN:
        line(f"… and {len(best.readings) - SAMPLES_SHOWN} more")
    line()
    _print_settings(_source_settings(best, target, access, ct, pt))
    if best.registration:
        known = ", ".join(f"{key} {value:,.15g}" for key, value in best.registration.items())
        line(f"into the registration of the meter: {known}")
