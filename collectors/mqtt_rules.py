"""What a message on a topic means. Pure: topic, payload and moment in, a reading or a word out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from collectors.json_values import at_pointer, number, parse_json, plain_number
from collectors.source_time import LATE_S_MAX, TimeForm, moment_of, placed
from suanwang.model.reading import Reading

PAYLOAD_BYTES_MAX: Final = 65_536
SUBJECT_CHARS_MAX: Final = 200
_NAME: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


class Nonsense(ValueError):
    """A message that gives no reading, with what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRule:
    """Turns messages into readings of one metric.

    A name in braces stands for one level of ``topic`` and may be used in ``subject``. ``value``
    and ``time`` are JSON pointers; an empty ``value`` takes the payload as a plain number.
    ``words`` gives numbers to texts such as ``online``. A state holds until the next message.
    """

    topic: str
    metric: str
    subject: str
    value: str = ""
    scale: float = 1.0
    time: str | None = None
    time_form: TimeForm = TimeForm.ISO
    late_s_max: float = LATE_S_MAX
    words: Mapping[str, float] = field(default_factory=dict)
    is_state: bool = False

    @property
    def filter(self) -> str:
        """What the broker is asked for."""
        return _NAME.sub("+", self.topic)

    def pattern(self) -> "re.Pattern[str]":
        """Return what fits the topics of the rule and finds the names in them."""
        levels = [_level(level) for level in self.topic.split("/")]
        return re.compile("/".join(levels).replace("/(?:.*)", "(?:/.*)?"), re.DOTALL)

    def names(self) -> frozenset[str]:
        """Return the names that the topic gives."""
        return frozenset(_NAME.findall(self.topic))

    def reading(
        self, names: Mapping[str, str], payload: bytes, at: datetime, *, is_retained: bool
    ) -> Reading | None:
        """Return the reading; None for a kept value of unknown age. Raises Nonsense."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise Nonsense(f"{len(payload)} bytes are more than {PAYLOAD_BYTES_MAX}")
        document = self._document(payload)
        value = self._number(document)
        moment = self._moment(document, at)
        if is_retained and not self.is_state and (moment is None or moment == at):
            return None
        subject = self.subject.format_map(names)
        if len(subject) > SUBJECT_CHARS_MAX or not subject.isprintable():
            raise Nonsense(f"{subject[:40]!r} is no subject")
        return Reading(
            subject=subject,
            metric=self.metric,
            value=value * self.scale,
            at=moment or at,
        )

    def _document(self, payload: bytes) -> object:
        try:
            if self.value or self.time is not None:
                return parse_json(payload)
            return payload.decode("utf-8")
        except ValueError as failure:
            raise Nonsense(f"the payload cannot be read: {failure}") from failure

    def _number(self, document: object) -> float:
        found = at_pointer(document, self.value) if self.value else document
        if isinstance(found, str):
            if self.words:
                if found.strip() not in self.words:
                    raise Nonsense(f"{found[:40]!r} is not one of {', '.join(sorted(self.words))}")
                return self.words[found.strip()]
            value = plain_number(found)
        else:
            value = number(found)
        scaled = None if value is None else number(value * self.scale)
        if value is None or scaled is None:
            where = f" at {self.value}" if self.value else ""
            raise Nonsense(f"there is no number{where}")
        return value

    def _moment(self, document: object, at: datetime) -> datetime | None:
        """Return the moment by the clock rule, or None where messages have none of their own."""
        if self.time is None:
            return None
        own = moment_of(at_pointer(document, self.time), self.time_form)
        if own is None:
            raise Nonsense(f"there is no moment at {self.time}")
        moment = placed(own, at, self.late_s_max)
        if moment is None:
            raise Nonsense(f"its moment {own.isoformat()} is more than 60 s ahead of our clock")
        return moment


def _level(level: str) -> str:
    name = _NAME.fullmatch(level)
    if name:
        return f"(?P<{name.group(1)}>[^/]+)"
    if level == "+":
        return "[^/]*"
    return "(?:.*)" if level == "#" else re.escape(level)


def check_topic(topic: str) -> str:
    """Return the topic; raise ValueError where it is no template."""
    levels = topic.split("/")
    bare = [level for level in levels if not _NAME.fullmatch(level)]
    if any(char in level for level in bare for char in "{}"):
        raise ValueError(f"{topic!r}: a name in braces must be a whole level, such as a/{{rack}}/b")
    if any("+" in level and level != "+" for level in bare):
        raise ValueError(f"{topic!r}: + must be a whole level")
    if any("#" in level for level in levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
        raise ValueError(f"{topic!r}: # may only be the last level")
    names = _NAME.findall(topic)
    if len(names) != len(set(names)):
        raise ValueError(f"{topic!r}: a name may stand only once")
    if "\0" in topic or not topic:
        raise ValueError("a topic needs at least one letter, and no zero byte")
    return topic
