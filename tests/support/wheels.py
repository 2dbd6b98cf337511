"""Builds the project's wheel and runs Python on what it installs, away from the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_BUILD: Final = (
    "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
)
_LEFT_OUT: Final = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "demo-*", "node_modules", "tests", "docs"
)


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the checkout and return its path in ``folder``."""
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=_LEFT_OUT)
    built = subprocess.run(
        [sys.executable, "-c", _BUILD, str(folder)], cwd=source, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack_wheel(wheel: Path) -> Path:
    """Unpack a wheel beside itself, as an installer would, and return that folder."""
    target = wheel.parent / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run_from_wheel(
    site_packages: Path, arguments: list[str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run Python in ``folder``; our packages come from the wheel, all others as usual."""
    environment = {**os.environ, "PYTHONPATH": str(site_packages), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
