"""Options of a job on the command line, turned into the metadata that the centre reads."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Annotated, Final

import typer

PACKAGE_BYTES_MAX: Final = 100 * 1024 * 1024
_SKIPPED: Final = frozenset({".git", "__pycache__", ".venv", "node_modules", ".mypy_cache"})

Units = Annotated[int | None, typer.Option(help="Accelerators (or cores) the job occupies.")]
Accelerator = Annotated[
    str | None, typer.Option(help="Models it can use, separated by commas; `cpu` for cores.")
]
MaxMinutes = Annotated[float | None, typer.Option(help="Longest run; money is held for all of it.")]
Elastic = Annotated[
    str | None,
    typer.Option(help="Other widths that will do, `UNITS:MINUTES` with commas: `16:30,4:150`."),
]
ExtendMinutes = Annotated[
    float | None, typer.Option(help="Add this much by itself when its time runs short.")
]
ExtendMaxMinutes = Annotated[
    float | None, typer.Option(help="Most that is added by itself in all.")
]
GraceS = Annotated[
    int | None, typer.Option(help="Seconds between the request to end and the kill.")
]
MayMove = Annotated[
    bool, typer.Option("--may-move", help="It saves its state when asked to end, and may move.")
]
CheckpointS = Annotated[int | None, typer.Option(help="Seconds to save, move and load its state.")]
Origin = Annotated[str | None, typer.Option(help="Where its users are, such as a district.")]
LatencyMs = Annotated[float | None, typer.Option(help="Longest round trip from the origin, ms.")]
DataClass = Annotated[str | None, typer.Option(help="general, important or government.")]
DataHome = Annotated[
    str | None, typer.Option(help="Data set it reads, which may bind it to a site.")
]
Voucher = Annotated[bool, typer.Option("--voucher/--no-voucher", help="Pay from vouchers first.")]
CashMax = Annotated[str | None, typer.Option(help="Most cash it may take, in yuan.")]
Deadline = Annotated[str | None, typer.Option(help="Must have ended by this RFC 3339 moment.")]
After = Annotated[
    str | None,
    typer.Option(help="Jobs that must have succeeded before, `JOB` or `JOB:GIGABYTES`, commas."),
]
Sites = Annotated[str | None, typer.Option(help="Only these sites, separated by commas.")]


def metadata_of(**options: str | float | int | bool | None) -> dict[str, str]:
    """Return the wishes as text metadata; what was not said is left out."""
    metadata: dict[str, str] = {}
    for name, value in options.items():
        is_usual = (name == "voucher" and value is True) or (name == "may_move" and not value)
        if value is None or is_usual:
            continue
        metadata[name] = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    return metadata


def pack(folder: Path) -> tuple[str, bytes]:
    """Return a package URI named by content, and the zip of ``folder``; equal trees give one name.

    Raises ValueError where the folder is missing or larger than a cluster takes.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and not _SKIPPED.intersection(inside.parts):
                entry = zipfile.ZipInfo(inside.as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
                entry.external_attr = (path.stat().st_mode & 0xFFFF) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    content = buffer.getvalue()
    if len(content) > PACKAGE_BYTES_MAX:
        raise ValueError(
            f"{folder} packs to {len(content):,} bytes; a package may have {PACKAGE_BYTES_MAX:,}"
        )
    return f"gcs://_ray_pkg_{hashlib.sha256(content).hexdigest()[:32]}.zip", content
