"""Why something was refused or made smaller: a code, its figures, the policy's path.

The sentence is made from the code's words and the figures when it is read (``sentences``), so it
reads the same everywhere and in either language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from voucher.programmes.sentences import CAUSES, Code, say
from voucher.wording import FactValue, Language, joined


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason. ``path`` is the place in the policy, ``line_id`` the spend line it is about.

    ``causes`` are the reasons behind it, where it sums up several.
    """

    code: Code
    path: str
    facts: Mapping[str, FactValue] = field(default_factory=dict)
    line_id: str = ""
    causes: tuple["Finding", ...] = ()

    @property
    def message(self) -> str:
        """The sentence in English."""
        return self.text(Language.ENGLISH)

    @property
    def message_zh(self) -> str:
        """The sentence in Chinese."""
        return self.text(Language.CHINESE)

    def text(self, language: Language) -> str:
        """Return the sentence in a language."""
        figures: dict[str, FactValue] = {"path": self.path, **self.facts}
        if self.causes:
            figures[CAUSES] = joined((one.text(language) for one in self.causes), language)
        return say(self.code, figures, language)

    def document(self) -> dict[str, object]:
        """Return the reason as JSON holds it, with both sentences."""
        return {
            "code": self.code.value,
            "path": self.path,
            "line_id": self.line_id,
            "message": self.message,
            "message_zh": self.message_zh,
            "facts": dict(self.facts),
            "causes": [one.document() for one in self.causes],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """An amount that a cap or the pool made smaller."""

    code: Code
    path: str
    from_fen: int
    to_fen: int

    @property
    def line_id(self) -> str:
        """No line: cuts are of whole contracts or awards."""
        return ""

    def text(self, language: Language) -> str:
        """Return the sentence in a language."""
        figures: dict[str, FactValue] = {"path": self.path, **self.figures()}
        return say(self.code, figures, language)

    def figures(self) -> dict[str, int]:
        """Return the amounts by name."""
        return {"from_fen": self.from_fen, "to_fen": self.to_fen}

    def document(self) -> dict[str, object]:
        """Return the cut as JSON holds it, with both sentences."""
        return {
            "code": self.code.value,
            "path": self.path,
            "message": self.text(Language.ENGLISH),
            "message_zh": self.text(Language.CHINESE),
            **self.figures(),
        }


def finding(code: Code, path: str, line_id: str = "", **facts: FactValue) -> Finding:
    """Return a reason with its figures."""
    return Finding(code=code, path=path, facts=facts, line_id=line_id)
