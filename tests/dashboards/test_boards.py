"""The dashboards are built from typed code, and every panel asks for something."""

from alerts.message import BOARD, PANELS
from dashboards.grafana import boards


def panels(board: dict[str, object]) -> list[dict[str, object]]:
    found = board["panels"]
    assert isinstance(found, list)
    return [panel for panel in found if panel["type"] != "row"]


def test_every_panel_has_a_title_a_unit_and_a_query() -> None:
    for panel in panels(boards.build_overview()):
        assert panel["title"]
        targets = panel["targets"]
        assert isinstance(targets, list)
        assert targets
        assert all(target["expr"] and target["refId"] for target in targets)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(boards.build_overview()):
        grid = panel["gridPos"]
        assert isinstance(grid, dict)
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not taken & cells
        taken |= cells


def test_the_data_source_is_a_variable() -> None:
    for panel in panels(boards.build_overview()):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_the_board_is_the_same_every_time() -> None:
    assert boards.build_all() == boards.build_all()


def test_queries_list_every_panel() -> None:
    titles = {title for title, _ in boards.queries()}
    assert titles == {str(panel["title"]) for panel in panels(boards.build_overview())}


def test_alerts_link_to_panels_that_are_there() -> None:
    numbers = [panel["id"] for panel in panels(boards.build_overview())]
    assert len(set(numbers)) == len(numbers)
    assert set(PANELS.values()) <= set(numbers)
    assert BOARD == boards.OVERVIEW_UID
