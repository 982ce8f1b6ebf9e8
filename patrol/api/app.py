"""The HTTP application: routes, one table of errors, the page, and headers that keep a browser honest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError

from airspace.errors import ZoneFileRefused
from patrol import VERSION
from patrol.api import (
    cases,
    exports,
    flights,
    learning,
    leave,
    quality,
    register,
    review,
    signing,
    stac,
    surveys,
    tiling,
    uploads,
    zones,
)
from patrol.api import schemas as wire
from patrol.api.rim import STATUS, Problem
from patrol.fleetwatch import FleetWatch
from patrol.pipeline.learning import LearningRefused
from patrol.pipeline.mapfiles import MapFileError
from patrol.pipeline.uploading import UploadRefused
from patrol.registercolumns import RegisterRefused
from patrol.wiring import Workplace

PAGE = Path(__file__).resolve().parents[2] / "web" / "dist"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def make_app(work: Workplace | None, *, page: Path = PAGE, watch: bool = True) -> FastAPI:
    """The application over a workplace; without one it only knows its own description (for the page's types)."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        if work is not None and watch:
            app.state.watch.start()
        yield
        if work is not None:
            app.state.watch.stop()

    app = FastAPI(
        title="Drone Patrol 空中巡查",
        version=VERSION,
        lifespan=life,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={"4XX": {"model": wire.Problem}, "5XX": {"model": wire.Problem}},
    )
    if work is not None:
        app.state.work = work
        app.state.watch = FleetWatch(work)
    routers = (
        signing.router,
        review.router,
        surveys.router,
        quality.router,
        tiling.router,
        cases.router,
        flights.router,
        uploads.router,
        stac.router,
        exports.router,
        register.router,
        zones.router,
        leave.router,
        learning.router,
    )
    for router in routers:
        app.include_router(router)
    _errors(app)

    @app.middleware("http")
    async def headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.method not in {"GET", "HEAD"} and not _same_origin(request):
            said = Problem(403, "origin", "请求来自其他网站，已拒绝。", "The request comes from another site and was refused.")
            return _answer(said)
        response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    if page.is_dir():
        app.mount("/", StaticFiles(directory=page, html=True), name="page")
    return app


def _same_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is None or origin.split("://", 1)[-1] == request.headers.get("host")


def _answer(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.body.model_dump(), status_code=problem.status, headers=dict(problem.headers))


def _errors(app: FastAPI) -> None:
    async def said(_: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        return _answer(problem)

    async def known(_: Request, err: Exception) -> Response:
        status = next(code for kind, code in STATUS.items() if isinstance(err, kind))
        if isinstance(err, UploadRefused | RegisterRefused | ZoneFileRefused | LearningRefused):
            return _answer(Problem(status, err.code, err.zh, err.en))
        zh, apart, en = str(err).partition(" / ")
        both = (zh, en) if apart and isinstance(err, MapFileError) else (str(err), str(err))
        return _answer(Problem(status, type(err).__name__, *both))

    async def malformed(_: Request, err: Exception) -> Response:
        assert isinstance(err, RequestValidationError)
        parts = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in err.errors())
        return _answer(Problem(422, "malformed", f"请求内容有误：{parts}", f"The request is malformed: {parts}"))

    async def no_database(_: Request, err: Exception) -> Response:
        cause = str(err).splitlines()[0]
        return _answer(
            Problem(
                503, "database", f"数据库没有应答，请稍后再试。（{cause}）", f"The database does not answer, try again. ({cause})"
            )
        )

    app.add_exception_handler(Problem, said)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(SQLAlchemyError, no_database)
    for kind in STATUS:
        app.add_exception_handler(kind, known)


def description() -> dict[str, Any]:
    """The OpenAPI 3.1 document, made without a database."""
    return make_app(None, page=Path("/nowhere")).openapi()
