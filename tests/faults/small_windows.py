"""The product's kinds of jobs with windows so small, and so slow, that a small area has many; workers import this file."""

from __future__ import annotations

import os
import time
from functools import partial

import cv2

import patrol.pipeline.kinds  # noqa: F401 - registers the kinds
from change_detect.align import SurveyPair
from change_detect.detector import GeometryImage, Seen
from geo.grid import Window
from patrol import wiring

CELLS = 150
wiring.GeometryImage = partial(GeometryImage, window_cells=CELLS)  # type: ignore[assignment, misc]
cv2.setNumThreads(1)

_see = GeometryImage.see


def _slow_see(self: GeometryImage, pair: SurveyPair, window: Window) -> Seen:
    """A look slow enough for its worker to be killed in the middle of it."""
    seen = _see(self, pair, window)
    time.sleep(float(os.environ.get("PIECE_PAUSE_S", "0")))
    return seen


GeometryImage.see = _slow_see  # type: ignore[method-assign]
