"""What the parties say about a use, for its certificate."""

from datetime import date
from typing import Annotated

from pydantic import Field

from api.schemas.common import Fen, FenAboveZero, In, Out, Title
from voucher.reports.evidence import Invoice, Payment, References

InvoiceNumber = Annotated[
    str, Field(pattern=r"^[0-9]{20}$", examples=["26372000000012345678"], description="20 digits")
]


class InvoiceIn(In):
    """An electronic invoice: price and tax apart."""

    number: InvoiceNumber
    line: int = Field(default=1, ge=1, le=10_000)
    amount_fen: FenAboveZero
    tax_fen: Fen = 0
    issued_on: date | None = None


class PaymentIn(In):
    """A payment through a bank."""

    receipt: Title
    amount_fen: FenAboveZero
    paid_on: date


class EvidenceIn(In):
    """Which job, and the papers that the parties say belong to it."""

    submission_id: str = Field(min_length=1, max_length=128)
    contract_no: str = Field(default="", max_length=200)
    invoices: list[InvoiceIn] = Field(default=[], max_length=1_000)
    payments: list[PaymentIn] = Field(default=[], max_length=1_000)

    def references(self) -> References:
        """Return the papers."""
        return References(
            contract_no=self.contract_no,
            invoices=tuple(
                Invoice(
                    number=one.number,
                    line=one.line,
                    amount_fen=one.amount_fen,
                    tax_fen=one.tax_fen,
                    issued_on=one.issued_on,
                )
                for one in self.invoices
            ),
            payments=tuple(
                Payment(receipt=one.receipt, amount_fen=one.amount_fen, paid_on=one.paid_on)
                for one in self.payments
            ),
        )


class SigningKeyOut(Out):
    """The public key that evidence is signed with, and the end of the chain now."""

    algorithm: str
    public_key: str
    public_key_pem: str
    chain_seq: int
    chain_link: str
