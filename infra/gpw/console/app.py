"""The console as an ASGI application: all pages, behind the guard."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from gpw.console import actions, event, events, letters, listening, one_event, overview, parked
from gpw.console.security import Guard
from gpw.console.web import HERE, Console, render


def application(console: Console) -> ASGIApp:
    """All pages of a console, behind its guard."""
    app = Starlette(
        routes=[
            *overview.ROUTES,
            *events.ROUTES,
            *event.ROUTES,
            *one_event.ROUTES,
            *letters.ROUTES,
            *listening.ROUTES,
            *actions.ROUTES,
            *parked.ROUTES,
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={404: _missing, 405: _missing},
    )
    app.state.console = console
    return Guard(app, console.access)


def _missing(request: Request, _error: Exception) -> Response:
    return render(
        request,
        "problem.html",
        404,
        problem="There is no such page",
        fix="The menu lists all pages.",
    )
