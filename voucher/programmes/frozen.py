"""The digests of every version of a policy that was ever shipped: a published one never changes."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

FILE: Final = "digests.json"


@cache
def frozen_digests() -> Mapping[tuple[str, int], str]:
    """Return the digest of each shipped policy by id and version, former versions included."""
    text = resources.files("voucher.programmes.data").joinpath(FILE).read_text(encoding="utf-8")
    return {(row["id"], row["version"]): row["digest"] for row in json.loads(text)}
