"""``suanwang discover``: takes a site's inventory in from systems that know it already."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import ApiKey, Url, connect
from cli.inventory import end_with_faults, send_file, told
from cli.output import AsJson, line, note
from suanwang.errors import BadInput

if TYPE_CHECKING:
    from collectors.inventory.netbox import NetboxMap

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

app = typer.Typer(help="Take a site's inventory in from systems that know it, such as NetBox.")


@app.callback()
def discover() -> None:
    """Keep ``netbox`` a word of its own, also while it is the only one."""


@app.command("netbox")
def netbox(
    site_id: Annotated[str, typer.Option("--site", help="The site's id here.")],
    netbox_url: Annotated[str, typer.Option("--netbox", help="NetBox's address, without /api.")],
    token_file: Annotated[Path, typer.Option(help="A file with a token that may read dcim.")],
    netbox_site: Annotated[
        str | None, typer.Option(help="Its slug in NetBox; the same as --site if left out.")
    ] = None,
    map_file: Annotated[
        Path | None,
        typer.Option("--map", help="YAML: what NetBox does not know; see docs/inventory.md."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Authorities in PEM besides the system's.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a workbook and ask no centre.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Write it, or only show what would be.")
    ] = False,
    removes_absent: Annotated[
        bool, typer.Option("--remove-absent", help="Take away what NetBox does not have.")
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Read a site's rooms, racks, power and devices from NetBox; without --apply only show them."""
    from cli.netbox import Netbox, NetboxAccess, read_token
    from collectors.inventory.netbox import discover as mapped
    from suanwang.clock import SystemClock
    from suanwang.sheets import write_workbook

    wishes = read_map(map_file)
    access = NetboxAccess(url=netbox_url, token=read_token(token_file), ca_file=ca_file)
    with Netbox(access, SystemClock()) as reader:
        answers = reader.site(netbox_site or site_id, with_parts=bool(wishes.accelerators))
        found = mapped(answers, wishes)
    for text in found.notes:
        note(f"note: {text}")
    if not found.rows:
        raise BadInput(f"NetBox has nothing at site {netbox_site or site_id}")
    content = write_workbook({kind.value: rows for kind, rows in found.rows.items()})
    if output is not None:
        output.write_bytes(content)
        line(f"wrote {output}")
        return
    answer = send_file(
        site_id,
        content,
        connect(url, api_key),
        media=XLSX,
        reason=f"discovered in NetBox {netbox_url}",
        dry_run=not apply,
        removes_absent=removes_absent,
    )
    told(answer, as_json=as_json)
    end_with_faults(answer, "NetBox's rows", is_trial=not apply)


def read_map(path: Path | None) -> "NetboxMap":
    """Return what the operator adds to NetBox; raise BadInput that names key and fault."""
    import yaml
    from pydantic import ValidationError

    from collectors.inventory.netbox import AcceleratorMap, MeterMap, NetboxMap
    from collectors.words import explain

    if path is None:
        return NetboxMap()
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return NetboxMap.model_validate(raw or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
        raise BadInput(f"cannot read {path}: {failure}") from failure
    except ValidationError as failure:
        models = (NetboxMap, MeterMap, AcceleratorMap)
        known = {name for model in models for name in model.model_fields}
        raise BadInput(f"{path}: {explain(failure, known)}") from failure
