"""A policy made ready for use: its digest and its facts are worked out once."""

from collections.abc import Mapping
from dataclasses import dataclass

from voucher.programmes.facts import Fact
from voucher.programmes.schema import Policy
from voucher.programmes.values import digest


@dataclass(frozen=True, slots=True)
class Programme:
    """A policy, the digest that every award under it stores, and the facts it knows."""

    policy: Policy
    digest: str
    known: Mapping[str, Fact]

    @classmethod
    def of(cls, policy: Policy) -> "Programme":
        """Make a policy ready."""
        return cls(policy=policy, digest=digest(policy), known=policy.known_facts)
