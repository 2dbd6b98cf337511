"""Packages of a run on Ray: named after their bytes, whatever their uploader called them.

Ray overwrites a package silently on a second upload of a name, and a client chooses the name. A run
therefore never refers to a client's name: the URI is rewritten to the digest of the bytes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GCS: Final = "gcs://"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Package:
    """A file to upload, and the name under which Ray shall know it."""

    name: str
    path: Path

    @property
    def uri(self) -> str:
        """The URI to put into a runtime environment."""
        return GCS + self.name


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    sha256 = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            sha256.update(chunk)
    return sha256.hexdigest()


def content_name(uri: str, sha256: str) -> str:
    """Return a name for a package made from its bytes, with the ending that Ray reads from it.

    A wheel keeps its name, since pip reads it, and carries the digest as its build tag.
    """
    name = uri.removeprefix(GCS).rsplit("/", 1)[-1]
    if name.endswith(".whl"):
        parts = name.removesuffix(".whl").split("-")
        if len(parts) in (5, 6):
            return "-".join([*parts[:2], f"0{sha256[:32]}", *parts[-3:]]) + ".whl"
    for ending in (".tar.gz", ".zip", ".jar", ".tar"):
        if name.endswith(ending):
            return f"_ray_pkg_{sha256[:40]}{ending}"
    return f"_ray_pkg_{sha256[:40]}.zip"


def name_packages(paths: Mapping[str, Path]) -> dict[str, Package]:
    """Return each URI's package under its content name; reads the files."""
    return {uri: Package(content_name(uri, digest(path)), path) for uri, path in paths.items()}


def rewrite(
    runtime_env: Mapping[str, object],
    packages: Mapping[str, Package],
    variables: Mapping[str, str],
) -> dict[str, object]:
    """Return the environment with content-named packages, and ``variables`` over its own."""
    env = dict(runtime_env)
    working_dir = env.get("working_dir")
    if isinstance(working_dir, str) and working_dir in packages:
        env["working_dir"] = packages[working_dir].uri
    modules = env.get("py_modules")
    if isinstance(modules, list | tuple):
        env["py_modules"] = [
            packages[uri].uri if isinstance(uri, str) and uri in packages else uri
            for uri in modules
        ]
    own = env.get("env_vars")
    env["env_vars"] = {**(own if isinstance(own, dict) else {}), **variables}
    return env
