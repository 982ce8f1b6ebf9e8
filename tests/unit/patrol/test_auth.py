from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from dispatch.actor import Role
from geo.times import FixedClock
from patrol import audit, auth
from patrol.auth import AuthError, Permission, SignedIn, SignInRefused, User
from patrol.database import Database
from patrol.tables import SessionRow, UserRow

GOOD = "chang'an-bridge-7"


def made(database: Database, clock: FixedClock, login: str = "zhang", roles: frozenset[Role] = frozenset({Role.OFFICER})) -> User:
    with database.write() as session:
        return auth.add_user(session, login, "张三", roles, GOOD, by="admin", clock=clock)


def tried(database: Database, clock: FixedClock, password: str, login: str = "zhang") -> SignedIn | SignInRefused:
    with database.write() as session:
        return auth.sign_in(session, login, password, clock=clock)


def test_the_first_admin_gets_a_password_of_their_own_and_there_is_only_one_first(database: Database, clock: FixedClock) -> None:
    """No default password: it is made up, shown once, must be changed, and the door is shut behind it."""
    with database.write() as session:
        user, password = auth.first_admin(session, clock)
    assert user.must_change
    assert len(password) >= auth.PASSWORD_LEAST
    assert Role.SYSTEM not in user.roles
    assert user.holds_keys_together
    assert isinstance(tried(database, clock, password, "admin"), SignedIn)
    with database.write() as session, pytest.raises(AuthError, match="already"):
        auth.first_admin(session, clock)
    with database.read() as session:
        stored = session.scalars(select(UserRow)).one()
        assert stored.password_hash.startswith("$argon2id$")
        assert password not in stored.password_hash


def test_a_token_is_good_until_it_is_over(database: Database, clock: FixedClock) -> None:
    """Signed in, the token names the person; signed out or too old, it names nobody; the store never has the token itself."""
    user = made(database, clock)
    first, second = tried(database, clock, GOOD), tried(database, clock, GOOD)
    assert isinstance(first, SignedIn)
    assert isinstance(second, SignedIn)
    assert first.token != second.token
    with database.write() as session:
        assert auth.who(session, first.token, clock) == user
        assert auth.who(session, first.token + "x", clock) is None
        assert first.token not in {row.token_sha256 for row in session.scalars(select(SessionRow))}
        auth.sign_out(session, first.token, clock)
        assert auth.who(session, first.token, clock) is None
    clock.advance(timedelta(hours=13))
    with database.read() as session:
        assert auth.who(session, second.token, clock) is None


def test_too_many_wrong_passwords_lock_the_door_for_a_while(database: Database, clock: FixedClock) -> None:
    """Five failures lock; the right password does not help then, waiting does, and one success wipes the count."""
    made(database, clock)
    for _ in range(4):
        assert tried(database, clock, "wrong-password") == SignInRefused("wrong")
    assert isinstance(tried(database, clock, GOOD), SignedIn)
    said = [tried(database, clock, "wrong-password") for _ in range(5)]
    until = clock.now() + timedelta(minutes=15)
    assert said == [SignInRefused("wrong")] * 4 + [SignInRefused("locked", until)]
    assert tried(database, clock, GOOD) == SignInRefused("locked", until)
    clock.advance(timedelta(minutes=15))
    assert isinstance(tried(database, clock, GOOD), SignedIn)
    with database.read() as session:
        actions = [entry.action for entry in audit.entries(session)]
        assert actions.count("sign_in.lock") == 1
        assert audit.verify(session) is None


def test_an_unknown_login_and_a_wrong_password_are_told_the_same(database: Database, clock: FixedClock) -> None:
    """Nobody learns from the answer who has an account."""
    made(database, clock)
    nobody, wrong = tried(database, clock, GOOD, "nobody"), tried(database, clock, "wrong-password")
    assert nobody == wrong == SignInRefused("wrong")
    assert isinstance(nobody, SignInRefused)
    assert nobody.text("zh") == "用户名或密码不正确。"


@pytest.mark.parametrize(("password", "said"), [("short", "at least"), ("zhang-has-a-key", "must not contain")])
def test_a_weak_password_is_refused(database: Database, clock: FixedClock, password: str, said: str) -> None:
    """Too short, or with the login in it: says which."""
    with database.write() as session, pytest.raises(AuthError, match=said):
        auth.add_user(session, "zhang", "张三", frozenset(), password, by="admin", clock=clock)


def test_a_new_password_ends_every_sign_in(database: Database, clock: FixedClock) -> None:
    """Whoever had the old one is out, by change, by reset, or when the account is closed."""
    user = made(database, clock)
    signed = tried(database, clock, GOOD)
    assert isinstance(signed, SignedIn)
    with database.write() as session:
        with pytest.raises(AuthError, match="does not fit"):
            auth.change_password(session, user.id, "wrong", "another-good-one", clock=clock)
        auth.change_password(session, user.id, GOOD, "another-good-one", clock=clock)
        assert auth.who(session, signed.token, clock) is None
    with database.write() as session:
        fresh = auth.reset_password(session, user.id, by="admin", clock=clock)
    again = tried(database, clock, fresh)
    assert isinstance(again, SignedIn)
    assert again.user.must_change
    with database.write() as session:
        auth.set_active(session, user.id, False, by="admin", clock=clock)
        assert auth.who(session, again.token, clock) is None
    assert tried(database, clock, fresh) == SignInRefused("wrong")


def test_nobody_gives_themselves_roles(database: Database, clock: FixedClock) -> None:
    """三员分立: roles come from somebody else, and a login is used once."""
    user = made(database, clock)
    with database.write() as session:
        with pytest.raises(AuthError, match="own roles"):
            auth.set_roles(session, user.id, frozenset({Role.ADMIN}), by=user.id, clock=clock)
        with pytest.raises(AuthError, match="system"):
            auth.set_roles(session, user.id, frozenset({Role.SYSTEM}), by="x", clock=clock)
        changed = auth.set_roles(session, user.id, frozenset({Role.REVIEWER}), by="x", clock=clock)
        assert changed.roles == {Role.REVIEWER}
        with pytest.raises(AuthError, match="taken"):
            auth.add_user(session, "zhang", "x", frozenset(), GOOD, by="x", clock=clock)


def test_the_three_administrators_are_apart() -> None:
    """No permission of one is another's: who makes accounts gives no roles, who gives roles reads no log, and all roles have work."""
    three = {Permission.USERS: Role.ADMIN, Permission.ROLES: Role.SECURITY_ADMIN, Permission.AUDIT: Role.AUDIT_ADMIN}
    for permission, role in three.items():
        assert auth.PERMISSIONS[permission] == {role}
    assert set(auth.PERMISSIONS) == set(Permission)
    officer = User("u", "u", "u", frozenset({Role.OFFICER}))
    assert officer.may(Permission.CASES)
    assert not officer.may(Permission.FLY)
    assert not User("u", "u", "u", frozenset({Role.OFFICER}), active=False).may(Permission.CASES)
