"""Who may sign in, and who may do what: argon2 passwords, lock-out, hashed session tokens, one table of permissions."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from dispatch.actor import Actor, Role
from geo.times import Clock
from patrol import audit
from patrol.tables import SessionRow, UserRow

_HASHER = PasswordHasher()  # argon2id with the library's current defaults (RFC 9106, low memory)
PASSWORD_LEAST = 10


class AuthError(ValueError):
    """An account cannot be made or changed so: says what is wrong."""


class Permission(StrEnum):
    """What a role may do outside the case workflow, which has its own table (`dispatch.workflow.MOVES`)."""

    VIEW = "view"
    AREAS = "areas"
    PLAN = "plan"
    FLY = "fly"
    RECON = "recon"
    INGEST = "ingest"
    COMPARE = "compare"
    NUDGE = "nudge"
    TRIAGE = "triage"
    CASES = "cases"
    EVIDENCE = "evidence"
    JOBS = "jobs"
    FIGURES = "figures"
    LEARN = "learn"
    USERS = "users"
    ROLES = "roles"
    AUDIT = "audit"
    SETTINGS = "settings"
    EXPORT = "export"
    APPROVE_EXPORT = "approve_export"
    MASKS = "masks"
    REGISTER = "register"
    AIRSPACE = "airspace"


_WORK = frozenset({Role.REVIEWER, Role.DISPATCHER, Role.OFFICER, Role.TOWN_LEAD})
_AIR = frozenset({Role.PILOT, Role.FIRE_COMMANDER})
_DESK = frozenset({Role.DISPATCHER, Role.REVIEWER})

PERMISSIONS: Mapping[Permission, frozenset[Role]] = {
    Permission.VIEW: frozenset(Role) - {Role.AUDIT_ADMIN, Role.SECURITY_ADMIN},
    Permission.AREAS: frozenset({Role.ADMIN, Role.DISPATCHER}),
    Permission.AIRSPACE: frozenset({Role.ADMIN, Role.DISPATCHER, Role.PILOT}),
    Permission.PLAN: frozenset({Role.DISPATCHER, Role.PILOT}),
    Permission.FLY: _AIR,
    Permission.RECON: frozenset({Role.FIRE_COMMANDER, Role.PILOT}),
    Permission.INGEST: frozenset({Role.PILOT, Role.DISPATCHER, Role.REVIEWER}),
    Permission.COMPARE: _DESK,
    Permission.NUDGE: _DESK,
    Permission.TRIAGE: frozenset({Role.REVIEWER}),
    Permission.CASES: _WORK,
    Permission.EVIDENCE: _WORK,
    Permission.JOBS: frozenset({Role.ADMIN, Role.DISPATCHER, Role.REVIEWER, Role.PILOT}),
    Permission.FIGURES: _WORK | {Role.ADMIN},
    Permission.LEARN: frozenset({Role.ADMIN, Role.REVIEWER}),
    # 三员分立: the system administrator makes accounts, the security one gives roles, the audit one reads the log
    Permission.USERS: frozenset({Role.ADMIN}),
    Permission.ROLES: frozenset({Role.SECURITY_ADMIN}),
    Permission.AUDIT: frozenset({Role.AUDIT_ADMIN}),
    Permission.SETTINGS: frozenset({Role.ADMIN}),
    Permission.EXPORT: _DESK | {Role.TOWN_LEAD},
    # the second person is one who answers for secrecy, not a colleague at the next desk
    Permission.APPROVE_EXPORT: frozenset({Role.SECURITY_ADMIN, Role.TOWN_LEAD}),
    Permission.MASKS: frozenset({Role.SECURITY_ADMIN}),
    Permission.REGISTER: frozenset({Role.ADMIN, Role.DISPATCHER}),
}

_APART = frozenset({Role.ADMIN, Role.SECURITY_ADMIN, Role.AUDIT_ADMIN})


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in."""

    id: str
    login: str
    name: str
    roles: frozenset[Role]
    town: str = ""
    active: bool = True
    must_change: bool = False

    @property
    def actor(self) -> Actor:
        """The person as the workflow sees them."""
        return Actor(self.id, self.name, self.roles)

    def may(self, permission: Permission) -> bool:
        """Whether one of their roles allows it."""
        return self.active and bool(self.roles & PERMISSIONS[permission])

    @property
    def holds_keys_together(self) -> bool:
        """Whether they hold two of the three administrators' offices, which 三员分立 keeps apart."""
        return len(self.roles & _APART) > 1


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in; the token is told once and stored nowhere."""

    user: User
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignInRefused:
    """Why not: `wrong` (login or password; it does not say which) or `locked`, with the moment it ends."""

    code: str
    until: datetime | None = None

    def text(self, language: str = "zh") -> str:
        """A sentence for the person."""
        if self.code == "locked":
            return {
                "zh": "密码错误次数过多，账号已暂时锁定，请稍后再试。",
                "en": "Too many wrong passwords: wait, then try again.",
            }[language]
        return {"zh": "用户名或密码不正确。", "en": "Login or password is wrong."}[language]


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _HASHER.hash(secrets.token_urlsafe(16))


def _fits(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _user(row: UserRow) -> User:
    roles = frozenset(Role(role) for role in row.roles)
    return User(row.id, row.login, row.name, roles, row.town, row.active, row.must_change)


def _checked(login: str, password: str) -> str:
    if len(password) < PASSWORD_LEAST:
        raise AuthError(f"the password has {len(password)} characters; it needs at least {PASSWORD_LEAST}")
    if login.lower() in password.lower():
        raise AuthError("the password must not contain the login")
    return _HASHER.hash(password)


def add_user(
    session: Session,
    login: str,
    name: str,
    roles: frozenset[Role],
    password: str,
    *,
    by: str,
    clock: Clock,
    town: str = "",
    must_change: bool = True,
) -> User:
    """Make an account; raises AuthError when the login is taken or the password too weak."""
    login = login.strip()
    if not login or Role.SYSTEM in roles:
        raise AuthError("an account needs a login, and nobody signs in as the system itself")
    if session.scalar(select(UserRow.id).where(UserRow.login == login)) is not None:
        raise AuthError(f"the login {login!r} is taken")
    row = UserRow(
        id=secrets.token_hex(16),
        login=login,
        name=name,
        password_hash=_checked(login, password),
        roles=sorted(roles),
        town=town,
        active=True,
        must_change=must_change,
        failures=0,
        locked_until=None,
        made_at=clock.now(),
    )
    session.add(row)
    audit.append(session, by, "user.add", f"user:{row.id}", at=clock.now(), details={"login": login, "roles": sorted(roles)})
    return _user(row)


def first_admin(
    session: Session, clock: Clock, *, login: str = "admin", name: str = "管理员", password: str | None = None
) -> tuple[User, str]:
    """The first account, with every role until there are others; returns it and its password, which is shown once.

    Raises AuthError when there are accounts already.
    """
    if session.scalar(select(func.count()).select_from(UserRow)):
        raise AuthError("there are accounts already: ask an administrator for one")
    chosen = password or secrets.token_urlsafe(12)
    roles = frozenset(Role) - {Role.SYSTEM}
    user = add_user(session, login, name, roles, chosen, by="init", clock=clock, must_change=password is None)
    return user, chosen


def sign_in(
    session: Session,
    login: str,
    password: str,
    *,
    clock: Clock,
    hours: float = 12.0,
    lock_after: int = 5,
    lock_minutes: float = 15.0,
) -> SignedIn | SignInRefused:
    """Try a password. Commit the transaction either way: a refusal has counted the failure."""
    now = clock.now()
    row = session.scalars(select(UserRow).where(UserRow.login == login.strip()).with_for_update()).first()
    fits = _fits(row.password_hash if row else _nobody(), password)  # as long for a login that is not there
    if row is None or not row.active:
        audit.append(session, "nobody", "sign_in.wrong", f"login:{login[:80]}", at=now)
        return SignInRefused("wrong")
    subject = f"user:{row.id}"
    if row.locked_until is not None and now < row.locked_until:
        audit.append(session, row.id, "sign_in.locked", subject, at=now)
        return SignInRefused("locked", row.locked_until)
    if not fits:
        row.failures += 1
        if row.failures >= lock_after:
            row.failures, row.locked_until = 0, now + timedelta(minutes=lock_minutes)
            audit.append(session, row.id, "sign_in.lock", subject, at=now)
            return SignInRefused("locked", row.locked_until)
        audit.append(session, row.id, "sign_in.wrong", subject, at=now)
        return SignInRefused("wrong")
    row.failures, row.locked_until = 0, None
    if _HASHER.check_needs_rehash(row.password_hash):
        row.password_hash = _HASHER.hash(password)
    session.execute(delete(SessionRow).where(SessionRow.expires_at <= now))
    token, expires = secrets.token_urlsafe(32), now + timedelta(hours=hours)
    session.add(SessionRow(token_sha256=_token_hash(token), user_id=row.id, made_at=now, expires_at=expires))
    audit.append(session, row.id, "sign_in", subject, at=now)
    return SignedIn(_user(row), token, expires)


def who(session: Session, token: str, clock: Clock) -> User | None:
    """The person behind a token; None when it is unknown, over, or the account is closed."""
    query = select(UserRow).join(SessionRow, SessionRow.user_id == UserRow.id)
    query = query.where(SessionRow.token_sha256 == _token_hash(token), SessionRow.expires_at > clock.now(), UserRow.active)
    row = session.scalars(query).first()
    return None if row is None else _user(row)


def sign_out(session: Session, token: str, clock: Clock) -> None:
    """End a sign-in; a token that is not there is no error."""
    row = session.get(SessionRow, _token_hash(token))
    if row is not None:
        audit.append(session, row.user_id, "sign_out", f"user:{row.user_id}", at=clock.now())
        session.delete(row)


def users(session: Session) -> tuple[User, ...]:
    """All accounts, by login."""
    return tuple(_user(row) for row in session.scalars(select(UserRow).order_by(UserRow.login)))


def _row(session: Session, user_id: str) -> UserRow:
    row = session.get(UserRow, user_id)
    if row is None:
        raise AuthError(f"there is no account {user_id}")
    return row


def change_password(session: Session, user_id: str, old: str, new: str, *, clock: Clock) -> None:
    """One's own password; ends every sign-in of the account. Raises AuthError when the old one does not fit."""
    row = _row(session, user_id)
    if not _fits(row.password_hash, old):
        raise AuthError("the old password does not fit")
    _set_password(session, row, new, must_change=False)
    audit.append(session, user_id, "user.password", f"user:{user_id}", at=clock.now())


def reset_password(session: Session, user_id: str, *, by: str, clock: Clock) -> str:
    """A new password for somebody who lost theirs, shown once and to be changed; unlocks the account."""
    row, chosen = _row(session, user_id), secrets.token_urlsafe(12)
    _set_password(session, row, chosen, must_change=True)
    row.failures, row.locked_until = 0, None
    audit.append(session, by, "user.reset", f"user:{user_id}", at=clock.now())
    return chosen


def _set_password(session: Session, row: UserRow, password: str, *, must_change: bool) -> None:
    row.password_hash, row.must_change = _checked(row.login, password), must_change
    session.execute(delete(SessionRow).where(SessionRow.user_id == row.id))


def set_roles(session: Session, user_id: str, roles: frozenset[Role], *, by: str, clock: Clock) -> User:
    """Give an account its roles; nobody changes their own (三员分立)."""
    if by == user_id:
        raise AuthError("nobody changes their own roles")
    if Role.SYSTEM in roles:
        raise AuthError("nobody signs in as the system itself")
    row = _row(session, user_id)
    details = {"before": sorted(row.roles), "after": sorted(roles)}
    row.roles = sorted(roles)
    audit.append(session, by, "user.roles", f"user:{user_id}", at=clock.now(), details=details)
    return _user(row)


def set_active(session: Session, user_id: str, active: bool, *, by: str, clock: Clock) -> User:
    """Close or open an account; closing ends its sign-ins."""
    row = _row(session, user_id)
    row.active = active
    if not active:
        session.execute(delete(SessionRow).where(SessionRow.user_id == user_id))
    audit.append(session, by, "user.open" if active else "user.close", f"user:{user_id}", at=clock.now())
    return _user(row)
