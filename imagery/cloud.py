"""A survey's surface as a point cloud in LAS 1.4, compressed (LAZ): one point per cell, coloured by the orthophoto.

Points are measured (class 1) or bridged (class 64, with the synthetic flag that LAS keeps for what was not observed). Tiles are written
as they are read, so memory does not grow with the survey. COPC is not written: laspy reads it only ("Writing COPC is not supported").
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import laspy
import numpy as np
from pyproj import CRS

from geo.progress import Progress, silent
from imagery import raster
from imagery.errors import SurveyError
from imagery.survey import Survey

MEASURED, BRIDGED = 1, 64  # ASPRS: unclassified; 64 and up are the user's own
_TILE = 1024
_SCALE_M = 0.001


@dataclass(frozen=True, slots=True)
class Cloud:
    """What was written."""

    path: Path
    points: int
    bridged: int


def export(survey: Survey, path: Path, *, every: int = 1, progress: Progress = silent) -> Cloud:
    """Write the surface of a survey as LAZ; `every` = 2 takes every second cell of every second row, and so on.

    The header carries the area's coordinate system as WKT; heights are the surface's own. Extra fields: `sigma` (metres) and
    `confidence` (per cent) where the survey has them. Raises SurveyError.
    """
    if survey.surface is None:
        raise SurveyError(f"survey {survey.id} has no surface: an adopted orthophoto makes no point cloud")
    if every < 1:
        raise SurveyError(f"every {every}th cell: give 1 or more")
    grid = survey.grid
    header = laspy.LasHeader(point_format=7, version="1.4")
    header.add_crs(CRS.from_epsg(grid.frame.epsg))
    header.scales = np.full(3, _SCALE_M)
    header.offsets = np.array([np.floor(grid.west_m), np.floor(grid.bounds_m[1]), 0.0])
    header.generating_software = "Drone Patrol"
    if survey.sigma is not None:
        header.add_extra_dim(laspy.ExtraBytesParams("sigma", np.float32, "standard deviation, m"))
    if survey.confidence is not None:
        header.add_extra_dim(laspy.ExtraBytesParams("confidence", np.uint8, "per cent"))
    temporary = path.with_name(f".{path.name}.part")
    tiles = list(grid.tiles(_TILE - _TILE % every))
    total = bridged = 0
    try:
        with ExitStack() as stack:
            surface, ortho = (stack.enter_context(raster.reading(p)) for p in (survey.surface, survey.ortho))
            sides = {
                name: stack.enter_context(raster.reading(p))
                for name, p in (("sigma", survey.sigma), ("confidence", survey.confidence), ("filled", survey.filled))
                if p is not None
            }
            stream = stack.enter_context(temporary.open("wb"))
            writer = stack.enter_context(
                laspy.open(stream, mode="w", header=header, do_compress=True, laz_backend=laspy.LazBackend.Lazrs, closefd=False)
            )
            for done, window in enumerate(tiles):
                z = surface.window(window)[::every, ::every]
                known = np.isfinite(z)
                count = int(known.sum())
                if count:
                    x, y = grid.centres(window)
                    xs = np.broadcast_to(x[::every], z.shape)[known]
                    ys = np.broadcast_to(y[::every, None], z.shape)[known]
                    points = laspy.ScaleAwarePointRecord.zeros(count, header=header)
                    points.x, points.y, points.z = xs, ys, z[known].astype(np.float64)
                    colours = ortho.window(window)[::every, ::every][known].astype(np.uint16) * 257  # 8 bits to the 16 of LAS
                    points.red, points.green, points.blue = colours.T
                    layers = {name: reader.window(window)[::every, ::every][known] for name, reader in sides.items()}
                    guess = layers["filled"] == 1 if "filled" in layers else np.zeros(count, bool)
                    points.classification = np.where(guess, BRIDGED, MEASURED).astype(np.uint8)
                    points.synthetic = guess.astype(np.uint8)
                    points.return_number = points.number_of_returns = np.ones(count, np.uint8)
                    for name in ("sigma", "confidence"):
                        if name in layers:
                            points[name] = layers[name]
                    writer.write_points(points)
                    total, bridged = total + count, bridged + int(guess.sum())
                progress(done + 1, len(tiles), "point cloud")
        if total == 0:
            raise SurveyError(f"survey {survey.id}: its surface knows no height, so there are no points")
        temporary.replace(path)
    except OSError as error:
        raise SurveyError(f"{path}: cannot be written ({error.strerror or error}); is the disk full?") from error
    finally:
        temporary.unlink(missing_ok=True)
    return Cloud(path, total, bridged)
