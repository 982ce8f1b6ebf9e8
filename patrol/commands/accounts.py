"""Commands of the store and its people: `patrol init`, `patrol user`."""

from __future__ import annotations

from typing import Annotated

import typer

from patrol.commands.shell import BY, Json, opened
from patrol.settings import Settings
from patrol.terminal import say

user_app = typer.Typer(help="账号 accounts", no_args_is_help=True)


def init(
    admin: Annotated[str, typer.Option(help="login of the first administrator")] = "admin",
    password: Annotated[
        str | None, typer.Option(envvar="PATROL_ADMIN_PASSWORD", help="its password; made and shown once if absent")
    ] = None,
    json_: Json = False,
) -> None:
    """Make the store (or bring it up to date) and the first administrator."""
    from patrol import auth, database
    from patrol.wiring import workplace

    settings = Settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    database.upgrade(settings.database)
    with workplace(settings) as work, work.database.write() as session:
        if auth.users(session):
            say({"home": settings.home, "made": False}, as_json=json_, table=f"数据已就绪 ready: {settings.home}")
            return
        user, chosen = auth.first_admin(session, work.clock, login=admin, password=password)
    shown = chosen if password is None else None
    text = f"数据已建立 store made: {settings.home}\n管理员 administrator: [bold]{user.login}[/bold]"
    if shown:
        text += f"\n密码 password (shown once, 仅显示一次): [bold]{shown}[/bold]"
    say({"home": settings.home, "made": True, "login": user.login, "password": shown}, as_json=json_, table=text)


@user_app.command("add")
def user_add(
    login: str,
    name: str,
    role: Annotated[list[str], typer.Option(help="reviewer, dispatcher, officer, town_lead, pilot, fire_commander, …")],
    password: Annotated[str | None, typer.Option(envvar="PATROL_USER_PASSWORD")] = None,
    json_: Json = False,
) -> None:
    """Make an account."""
    import secrets

    from dispatch.actor import Role
    from patrol import auth

    try:
        roles = frozenset(Role(r) for r in role)
    except ValueError as err:
        raise typer.BadParameter(f"{err}; one of {', '.join(Role)}") from err
    chosen = password or secrets.token_urlsafe(12)
    with opened() as work, work.database.write() as session:
        user = auth.add_user(session, login, name, roles, chosen, by=BY, clock=work.clock)
    shown = None if password else chosen
    say({"id": user.id, "login": login, "password": shown}, as_json=json_, table=f"{login}: {shown or '—'}")
