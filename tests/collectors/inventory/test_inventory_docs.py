"""The page of the inventory says what the program does."""

from checkout import ROOT

from collectors.inventory.faults import Code
from collectors.inventory.fields import FIELDS
from collectors.store_inventory_history import Origin

PAGE = (ROOT / "docs" / "inventory.md").read_text(encoding="utf-8")


def test_every_code_sheet_field_and_word_is_on_the_page() -> None:
    words = [code.value for code in Code] + [origin.value for origin in Origin]
    for kind, fields in FIELDS.items():
        words.append(kind.value)
        for field in fields:
            words.append(field.name)
            if kind.value in ("feeds", "racks") or field.name in ("measures", "face"):
                words += [member.value for member in field.enum or ()]
    assert [word for word in words if f"`{word}`" not in PAGE] == []
