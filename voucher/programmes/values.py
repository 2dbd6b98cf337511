"""The values of a policy by path, their marks, the gaps among them, and the digest.

A path joins keys by dots; an item of a list is named by its ``id``, or by its place (from 0) if it
has none: ``caps.pool.amount_fen``, ``eligibility.0.value``.
"""

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from suanwang.document import Document, Key, complain, parse_document, validate
from suanwang.errors import BadInput, Conflict
from suanwang.units import parse_yuan
from voucher.programmes.facts import APPLICANT, FactKind
from voucher.programmes.findings import Finding, finding
from voucher.programmes.schema import Mark, MarkKind, Policy
from voucher.programmes.sentences import Code

EVERYTHING: Final = "*"
"""The mark of every value that has none of its own."""
UNMARKED: Final = frozenset(
    {"schema", "id", "version", "name", "region", "currency", "facts", "sources", "marks"}
)
"""Keys that name the policy and say nothing about money."""
_APPLICANT_ONLY: Final = ("eligibility", "caps.", "funders.", "shortage.")

Tree = Any
"""What the file says, as plain dictionaries, lists and values: it is only walked here."""


def tree_of(policy: Policy) -> dict[str, Tree]:
    """Return what the policy says; keys that its file leaves out are left out."""
    return policy.model_dump(mode="json", by_alias=True, exclude_unset=True)


def digest(policy: Policy) -> str:
    """Return the SHA-256 of the canonical form: UTF-8 JSON, keys sorted, no blanks."""
    text = json.dumps(tree_of(policy), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def check_unchanged(policy: Policy, used: Mapping[tuple[str, int], str]) -> None:
    """Raise Conflict if this id and version was used with another digest: make it a new version."""
    before, now = used.get((policy.id, policy.version)), digest(policy)
    if before is not None and before != now:
        raise Conflict(
            f"{policy.ref} was used with digest {before[:12]}…, this one has {now[:12]}…",
            next_step=f"Give the changed policy version {policy.version + 1} or higher.",
            used_digest=before,
            digest=now,
        )


def leaves(policy: Policy) -> Iterator[tuple[str, Tree]]:
    """Yield every value by its path; an empty list or group counts as a value."""
    for key, value in tree_of(policy).items():
        if key not in UNMARKED:
            yield from _leaves(key, value)


def _leaves(path: str, value: Tree) -> Iterator[tuple[str, Tree]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from _leaves(f"{path}.{inner.get('id', index)}", inner)
    else:
        yield path, value


def mark_of(policy: Policy, path: str) -> Mark | None:
    """Return the mark of a path: its own, else the nearest one above it."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        mark = policy.marks.get(".".join(parts[:length]))
        if mark is not None:
            return mark
    return policy.marks.get(EVERYTHING)


def gaps(policy: Policy) -> tuple[str, ...]:
    """Return the paths of all values that nobody could read."""
    return tuple(path for path, value in leaves(policy) if value is None)


def not_seen(policy: Policy, path: str, line_id: str = "") -> Finding:
    """Return the refusal of a step that needs the empty value at ``path``."""
    return finding(Code.VALUE_NOT_SEEN, path, line_id, place=path, policy=policy.id)


def read_policy(document: Document) -> Policy:
    """Read a policy; raise BadInput with file, line and key for anything that does not fit."""
    policy = validate(document, Policy)
    for path, message in _complaints(policy):
        keys = _document_path(document.value, path)
        named = "" if path == ".".join(str(key) for key in keys) else f" ({path})"
        raise complain(document, keys, message + named)
    return policy


def _document_path(value: Tree, path: str) -> tuple[Key, ...]:
    """Return the keys of a path in the document: ids of list items become their places."""
    keys: list[Key] = []
    for part in path.split("."):
        key: Key = part
        if isinstance(value, list):
            ids = [str(item.get("id", n)) if isinstance(item, dict) else str(n)
                   for n, item in enumerate(value)]  # fmt: skip
            key = ids.index(part) if part in ids else 0
            value = value[key] if value else None
        elif isinstance(value, dict):
            value = value.get(part)
        keys.append(key)
    return tuple(keys)


def _complaints(policy: Policy) -> Iterator[tuple[str, str]]:
    yield from _about_predicates(policy)
    yield from _about_ids(policy)
    yield from _about_funders(policy)
    yield from _about_ranking(policy)
    yield from _about_stages(policy)
    yield from _about_marks(policy)


def _about_predicates(policy: Policy) -> Iterator[tuple[str, str]]:
    known = policy.known_facts
    for path, predicate in policy.predicates():
        if predicate.fact not in known:
            close = difflib.get_close_matches(predicate.fact, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "; declare it under facts"
            yield f"{path}.fact", f"unknown fact {predicate.fact!r}{hint}"
        elif path.startswith(_APPLICANT_ONLY) and not predicate.fact.startswith(APPLICANT):
            yield f"{path}.fact", f"{predicate.fact!r} is about a line; only applicant.… fits here"
        elif complaint := predicate.complaint(known):
            yield path, complaint


def _about_ids(policy: Policy) -> Iterator[tuple[str, str]]:
    groups = {"tiers": policy.tiers, "caps": policy.caps, "funders": policy.funders,
              "workflow": policy.workflow, "clawback": policy.clawback}  # fmt: skip
    for name, items in groups.items():
        ids = [item.id for item in items or ()]
        for one in ids:
            if ids.count(one) > 1:
                yield name, f"id {one!r} appears twice"
            if one.isdigit():
                yield name, f"id {one!r} looks like a place in the list; use a word"


def _about_funders(policy: Policy) -> Iterator[tuple[str, str]]:
    """Shares without predicates must make a whole; with predicates the award checks it."""
    funders = policy.funders or ()
    shares = [one.share for one in funders if one.share is not None]
    if not funders or len(shares) < len(funders) or any(one.when for one in funders):
        return
    denominator = 1
    for share in shares:
        denominator *= share.den
    total = sum(share.num * (denominator // share.den) for share in shares)
    if total != denominator:
        yield "funders", f"shares add up to {total}/{denominator}, not to the whole"


def _about_ranking(policy: Policy) -> Iterator[tuple[str, str]]:
    rank_by = policy.shortage.rank_by if policy.shortage else None
    if rank_by is None:
        return
    fact = policy.known_facts.get(rank_by)
    if fact is None or fact.kind is not FactKind.COUNT or not rank_by.startswith(APPLICANT):
        yield "shortage.rank_by", f"{rank_by!r} is not a counted fact of the applicant"


def _about_stages(policy: Policy) -> Iterator[tuple[str, str]]:
    earlier: list[str] = []
    for stage in policy.workflow or ():
        for other in stage.not_same_as:
            if other not in earlier:
                path = f"workflow.{stage.id}.not_same_as"
                yield path, f"{other!r} is not a stage before {stage.id!r}"
        earlier.append(stage.id)


def _about_marks(policy: Policy) -> Iterator[tuple[str, str]]:
    values = dict(leaves(policy))
    for path, mark in policy.marks.items():
        inside = [value for leaf, value in values.items() if _is_within(leaf, path)]
        if not inside:
            close = difflib.get_close_matches(path, values, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            yield f"marks.{path}", f"marks a path that the policy does not have{hint}"
        if mark.source and mark.source not in policy.sources:
            yield f"marks.{path}", f"source {mark.source!r} is not under sources"
    for leaf, value in values.items():
        found = mark_of(policy, leaf)
        if found is None:
            yield leaf, "has no mark: read, assumed, not_seen or decided"
        elif (value is None) != (found.mark is MarkKind.NOT_SEEN):
            yield leaf, f"is {value!r} and marked {found.mark}: null and not_seen go together"


def _is_within(leaf: str, path: str) -> bool:
    return path == EVERYTHING or leaf == path or leaf.startswith(f"{path}.")


def fill(policy: Policy, values: Mapping[str, object], version: int | None = None) -> Policy:
    """Return a version of your own in which empty values are filled; only empty ones may be.

    Ratios may be written ``1/5``; a path that ends in ``_yuan`` takes yuan where the policy has
    fen. Raises BadInput for a path that is not empty or a value that does not fit.
    """
    tree = policy.model_dump(mode="python", by_alias=True, exclude_unset=True)
    empty = gaps(policy)
    for given, value in values.items():
        path = _in_fen(given)
        if path not in empty:
            close = difflib.get_close_matches(path, empty, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Empty are: {', '.join(empty)}"
            raise BadInput(f"{path} of {policy.id} is not an empty value", next_step=hint)
        _put(tree, path, _read_value(value, path, is_yuan=given != path))
        tree["marks"] = {**tree["marks"], path: {"mark": "decided"}}
    tree["version"] = policy.version if version is None else version
    return read_policy(Document(name=f"{policy.id} (filled)", value=_plain(tree), root=None))


def parse_settings(settings: Sequence[str]) -> dict[str, object]:
    """Return ``PATH=VALUE`` texts as values by path; a value is YAML. Raises BadInput."""
    values: dict[str, object] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not (path and equals and text):
            raise BadInput(f"{setting!r} is not PATH=VALUE")
        is_text = path.endswith((".ratio", ".share", "_yuan"))
        values[path] = text if is_text else parse_document(text, path).value
    return values


def unfilled_path(policy: Policy, given: str) -> str | None:
    """Return the policy's path of an empty value that may be filled, or None."""
    path = _in_fen(given)
    return path if path in gaps(policy) else None


def _in_fen(path: str) -> str:
    return path.removesuffix("_yuan") + "_fen" if path.endswith("_yuan") else path


def _read_value(value: object, path: str, *, is_yuan: bool) -> object:
    try:
        if is_yuan:
            return parse_yuan(str(value))
        if path.endswith((".ratio", ".share")) and isinstance(value, str):
            numerator, _, denominator = value.partition("/")
            return {"num": int(numerator), "den": int(denominator)}
    except ValueError as failure:
        raise BadInput(f"{path}: {value!r} does not fit: {failure}") from failure
    return value


def _put(tree: Tree, path: str, value: object) -> None:
    *above, last = path.split(".")
    for part in above:
        if isinstance(tree, dict):
            tree = tree[part]
        else:
            named = (item for item in tree if str(item.get("id", "")) == part)
            tree = next(named, None) or tree[int(part)]
    tree[last] = value


def _plain(tree: Tree) -> Tree:
    """Return lists for tuples, so that items have places that can be walked."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(item) for item in tree] if isinstance(tree, tuple | list) else tree
