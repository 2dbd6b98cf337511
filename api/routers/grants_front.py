"""What the routes about grants share: the caller's desk, uploads, and one answer to one request."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar

from fastapi import Depends, Query, Request, Response
from sqlalchemy import Connection

from api.asking import Asked, Asking, Once
from api.booking import Books, LedgerDesk
from api.context import ApiContext, Context
from api.identity import Identity
from api.routers import grants_answers as answers
from api.schemas import grants as bodies
from api.schemas.common import Moment
from suanwang.model.tenant import Role
from suanwang.settings import Settings
from suanwang.sheets import write_csv, write_xlsx
from suanwang.units import FEN_PER_YUAN
from voucher.actor import Actor
from voucher.grants import store, store_requests
from voucher.grants.case import State
from voucher.grants.people import CITY
from voucher.grants.records import Record
from voucher.grants.steps import Desk, Till, require_sight, till_of
from voucher.registry.graph import PPM_PER_PERCENT
from voucher.registry.rules import Rules
from voucher.turn import Turn
from voucher.wording import Language

T = TypeVar("T")

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EXPORT_MAX: Final = 1_000
"""Applications of one table; the header X-Next-After says where the next one begins."""
Format = Annotated[Literal["csv", "xlsx"], Query()]
Lang = Annotated[Language, Query(description="language of reasons, flags and cuts")]
RAW: Final = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
}


@dataclass(frozen=True, slots=True)
class _Upload:
    """The body of a request, and the type that its sender gave it."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class _NamedUpload:
    """A file as evidence: its bytes, which evidence it is, and its name."""

    content: bytes
    media_type: str
    kind: str
    name: str
    line: str


async def _upload(request: Request) -> _Upload:
    media_type = request.headers.get("content-type", "application/octet-stream")
    return _Upload(await request.body(), media_type[:100])


Upload = Annotated[_Upload, Depends(_upload)]


def _named(
    upload: Upload,
    kind: Annotated[str, Query(min_length=1, max_length=100)],
    name: Annotated[str, Query(min_length=1, max_length=200)] = "file",
    line: Annotated[str, Query(max_length=64, description="line it proves; all if empty")] = "",
) -> _NamedUpload:
    return _NamedUpload(upload.content, upload.media_type, kind, name, line)


NamedUpload = Annotated[_NamedUpload, Depends(_named)]


def seen(connection: Connection, identity: Identity, application_id: str) -> Record:
    """Return an application that the caller may see; raise NotFound."""
    record = store.find(connection, application_id)
    require_sight(record, actor_of(identity))
    return record


def actor_of(identity: Identity) -> Actor:
    """Return who acts."""
    return identity.actor


@dataclass(frozen=True, slots=True)
class Front:
    """A caller's desk in one transaction, and the one answer to what it asks there."""

    desk: Desk
    once: Once

    def step(self, application_id: str, act: Callable[[Desk], Record]) -> bodies.ApplicationOut:
        """Do a step of an application once; asked again, answer as it stands."""

        def again() -> bodies.ApplicationOut | None:
            connection = self.desk.connection
            request = self.once.asked.by(self.once.person)
            if not store_requests.is_repeat(connection, request, application_id):
                return None
            return answers.application_out(store.find(connection, application_id))

        return self.once.answer(
            bodies.ApplicationOut, lambda: answers.application_out(act(self.desk)), again
        )


def rules_of(settings: Settings) -> Rules:
    """Return from where on the office looks at ties and contracts."""
    limit = settings.registry.contract_limit_yuan
    return Rules(
        share_ppm_min=settings.registry.related_share_percent * PPM_PER_PERCENT,
        contract_limit_fen=limit * FEN_PER_YUAN or None,
        split_days=settings.registry.split_days,
    )


def front(connection: Connection, asked: Asked, identity: Identity, context: ApiContext) -> Front:
    """Return the front at which a caller is served in a transaction."""
    now = context.clock.now()
    desk = Desk(
        connection=connection,
        actor=actor_of(identity),
        now=now,
        request=asked.digest,
        rules=rules_of(context.settings),
    )
    once = Once(connection=connection, asked=asked, person=identity.key_id, now=now)
    return Front(desk, once)


@dataclass(frozen=True, slots=True)
class _Counter:
    """Where steps are done that move money: each in a turn at the ledger."""

    asked: Asked
    context: ApiContext
    books: LedgerDesk

    def step(
        self, identity: Identity, application_id: str, act: Callable[[Till], Record]
    ) -> bodies.ApplicationOut:
        """Do a step of an application once, in a transaction of its own.

        Others lock the same applications and programmes outside of the ledger's groups.
        """

        return self.serve(
            identity,
            lambda served, till: served.step(application_id, lambda _: act(till)),
        )

    def serve(self, identity: Identity, act: Callable[[Front, Till], T]) -> T:
        """Do anything at a till, in a transaction of its own."""

        def work(turn: Turn) -> T:
            served = front(turn.connection, self.asked, identity, self.context)
            return act(served, till_of(turn, served.desk))

        return self.books.change(work, alone=True)


def _counter(context: Context, books: Books, asked: Asking) -> _Counter:
    return _Counter(asked, context, books)


Counter = Annotated[_Counter, Depends(_counter)]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which applications a caller asks for."""

    state: State | None
    programme: str | None
    due_by: datetime | None

    def of(self, identity: Identity) -> store.Filter:
        """Return what the caller's list may hold."""
        is_district = identity.role is Role.REVIEWER_DISTRICT
        is_applicant = not is_district and identity.role not in CITY
        return store.Filter(
            tenant_id=identity.tenant_id if is_applicant else None,
            district=identity.tenant_id if is_district else None,
            state=self.state,
            programme_id=self.programme,
            due_by=self.due_by,
        )


def _wanted(
    state: State | None = None,
    programme: Annotated[str | None, Query(max_length=64)] = None,
    due_by: Annotated[Moment | None, Query()] = None,
) -> _Wanted:
    return _Wanted(state, programme, due_by)


Wanted = Annotated[_Wanted, Depends(_wanted)]


def table(rows: list[list[str]], format: str, name: str) -> Response:
    """Return rows as a file that a browser saves under a name."""
    content = write_xlsx(rows) if format == "xlsx" else write_csv(rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format}"'}
    media_type = XLSX if format == "xlsx" else "text/csv; charset=utf-8"
    return Response(content, media_type=media_type, headers=headers)
