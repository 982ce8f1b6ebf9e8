"""Routes of signing in and out, and of the service's own health."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from patrol import VERSION, auth
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import COOKIE, Someone, Work
from patrol.auth import SignInRefused
from patrol.tables import JobRow

router = APIRouter(prefix="/api", tags=["sign-in"])
STUCK = timedelta(minutes=2)


@router.post("/login", operation_id="login")
def login(body: wire.Login, work: Work, request: Request, response: Response) -> wire.Me:
    """Sign in; the token travels in a cookie that scripts cannot read."""
    s = work.settings
    with work.database.write() as session:
        done = auth.sign_in(
            session,
            body.name,
            body.password,
            clock=work.clock,
            hours=s.session_hours,
            lock_after=s.lock_after,
            lock_minutes=s.lock_minutes,
        )
    if isinstance(done, SignInRefused):
        raise rim.Problem(401, done.code, done.text("zh"), done.text("en"))
    response.set_cookie(
        COOKIE,
        done.token,
        max_age=int(s.session_hours * 3600),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https",
    )
    return rim.me(done.user)


@router.post("/logout", operation_id="logout", status_code=204)
def logout(work: Work, request: Request, response: Response) -> None:
    """Sign out."""
    token = request.cookies.get(COOKIE)
    if token:
        with work.database.write() as session:
            auth.sign_out(session, token, work.clock)
    response.delete_cookie(COOKIE)


@router.get("/me", operation_id="me")
def me(user: Someone) -> wire.Me:
    """Who is signed in."""
    return rim.me(user)


@router.get("/health", operation_id="health")
def health(work: Work) -> wire.Health:
    """Whether the database answers, and whether a worker takes the jobs that wait."""
    database, worker = True, True
    try:
        with work.database.read() as session:
            session.execute(text("SELECT 1"))
            query = session.query(JobRow).filter(JobRow.state == "queued", JobRow.made_at < work.clock.now() - STUCK)
            running = session.query(JobRow).filter(JobRow.state == "running").count()
            worker = query.count() == 0 or running > 0
    except SQLAlchemyError:
        database = False
    return wire.Health(ok=database and worker, database=database, worker=worker, version=VERSION)
