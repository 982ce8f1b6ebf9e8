"""The service form refuses to start with default secrets."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import absent

ROOT = Path(__file__).resolve().parents[3]
SECRETS = ("POSTGRES_PASSWORD", "PATROL_ADMIN_PASSWORD")


def _compose() -> list[str]:
    """The compose client of this machine: a part of docker, or a program of its own; empty without one."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    return []


def _config(**secrets: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in SECRETS} | secrets
    command = [*_compose(), "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_compose_asks_for_every_secret() -> None:
    """Without a secret the file is refused by name; with both it is whole."""
    if not _compose():
        absent("no compose client is installed: apt-get install docker-compose")
    for missing in SECRETS:
        given = {name: "a-long-secret" for name in SECRETS if name != missing}
        refused = _config(**given)
        assert refused.returncode != 0
        assert "set a password" in refused.stderr
    whole = _config(**dict.fromkeys(SECRETS, "a-long-secret"))
    assert whole.returncode == 0, whole.stderr


def test_no_secret_stands_in_the_file() -> None:
    """Each secret is a required variable without a default."""
    text = (ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text
        assert f"${{{name}}}" not in text
