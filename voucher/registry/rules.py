"""From where on ties and contracts are looked at: stated by the office, never guessed."""

from dataclasses import dataclass

from voucher.programmes.programme import Programme
from voucher.programmes.schema import CapScope
from voucher.reports.flags import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the office states.

    A shareholding counts from ``share_ppm_min`` on. From ``contract_limit_fen`` on the office
    reviews a contract otherwise (None: it states no such limit). Contracts that were signed within
    ``split_days`` of each other are looked at together.
    """

    share_ppm_min: int = 250_000
    contract_limit_fen: int | None = None
    split_days: int = 30


def limits(rules: Rules, programme: Programme | None) -> tuple[Limit, ...]:
    """Return every limit on the amount of a contract: the office's, and the policy's caps.

    A policy caps the award of a contract; the amount of the contract from which on it bites follows
    from the highest share that the policy pays. A cap or a share that is not stated gives no limit.
    """
    found = []
    if rules.contract_limit_fen is not None:
        found.append((rules.contract_limit_fen, "registry.contract_limit_yuan"))
    policy = programme.policy if programme is not None else None
    ratios = [tier.ratio for tier in (policy.tiers if policy else None) or () if tier.ratio]
    for cap in (policy.caps if policy else None) or ():
        if cap.scope is CapScope.CONTRACT and cap.amount_fen is not None:
            reached = [-(-cap.amount_fen * one.den // one.num) for one in ratios if one.num]
            if reached and policy is not None:
                found.append((min(reached), f"{policy.ref} caps.{cap.id}"))
    return tuple(
        Limit(amount_fen=amount, source=source, days=rules.split_days) for amount, source in found
    )
