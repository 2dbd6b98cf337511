"""Reads the layers of settings and lays them over each other, remembering who said what."""

import os
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource, YamlConfigSettingsSource
from yaml import YAMLError

from suanwang.errors import BadInput
from suanwang.settings.keys import flatten, groups, keys, nested, unknown_key, variable
from suanwang.settings.tree import PREFIX, Settings

PROJECT_FILE: Final = Path("suanwang.yaml")
CONFIG_VARIABLE: Final = "SUANWANG_CONFIG"
MARKS: Final = frozenset({CONFIG_VARIABLE, "SUANWANG_ATTEMPT", "SUANWANG_CLUSTER", "SUANWANG_RUN"})
"""Variables with our prefix that are no settings: the file's name, and marks on processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings, and the origin of each by its key: a flag, a variable, a file or the default.

    ``files`` are those that were read.
    """

    settings: Settings
    origins: Mapping[str, str]
    files: tuple[Path, ...] = ()

    def text(self, key: str) -> str:
        """Return a value for people to read; of a secret only whether it is set."""
        value: object = self.settings
        for part in key.split("."):
            value = getattr(value, part)
        if isinstance(value, SecretStr):
            return "(set)" if value.get_secret_value() else ""
        return str(value)


def load(
    flags: Mapping[str, object] | None = None,
    *,
    config: Path | None = None,
    user_file: Path | None = None,
) -> Loaded:
    """Return the settings of this process.

    ``flags`` maps dotted keys (``server.port``) to values, None meaning "not given". ``config``
    takes the place of the project file, and must exist. Raises BadInput, which names the key and
    where it stands.
    """
    files = _files(config, user_file)
    layers = {
        "flag": {key: value for key, value in (flags or {}).items() if value is not None},
        "environment": _environment(),
        **{f"file {path}": _read(path) for path in files},
    }
    origins = {key: _origin(key, layers) for key in keys()}
    given = ChainMap(*layers.values())
    try:
        settings = Settings.model_validate(nested(given))
    except ValidationError as failure:
        raise _wrong_value(failure, origins) from None
    return Loaded(settings=settings, origins=origins, files=tuple(files))


def default_user_file() -> Path:
    """Return the path of the user's own settings file."""
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "suanwang" / "config.yaml"


def _environment() -> dict[str, object]:
    known = {variable(key) for key in (*keys(), *groups())}
    for name in sorted(os.environ):
        upper = name.upper()
        if upper.startswith(PREFIX) and upper not in known | MARKS:
            key = upper.removeprefix(PREFIX).lower().replace("__", ".")
            raise unknown_key(key, f"environment {name}")
    try:
        return flatten(EnvSettingsSource(Settings)(), "environment")
    except ValueError as failure:
        raise BadInput(
            f"a {PREFIX}… variable that takes JSON is not valid JSON: {failure}",
            next_step="""write lists as JSON, such as '[{"kind": "host", "name": "host"}]'""",
        ) from None


def _files(config: Path | None, user_file: Path | None) -> list[Path]:
    if config is None and os.environ.get(CONFIG_VARIABLE):
        config = Path(os.environ[CONFIG_VARIABLE])
    if config is not None and not config.is_file():
        raise BadInput(f"there is no settings file {config}", next_step="check the path")
    candidates = (config or PROJECT_FILE, user_file or default_user_file())
    return [path for path in candidates if path.is_file()]


def _read(path: Path) -> dict[str, object]:
    origin = f"file {path}"
    try:
        values = YamlConfigSettingsSource(Settings, yaml_file=path, yaml_file_encoding="utf-8")()
    except (OSError, ValueError, TypeError, YAMLError) as failure:
        raise BadInput(
            f"settings {origin} cannot be read: {failure}",
            next_step="a settings file is YAML: groups, each with its keys",
        ) from None
    return flatten(values, origin)


def _origin(key: str, layers: Mapping[str, Mapping[str, object]]) -> str:
    origin = next((origin for origin, values in layers.items() if key in values), "default")
    return f"environment {variable(key)}" if origin == "environment" else origin


def _wrong_value(failure: ValidationError, origins: Mapping[str, str]) -> BadInput:
    """Turn pydantic's first complaint into ours; the value itself may be a secret."""
    first = failure.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    key = max((key for key in origins if path.startswith(key)), key=len, default=path)
    return BadInput(
        f"setting {path} ({origins.get(key, 'flag')}): {first['msg']}",
        next_step="docs/settings.md says what it takes",
        key=path,
    )
