"""Messages reach a real HTTP server, a real mail server and a real Alertmanager."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alert_builders import Watch
from alertmanager_part import PROGRAM, alertmanager
from mail_server import mail_server
from redfish_parts import a_certificate
from sqlalchemy import Engine
from web_receiver import Receiver, web_receiver

from alerts import signature, store_outbox
from alerts.channels.config import parse_channels
from alerts.channels.port import Channel, DeliveryFailed
from alerts.delivery import LEASE, ChannelWorker, DeliveryLoop, Surroundings, pause
from alerts.evaluation import Policy
from alerts.message import Links, sample_message
from alerts.metrics import AlertMetrics
from alerts.rules import Rules, shipped
from alerts.setup import make_channels, make_policy
from alerts.store_outbox import Message, MessageState
from suanwang.clock import SystemClock, VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.errors import BadInput
from suanwang.ids import SeededIds
from suanwang.settings import AlertSettings, Settings

LOST = shipped().by_id["target-lost"]
RULES = Rules({"target-lost": replace(LOST, lasts=timedelta(), clear_lasts=timedelta())})
NOW = datetime(2026, 10, 14, tzinfo=UTC)


@pytest.fixture
def watch(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Watch:
    return Watch(engine, clock, ids, rules=RULES)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with web_receiver() as running:
        yield running


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("open sesame\n", encoding="utf-8")
    return file


def channel_of(**spec: Any) -> Channel:
    """Return the channel that the settings describe."""
    written = {"name": "pager"} | {k: str(v) if isinstance(v, Path) else v for k, v in spec.items()}
    return make_channels(Settings(alerts=AlertSettings(channels=(written,))))["pager"]


def worker_of(watch: Watch, channel: Channel, *, give_up_s: float = 86_400) -> ChannelWorker:
    around = Surroundings(
        engine=watch.engine,
        clock=watch.clock,
        policy=Policy(rules=watch.rules, routes=watch.routes),
        metrics=AlertMetrics(),
        give_up=timedelta(seconds=give_up_s),
        leads=lambda: True,
    )
    return ChannelWorker(channel, around)


def lose(watch: Watch, name: str = "a") -> None:
    watch.source(name, is_up=True)
    watch.look(301)
    watch.source(name, is_up=False)
    watch.look()


def find(watch: Watch, name: str = "a") -> None:
    watch.source(name, is_up=True)
    watch.look()


def messages(watch: Watch) -> list[Message]:
    with reading(watch.engine) as connection:
        return store_outbox.listed(connection, list(MessageState), None, 100)


def work(worker: ChannelWorker) -> None:
    while worker.work():
        pass


def webhook(receiver: Receiver, secret: Path, **more: Any) -> Channel:
    return channel_of(kind="webhook", url=f"{receiver.url}/hook", secret_file=secret, **more)


def test_a_webhook_gets_signed_json_once_and_in_order(
    watch: Watch, receiver: Receiver, secret: Path
) -> None:
    worker = worker_of(watch, webhook(receiver, secret))
    lose(watch)
    find(watch)
    work(worker)
    work(worker)
    bodies = [json.loads(one.body) for one in receiver.posted]
    assert [body["status"] for body in bodies] == ["firing", "resolved"]
    assert [one.path for one in receiver.posted] == ["/hook", "/hook"]
    alert = bodies[0]["alerts"][0]
    assert (alert["rule"], alert["site"], alert["subject"]) == ("target-lost", "qd", "source:a")
    assert alert["runbook"] == "docs/runbooks/target-lost.md"
    for one, body in zip(receiver.posted, bodies, strict=True):
        assert one.headers["Suanwang-Message-Id"] == body["id"]
        header = one.headers[signature.HEADER]
        assert signature.is_valid(b"open sesame", one.body, header, watch.clock.now())
    assert {one.state for one in messages(watch)} == {MessageState.SENT}


def test_a_signature_fits_one_body_one_secret_and_one_time() -> None:
    body = b'{"id":"msg_1"}'
    header = signature.sign(b"secret", body, NOW)
    assert signature.is_valid(b"secret", body, header, NOW + timedelta(seconds=300))
    assert not signature.is_valid(b"secret", body, header, NOW + timedelta(seconds=301))
    assert not signature.is_valid(b"secret", body, header, NOW - timedelta(seconds=301))
    assert not signature.is_valid(b"other", body, header, NOW)
    assert not signature.is_valid(b"secret", body + b" ", header, NOW)
    moved = header.replace(str(int(NOW.timestamp())), str(int(NOW.timestamp()) + 1))
    assert not signature.is_valid(b"secret", body, moved, NOW)
    for nonsense in ("", "v1=x", "t=1", "t=-1,v1=" + "0" * 64):
        assert not signature.is_valid(b"secret", body, nonsense, NOW)


def test_a_receiver_that_fails_gets_the_same_message_later_and_nothing_overtakes_it(
    watch: Watch, receiver: Receiver, secret: Path
) -> None:
    worker = worker_of(watch, webhook(receiver, secret))
    receiver.statuses = [503, 500, 404]
    lose(watch)
    find(watch)
    for _ in range(4):
        work(worker)
        watch.clock.advance(25)
    ids = [one.headers["Suanwang-Message-Id"] for one in receiver.posted]
    assert len(ids) == 5
    assert len(set(ids[:4])) == 1
    assert ids[4] != ids[0]
    newest, first = messages(watch)
    assert (first.attempts, newest.attempts) == (4, 1)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_a_receiver_will_never_take_holds_up_nothing(
    watch: Watch, receiver: Receiver, secret: Path, status: int
) -> None:
    worker = worker_of(watch, webhook(receiver, secret))
    receiver.statuses = [status]
    lose(watch)
    find(watch)
    work(worker)
    assert [one.state for one in messages(watch)] == [MessageState.SENT, MessageState.DEAD]


def test_a_message_is_given_up_after_a_day_and_sent_by_hand(
    watch: Watch, receiver: Receiver, secret: Path
) -> None:
    worker = worker_of(watch, webhook(receiver, secret))
    receiver.statuses = [500] * 100
    lose(watch)
    for _ in range(30):
        worker.work()
        watch.clock.advance(3_600)
    (one,) = messages(watch)
    assert one.state is MessageState.DEAD
    assert "answered 500: seen" in one.error
    receiver.statuses = []
    with writing(watch.engine) as connection:
        store_outbox.retry(connection, one.id, watch.clock.now())
    work(worker)
    assert messages(watch)[0].state is MessageState.SENT


def test_pauses_double_and_are_bounded() -> None:
    assert [pause(n).total_seconds() for n in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert pause(100) == timedelta(minutes=10)


def test_a_message_whose_sender_died_is_sent_again_with_its_id(
    watch: Watch, receiver: Receiver, secret: Path
) -> None:
    lose(watch)
    with writing(watch.engine) as connection:
        now = watch.clock.now()
        taken = store_outbox.take(connection, "pager", now, now + LEASE)
    assert taken is not None
    worker = worker_of(watch, webhook(receiver, secret))
    assert not worker.work(), "it is somebody else's still"
    watch.clock.advance(LEASE.total_seconds())
    work(worker)
    assert [one.headers["Suanwang-Message-Id"] for one in receiver.posted] == [taken.id]


def test_who_does_not_lead_sends_nothing(watch: Watch, receiver: Receiver, secret: Path) -> None:
    lose(watch)
    around = Surroundings(
        engine=watch.engine,
        clock=watch.clock,
        policy=Policy(rules=watch.rules),
        metrics=AlertMetrics(),
        give_up=timedelta(days=1),
        leads=lambda: False,
    )
    assert not ChannelWorker(webhook(receiver, secret), around).work()
    assert receiver.posted == []


def test_messages_of_a_channel_that_is_gone_are_dead(watch: Watch) -> None:
    lose(watch)
    watch.routes = ()
    watch.restart()
    watch.look()
    (one,) = messages(watch)
    assert (one.state, one.error) == (MessageState.DEAD, "no channel of this name is set")


def test_an_address_that_holds_a_secret_is_not_told(tmp_path: Path, secret: Path) -> None:
    url = "http://127.0.0.1:9/hook?access_token=abc"
    channel = channel_of(kind="webhook", url=url, secret_file=secret)
    with pytest.raises(DeliveryFailed) as failure:
        channel.send(sample_message("msg_1", Links(), NOW), NOW)
    assert "127.0.0.1:9/hook" in failure.value.why
    assert "abc" not in failure.value.why


def test_the_loop_delivers_by_itself(engine: Engine, receiver: Receiver, secret: Path) -> None:
    clock = VirtualClock(NOW)
    watch = Watch(engine, clock, SeededIds(clock, 1), rules=RULES)
    lose(watch)
    channel = webhook(receiver, secret)
    around = Surroundings(
        engine=engine,
        clock=clock,
        policy=Policy(rules=RULES),
        metrics=AlertMetrics(),
        give_up=timedelta(days=1),
        leads=lambda: True,
    )
    loop = DeliveryLoop({"pager": channel}, around)
    loop.start()
    system = SystemClock()
    until = system.monotonic() + 20
    while not receiver.posted and system.monotonic() < until:
        system.sleep(0.02)
    loop.stop()
    assert len(receiver.posted) == 1


def test_a_letter_says_it_in_both_languages(watch: Watch) -> None:
    with mail_server() as box:
        channel = channel_of(
            kind="email", host="127.0.0.1", port=box.port, tls="none",
            sender="alarm@dc.example", to=["a@dc.example", "b@dc.example"],
        )  # fmt: skip
        worker = worker_of(watch, channel)
        lose(watch)
        lose(watch, "b")
        find(watch)
        work(worker)
    assert [str(one["Subject"]) for one in box.letters] == [
        "[算网告警] 触发 1: target-lost qd",
        "[算网告警] 触发 1: target-lost qd",
        "[算网告警] 恢复 1: target-lost qd",
    ]
    letter = box.letters[0]
    text = letter.get_content()
    assert "qd 的 source:a 已" in text
    assert "source:a of qd has not answered for" in text
    assert "docs/runbooks/target-lost.md" in text
    assert letter["Message-ID"] == f"<{messages(watch)[2].id}@dc.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["To"] == "a@dc.example, b@dc.example"


def test_a_letter_goes_over_tls_with_a_password(watch: Watch, tmp_path: Path, secret: Path) -> None:
    certificate, key, _ = a_certificate(tmp_path)
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(certificate, key)
    with mail_server(trust) as box:
        spec: dict[str, Any] = {
            "kind": "email", "host": "127.0.0.1", "port": box.port, "username": "centre",
            "password_file": secret, "sender": "alarm@dc.example", "to": ["a@dc.example"],
        }  # fmt: skip
        lose(watch)
        work(worker_of(watch, channel_of(**spec)))
        assert box.letters == [], "nobody vouches for the server"
        assert "CERTIFICATE_VERIFY_FAILED" in messages(watch)[0].error
        watch.clock.advance(60)
        work(worker_of(watch, channel_of(**spec, ca_file=certificate, language="en")))
    assert box.users == ["centre"]
    assert str(box.letters[0]["Subject"]) == "[Suanwang] firing 1: target-lost qd"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("451 come back later", MessageState.WAITING),
        ("554 no such thing here", MessageState.DEAD),
    ],
)
def test_a_mail_server_that_refuses_a_letter(
    watch: Watch, answer: str, state: MessageState
) -> None:
    with mail_server() as box:
        box.answer = answer
        channel = channel_of(
            kind="email", host="127.0.0.1", port=box.port, tls="none",
            sender="alarm@dc.example", to=["a@dc.example"],
        )  # fmt: skip
        lose(watch)
        work(worker_of(watch, channel))
    (one,) = messages(watch)
    assert one.state is state
    assert answer[:3] in one.error


@pytest.mark.skipif(PROGRAM is None, reason="prometheus-alertmanager is not installed")
def test_a_real_alertmanager_knows_what_fires_and_when_it_ended(
    sqlite_engine: Engine, ids: SeededIds, tmp_path: Path
) -> None:
    # What ended must have ended for the server, whose clock is not ours, and what fires must not.
    clock = VirtualClock(SystemClock().now() - timedelta(seconds=316 + 150))
    watch = Watch(sqlite_engine, clock, ids, rules=RULES)
    with alertmanager(tmp_path) as running:
        worker = worker_of(watch, channel_of(kind="alertmanager", url=running.url))
        lose(watch)
        work(worker)
        (one,) = running.alerts()
        assert one["labels"] == {
            "alertname": "target-lost",
            "severity": "critical",
            "site": "qd",
            "subject": "source:a",
        }
        assert one["annotations"]["runbook_url"] == "docs/runbooks/target-lost.md"
        assert "已" in one["annotations"]["summary_zh"]
        first_end = one["endsAt"]
        clock.advance(60)
        watch.look()
        work(worker)
        (one,) = running.alerts()
        assert one["endsAt"] > first_end, "it is repeated before it ends"
        find(watch)
        clock.advance(1)
        work(worker)
        assert {one.state for one in messages(watch)} == {MessageState.SENT}
        system = SystemClock()
        until = system.monotonic() + 20
        while running.alerts() and system.monotonic() < until:
            system.sleep(0.2)
        assert running.alerts() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"kind": "pigeon"}, "pigeon", id="kind"),
        pytest.param({"url": "ftp://x"}, "begins with http", id="scheme"),
        pytest.param({"url": "https://u:p@x"}, "holds no password", id="password"),
        pytest.param({"secret_file": None}, "secret_file", id="no secret"),
        pytest.param({"at_least": "awful"}, "critical", id="severity"),
        pytest.param({"colour": "red"}, "colour", id="unknown key"),
        pytest.param(
            {"kind": "email", "url": None, "secret_file": None, "host": "mail.example.cn",
             "tls": "none", "sender": "a@b", "to": ["c@d"]},
            "on this machine only", id="in clear",
        ),
        pytest.param(
            {"kind": "alertmanager", "url": "http://am.example.cn", "secret_file": None,
             "token_file": "/x"},
            "https:// only", id="token in clear",
        ),
    ],
)  # fmt: skip
def test_a_channel_that_is_not_sound_is_refused(change: dict[str, Any], words: str) -> None:
    spec = {"kind": "webhook", "name": "x", "url": "https://x.example", "secret_file": "/s"}
    written = {key: value for key, value in (spec | change).items() if value is not None}
    with pytest.raises(BadInput, match=words):
        parse_channels([written])


def test_two_channels_of_one_name_are_refused() -> None:
    spec: dict[str, object] = {
        "kind": "webhook", "name": "x", "url": "https://x.example", "secret_file": "/s",
    }  # fmt: skip
    settings = Settings(alerts=AlertSettings(channels=(spec, spec)))
    with pytest.raises(BadInput, match="two channels"):
        make_policy(settings)


def test_a_secret_that_cannot_be_read_is_told(watch: Watch, receiver: Receiver) -> None:
    lose(watch)
    work(worker_of(watch, webhook(receiver, Path("/nowhere/secret"))))
    (one,) = messages(watch)
    assert one.state is MessageState.WAITING
    assert "/nowhere/secret" in one.error
