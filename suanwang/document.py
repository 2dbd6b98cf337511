"""YAML files of ours, read without surprises: every complaint names file, line and key.

Duplicate keys and anchors are refused (both hide what a file says), sizes are bounded, and an
unknown key names the nearest known one.
"""

import difflib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from suanwang.errors import BadInput

DOCUMENT_BYTES_MAX: Final = 4_000_000
"""Larger files are refused: no file of ours comes near it."""
COMPLAINTS_MAX: Final = 5
"""So many mistakes are listed in one message."""

Key = str | int
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML file, with the line of every key."""

    name: str
    value: object
    root: yaml.Node | None

    def line_of(self, path: tuple[Key, ...]) -> int:
        """Return the line (from 1) of the deepest part of ``path`` that exists in the file."""
        node, line = self.root, 1
        for key in path:
            found = _child(node, key)
            if found is None:
                break
            line, node = found
        return line


def _child(node: yaml.Node | None, key: Key) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        item: yaml.Node = node.value[key]
        return item.start_mark.line + 1, item
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == str(key):
                return key_node.start_mark.line + 1, value_node
    return None


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses duplicate keys and anchors."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # as in the stubs
        if getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not allowed", problem_mark=event.start_mark
            )
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.MappingNode):
            _refuse_duplicates(node)
        return node


def _refuse_duplicates(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if str(key.value) in seen:
            raise yaml.MarkedYAMLError(
                problem=f"key {key.value!r} appears twice", problem_mark=key.start_mark
            )
        seen.add(str(key.value))


def parse_document(text: str, name: str) -> Document:
    """Parse YAML ``text``; raise BadInput with ``name`` and the line where it is not sound."""
    try:
        root, value = _load(text)
    except yaml.MarkedYAMLError as failure:
        line = failure.problem_mark.line + 1 if failure.problem_mark else 1
        raise BadInput(f"{name}:{line}: {failure.problem}", file=name, line=line) from failure
    except (yaml.YAMLError, ValueError) as failure:
        raise BadInput(f"{name}: {failure}", file=name) from failure
    except RecursionError as failure:
        raise BadInput(f"{name} is nested too deeply", file=name) from failure
    return Document(name=name, value=value, root=root)


def _load(text: str) -> tuple[yaml.Node | None, object]:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def read_document(path: Path) -> Document:
    """Read a YAML file; raise BadInput where it is missing, too large, not text or not YAML."""
    try:
        if path.stat().st_size > DOCUMENT_BYTES_MAX:
            raise BadInput(f"{path} is larger than {DOCUMENT_BYTES_MAX} bytes", file=str(path))
        text = path.read_text(encoding="utf-8")
    except OSError as failure:
        message = f"cannot read {path}: {failure.strerror or failure}"
        raise BadInput(message, file=str(path), next_step="Check the path.") from failure
    except UnicodeDecodeError as failure:
        raise BadInput(f"{path} is not UTF-8 text: {failure.reason}", file=str(path)) from failure
    return parse_document(text, str(path))


def validate(document: Document, model: type[ModelT]) -> ModelT:
    """Read a document as ``model``; raise BadInput listing the first mistakes and their lines."""
    try:
        return model.model_validate(document.value)
    except ValidationError as failure:
        errors = failure.errors(include_url=False, include_context=False)
        lines = [_complaint(document, model, error) for error in errors[:COMPLAINTS_MAX]]
        if len(errors) > COMPLAINTS_MAX:
            lines.append(f"and {len(errors) - COMPLAINTS_MAX} more")
        raise BadInput("\n".join(lines), file=document.name) from failure


def complain(document: Document, path: tuple[Key, ...], message: str) -> BadInput:
    """Return the error for a mistake at ``path`` that only the caller can see."""
    line = document.line_of(path)
    where = ".".join(str(part) for part in path)
    return BadInput(f"{document.name}:{line}: {where}: {message}", file=document.name, line=line)


def _complaint(document: Document, model: type[BaseModel], error: ErrorDetails) -> str:
    path = error["loc"]
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown key" + _nearest(model, path)
    elif error["type"] == "missing":
        message = "this key is missing"
    return str(complain(document, path, message).message)


def _nearest(model: type[BaseModel], path: tuple[Key, ...]) -> str:
    known = _keys_at(model, path[:-1])
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def _keys_at(model: type[BaseModel], path: tuple[Key, ...]) -> list[str]:
    """Return the keys that a model knows at a path through its fields."""
    here: type[BaseModel] | None = model
    for key in path:
        if here is None or isinstance(key, int):
            continue
        fields = {info.alias or name: info for name, info in here.model_fields.items()}
        if key in fields:
            here = next(_models_in(fields[key].annotation), None)
    if here is None:
        return []
    return [info.alias or name for name, info in here.model_fields.items()]


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)
