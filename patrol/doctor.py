"""What of the set-up is missing or wrong, each with what to do."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from patrol.settings import Settings

LEAST_FREE_GB = 2.0


@dataclass(frozen=True, slots=True)
class Found:
    """One part, whether it is well, what was seen, and the remedy."""

    part: str
    ok: bool
    said: str
    remedy: str = ""


def _python(_: Settings) -> Found:
    version = ".".join(str(n) for n in sys.version_info[:3])
    return Found("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _home(settings: Settings) -> Found:
    home = settings.home
    if not home.is_dir():
        return Found("home", False, f"{home} is not there", "run `patrol init`")
    free = shutil.disk_usage(home).free / 1e9
    return Found("home", free > LEAST_FREE_GB, f"{home}, {free:.0f} GB free", f"make room: {LEAST_FREE_GB:.0f} GB at least")


def _database(settings: Settings) -> Found:
    from patrol.database import Database, DatabaseError

    try:
        with Database(settings.database) as database:
            database.check()
            kind = "PostgreSQL" if database.is_postgres else "SQLite"
    except DatabaseError as err:
        return Found("database", False, str(err), "run `patrol init`, or mend PATROL_DATABASE_URL")
    return Found("database", True, f"{kind}, newest tables")


def _blobs(settings: Settings) -> Found:
    from patrol.blobs import BlobError
    from patrol.wiring import open_blobs

    try:
        return Found("blobs", True, open_blobs(settings).check())
    except BlobError as err:
        return Found("blobs", False, str(err), "mend PATROL_BLOBS_URL or the store behind it")


def _queue(settings: Settings) -> Found:
    from patrol.tasks import make_app

    try:
        with make_app(settings).connection_for_write(connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1)
    except Exception as err:
        return Found("queue", False, f"{settings.broker} does not answer ({err})", "start the broker, or mend PATROL_BROKER_URL")
    return Found("queue", True, settings.broker.split("@")[-1])


def _worker(settings: Settings) -> Found:
    return _jobs(settings, "worker", "a job has waited for over two minutes and none is running", "start `patrol worker`")


def _beat(settings: Settings) -> Found:
    return _jobs(settings, "beat", "a lapsed lease has not been swept", "start `patrol worker --beat-only`, or any worker")


def _jobs(settings: Settings, part: str, trouble: str, remedy: str) -> Found:
    from datetime import timedelta

    from geo.times import SystemClock
    from patrol.database import Database
    from patrol.jobs import shelf
    from patrol.tables import JobRow

    now = SystemClock().now()
    try:
        with Database(settings.database) as database, database.read() as session:
            waiting = shelf.count(session, JobRow.state == "queued", JobRow.made_at < now - timedelta(minutes=2))
            running = shelf.count(session, JobRow.state == "running")
            lapsed = shelf.count(session, JobRow.state == "running", JobRow.lease_until < now - timedelta(minutes=5))
    except Exception as err:
        return Found(part, False, f"the database does not answer ({err})", "run `patrol init`")
    ok = not lapsed if part == "beat" else not (waiting and not running)
    return Found(part, ok, f"{waiting} waiting, {running} running" if ok else trouble, remedy)


def _page(_: Settings) -> Found:
    from patrol.api.app import PAGE

    return Found("page", (PAGE / "index.html").is_file(), str(PAGE), "run `make page` (needs Node.js 20)")


def _libraries(_: Settings) -> Found:
    try:
        import cv2
        import pycolmap

        import patrol.wiring
        from patrol import tiles
    except ImportError as err:
        return Found("libraries", False, str(err), "run `make install`")
    said = (
        f"OpenCV {cv2.__version__}, pycolmap {pycolmap.__version__}, {tiles.gdal_version()}, adapters of {patrol.wiring.__name__}"
    )
    return Found("libraries", True, said)


PARTS: Mapping[str, Callable[[Settings], Found]] = {
    "python": _python,
    "libraries": _libraries,
    "home": _home,
    "database": _database,
    "blobs": _blobs,
    "queue": _queue,
    "worker": _worker,
    "beat": _beat,
    "page": _page,
}


def examine(settings: Settings, only: str | None = None) -> tuple[Found, ...]:
    """Look at every part, or at one."""
    chosen = {only: PARTS[only]} if only is not None and only in PARTS else PARTS
    return tuple(look(settings) for look in chosen.values())
