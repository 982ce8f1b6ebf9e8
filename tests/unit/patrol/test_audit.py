from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError as SqlError

from geo.times import FixedClock
from patrol import audit
from patrol.database import Database

UNLOCK = {
    "sqlite": ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"),
    "postgresql": ("ALTER TABLE audit DISABLE TRIGGER audit_kept",),
}


def chain(database: Database, clock: FixedClock, links: int = 6) -> None:
    for i in range(links):
        with database.write() as session:
            audit.append(session, "zhang", "case.verify", f"case:{i % 2}", at=clock.now(), details={"序号": i, "是": [1.5, None]})


def tamper(database: Database, deed: str) -> None:
    """What somebody with the keys to the database could do: take off the lock, then write."""
    with database.engine.begin() as connection:
        for statement in (*UNLOCK[database.engine.dialect.name], deed):
            connection.execute(text(statement))


def test_a_chain_that_nobody_touched_holds(database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was written verifies, page by page, empty chain included, and is found by its subject."""
    monkeypatch.setattr(audit, "_PAGE", 2)
    with database.read() as session:
        assert audit.verify(session) is None
    chain(database, clock)
    with database.read() as session:
        assert audit.verify(session) is None
        assert [entry.seq for entry in audit.entries(session, subject="case:1")] == [2, 4, 6]
        assert [entry.seq for entry in audit.entries(session, actor="zhang", after_seq=3, limit=2)] == [4, 5]


@pytest.mark.parametrize(
    ("deed", "seq", "why"),
    [
        ("UPDATE audit SET actor = 'li' WHERE seq = 3", 3, "changed"),
        ("UPDATE audit SET details = '{}' WHERE seq = 4", 4, "changed"),
        ("DELETE FROM audit WHERE seq = 2", 2, "missing"),
        ("UPDATE audit SET hash = previous WHERE seq = 5", 5, "changed"),
        ("UPDATE audit SET previous = hash WHERE seq = 5", 5, "does not follow"),
        ("DELETE FROM audit WHERE seq = 1", 1, "missing"),
    ],
)
def test_the_broken_link_is_found(database: Database, clock: FixedClock, deed: str, seq: int, why: str) -> None:
    """Each change anywhere shows, at the link where it was made."""
    chain(database, clock)
    tamper(database, deed)
    with database.read() as session:
        broken = audit.verify(session)
    assert broken is not None
    assert broken.seq == seq
    assert why in broken.why


@pytest.mark.parametrize("deed", ["UPDATE audit SET actor = 'li' WHERE seq = 3", "DELETE FROM audit WHERE seq = 3"])
def test_the_database_itself_refuses_to_change_a_link(database: Database, clock: FixedClock, deed: str) -> None:
    """Append-only is held by a trigger, not by good will."""
    chain(database, clock)
    with pytest.raises(SqlError, match="append-only"), database.engine.begin() as connection:
        connection.execute(text(deed))
    with database.read() as session:
        assert audit.verify(session) is None


def test_what_is_rolled_back_is_not_in_the_chain(database: Database, clock: FixedClock, tmp_path: Path) -> None:
    """The entry lives and dies with the deed's transaction."""
    chain(database, clock, 2)
    with pytest.raises(RuntimeError), database.write() as session:
        audit.append(session, "zhang", "x", "y", at=clock.now())
        raise RuntimeError
    chain(database, clock, 1)
    with database.read() as session:
        assert [entry.seq for entry in audit.entries(session)] == [1, 2, 3]
        assert audit.verify(session) is None
