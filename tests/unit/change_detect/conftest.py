"""The made-up place, as a fixture."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.unit.change_detect import made as made_up


@pytest.fixture(scope="session")
def made() -> ModuleType:
    return made_up
