"""Where policies come from: the files shipped with the program, and files of your own."""

from importlib import resources
from pathlib import Path
from typing import Final

from suanwang.document import parse_document, read_document
from suanwang.errors import BadInput, NotFound
from voucher.programmes.schema import Policy
from voucher.programmes.values import read_policy

_DATA: Final = "voucher.programmes.data"


def shipped_ids() -> tuple[str, ...]:
    """Return the ids of the shipped policies, sorted."""
    names = (item.name for item in resources.files(_DATA).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def shipped(policy_id: str) -> Policy:
    """Return a shipped policy; raise NotFound, which names the known ones."""
    if policy_id not in shipped_ids():
        known = ", ".join(shipped_ids())
        raise NotFound(f"no policy {policy_id!r} is shipped", next_step=f"Shipped are: {known}.")
    return read_policy(parse_document(_shipped_text(policy_id), f"{policy_id}.yaml"))


def shipped_text(policy_id: str) -> str:
    """Return the text of a shipped policy's file; raise NotFound, which names the known ones."""
    shipped(policy_id)
    return _shipped_text(policy_id)


def _shipped_text(policy_id: str) -> str:
    return resources.files(_DATA).joinpath(f"{policy_id}.yaml").read_text(encoding="utf-8")


def load(name: str) -> Policy:
    """Return the policy in a file, or the shipped one of that id; raise BadInput or NotFound."""
    path = Path(name)
    if path.exists():
        return read_policy(read_document(path))
    if path.suffix in (".yaml", ".yml", ".json"):
        raise BadInput(f"cannot read {name}: no such file", file=name, next_step="Check the path.")
    return shipped(name)


def text_of(name: str) -> str:
    """Return the text of the file that ``load`` reads; raise as it does."""
    policy = load(name)
    path = Path(name)
    return path.read_text(encoding="utf-8") if path.exists() else _shipped_text(policy.id)
