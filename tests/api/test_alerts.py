"""Alerts, silences and rules over HTTP and on the command line."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alert_builders import judged
from api_client import World
from in_process import InProcess
from sqlalchemy import update
from typer.testing import CliRunner
from web_receiver import web_receiver

from alerts import store_outbox
from alerts.evaluation import Evaluator, Policy
from alerts.message import Links, sample_message
from alerts.notify import Route
from alerts.rules import shipped
from alerts.setup import make_channels, make_policy
from cli import alerts as commands
from suanwang.db.engine import writing
from suanwang.db.tables import site, source_state
from suanwang.energy.catalogue import load_catalogue
from suanwang.errors import Unavailable
from suanwang.settings import AlertSettings, Settings


def lose(world: World, site_id: str, source: str = "pdu-7") -> None:
    """Let a source of a site be down for ten minutes, and the centre notice it."""
    now = world.clock.now()
    with writing(world.engine) as connection:
        connection.execute(update(site).values(agent_seen_at=now))
        connection.execute(
            source_state.insert().values(
                site_id=site_id,
                source=source,
                is_up=False,
                duration_s=5.0,
                readings=0,
                error="no answer within 5 s",
                interval_s=60.0,
                polled_at=now,
                up_at=now - timedelta(minutes=10),
            )
        )
    policy = Policy(rules=judged(), routes=(Route(channel="pager"),))
    Evaluator(world.engine, world.clock, world.ids, load_catalogue(), policy).run()
    world.clock.sleep(16)
    Evaluator(world.engine, world.clock, world.ids, load_catalogue(), policy).run()


@pytest.fixture
def two(world: World) -> World:
    """Two sites of two operators, a lost source at each."""
    world.register("east", "dc-east")
    world.register("west", "dc-west")
    lose(world, "east")
    lose(world, "west")
    return world


def sites_of(world: World, key: str, **params: Any) -> list[str]:
    answer = world.client.get("/v1/alerts", key, params=params)
    assert answer.status_code == 200, answer.text
    return sorted(one["site"] for one in answer.json()["items"])


def test_an_operator_sees_the_alerts_of_its_sites_only(two: World) -> None:
    assert sites_of(two, two.admin) == ["", "east", "west"], "the network has few accelerators"
    assert sites_of(two, two.operator) == ["east"]
    assert sites_of(two, two.operator, site="west") == []
    assert sites_of(two, two.admin, site="west", rule="target-lost", state="firing") == ["west"]
    assert sites_of(two, two.admin, state="resolved") == []
    west = two.client.get("/v1/alerts", two.admin, params={"site": "west"}).json()["items"][0]
    assert two.client.get(f"/v1/alerts/{west['id']}", two.operator).status_code == 404


def test_an_alert_says_what_it_means_and_what_to_do(two: World) -> None:
    one = two.client.get("/v1/alerts", two.operator).json()["items"][0]
    assert one["summary"]["en"] == "source:pdu-7 of east has not answered for 11 min"
    assert "无应答" in one["summary"]["zh"]
    assert one["words"] == "no answer within 5 s"
    assert one["chart"].endswith("/status")
    assert one["runbook"] == "docs/runbooks/target-lost.md"
    story = two.client.get(f"/v1/alerts/{one['id']}", two.operator).json()
    assert [event["kind"] for event in story["events"]] == ["told", "fired"]


def test_an_alert_is_acknowledged_once_and_by_its_operator(two: World) -> None:
    one = two.client.get("/v1/alerts", two.operator).json()["items"][0]
    path = f"/v1/alerts/{one['id']}/ack"
    assert two.client.post(path, two.other_operator, {}).status_code == 404
    for _ in range(2):
        answer = two.client.post(path, two.operator, {"note": "driving there"})
        assert answer.status_code == 200
        assert answer.json()["acked_by"].startswith("dc-east")
    events = two.client.get(f"/v1/alerts/{one['id']}", two.operator).json()["events"]
    assert [event["kind"] for event in events].count("acknowledged") == 1


def test_only_what_fires_can_be_acknowledged(two: World) -> None:
    one = two.client.get("/v1/alerts", two.operator).json()["items"][0]
    with writing(two.engine) as connection:
        connection.execute(update(source_state).values(is_up=True, up_at=two.clock.now()))
    policy = Policy(rules=shipped())
    for _ in range(2):
        two.clock.sleep(16)
        Evaluator(two.engine, two.clock, two.ids, load_catalogue(), policy).run()
    answer = two.client.post(f"/v1/alerts/{one['id']}/ack", two.operator, {})
    assert answer.status_code == 409
    assert "resolved" in answer.json()["detail"]


def test_a_silence_names_a_site_of_ones_own(two: World) -> None:
    until = (two.clock.now() + timedelta(hours=4)).isoformat()
    body = {"site": "east", "until_at": until, "reason": "the PDU is being replaced"}
    for wrong in ({"site": "west"}, {"site": "*", "rule": "target-lost"}):
        answer = two.client.post("/v1/silences", two.operator, body | wrong)
        assert answer.status_code == 403
    made = two.client.post("/v1/silences", two.operator, body)
    assert made.status_code == 201, made.text
    one = two.client.get("/v1/alerts", two.operator).json()["items"][0]
    assert one["silenced_until"] == made.json()["until_at"]
    assert two.client.get("/v1/silences", two.other_operator).json()["items"] == []
    path = f"/v1/silences/{made.json()['id']}/end"
    assert two.client.post(path, two.other_operator).status_code == 404
    assert two.client.post(path, two.operator).json()["ended_by"].startswith("dc-east")
    assert two.client.get("/v1/silences", two.operator).json()["items"] == []
    past = two.client.get("/v1/silences", two.operator, params={"past": "true"}).json()["items"]
    assert [one["reason"] for one in past] == ["the PDU is being replaced"]
    shown = two.client.get("/v1/alerts", two.operator).json()["items"][0]
    assert shown["silenced_until"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hours": -1}, "before it silences anything"),
        ({"hours": 24 * 91}, "within 90 days"),
        ({"site": "*"}, "would silence everything"),
    ],
)
def test_a_silence_has_an_end_and_a_subject(
    small_world: World, change: dict[str, Any], words: str
) -> None:
    small_world.register("east", "dc-east")
    until = small_world.clock.now() + timedelta(hours=change.get("hours", 1))
    body = {"site": change.get("site", "east"), "until_at": until.isoformat(), "reason": "r"}
    answer = small_world.client.post("/v1/silences", small_world.admin, body)
    assert answer.status_code == 422
    assert words in answer.text


def test_rules_are_told_as_they_are_in_force(small_world: World) -> None:
    items = small_world.client.get("/v1/alert-rules", small_world.operator).json()["items"]
    by_id = {one["id"]: one for one in items}
    assert by_id["pue-high-24h"]["above"] == "site.pue_limit"
    assert by_id["coverage-low"]["below"] == 0.98


def test_alerts_are_metrics_and_on_the_page_of_status(two: World) -> None:
    text = two.client.get("/metrics").text
    sample = 'suanwang_alerts{rule="target-lost",severity="critical",site="east",state="firing"} 1'
    assert sample in text
    assert 'suanwang_alert_messages{channel="pager",state="waiting"} 3' in text
    page = two.client.get("/status").text
    assert "target-lost" in page


def test_the_commands_from_list_to_unsilence(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_world.register("east", "dc-east")
    lose(small_world, "east")
    monkeypatch.setattr(commands, "connect", lambda url, key: InProcess(small_world))

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(commands.app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    listed = call("list", "--rule", "target-lost")
    assert "source:pdu-7 of east has not answered" in listed
    alert_id = next(word for word in listed.split() if word.startswith("alert_"))
    assert "docs/runbooks/target-lost.md" in call("show", alert_id)
    assert "taken on by platform" in call("ack", alert_id, "--note", "on it")
    days = (small_world.clock.now() - commands.SYSTEM_CLOCK.now()).days + 2
    made = call("silence", "--reason", "work", "--for", f"{max(days, 1)}d", "--site", "east")
    silence_id = made.split()[0]
    assert silence_id in call("silences")
    assert "ended at" in call("unsilence", silence_id)
    assert "site.pue_limit" in call("rules")
    assert "no alerts" in call("list", "--state", "resolved")


def test_a_file_of_rules_is_checked_without_a_centre(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(
        "schema: alert_rules/v1\nrules:\n- id: inlet-hot\n  above: 30\n"
        "- id: meter-rollover\n  enabled: false\n",
        encoding="utf-8",
    )
    done = CliRunner().invoke(commands.app, ["check", str(file)], catch_exceptions=False)
    assert "changed: inlet-hot" in done.output
    assert "switched off: meter-rollover" in done.output


def test_channels_are_tried_and_dead_messages_are_sent_again(
    small_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame", encoding="utf-8")
    with web_receiver() as receiver:
        spec: dict[str, object] = {
            "kind": "webhook", "name": "desk", "url": receiver.url, "secret_file": str(secret),
        }  # fmt: skip
        chosen = Settings(alerts=AlertSettings(channels=(spec,)))
        app = small_world.client.app
        app.state.context = replace(
            app.state.context, alerting=make_policy(chosen), channels=make_channels(chosen)
        )
        monkeypatch.setattr(commands, "connect", lambda url, key: InProcess(small_world))

        def call(*arguments: str) -> str:
            done = CliRunner().invoke(commands.app, list(arguments), catch_exceptions=False)
            assert done.exit_code == 0, done.output
            return done.output

        assert "desk took the sample" in call("test", "desk")
        assert "nothing is wrong" in receiver.posted[0].body.decode()
        receiver.statuses = [500]
        with pytest.raises(Unavailable, match="answered 500"):
            CliRunner().invoke(commands.app, ["test", "desk"], catch_exceptions=False)
        assert "webhook" in call("channels")
    with writing(small_world.engine) as connection:
        now = small_world.clock.now()
        body = sample_message("msg_1", Links(), now)
        store_outbox.add(connection, {"desk": body}, "rule=x", now)
        store_outbox.mark_dead(connection, 1, "no answer", now)
    assert "no answer" in call("messages", "--state", "dead")
    assert "again" in call("retry", "msg_1")
    assert "msg_1" in call("messages", "--state", "waiting")
    again = small_world.client.post("/v1/alert-messages/msg_1/retry", small_world.admin)
    assert again.status_code == 409
    absent = small_world.client.post("/v1/alert-channels/x/test", small_world.admin)
    assert absent.status_code == 404
    assert "set are: desk" in absent.json()["detail"]
