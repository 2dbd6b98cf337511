"""The fields of the inventory: how each is called, what it says, and how a cell becomes a value.

One table serves workbooks, CSV files, single edits and the template.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Final

from collectors.inventory.cells import (
    NOTHING,
    Cell,
    Choice,
    identity,
    maybe,
    number,
    text,
    whole,
)
from collectors.words import nearest
from suanwang.model.inventory import (
    TYPES,
    Delivery,
    Face,
    HostKind,
    Inventory,
    Item,
    Kind,
    Measures,
    RackCooling,
    Side,
)
from suanwang.model.meter import Carrier, MeterRole, PueCategory
from suanwang.units import INT64_MAX

Reader = Callable[[Cell], object]
W_MAX: Final = 10**12
WH_MAX: Final = INT64_MAX // 1_000
HEIGHT_U_MAX: Final = 100
SLOTS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its name (that of the attribute), its Chinese heading, what it says, its reader."""

    name: str
    chinese: str
    words: str
    read: Reader
    is_needed: bool = False

    @property
    def enum(self) -> type[StrEnum] | None:
        """The words that it may be, where it is one of few."""
        return self.read.words if isinstance(self.read, Choice) else None


_ID: Final = Field("id", "编号", "id, unique at the site", identity, is_needed=True)
_NAME: Final = Field("name", "名称", "label for people", text(200, needed=True), is_needed=True)
_WATTS: Final = whole(0, W_MAX)

FIELDS: Final[Mapping[Kind, tuple[Field, ...]]] = {
    Kind.ROOMS: (
        _ID,
        _NAME,
        Field("zone", "分区", "rooms of one zone share a partial PUE; empty: its own", text(64)),
        Field("floor", "楼层", "floor", text(64)),
        Field("it_design_w", "IT设计功率W", "most IT power by design, W", maybe(_WATTS)),
    ),
    Kind.FEEDS: (
        _ID,
        _NAME,
        Field("side", "路别", "A, B, or shared where it is upstream of both", Choice(Side), True),
        Field("rated_w", "额定功率W", "most that it carries, W; empty: not known", maybe(_WATTS)),
        Field("parent_id", "上级馈路", "feed that it hangs on", maybe(identity)),
    ),
    Kind.RACKS: (
        _ID,
        _NAME,
        Field("rated_w", "额定功率W", "rated IT power, W", whole(1, W_MAX), True),
        Field("room_id", "机房", "room that it stands in", maybe(identity)),
        Field("position", "位置", "row and place, in the operator's words", text(64)),
        Field("height_u", "高度U", "height, U", whole(1, HEIGHT_U_MAX)),
        Field("contracted_w", "签约功率W", "booked by its user, W, if known", maybe(_WATTS)),
        Field("cooling", "制冷方式", "what carries its heat out", Choice(RackCooling)),
        Field("delivery", "交付状态", "planned, delivered, or in use", Choice(Delivery)),
        Field("feed_a_id", "A路", "feed of side A", maybe(identity)),
        Field("feed_b_id", "B路", "feed of side B", maybe(identity)),
    ),
    Kind.METERS: (
        _ID,
        _NAME,
        Field("role", "用途", "what it stands for in the figures", Choice(MeterRole), True),
        Field("rated_w", "额定功率W", "most power that is believed, W", whole(1, W_MAX), True),
        Field("measures", "计量范围", "what stands behind it", Choice(Measures)),
        Field("object_id", "计量对象", "id of that room, feed or rack", maybe(identity)),
        Field("parent_id", "上级表计", "meter that it is behind", maybe(identity)),
        Field("carrier", "介质", "what flows through it", Choice(Carrier)),
        Field("category", "PUE类别", "PUE1 UPS, PUE2 PDU, PUE3 equipment", Choice(PueCategory)),
        Field("resolution_wh", "分辨率Wh", "one count of its register, Wh", number(1e-9, 1e9)),
        Field("modulus_wh", "翻转值Wh", "where its register wraps, Wh; 0: never", whole(0, WH_MAX)),
        Field("poll_s", "采集周期s", "seconds between two readings", number(0.1, 86_400)),
        Field("profile", "设备模型", "device profile that reads it", text(64)),
        Field("address", "地址", "host, host:port or host:port/unit", text(200)),
    ),
    Kind.HOSTS: (
        _ID,
        _NAME,
        Field("rack_id", "机柜", "rack that it is in", maybe(identity)),
        Field("position_u", "起始U位", "lowest unit, from 1; empty: none", maybe(whole(1, 100))),
        Field("height_u", "高度U", "units that it takes", whole(0, HEIGHT_U_MAX)),
        Field("face", "安装面", "depth that it takes", Choice(Face)),
        Field("kind", "类型", "what it is", Choice(HostKind)),
        Field("model", "型号", "model", text(200)),
        Field("serial", "序列号", "serial number", text(200)),
        Field("rated_w", "额定功率W", "most power, W; empty: not known", maybe(_WATTS)),
        Field("bmc", "带外地址", "address of its BMC, such as https://10.0.0.21", text(200)),
    ),
    Kind.ACCELERATORS: (
        Field("id", "UUID", "UUID that the driver shows", identity, is_needed=True),
        Field("model", "型号", "accelerator model", text(200, needed=True), True),
        Field("host_id", "主机", "host that it is in", maybe(identity)),
        Field("slot", "槽位", "its number in the host", maybe(whole(0, SLOTS_MAX))),
        Field("pool_id", "资源池", "pool that it is scheduled in", maybe(identity)),
    ),
}  # fmt: skip
ENUMS: Final[Mapping[Kind, Mapping[str, type[StrEnum]]]] = {
    kind: {each.name: each.enum for each in FIELDS[kind] if each.enum is not None} for kind in Kind
}
"""Fields that hold one of few words, and those words."""
_NAMES: Final = {kind: frozenset(each.name for each in FIELDS[kind]) for kind in Kind}
SHEETS: Final[Mapping[str, Kind]] = {
    "机房": Kind.ROOMS,
    "馈路": Kind.FEEDS,
    "机柜": Kind.RACKS,
    "表计": Kind.METERS,
    "主机": Kind.HOSTS,
    "加速卡": Kind.ACCELERATORS,
} | {kind.value: kind for kind in Kind}
"""Names of sheets, Chinese and English."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """A field whose value cannot be, and why."""

    field: str
    reason: str


def field_names(kind: Kind) -> tuple[str, ...]:
    """Return the fields of a kind in the order of their columns."""
    return tuple(each.name for each in FIELDS[kind])


def field_of(kind: Kind, heading: str) -> str:
    """Return the field that a heading names; raise ValueError that names the nearest one."""
    for each in FIELDS[kind]:
        if heading in (each.name, each.chinese):
            return each.name
    raise ValueError(f"unknown column {heading!r}{nearest(heading, field_names(kind))}")


def read_item(
    kind: Kind, cells: Mapping[str, Cell], before: Inventory
) -> Item | tuple[FieldFault, ...]:
    """Return the thing that cells say, or everything that is wrong with them.

    A field that is not among the cells stays as it is in ``before``; an empty cell is the default.
    """
    values: dict[str, object] = {}
    faults: list[FieldFault] = []
    for each in FIELDS[kind]:
        if each.name not in cells:
            continue
        try:
            values[each.name] = _read(kind, each, cells[each.name])
        except ValueError as failure:
            faults.append(FieldFault(each.name, str(failure)))
    former = before.of(kind).get(str(values.get("id", "")))
    if former is None and "id" in values:
        missing = [each for each in FIELDS[kind] if each.is_needed and each.name not in cells]
        faults += [FieldFault(each.name, "is missing") for each in missing]
    if faults:
        return tuple(faults)
    if former is not None:
        changed: Item = replace(former, **values)  # type: ignore[arg-type]
        return changed
    made: Item = TYPES[kind](**values)  # type: ignore[arg-type]
    return made


def _read(kind: Kind, each: Field, cell: Cell) -> object:
    """Return a field's value; raise ValueError where the cell does not say one that can be."""
    value = each.read(cell)
    if value is not NOTHING:
        return value
    if each.is_needed:
        raise ValueError("is empty")
    return _default(kind, each.name)


def _default(kind: Kind, name: str) -> object:
    return next(each.default for each in fields(TYPES[kind]) if each.name == name)


def item_of(kind: Kind, values: Mapping[str, object]) -> Item:
    """Return the thing that was written out with ``values_of``; it was sound then.

    A field that was not there then has its default, one that is no more is passed over.
    """
    known = _NAMES[kind]
    found = {name: value for name, value in values.items() if name in known}
    for name, words in ENUMS[kind].items():
        if name in found:
            found[name] = words(str(found[name]))
    made: Item = TYPES[kind](**found)  # type: ignore[arg-type]
    return made


def cell_text(value: object) -> str:
    """Return a field's value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)


def heading_rows() -> Sequence[Sequence[str]]:
    """Return what every column of every sheet means, as rows with headings."""
    rows: list[Sequence[str]] = [("sheet", "column", "heading", "needed", "words", "meaning")]
    for kind in Kind:
        for each in FIELDS[kind]:
            needed = "yes" if each.is_needed else ""
            choices = ", ".join(each.enum or ())
            rows.append((kind.value, each.name, each.chinese, needed, choices, each.words))
    return rows
