"""Every route of the application, by method and path."""

from typing import Final

from fastapi.routing import APIRoute
from starlette.routing import WebSocketRoute

from api.app import OTHER_ROUTERS, PEOPLE_ROUTERS

SOCKET: Final = "WS"


def routes() -> list[tuple[str, str]]:
    """Return (method, path) of every route, a websocket under ``WS``."""
    found = []
    for router in (*PEOPLE_ROUTERS, *OTHER_ROUTERS):
        for route in router.routes:
            if isinstance(route, APIRoute):
                found += [(method, route.path) for method in sorted(route.methods or ())]
            elif isinstance(route, WebSocketRoute):
                found.append((SOCKET, route.path))
    return found
