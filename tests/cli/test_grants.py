"""``suanwang voucher apply`` against a centre on a socket: from a table to a lot."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import httpx
import pytest
from api_server import PATIENCE_S, RunningCentre, running_centre
from cli_desk import RUNNER, Desk
from grant_builders import HAIYUN_CODE, WORKFLOW, a_file
from sqlalchemy import Engine

from cli.client import SENDS_MAX
from cli.grants_shown import fact_pairs, facts
from cli.vouchers import app
from suanwang.errors import BadInput, Conflict, Forbidden, Refused, Unavailable
from suanwang.model.tenant import Role


@pytest.fixture
def centre(sqlite_engine: Engine) -> Iterator[RunningCentre]:
    with running_centre(sqlite_engine, cycle_s=30) as running:
        yield running


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "form.csv"
    path.write_text(
        "申请编号,政策,企业名称,统一社会信用代码,合同编号,发票号码,合同金额（元）\n"
        f"a,plain,海云科技,{HAIYUN_CODE},HT-1,26372000000000000001,1000.00\n"
        f"b,plain,海云科技,{HAIYUN_CODE},HT-2,2,much\n",
        encoding="utf-8",
    )
    return path


def test_a_table_becomes_a_lot(centre: RunningCentre, sheet: Path, tmp_path: Path) -> None:
    admin = Desk(centre, centre.admin)
    policy = tmp_path / "policy.yaml"
    policy.write_text(a_file(workflow=WORKFLOW[:3]), encoding="utf-8")
    assert "plain v1 is in force" in admin.run("adopt", policy)
    firm = Desk(centre, centre.key("haiyun"))
    district = Desk(centre, centre.key("shinan", Role.REVIEWER_DISTRICT))
    city = Desk(centre, centre.key("bureau", Role.REVIEWER_CITY))
    payer = Desk(centre, centre.key("bureau", Role.REVIEWER_CITY))
    assert "file → district → city" in firm.run("programmes")

    assert isinstance(firm.refusal("import", sheet), Refused)
    (one,) = firm.json("list")["items"]
    name = one["id"]
    form = tmp_path / "form.pdf"
    form.write_bytes(b"%PDF")
    firm.run("attach", name, "申报表", form)
    assert "to be expected: 200.00 CNY" in firm.run("check", name)
    assert f"{name}: review at district" in firm.run("submit", name)

    district.run("attach", name, "初审表", form)
    assert isinstance(district.refusal("approve", name), BadInput)
    found = ("--fact", "applicant.is_dishonest=no", "--line-fact", "1:line.is_domestic=yes")
    district.run("approve", name, "--reason", "代码已核对", *found)
    assert "granted, award 200.00 CNY" in city.run("approve", name, "--reason", "属实")
    assert isinstance(city.refusal("issue", name), Forbidden)
    assert "issued" in payer.run("issue", name)
    shown = firm.run("show", name)
    assert "applicant.is_dishonest = False" in shown
    assert "funder City: 200.00 CNY" in shown
    assert "issue" in firm.run("events", name)
    assert "算力券 200.00 元已发放" in firm.run("messages", "--mark-read")
    assert firm.json("messages", "--unread")["items"] == []
    out = tmp_path / "all.csv"
    city.run("export", "--format", "csv", "--out", out)
    assert name in out.read_text(encoding="utf-8-sig")
    firm.run("template", "plain", "--out", tmp_path / "template.xlsx")
    assert (tmp_path / "template.xlsx").read_bytes()[:2] == b"PK"
    assert isinstance(firm.refusal("withdraw", name), Conflict)
    city.run("clawback", name, "--trigger", "fraud", "--reason", "举报属实")
    assert "reclaimed" in payer.run("decide-clawback", name, "approve")


def test_a_trial_of_a_table_names_the_bad_row_and_files_nothing(
    centre: RunningCentre, sheet: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(a_file(), encoding="utf-8")
    Desk(centre, centre.admin).run("adopt", policy)
    firm = Desk(centre, centre.key("haiyun"))
    where = ("--url", centre.url, "--api-key", centre.key("haiyun"))
    result = RUNNER.invoke(app, ["apply", "import", str(sheet), "--dry-run", *where])
    assert isinstance(result.exception, Refused)
    assert "a: would be created" in result.stdout
    assert "line 3, column line.contract_yuan: 'much'" in result.output
    assert firm.json("list")["items"] == []


def test_a_draft_is_sent_back_rejected_reopened_and_withdrawn(
    centre: RunningCentre, tmp_path: Path
) -> None:
    admin = Desk(centre, centre.admin)
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        a_file(workflow=[{"id": "city", "name": "市局", "role": "city-bureau"}]), encoding="utf-8"
    )
    admin.run("adopt", policy)
    firm = Desk(centre, centre.key("haiyun"))
    city = Desk(centre, centre.key("bureau", Role.REVIEWER_CITY))
    draft = tmp_path / "draft.yaml"
    draft.write_text(
        "ref: r1\nprogramme: plain\n"
        f"applicant: {{name: 海云科技, code: {HAIYUN_CODE}}}\n"
        "lines:\n  - id: '1'\n"
        "    facts: {line.contract_fen: 100000, line.invoice_no: '7', line.paid_on: 2026-01-02}\n",
        encoding="utf-8",
    )
    name = firm.json("file", draft)["id"]
    firm.run("submit", name)
    assert "returned" in city.run("return", name, "--reason", "缺页")
    draft.write_text(draft.read_text(encoding="utf-8").replace("100000", "50000"), encoding="utf-8")
    firm.run("file", draft, "--correct", name)
    firm.run("submit", name)
    assert "line.contract_fen = 500.00 CNY" in firm.run("show", name)
    assert "rejected" in city.run("reject", name, "--reason", "不符")
    assert isinstance(city.refusal("reopen", name, "--reason", "复核"), Forbidden)
    assert "returned" in admin.run("reopen", name, "--reason", "复核")
    assert "withdrawn" in firm.run("withdraw", name, "--reason", "不再申请")


def test_reasons_flags_and_cuts_are_told_in_the_language_that_is_asked_for(
    centre: RunningCentre, tmp_path: Path
) -> None:
    admin = Desk(centre, centre.admin)
    policy = tmp_path / "policy.yaml"
    region = {"fact": "applicant.region", "op": "eq", "value": "Chengdu", "because": "在蓉注册"}
    caps = [{"id": "firm", "scope": "applicant", "period": "year", "amount_fen": 10_000}]
    policy.write_text(
        a_file(eligibility=[region], caps=caps, workflow=[], stacking={}), encoding="utf-8"
    )
    admin.run("adopt", policy)
    firm = Desk(centre, centre.key("haiyun"))
    draft = tmp_path / "draft.yaml"
    draft.write_text(
        "ref: r1\nprogramme: plain\n"
        f"applicant: {{name: 海云科技, code: {HAIYUN_CODE}}}\n"
        "facts: {applicant.region: Jinan}\n"
        "lines:\n  - {id: '1', facts: {line.contract_fen: 100000}}\n",
        encoding="utf-8",
    )
    name = firm.json("file", draft)["id"]
    chinese = (
        "注册地（applicant.region）为Jinan；要求：注册地（applicant.region）为Chengdu（在蓉注册）"
    )
    english = "applicant.region is Jinan; needed: applicant.region is Chengdu (在蓉注册)"
    assert f"in the way: predicate-failed: {english}" in firm.run("check", name)
    assert f"in the way: predicate-failed: {chinese}" in firm.run("check", name, "--lang", "zh")
    (reason,) = firm.json("check", name)["blocking"]
    assert (reason["message"], reason["message_zh"]) == (english, chinese)
    told = firm.refusal("submit", name, "--lang", "zh")
    assert isinstance(told, Refused)
    assert told.message == chinese
    assert english in str(firm.refusal("submit", name))
    # In Chengdu the award is 200.00 yuan, of which the cap leaves 100.00.
    draft.write_text(draft.read_text(encoding="utf-8").replace("Jinan", "Chengdu"), "utf-8")
    firm.run("file", draft, "--correct", name)
    firm.run("submit", name)
    cut = "cut above-cap: 受限额 caps.firm 限制，由 200.00 元 减至 100.00 元"
    assert cut in firm.run("show", name, "--lang", "zh")
    assert "leaves 100.00 CNY of 200.00 CNY" in firm.run("show", name)
    shown = firm.run("messages", "--lang", "zh")
    assert "核减原因：受限额 caps.firm 限制" in shown
    assert "Cut:" not in shown
    out = tmp_path / "all.csv"
    firm.run("export", "--format", "csv", "--lang", "zh", "--out", out)
    assert "由 200.00 元 减至 100.00 元" in out.read_text(encoding="utf-8-sig")
    wrong = firm.refused("check", name, "--lang", "fr")
    assert "'fr' is not one of 'en', 'zh'" in wrong.output


class DeafProxy:
    """Passes requests on to a centre; the first answers to POSTs are lost on the way back."""

    def __init__(self, centre: RunningCentre, losses: int) -> None:
        self.losses = losses
        self.keys: list[str | None] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                proxy.keys.append(self.headers["Idempotency-Key"])
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                sent = {name: value for name, value in self.headers.items() if name != "Host"}
                told = httpx.post(
                    centre.url + self.path, content=body, headers=sent, timeout=PATIENCE_S
                )
                if proxy.losses > 0:
                    proxy.losses -= 1
                    self.close_connection = True
                    return
                self.send_response(told.status_code)
                self.send_header("Content-Length", str(len(told.content)))
                self.end_headers()
                self.wfile.write(told.content)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def draft_file(tmp_path: Path) -> Path:
    draft = tmp_path / "draft.yaml"
    draft.write_text(
        "ref: r1\nprogramme: plain\n"
        f"applicant: {{name: 海云科技, code: {HAIYUN_CODE}}}\n"
        "lines: [{id: '1', facts: {line.contract_fen: 100000, line.invoice_no: '7'}}]\n",
        encoding="utf-8",
    )
    return draft


def test_a_lost_answer_is_asked_for_again_and_the_step_is_done_once(
    centre: RunningCentre, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    stages = [{"id": "city", "name": "市局", "role": "city-bureau"}]
    policy.write_text(a_file(workflow=stages), encoding="utf-8")
    Desk(centre, centre.admin).run("adopt", policy)
    firm = Desk(centre, key := centre.key("haiyun"))
    name = firm.json("file", draft_file(tmp_path))["id"]
    with DeafProxy(centre, losses=2) as proxy:
        where = ("--url", proxy.url, "--api-key", key)
        result = RUNNER.invoke(app, ["apply", "submit", name, *where], catch_exceptions=False)
    assert f"{name}: review at city" in result.stdout
    assert (len(proxy.keys), len(set(proxy.keys)), None in proxy.keys) == (3, 1, False)
    did = [row["action"] for row in firm.json("events", name)["items"]]
    assert did == ["create", "submit"]
    assert f"{name}: review at city" in firm.run("submit", name)
    assert len(firm.json("events", name)["items"]) == 2


def test_an_answer_that_never_comes_is_told(centre: RunningCentre, tmp_path: Path) -> None:
    with DeafProxy(centre, losses=9) as proxy:
        where = ("--url", proxy.url, "--api-key", centre.key("haiyun"))
        result = RUNNER.invoke(app, ["apply", "submit", "app_x", *where])
    assert isinstance(result.exception, Unavailable)
    assert len(proxy.keys) == SENDS_MAX


def test_facts_are_read_from_options() -> None:
    assert facts(["applicant.region=Qingdao"]) == {"applicant.region": "Qingdao"}
    assert fact_pairs(["1:line.a=b=c", "1:line.d="]) == {"1": {"line.a": "b=c", "line.d": ""}}
    for wrong in ("x", "=y"):
        with pytest.raises(BadInput):
            facts([wrong])
        with pytest.raises(BadInput):
            fact_pairs([wrong])
