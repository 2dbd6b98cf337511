"""Dotted keys such as ``server.port``: which exist, and which one a misspelt key meant."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from pydantic import BaseModel

from suanwang.errors import BadInput
from suanwang.settings.tree import PREFIX, Group, Settings


def groups() -> Mapping[str, type[BaseModel]]:
    """Return every branch of the tree by its dotted path, in the order of the tree."""
    return dict(_branches(Settings, ""))


def keys() -> tuple[str, ...]:
    """Return the dotted key of every setting, in the order of the tree."""
    branches = groups()
    return tuple(
        f"{path}.{name}"
        for path, branch in branches.items()
        for name in branch.model_fields
        if f"{path}.{name}" not in branches
    )


def variable(key: str) -> str:
    """Return the environment variable of a dotted key."""
    return PREFIX + key.upper().replace(".", "__")


def flatten(values: Mapping[str, object], origin: str) -> dict[str, object]:
    """Return a nested mapping as dotted keys; an empty value counts as not given.

    Raises BadInput for a key that is not in the tree, naming it, ``origin`` and the nearest key.
    """
    return dict(_leaves(values, origin, ""))


def nested(flat: Mapping[str, object]) -> dict[str, object]:
    """Return dotted keys as the nested mapping that they mean."""
    tree: dict[str, object] = {}
    for key, value in flat.items():
        branch = tree
        *path, name = key.split(".")
        for part in path:
            deeper = branch.setdefault(part, {})
            assert isinstance(deeper, dict)
            branch = deeper
        branch[name] = value
    return tree


def nearest(key: str) -> str:
    """Return the setting or group that a wrong dotted key most likely meant, or nothing."""
    path, _, name = key.rpartition(".")
    known = (*keys(), *groups())
    beside = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == path}
    anywhere = {k.rpartition(".")[2]: k for k in known}
    for names in (beside, anywhere):
        if match := get_close_matches(name, names, n=1):
            return names[match[0]]
    match = get_close_matches(key, known, n=1)
    return match[0] if match else ""


def unknown_key(key: str, origin: str) -> BadInput:
    """Return the error for a key that is not in the tree."""
    meant = nearest(key)
    return BadInput(
        f"unknown setting {key} ({origin})",
        next_step=f"did you mean {meant}?" if meant else "docs/settings.md lists all of them",
        key=key,
        nearest=meant,
    )


def _branches(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            inner = f"{path}.{name}" if path else name
            yield inner, field.annotation
            yield from _branches(field.annotation, inner)


def _leaves(values: Mapping[str, object], origin: str, path: str) -> Iterator[tuple[str, object]]:
    known_keys, known_groups = keys(), groups()
    for name, value in values.items():
        key = f"{path}.{name}" if path else str(name)
        if key in known_groups:
            if isinstance(value, Mapping):
                yield from _leaves(value, origin, key)
            elif value is not None:
                raise BadInput(
                    f"{key} ({origin}) is {value!r}, but it is a group of settings", key=key
                )
        elif key not in known_keys:
            raise unknown_key(key, origin)
        elif value is not None:
            yield key, value
