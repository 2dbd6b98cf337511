"""A usage certificate on paper, for people; what is signed and verified is the JSON beside it."""

from typing import Final

from voucher.reports.evidence import STATED, Certificate
from voucher.reports.lines import movement
from voucher.reports.report import CellKind, Column, Fact, Report, Row, Section, Tail, Totals, local
from voucher.reports.settlement import unit_hours

_MWH_PER_WH: Final = 1_000
_RUN_COLUMNS: Final = (
    Column(name="number", label="次", kind=CellKind.COUNT, width=5),
    Column(name="site", label="智算中心", width=16),
    Column(name="operator", label="运营方", width=22),
    Column(name="accelerator", label="算力类型", width=14),
    Column(name="units", label="数量", kind=CellKind.COUNT, width=7),
    Column(name="start", label="开始（北京时间）", width=20),
    Column(name="end", label="结束（北京时间）", width=20),
    Column(name="unit_hours", label="卡时", width=14),
    Column(name="energy", label="电量（Wh，推算）", width=16),
    Column(name="metered", label="机房IT电量（Wh）", width=16),
    Column(name="quality", label="计量质量", width=12),
    Column(name="pue", label="PUE", width=8),
)
_ENTRY_COLUMNS: Final = (
    Column(name="seq", label="账本序号", kind=CellKind.COUNT, width=11),
    Column(name="at", label="时间", width=20),
    Column(name="kind", label="类型", width=8),
    Column(name="voucher_fen", label="算力券", kind=CellKind.AMOUNT, width=12, is_summed=True),
    Column(name="cash_fen", label="自付", kind=CellKind.AMOUNT, width=12, is_summed=True),
    Column(name="link", label="链值", width=64),
)
_PAPER_COLUMNS: Final = (
    Column(name="kind", label="单据", width=10),
    Column(name="number", label="号码", width=30),
    Column(name="amount_fen", label="金额", kind=CellKind.AMOUNT, width=14),
    Column(name="tax_fen", label="税额", kind=CellKind.AMOUNT, width=14),
    Column(name="day", label="日期", width=12),
    Column(name="source", label="来源", width=20),
)
_AWARD_COLUMNS: Final = (
    Column(name="application", label="申报编号", width=28),
    Column(name="policy", label="政策版本", width=24),
    Column(name="digest", label="政策摘要（SHA-256）", width=64),
    Column(name="award_fen", label="核定金额", kind=CellKind.AMOUNT, width=14),
    Column(name="decided", label="核定时间", width=20),
    Column(name="publicity", label="公示截止", width=20),
)
_FLAG_COLUMNS: Final = (
    Column(name="code", label="提示", width=16),
    Column(name="message", label="说明", width=90),
)


def certificate_report(certificate: Certificate) -> Report:
    """Return the certificate as a report."""
    proof, job = certificate.proof, certificate.job
    return Report(
        name="certificate",
        title="算力用量凭证",
        facts=(
            Fact(name="id", label="凭证编号", value=certificate.id),
            Fact(name="issued_at", label="出具时间", value=local(certificate.issued_at)),
            Fact(name="issuer", label="出具方", value=certificate.issuer.name),
            Fact(name="enterprise", label="企业", value=certificate.enterprise.name),
            Fact(name="uscc", label="统一社会信用代码", value=certificate.enterprise.uscc),
            Fact(name="job", label="作业", value=job.submission_id),
            Fact(name="contract", label="合同号", value=certificate.references.contract_no),
            Fact(name="policies", label="政策", value=_policies(certificate)),
            Fact(name="chain_seq", label="账本最后序号", value=proof.size, kind=CellKind.COUNT),
            Fact(name="chain_link", label="账本链头", value=proof.head),
        ),
        main=Section(name="runs", label="运行", columns=_RUN_COLUMNS, rows=_runs(certificate)),
        after=lambda totals: _tail(certificate, totals),
    )


def _policies(certificate: Certificate) -> str:
    return "；".join(
        f"{one.programme} v{one.version} {one.digest[:16]}" if one.version else one.programme
        for one in certificate.policies
    )


def _runs(certificate: Certificate) -> list[Row]:
    return [
        (
            use.number,
            use.site.name,
            use.site.operator.name,
            use.accelerator,
            use.units,
            local(use.usage[0].started_at) if use.usage else "",
            local(use.usage[-1].ended_at) if use.usage else "",
            unit_hours(use.unit_ms),
            _wh(use.energy.energy_mwh),
            _wh(use.site.it_energy.energy_mwh),
            use.site.it_energy.quality,
            _pue(use.site.pue.pue_e4),
        )
        for use in certificate.job.attempts
    ]


def _tail(certificate: Certificate, totals: Totals) -> Tail:
    entries: list[Row] = []
    for proved in certificate.entries:
        moved = movement(proved.entry.postings)
        entries.append(
            (
                proved.entry.seq,
                local(proved.entry.at),
                proved.entry.kind,
                moved.voucher_paid_fen,
                moved.cash_paid_fen,
                proved.link,
            )
        )
    flags: list[Row] = [(one.code.value, one.message) for one in certificate.flags]
    return Tail(
        sections=(
            Section(name="entries", label="支付（账本）", columns=_ENTRY_COLUMNS, rows=entries),
            Section(
                name="papers",
                label="单据",
                columns=_PAPER_COLUMNS,
                rows=_papers(certificate),
            ),
            Section(
                name="awards", label="算力券核定", columns=_AWARD_COLUMNS, rows=_awards(certificate)
            ),
            Section(name="flags", label="核查提示", columns=_FLAG_COLUMNS, rows=flags),
        )
    )


def _papers(certificate: Certificate) -> list[Row]:
    told = certificate.references
    rows: list[Row] = [
        ("合同", one.number, one.amount_fen, None, str(one.signed_on), _source(one.source))
        for one in told.contracts
    ]
    rows += [
        (
            "发票",
            one.number,
            one.amount_fen,
            one.tax_fen,
            str(one.issued_on or ""),
            _source(one.source),
        )
        for one in told.invoices
    ]
    return rows + [
        ("付款回单", one.receipt, one.amount_fen, None, str(one.paid_on), _source(one.source))
        for one in told.payments
    ]


def _source(source: str) -> str:
    """Return in Chinese who named a paper."""
    names = {STATED: "企业填报，平台未核验", "hand": "主管部门登记", "table": "主管部门登记"}
    return names.get(source, "申报材料")


def _awards(certificate: Certificate) -> list[Row]:
    return [
        (
            award.application_id,
            f"{award.programme} v{award.version}",
            award.digest,
            award.award_fen,
            local(award.decided_at) if award.decided_at else "",
            local(award.publicity_until) if award.publicity_until else "",
        )
        for award in certificate.awards
    ]


def _wh(energy_mwh: int) -> str:
    whole, rest = divmod(energy_mwh, _MWH_PER_WH)
    return f"{whole}.{rest:03d}"


def _pue(pue_e4: int | None) -> str:
    return "" if pue_e4 is None else f"{pue_e4 // 10_000}.{pue_e4 % 10_000:04d}"
