"""The demo as a user runs it: two real Ray clusters, the stock client, and nothing left behind."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import yaml

from cli.connection import read_saved
from cli.processes import MARKER, free_port_block
from dashboards.grafana import boards
from suanwang.clock import SystemClock

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(300)]

CLOCK = SystemClock()
SUANWANG = [sys.executable, "-m", "cli.main"]


@dataclass(frozen=True, slots=True)
class KeptDemo:
    document: dict[str, Any]
    folder: Path
    url: str
    api_key: str


def wait_until(is_true: Callable[[], bool], limit_s: float, what: str) -> None:
    deadline = CLOCK.monotonic() + limit_s
    while not is_true():
        assert CLOCK.monotonic() < deadline, f"{what}: not within {limit_s} s"
        CLOCK.sleep(0.2)


def marked() -> set[int]:
    """Processes that a supervisor of ours started."""
    found = set()
    for process in psutil.process_iter():
        try:
            if MARKER in process.environ():
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptDemo]:
    folder = tmp_path_factory.mktemp("demo") / "kept"
    words = folder.parent / "stderr"
    result = folder.parent / "stdout"
    before = marked()
    with words.open("w") as errors, result.open("w") as output:
        process = subprocess.Popen(
            [*SUANWANG, "demo", "--keep", "--json", "--folder", str(folder)],
            stdout=output,
            stderr=errors,
        )
    try:
        wait_until(
            lambda: "stays up" in words.read_text() or process.poll() is not None, 200, "the demo"
        )
        assert process.poll() is None, words.read_text()
        saved = read_saved(folder)
        assert saved is not None
        document = json.loads(result.read_text())
        yield KeptDemo(document, folder, saved.url, saved.api_key)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert process.returncode == 130
    assert marked() <= before


DAILY: Final = "suanwang_site_kpi"
"""Told of whole days: a demo of minutes has none, so its panels are empty by right."""


def test_each_job_ran_where_its_wish_sends_it(demo: KeptDemo) -> None:
    places = {name: job["site_id"] for name, job in demo.document["jobs"].items()}
    assert places == {
        "assistant": "laoshan",
        "render": "zhongwei",
        "report": "laoshan",
        "train": "zhongwei",
    }


def test_the_job_beyond_the_voucher_is_refused_with_both_amounts(demo: KeptDemo) -> None:
    refusal = demo.document["refused"]["simulation"]
    assert "402" in refusal
    assert "108.06" in refusal
    assert "20.00" in refusal


def test_what_was_paid_is_what_was_used(demo: KeptDemo) -> None:
    for job in demo.document["jobs"].values():
        account = job["account"]
        pool = 36 if account["site_id"] == "laoshan" else 18
        assert account["price_fen"] == int(account["unit_seconds"] * pool * 100 / 3600)
        assert account["voucher_fen"] + account["cash_fen"] == account["price_fen"]
        assert account["unit_seconds"] > 3
        assert account["energy_wh"] > 0


def test_the_books_add_up(demo: KeptDemo) -> None:
    assert demo.document["ledger"]["is_sound"]
    spent = sum(job["account"]["voucher_fen"] for job in demo.document["jobs"].values())
    for lot in demo.document["lots"]:
        parts = (
            lot[f"{part}_fen"] for part in ("available", "held", "spent", "expired", "recalled")
        )
        assert lot["issued_fen"] == sum(parts)
        assert lot["spent_fen"] == spent
        assert lot["held_fen"] == 0


def test_pue_comes_from_both_meters_of_each_site(demo: KeptDemo) -> None:
    for figure in demo.document["pue"]:
        assert 1.05 < figure["value"] < 1.9
        assert figure["is_interim"]
        assert figure["it_wh"] > 0


def test_every_job_says_why_not_elsewhere(demo: KeptDemo) -> None:
    reasons = {
        name: {v["site_id"]: v["reason"] for v in explanation["verdicts"]}
        for name, explanation in demo.document["explanations"].items()
    }
    assert reasons["assistant"]["zhongwei"] == "latency"
    assert reasons["report"]["zhongwei"] in ("data-law", "data-home")
    assert reasons["render"]["laoshan"] == "dearer"


@pytest.mark.parametrize("command", [["jobs"], ["sites"], ["pue"], ["voucher"], ["doctor"]])
def test_commands_answer_in_json_and_in_text(demo: KeptDemo, command: list[str]) -> None:
    flags = ["--url", demo.url, "--api-key", demo.api_key]
    for option in ([], ["--json"]):
        done = subprocess.run(
            [*SUANWANG, *command, *flags, *option], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        if option:
            json.loads(done.stdout)


def test_the_command_line_submits_and_follows(demo: KeptDemo, tmp_path: Path) -> None:
    (tmp_path / "answer.py").write_text("print('the answer is', 6 * 7)\n")
    done = subprocess.run(
        [
            *SUANWANG, "submit", "--url", demo.url, "--api-key", demo.api_key,
            "--working-dir", str(tmp_path), "--max-minutes", "1", "--", "python", "answer.py",
        ],
        capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the answer is 42" in done.stdout
    assert "core" in done.stdout or "cpu-seconds" in done.stdout


def test_a_stopped_job_ends_and_is_paid_for_what_it_ran(demo: KeptDemo) -> None:
    flags = ["--url", demo.url, "--api-key", demo.api_key]
    submit = [*SUANWANG, "submit", "--no-wait", "--json", "--max-minutes", "5", *flags]
    made = subprocess.run(
        [*submit, "--", "sleep", "240"], capture_output=True, text=True, check=True
    )
    name = json.loads(made.stdout)["submission_id"]

    def state() -> dict[str, Any]:
        shown = subprocess.run(
            [*SUANWANG, "jobs", "show", name, "--json", *flags],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        document: dict[str, Any] = json.loads(shown.stdout)
        return document

    wait_until(lambda: state()["state"] == "running", 40, "the job")
    subprocess.run([*SUANWANG, "stop", name, "--wait", *flags], check=True, timeout=90)
    wait_until(lambda: state()["account"] is not None, 20, "the account")
    job = state()
    assert job["state"] == "stopped"
    assert 0 < job["account"]["unit_seconds"] < 60


@pytest.mark.prometheus
def test_every_panel_of_the_dashboard_has_data(demo: KeptDemo, tmp_path: Path) -> None:
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("no prometheus on PATH (Debian: apt-get install prometheus)")
    port = free_port_block(1, 19_090)
    host = demo.url.removeprefix("http://")
    scrape = {"job_name": "suanwang", "static_configs": [{"targets": [host]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    process = subprocess.Popen(
        [
            binary, f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def ask(expression: str) -> list[Any]:
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}") as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found

    def is_scraped() -> bool:
        try:
            return any(sample["value"][1] == "1" for sample in ask("up"))
        except OSError:
            return False

    try:
        wait_until(is_scraped, 30, "Prometheus")
        CLOCK.sleep(2)
        empty = [
            f"{title}: {query}"
            for title, query in boards.queries()
            if DAILY not in query and not ask(query)
        ]
        assert not empty
    finally:
        process.terminate()
        process.wait(20)


def test_ctrl_c_during_the_start_leaves_nothing_behind() -> None:
    before = marked()
    process = subprocess.Popen(
        [*SUANWANG, "demo"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for text in process.stderr:
        if "the centre answers" in text:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 130, rest
    assert marked() <= before
