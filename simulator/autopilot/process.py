"""Start the simulated autopilot as its own process, and end it: for the demonstration and for tests."""

from __future__ import annotations

import select
import subprocess
import sys
from types import TracebackType
from typing import Self

from geo.frames import LonLat
from simulator.errors import SimulatorError


class AutopilotProcess:
    """A running autopilot; `url` is where a vehicle link finds it. Use it in a `with` block, or call `stop`."""

    def __init__(
        self,
        home: LonLat,
        *,
        altitude_m: float = 0.0,
        speedup: float = 1.0,
        protocol: str = "udp",
        port: int = 0,
        more: tuple[str, ...] = (),
        ready_s: float = 30.0,
    ) -> None:
        self._command = [sys.executable, "-m", "simulator.autopilot", "--protocol", protocol, "--speedup", f"{speedup:g}"]
        self._command += [f"--home={home.lon_deg!r},{home.lat_deg!r}", f"--altitude={altitude_m!r}", *more]
        self._protocol, self._ready_s, self.port = protocol, ready_s, port
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        """The address for a vehicle link."""
        return f"{'udpout' if self._protocol == 'udp' else 'tcp'}:127.0.0.1:{self.port}"

    def start(self) -> None:
        """Switch it on (again, on the same port); raises SimulatorError when it does not come up."""
        command = [*self._command, "--port", str(self.port)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        line = process.stdout.readline() if select.select([process.stdout], [], [], self._ready_s)[0] else ""
        if not line.startswith("ready "):
            process.kill()
            _, said = process.communicate()
            raise SimulatorError(
                f"the simulated autopilot did not come up within {self._ready_s:g} s: {said.strip() or 'no reason given'}"
            )
        self._process, self.port = process, int(line.split()[1])

    def kill(self) -> None:
        """Let it vanish, as a vehicle that loses power does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def stop(self) -> int:
        """End it in good order; returns its exit status (0), after a kill as well."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        status, self._process = self._process.returncode, None
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
