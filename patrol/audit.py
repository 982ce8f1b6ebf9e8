"""The audit chain: append-only, each link hashed over the one before it, so that a change anywhere shows.

The hash is SHA-256 over the canonical JSON of the link and the hash before it. An entry is written in the same transaction as the
deed it tells of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from patrol.tables import AuditRow
from patrol.values import dump

ORIGIN = "0" * 64
_PAGE = 1000
_LOCK = 7303015  # one writer at a time on PostgreSQL; SQLite has one anyway


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The first link that does not hold, and why."""

    seq: int
    why: str


def append(
    session: Session, actor: str, action: str, subject: str, *, at: datetime, details: Mapping[str, Any] | None = None
) -> Entry:
    """Add a link within the caller's transaction."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    session.flush()
    last = session.scalars(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1)).first()
    seq, previous = (last.seq + 1, last.hash) if last else (1, ORIGIN)
    plain = dump(details or {})
    made = _hash(seq=seq, at=at, actor=actor, action=action, subject=subject, details=plain, previous=previous)
    session.add(
        AuditRow(seq=seq, at=at, actor=actor, action=action, subject=subject, details=plain, previous=previous, hash=made)
    )
    session.flush()
    return Entry(seq, at, actor, action, subject, plain, previous, made)


def _hash(seq: int, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any], previous: str) -> str:
    said = [seq, int(at.timestamp() * 1_000_000), actor, action, subject, details, previous]
    text_ = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text_.encode()).hexdigest()


def verify(session: Session) -> Broken | None:
    """Walk the whole chain; None when every link holds. The end's `hash` kept elsewhere shows a chain that was cut short."""
    previous, expected = ORIGIN, 1
    for entry in entries(session):
        if entry.seq != expected:
            return Broken(expected, f"link {expected} is missing; the next one is {entry.seq}")
        if entry.previous != previous:
            return Broken(entry.seq, "it does not follow the link before it")
        content = {name: getattr(entry, name) for name in Entry.__slots__ if name != "hash"}
        if _hash(**content) != entry.hash:
            return Broken(entry.seq, "its content was changed after it was written")
        previous, expected = entry.hash, expected + 1
    return None


def said_since(session: Session, actor: str, action: str, subject: str, since: datetime) -> bool:
    """Whether an actor's deed on a subject was written down since an instant."""
    query = select(AuditRow.seq).where(
        AuditRow.subject == subject, AuditRow.actor == actor, AuditRow.action == action, AuditRow.at >= since
    )
    return session.scalar(query.limit(1)) is not None


def entries(
    session: Session, *, subject: str | None = None, actor: str | None = None, after_seq: int = 0, limit: int | None = None
) -> Iterator[Entry]:
    """Links in order, by subject or actor if asked."""
    query = select(AuditRow).order_by(AuditRow.seq)
    if subject is not None:
        query = query.where(AuditRow.subject == subject)
    if actor is not None:
        query = query.where(AuditRow.actor == actor)
    left = limit
    while left is None or left > 0:  # page by page: a chain of years does not fit into memory
        size = _PAGE if left is None else min(_PAGE, left)
        rows = session.scalars(query.where(AuditRow.seq > after_seq).limit(size)).all()
        for r in rows:
            yield Entry(r.seq, r.at, r.actor, r.action, r.subject, r.details, r.previous, r.hash)
        if len(rows) < size:
            return
        after_seq, left = rows[-1].seq, None if left is None else left - size
