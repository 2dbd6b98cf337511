"""The files of this checkout, for tests about the project itself."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
_NEVER_OURS: Final = frozenset({"build", "dist", "node_modules", "venv"})
GENERATED: Final = Path("suanwang/db/migrations/versions")
"""Alembic writes these; nobody reads them as prose."""


def files() -> tuple[Path, ...]:
    """Return every file of the project: what git tracks or would add, or what lies here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
        return tuple(sorted(path for path in paths if path.is_file()))
    return tuple(sorted(path for path in ROOT.rglob("*") if path.is_file() and _is_ours(path)))


def python_files() -> tuple[Path, ...]:
    """Return every Python file that people write."""
    written = (path for path in files() if path.suffix == ".py")
    return tuple(path for path in written if not path.is_relative_to(ROOT / GENERATED))


def pyproject() -> dict[str, Any]:
    """Return the project file."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages() -> tuple[str, ...]:
    """Return the names of our top-level packages."""
    roots = pyproject()["tool"]["importlinter"]["root_packages"]
    return tuple(str(name) for name in roots)


def _is_ours(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return not any(part.startswith(".") or part in _NEVER_OURS for part in parts)
