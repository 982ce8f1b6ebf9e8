"""A small picture of a survey for lists: the orthophoto at 512 pixels, transparent where nothing is known."""

from __future__ import annotations

import math

import cv2
import numpy as np

from imagery import raster
from imagery.errors import SurveyError
from imagery.survey import Survey

SIZE_PX = 512


def thumbnail(survey: Survey) -> bytes:
    """WebP bytes, at most 512 pixels long; raises SurveyError."""
    thin = max(1, math.ceil(max(survey.grid.shape) / SIZE_PX))
    colours, known = raster.read_window(survey.ortho, thin=thin), raster.read_mask(survey.ortho, thin=thin)
    picture = np.dstack([cv2.cvtColor(colours, cv2.COLOR_RGB2BGR), known.astype(np.uint8) * np.uint8(255)])
    done, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 80])
    if not done:
        raise SurveyError(f"survey {survey.id}: its thumbnail could not be written")
    return bytes(data)
