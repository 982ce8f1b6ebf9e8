"""What every route is handed: the workplace, and the person who asks, checked against the one table of permissions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from patrol import auth
from patrol.api.rim import Problem
from patrol.auth import Permission, User
from patrol.wiring import Workplace

COOKIE = "patrol_session"


def workplace_of(request: Request) -> Workplace:
    """The workplace that the application was made with."""
    work: Workplace = request.app.state.work
    return work


Work = Annotated[Workplace, Depends(workplace_of)]


def user_of(request: Request, work: Work) -> User:
    """Who asks; 401 without a valid sign-in."""
    token = request.cookies.get(COOKIE, "")
    with work.database.read() as session:
        user = auth.who(session, token, work.clock) if token else None
    if user is None:
        raise Problem(401, "sign_in", "请先登录。", "Please sign in.")
    return user


Someone = Annotated[User, Depends(user_of)]


def may(permission: Permission) -> Callable[..., User]:
    """A dependency that lets only those through whose role allows it."""

    def check(user: Someone) -> User:
        if not user.may(permission):
            raise Problem(
                403, "forbidden", f"您的角色没有此权限（{permission}）。", f"Your role does not allow this ({permission})."
            )
        return user

    return check


Viewer = Annotated[User, Depends(may(Permission.VIEW))]
Triager = Annotated[User, Depends(may(Permission.TRIAGE))]
CaseWorker = Annotated[User, Depends(may(Permission.CASES))]
Nudger = Annotated[User, Depends(may(Permission.NUDGE))]
Comparer = Annotated[User, Depends(may(Permission.COMPARE))]
Ingester = Annotated[User, Depends(may(Permission.INGEST))]
ReconLead = Annotated[User, Depends(may(Permission.RECON))]
JobKeeper = Annotated[User, Depends(may(Permission.JOBS))]
Exporter = Annotated[User, Depends(may(Permission.EXPORT))]
Approver = Annotated[User, Depends(may(Permission.APPROVE_EXPORT))]
Masker = Annotated[User, Depends(may(Permission.MASKS))]
Registrar = Annotated[User, Depends(may(Permission.REGISTER))]
AirKeeper = Annotated[User, Depends(may(Permission.AIRSPACE))]
FigureReader = Annotated[User, Depends(may(Permission.FIGURES))]
Teacher = Annotated[User, Depends(may(Permission.LEARN))]
