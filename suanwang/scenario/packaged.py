"""The worlds that come with the product, found by name from any folder."""

from importlib import resources
from pathlib import Path
from typing import Final

FOLDER: Final = "scenarios"


def packaged_worlds() -> dict[str, Path]:
    """Return the packaged world files by name."""
    folder = Path(str(resources.files(FOLDER)))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def world_path(name: str | Path) -> Path:
    """Return the file of a world: the given path if it exists, else the packaged one it names.

    ``qingdao`` and ``scenarios/qingdao.yaml`` both name the packaged world where no such file lies
    in the present folder. Any other path is returned as it is, for the reader to complain about.
    """
    path = Path(name)
    if path.exists() or str(path.parent) not in (".", FOLDER) or path.suffix not in ("", ".yaml"):
        return path
    return packaged_worlds().get(path.stem, path)
