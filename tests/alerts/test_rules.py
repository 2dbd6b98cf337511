"""Rules as data: the shipped ones are sound and documented, and one's own file is read strictly."""

import re
from pathlib import Path

import pytest
import yaml
from checkout import ROOT

from alerts.channels.config import AlertmanagerSpec, EmailSpec, WebhookSpec, parse_channels
from alerts.model import AlertState, Chart, Rule, Severity
from alerts.rules import Rules, load, shipped
from alerts.signals import SIGNALS, Unit, value_text
from suanwang.errors import BadInput
from suanwang.settings import AlertSettings

PAGE = (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8")
RUNBOOKS = ROOT / "docs" / "runbooks"
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def own(tmp_path: Path, text: str) -> Rules:
    file = tmp_path / "rules.yaml"
    file.write_text(f"schema: alert_rules/v1\nrules:\n{text}", encoding="utf-8")
    return load(file)


def test_each_rule_has_a_runbook_and_each_runbook_a_rule() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")}
    assert pages == set(shipped().by_id)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_says_what_it_means_what_to_look_at_and_how_to_silence(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for part in ("# " + page.stem, "What it means", "Likely causes", "What to look at"):
        assert part in text
    assert f"suanwang alerts silence --rule {page.stem} " in text
    named = set(re.findall(r"`(suanwang [a-z]+(?: [a-z]+)?)", text))
    unknown = {name for name in named if f"### `{name}`" not in COMMANDS}
    assert {name for name in unknown if f"## `{name}`" not in COMMANDS} <= {"suanwang jobs"}


@pytest.mark.parametrize("rule", tuple(shipped()), ids=lambda rule: rule.id)
def test_each_rule_has_its_row_on_the_page(rule: Rule) -> None:
    row = rf"^\| \[`{rule.id}`\]\(runbooks/{rule.id}.md\) \| .+ \| (\w+) \|$"
    assert re.findall(row, PAGE, re.MULTILINE) == [rule.severity.value]


@pytest.mark.parametrize("name", tuple(SIGNALS))
def test_each_signal_is_explained(name: str) -> None:
    assert f"| `{name}` | {SIGNALS[name].unit.value} | {SIGNALS[name].words} |" in PAGE


def test_the_page_names_every_state_severity_and_chart() -> None:
    for word in (*AlertState, *Severity, *Chart):
        assert f"`{word.value}`" in PAGE


def test_the_page_names_every_key_of_a_channel() -> None:
    for spec in (WebhookSpec, AlertmanagerSpec, EmailSpec):
        for name in spec.model_fields:
            assert f"`{name}`" in PAGE, (spec, name)


def test_the_example_of_the_page_is_a_sound_file(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(schema: alert_rules.+?)```", PAGE, re.DOTALL)
    assert example
    file = tmp_path / "rules.yaml"
    file.write_text(example[1], encoding="utf-8")
    rules = load(file)
    assert rules.find("meter-rollover") is None
    warm, cold = rules.find("inlet-warm"), rules.find("dew-hall-2")
    assert warm is not None
    assert cold is not None
    assert warm.above is not None
    assert warm.above.number == 30
    assert warm.margin == 1, "what the file does not say stays"
    assert cold.runbook.startswith("https://")


def test_the_channels_of_the_page_are_sound() -> None:
    example = re.search(r"```yaml\n(alerts:.+?)```", PAGE, re.DOTALL)
    assert example
    written = yaml.safe_load(example[1])["alerts"]
    assert [spec.kind for spec in parse_channels(written.pop("channels"))] == [
        "webhook",
        "email",
        "alertmanager",
    ]
    assert AlertSettings(**written).grafana_url == "https://grafana.example.cn"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("- id: inlet-hot\n  abovee: 3\n", "did you mean 'above'", id="misspelt"),
        pytest.param("- id: mine\n  above: 3\n", "is none of", id="no signal"),
        pytest.param("- id: inlet-hot\n  signal: heat\n", "is none of", id="unknown signal"),
        pytest.param("- id: inlet-hot\n- id: inlet-hot\n", "twice", id="twice"),
        pytest.param("- id: inlet-hot\n  below: 31\n", "nothing is clear", id="no room"),
        pytest.param("- id: inlet-hot\n  inhibited_by: [x-x]\n", "is no rule", id="inhibitor"),
        pytest.param("- id: inlet-hot\n  above: site.x\n", "site.pue_limit", id="unknown fact"),
        pytest.param(
            "- id: inlet-hot\n  above: site.pue_limit\n", "does not tell", id="a fact of another"
        ),
        pytest.param("- id: inlet-hot\n  above: .nan\n", "finite", id="not a number"),
        pytest.param("- id: inlet-hot\n  severity: bad\n", "critical", id="severity"),
        pytest.param("- id: Inlet\n", "pattern", id="id"),
        pytest.param(
            "- id: inlet-hot\n  summary: {en: '{what}', zh: x}\n", "unknown", id="summary"
        ),
        pytest.param(
            "- id: x-x\n  signal: xid_errors\n  above: 0\n  severity: info\n"
            "  summary: {en: x, zh: x}\n",
            "needs lookback_s",
            id="lookback",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)) as failure:
        own(tmp_path, text)
    assert "rules.yaml:" in failure.value.message


def test_a_file_of_ones_own_changes_only_what_it_says(tmp_path: Path) -> None:
    rules = own(tmp_path, "- id: target-lost\n  above: 600\n")
    former, now = shipped().find("target-lost"), rules.find("target-lost")
    assert former is not None
    assert now is not None
    assert now.above is not None
    assert now.above.number == 600
    assert (now.margin, now.severity, now.summary) == (
        former.margin,
        former.severity,
        former.summary,
    )


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit.SECONDS, 95.0, "95 s"),
        (Unit.SECONDS, 600.0, "10 min"),
        (Unit.SECONDS, 8_000.0, "2 h"),
        (Unit.SECONDS, 300_000.0, "3 d"),
        (Unit.SHARE, 0.975, "97.5 %"),
        (Unit.RATIO, 1.3456, "1.346"),
        (Unit.CELSIUS, 31.25, "31.2 °C"),
        (Unit.COUNT, 3.0, "3"),
        (Unit.COUNT, None, "–"),
    ],
)
def test_values_are_written_for_people(unit: Unit, value: float | None, text: str) -> None:
    assert value_text(unit, value) == text
