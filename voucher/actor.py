"""Who acts: a key stands for a person, so everybody needs a key of their own."""

from dataclasses import dataclass

from suanwang.model.tenant import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: the id of a key, whose key it is, and in which role."""

    person: str
    tenant_id: str
    role: Role
