"""The inventory of a site: what stands there, now and at any moment, and who changed it.

Every answer carries the revision as its ETag; a change under ``If-Match`` is done to that revision
or not at all.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from sqlalchemy import Connection

from api.context import ApiContext, Context
from api.identity import Identity, SiteManager
from api.ownership import own_site
from api.routers.grants_front import RAW, XLSX, Format, Upload
from api.schemas import inventory as bodies
from api.schemas.common import INT32_MAX, PAGE_MAX, Moment
from collectors import store_inventory, store_inventory_history
from collectors.inventory import check, files
from collectors.inventory.cells import ID
from collectors.inventory.faults import Ref
from collectors.store_inventory_edit import (
    Outcome,
    Wishes,
    plan_file,
    plan_put,
    plan_removal,
    write,
)
from collectors.store_inventory_history import Author, Origin
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.model.inventory import Kind, values_of
from suanwang.units import STANDARD_RACK_W

router = APIRouter(prefix="/v1/sites", tags=["inventory"])

After = Annotated[str, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
At = Annotated[Moment | None, Query(description="as it was then, with its zone; else now")]
Reason = Annotated[str, Query(min_length=1, max_length=200, description="why, for the history")]
_BASE: Final = "/{site_id}/inventory"
PLANS_MAX: Final = 5
"""How often a change is planned anew before it is refused."""
_ANYTHING: Final = Wishes()


def _expected(
    if_match: Annotated[
        str | None, Header(description='such as "7": only to that revision')
    ] = None,
) -> int | None:
    """Return the revision that a change is meant for; None for any."""
    return None if if_match is None or if_match.strip() == "*" else _revision_in(if_match)


def _revision_in(tag: str) -> int:
    number = tag.strip().removeprefix("W/").strip('"')
    if not number.isascii() or not number.isdecimal() or int(number) > INT32_MAX:
        raise BadInput(
            f"If-Match: {tag[:40]!r} is no revision", next_step='send the ETag, such as "7"'
        )
    return int(number)


Expected = Annotated[int | None, Depends(_expected)]
Seen = Annotated[str | None, Header(alias="If-None-Match")]


def _tag(revision: int) -> str:
    return f'"{revision}"'


def _author(identity: Identity, context: ApiContext, origin: Origin, reason: str) -> Author:
    actor = f"key {identity.key_id}"
    return Author(actor=actor, origin=origin, reason=reason, at=context.clock.now())


def _ref(kind: Kind, thing_id: str) -> Ref:
    if not ID.fullmatch(thing_id):
        raise NotFound(f"there is no {kind.value[:-1]} {thing_id[:70]!r}: that is no id")
    return Ref(kind, thing_id)


@dataclass(frozen=True, slots=True)
class _Page:
    """Which things of a kind are asked for, and what the caller has already."""

    after: str
    limit: int
    at: datetime | None
    seen: str | None


def _page(
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Limit = 100,
    at: At = None,
    seen: Seen = None,
) -> _Page:
    return _Page(after, limit, at, seen)


@router.get(_BASE, summary="What stands at a site", response_model=bodies.InventoryOut)
def look_at_inventory(
    site_id: str, identity: SiteManager, context: Context, response: Response, seen: Seen = None
) -> bodies.InventoryOut | Response:
    """Return counts, rated power against the design, and what is odd; 304 if nothing changed."""
    with context.reading() as connection:
        site = own_site(connection, identity, site_id).site
        revision = store_inventory_history.newest(connection, site_id)
        tag = f'"{revision}-{site.it_design_w}"'
        if seen == tag:
            return Response(status_code=304, headers={"ETag": tag})
        there = store_inventory.load(connection, site_id)
        around = store_inventory.surroundings(connection, site_id, ())
    standing_w = sum(rack.rated_w for rack in there.racks.values() if rack.is_deliverable)
    response.headers["ETag"] = tag
    return bodies.InventoryOut(
        site_id=site_id,
        revision=revision,
        counts={kind: len(there.of(kind)) for kind in Kind},
        it_design_w=site.it_design_w,
        racks_rated_w=standing_w,
        standard_racks=standing_w / STANDARD_RACK_W,
        racks=dict(Counter(rack.delivery.value for rack in there.racks.values())),
        warnings=list(check.warnings(there, around)),
    )


@router.get(f"{_BASE}/export", summary="The inventory as a file")
def export_inventory(
    site_id: str,
    identity: SiteManager,
    context: Context,
    format: Format = "xlsx",
    kind: Kind | None = None,
    at: At = None,
) -> Response:
    """Return a workbook of all sheets, or a CSV file of one kind; importing it changes nothing.

    Of a site without an inventory it is the template.
    """
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        if at is None:
            there = store_inventory.load(connection, site_id)
        else:
            there = store_inventory_history.inventory_at(connection, site_id, at)
    name = f"{site_id}-inventory"
    if format == "xlsx":
        return _file(files.workbook(there), XLSX, f"{name}.xlsx")
    if kind is None:
        raise BadInput("a CSV file has one sheet", next_step="name its kind, such as racks")
    return _file(files.csv_file(there, kind), "text/csv; charset=utf-8", f"{name}-{kind}.csv")


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def _wishes(
    expected: Expected,
    kind: Annotated[Kind | None, Query(description="what a CSV file holds")] = None,
    dry_run: bool = False,
    removes_absent: Annotated[
        bool, Query(description="take away what the file's sheets do not name")
    ] = False,
    is_strict: Annotated[bool, Query(description="write nothing where a row is bad")] = False,
) -> Wishes:
    return Wishes(
        kind=kind,
        is_trial=dry_run,
        removes_absent=removes_absent,
        is_strict=is_strict,
        expected=expected,
    )


def _do(
    context: ApiContext,
    site_id: str,
    make: Callable[[Connection], Outcome],
    author: Author,
    wishes: Wishes = _ANYTHING,
) -> bodies.ImportOut:
    """Plan by reading alone, and write the plan; plan anew where somebody else was quicker."""
    for _ in range(PLANS_MAX):
        with context.reading() as connection:
            planned = make(connection)
        if wishes.is_trial or (wishes.is_strict and planned.plan.faults):
            return bodies.import_out(site_id, planned)
        with context.writing() as connection:
            done = write(connection, site_id, planned, author)
        if done is not None:
            return bodies.import_out(site_id, done)
    raise Conflict(
        f"the inventory of {site_id} was changed {PLANS_MAX} times while this change was planned",
        next_step="send it again",
    )


@router.post(f"{_BASE}/import", openapi_extra=RAW, summary="Take in a workbook or a CSV file")
def import_inventory(
    site_id: str,
    upload: Upload,
    identity: SiteManager,
    context: Context,
    reason: Reason,
    wishes: Annotated[Wishes, Depends(_wishes)],
) -> bodies.ImportOut:
    """Write the sound rows in one revision; name each bad one with sheet, line and column.

    The same file again changes nothing. What the sheets do not name stays unless
    ``removes_absent`` is set. With ``dry_run`` nothing is written and the answer is the same.
    """

    def make(connection: Connection) -> Outcome:
        own_site(connection, identity, site_id)
        return plan_file(connection, site_id, upload.content, wishes)

    author = _author(identity, context, Origin.IMPORT, reason)
    return _do(context, site_id, make, author, wishes)


@router.get(f"{_BASE}/history", summary="Who changed the inventory, and when")
def list_revisions(
    site_id: str,
    identity: SiteManager,
    context: Context,
    before: Annotated[int | None, Query(ge=1, le=INT32_MAX)] = None,
    limit: Limit = 100,
) -> bodies.RevisionList:
    """Return the revisions, the newest first."""
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        found = store_inventory_history.revisions(connection, site_id, before=before, limit=limit)
    return bodies.RevisionList(
        items=[bodies.RevisionOut(**asdict(one)) for one in found],
        next=found[-1].revision if len(found) == limit else None,
    )


@router.get(f"{_BASE}/history/{{revision}}", summary="What a revision changed")
def read_revision(
    site_id: str,
    revision: Annotated[int, Path(ge=1, le=INT32_MAX)],
    identity: SiteManager,
    context: Context,
    after: After = "",
    limit: Limit = 100,
) -> bodies.EntryList:
    """Return the changes of a revision, each field before and after, by kind and id."""
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        found = store_inventory_history.entries_in(
            connection, site_id, revision, after=after, limit=limit
        )
    if not found and not after:
        raise NotFound(f"site {site_id} has no revision {revision} of its inventory")
    last = f"{found[-1].change.kind.value}/{found[-1].change.id}" if len(found) == limit else None
    return bodies.EntryList(items=[bodies.entry_out(one) for one in found], next=last)


@router.get(f"{_BASE}/{{kind}}", summary="Things of a kind", response_model=bodies.ThingList)
def list_things(
    site_id: str,
    kind: Kind,
    identity: SiteManager,
    context: Context,
    response: Response,
    asked: Annotated[_Page, Depends(_page)],
) -> bodies.ThingList | Response:
    """Return rooms, feeds, racks, meters, hosts or accelerators by id; 304 if nothing changed."""
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        revision = store_inventory_history.newest(connection, site_id, asked.at)
        if asked.seen == _tag(revision):
            return Response(status_code=304, headers={"ETag": _tag(revision)})
        if asked.at is None:
            there = store_inventory.load_kind(
                connection, site_id, kind, after=asked.after, limit=asked.limit
            )
        else:
            there = store_inventory_history.kind_at(
                connection, site_id, kind, revision, after=asked.after, limit=asked.limit
            )
    response.headers["ETag"] = _tag(revision)
    names = list(there)
    return bodies.ThingList(
        kind=kind,
        revision=revision,
        items=[values_of(item) for item in there.values()],
        next=names[-1] if len(names) == asked.limit else None,
    )


@router.get(f"{_BASE}/{{kind}}/{{thing_id}}", summary="One thing")
def read_thing(
    site_id: str,
    ref: Annotated[Ref, Depends(_ref)],
    identity: SiteManager,
    context: Context,
    response: Response,
    at: At = None,
) -> bodies.ThingOut:
    """Return all fields of a thing, now or at a moment."""
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        revision = store_inventory_history.newest(connection, site_id, at)
        if at is None:
            item = store_inventory.find(connection, site_id, ref)
        else:
            item = store_inventory_history.find_at(connection, site_id, ref, revision)
    if item is None:
        raise NotFound(f"there is no {ref} at site {site_id}")
    response.headers["ETag"] = _tag(revision)
    return bodies.ThingOut(kind=ref.kind, revision=revision, values=values_of(item))


@router.get(f"{_BASE}/{{kind}}/{{thing_id}}/history", summary="The life of one thing")
def read_life(
    site_id: str,
    ref: Annotated[Ref, Depends(_ref)],
    identity: SiteManager,
    context: Context,
) -> bodies.EntryList:
    """Return every change of a thing, the newest first."""
    with context.reading() as connection:
        own_site(connection, identity, site_id)
        found = store_inventory_history.entries_of(connection, site_id, ref)
    return bodies.EntryList(items=[bodies.entry_out(one) for one in found])


@router.put(f"{_BASE}/{{kind}}/{{thing_id}}", summary="Write some fields of a thing, or a new one")
def write_thing(
    site_id: str,
    named: Annotated[Ref, Depends(_ref)],
    body: bodies.ThingIn,
    identity: SiteManager,
    context: Context,
    expected: Expected,
) -> bodies.ImportOut:
    """Change a thing, or add one, in one revision; 422 names every fault."""

    def make(connection: Connection) -> Outcome:
        own_site(connection, identity, site_id)
        return plan_put(connection, site_id, named, body.values, expected)

    author = replace(_author(identity, context, Origin.EDIT, body.reason), from_at=body.from_at)
    return _do(context, site_id, make, author)


@router.delete(f"{_BASE}/{{kind}}/{{thing_id}}", summary="Take a thing away")
def remove_thing(
    site_id: str,
    named: Annotated[Ref, Depends(_ref)],
    identity: SiteManager,
    context: Context,
    reason: Reason,
    expected: Expected,
) -> bodies.ImportOut:
    """Remove a thing that no other names, in one revision; its history stays."""

    def make(connection: Connection) -> Outcome:
        own_site(connection, identity, site_id)
        return plan_removal(connection, site_id, named, expected)

    author = _author(identity, context, Origin.EDIT, reason)
    return _do(context, site_id, make, author)
