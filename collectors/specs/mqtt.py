"""Settings of an MQTT source."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from collectors.json_values import check_pointer
from collectors.mqtt_rules import TopicRule, check_topic
from collectors.source_time import LATE_S_MAX, TimeForm
from collectors.sources.mqtt import Broker, MqttSource
from collectors.sources.port import Source
from collectors.sources.prometheus import subject_labels
from collectors.specs.base import Factor, Metric, Part, Port, Seconds, Spec, Workshop
from collectors.tls import trust

_Pointer = Annotated[str, AfterValidator(check_pointer)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class TopicSpec(Part):
    """One rule of an MQTT source; see ``TopicRule``."""

    topic: Annotated[str, Field(max_length=500), AfterValidator(check_topic)]
    metric: Metric
    subject: Annotated[str, Field(min_length=1, max_length=200)]
    value: _Pointer = ""
    scale: Factor = 1.0
    time: _Pointer | None = None
    time_form: TimeForm = TimeForm.ISO
    late_s_max: Annotated[float, Field(ge=LATE_S_MAX, le=35 * 86_400)] = LATE_S_MAX
    words: dict[str, _Number] = Field(default_factory=dict)
    is_state: bool = False

    @model_validator(mode="after")
    def _has_its_names(self) -> "TopicSpec":
        missing = set(subject_labels(self.subject)) - self.rule().names()
        if missing:
            raise ValueError(f"the topic does not name {', '.join(sorted(missing))}")
        return self

    def rule(self) -> TopicRule:
        """Return the rule."""
        return TopicRule(
            topic=self.topic,
            metric=self.metric,
            subject=self.subject,
            value=self.value,
            scale=self.scale,
            time=self.time,
            time_form=self.time_form,
            late_s_max=self.late_s_max,
            words=self.words,
            is_state=self.is_state,
        )


class MqttSpec(Spec):
    """A broker and the topics that are wanted from it."""

    parts: ClassVar[tuple[type[BaseModel], ...]] = (TopicSpec,)

    kind: Literal["mqtt"] = "mqtt"
    host: Annotated[str, Field(min_length=1)]
    port: Port = 1883
    username: str = ""
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    client_id: Annotated[str, Field(max_length=100)] = ""
    topics: Annotated[tuple[TopicSpec, ...], Field(min_length=1)]
    buffer_max: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    silence_s: Seconds = 300.0

    @model_validator(mode="after")
    def _is_whole(self) -> "MqttSpec":
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file go together")
        if self.ca_file and not self.tls:
            raise ValueError("ca_file needs tls: true")
        undated = [each.topic for each in self.topics if each.time is None and not each.is_state]
        if self.client_id and undated:
            raise ValueError(
                f"with client_id the broker hands over old messages, so {undated[0]} needs time"
            )
        return self

    def for_a_look(self, folder: Path) -> "MqttSpec":
        """Return settings without our name at the broker, which lets only one in by it."""
        return self.model_copy(update={"client_id": ""})

    def build(self, workshop: Workshop) -> Source:
        """Return the source."""
        ca_file = self.ca_file
        context = workshop.shared(f"ca {ca_file}", lambda: trust(ca_file)) if self.tls else None
        broker = Broker(
            host=self.host,
            port=self.port,
            username=self.username,
            password_file=self.password_file,
            client_id=self.client_id,
            tls=context,
        )
        return MqttSource(
            workshop.clock,
            broker,
            tuple(each.rule() for each in self.topics),
            self.pace,
            buffer_max=self.buffer_max,
            silence_s=self.silence_s,
        )
