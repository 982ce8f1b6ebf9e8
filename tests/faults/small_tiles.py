"""The product's kinds of jobs on tiles so small, and with pieces so slow, that a small survey has many; workers import this file."""

from __future__ import annotations

import os
import time
from typing import Any

import cv2

import patrol.pipeline.kinds  # noqa: F401 - registers the kinds
from imagery import orthorectify, sharing, surface

surface.TILE = 128
orthorectify._TILE = 128
cv2.setNumThreads(1)

_make = sharing.make


def _slow_make(*args: Any, **named: Any) -> None:
    """A worker slow enough to be killed in the middle of a piece."""
    _make(*args, **named)
    time.sleep(float(os.environ.get("PIECE_PAUSE_S", "0")))


sharing.make = _slow_make
