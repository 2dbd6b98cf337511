"""A shipped policy is what it was when it was published, to the byte of its digest."""

import json
from importlib import resources

import pytest

from suanwang.errors import Conflict
from voucher.programmes.files import shipped, shipped_ids
from voucher.programmes.frozen import FILE, frozen_digests
from voucher.programmes.values import check_unchanged, digest


@pytest.mark.parametrize("policy_id", shipped_ids())
def test_a_shipped_file_has_its_frozen_digest(policy_id: str) -> None:
    policy = shipped(policy_id)
    row = {"id": policy_id, "version": policy.version, "digest": digest(policy)}
    known = frozen_digests().get((policy_id, policy.version))
    assert known is not None, f"a new version: add {json.dumps(row)} to data/{FILE}"
    assert known == row["digest"], f"{policy.ref} was published: raise its version, do not edit it"


def test_every_row_names_a_shipped_policy_once_and_no_version_is_left_out() -> None:
    text = resources.files("voucher.programmes.data").joinpath(FILE).read_text(encoding="utf-8")
    rows = [(row["id"], row["version"]) for row in json.loads(text)]
    assert rows == sorted(set(rows))
    for policy_id in shipped_ids():
        versions = [version for name, version in rows if name == policy_id]
        assert versions == list(range(1, shipped(policy_id).version + 1))
    assert {name for name, _ in rows} == set(shipped_ids())


def test_an_edited_file_of_a_published_version_is_a_conflict() -> None:
    policy = shipped("beijing-2023")
    edited = policy.model_copy(update={"issuer": "bureau"})
    check_unchanged(policy, frozen_digests())
    with pytest.raises(Conflict, match="was used with digest"):
        check_unchanged(edited, frozen_digests())
