"""The service form refuses to start with default secrets."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SECRETS = ("POSTGRES_PASSWORD", "PATROL_ADMIN_PASSWORD")


def _config(**secrets: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in SECRETS} | secrets
    command = ["docker", "compose", "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="this docker client has no compose")
def test_compose_asks_for_every_secret() -> None:
    """Without a secret the file is refused by name; with both it is whole."""
    for missing in SECRETS:
        given = {name: "a-long-secret" for name in SECRETS if name != missing}
        assert missing in _config(**given).stderr
    assert _config(**dict.fromkeys(SECRETS, "a-long-secret")).returncode == 0


def test_no_secret_stands_in_the_file() -> None:
    """Each secret is a required variable without a default."""
    text = (ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text
        assert f"${{{name}}}" not in text
