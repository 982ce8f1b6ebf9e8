"""Run the API, and in the embedded default a worker beside it that is started again when it dies."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading

import uvicorn

from patrol.api.app import make_app
from patrol.settings import Settings
from patrol.wiring import workplace

log = logging.getLogger(__name__)
PAUSE_S = 2.0


class WorkerKeeper(threading.Thread):
    """Keeps one worker process alive. A job that kills its worker is given up by its own count of attempts, not here."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="worker-keeper", daemon=True)
        # The worker reads its settings from the environment: it must work on the store that this process serves.
        self._environment = {
            **os.environ,
            "PATROL_HOME": str(settings.home),
            "PATROL_DATABASE_URL": settings.database_url,
            "PATROL_BROKER_URL": settings.broker_url,
            "PATROL_BLOBS_URL": settings.blobs_url,
        }
        self._end = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Until stopped."""
        while not self._end.is_set():
            self._process = subprocess.Popen([sys.executable, "-m", "patrol", "worker"], env=self._environment)
            while self._process.poll() is None and not self._end.wait(0.5):
                pass
            if not self._end.is_set():
                log.warning("the worker ended with %s; starting another", self._process.returncode)
                self._end.wait(PAUSE_S)

    def stop(self) -> None:
        """End the worker; what it was doing goes back to the queue."""
        self._end.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.join(5)


def serve(settings: Settings, host: str, port: int, *, worker: bool) -> None:
    """Serve until interrupted. Raises DatabaseError when the store is not ready."""
    with workplace(settings) as work:
        keeper = WorkerKeeper(settings) if worker else None
        if keeper is not None:
            keeper.start()
        try:
            uvicorn.run(make_app(work), host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
        finally:
            if keeper is not None:
                keeper.stop()
