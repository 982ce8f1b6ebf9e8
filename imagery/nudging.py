"""A survey moved by hand: its rasters written again at another place, always from those it was built with, and its block with them."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from geo.grid import Grid, Window
from geo.progress import Progress, silent
from imagery import cells, coregister, raster, residual
from imagery.errors import SurveyError
from imagery.quality import Quality
from imagery.reasons import Reason
from imagery.survey import Survey

MOST_M = 20.0
"""A survey farther off than this was not misplaced but mistaken: build it again."""

_KEPT = "unmoved"  # the rasters as they were built
_TILE = 1024
_RAISED = frozenset({"surface", "ground"})
_SMOOTH = frozenset({"surface", "ground", "sigma", "height"})
_NEAREST = frozenset({"confidence", "filled", "off_nadir", "source", "ground_bridged"})


@dataclass(frozen=True, slots=True)
class Nudge:
    """Metres east, north and up, counted from where the survey was built."""

    east_m: float = 0.0
    north_m: float = 0.0
    up_m: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.east_m, self.north_m, self.up_m)):
            raise SurveyError("a nudge is three numbers of metres")
        if max(abs(self.east_m), abs(self.north_m), abs(self.up_m)) > MOST_M:
            raise SurveyError(
                f"a survey may be nudged by at most {MOST_M:.0f} m in all; one that lies farther off has to be built again"
            )

    def plus(self, other: Nudge) -> Nudge:
        """One after the other, to a tenth of a millimetre: so that there and back is where it was, exactly."""
        east, north, up = self.east_m + other.east_m, self.north_m + other.north_m, self.up_m + other.up_m
        return Nudge(round(east, 4) + 0.0, round(north, 4) + 0.0, round(up, 4) + 0.0)


def place(
    survey: Survey,
    at: Nudge,
    reference: Survey | None,
    progress: Progress = silent,
    *,
    before_swap: Callable[[Survey], object] = lambda moved: None,
) -> Survey:
    """The survey `at` a place counted from where it was built; its quality tells the residual there. Doing it again changes nothing.

    Everything is written beside what is there, handed to `before_swap` (masks are burnt into it there) and swapped in at the end. Raises
    SurveyError.
    """
    kept, fresh = survey.folder / _KEPT, survey.folder / ".moving"
    files = {name: path for name in (*_SMOOTH, *_NEAREST, "ortho") if (path := getattr(survey, name, None)) is not None}
    _keep(survey, files, kept)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    right, down = -at.east_m / survey.grid.gsd_m, at.north_m / survey.grid.gsd_m
    for done, (name, path) in enumerate(sorted(files.items())):
        progress(done, len(files) + 1, "nudge")
        _write(name, kept / path.name, fresh / path.name, survey.grid, right, down, at.up_m)
    if survey.block is not None:
        _move_block(kept / "block.json", fresh / "block.json", at)
    before_swap(replace(survey, folder=fresh, **{name: fresh / path.name for name, path in files.items()}))
    if survey.block is not None:
        (fresh / "block.json").replace(survey.block / "block.json")
    for path in sorted(fresh.iterdir()):
        path.replace(survey.folder / path.name)
    fresh.rmdir()
    progress(len(files), len(files) + 1, "nudge")
    return replace(survey, quality=_judged(survey, at, reference)).save()


def _keep(survey: Survey, files: dict[str, Path], kept: Path) -> None:
    if kept.is_dir():
        return
    part = survey.folder / f".{_KEPT}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for path in files.values():
        os.link(path, part / path.name)  # the move replaces names, never contents: a link keeps what was built
    if survey.block is not None:
        shutil.copyfile(survey.block / "block.json", part / "block.json")
    part.rename(kept)


def _write(name: str, source: Path, target: Path, grid: Grid, right: float, down: float, up_m: float) -> None:
    with raster.opened(source) as file:
        dtype, nodata = str(file.dtypes[0]), file.nodata
    if right == down == 0 and (up_m == 0 or name not in _RAISED):
        shutil.copyfile(source, target)  # as it was built, to the byte
        return
    if name == "ortho":
        raster.write_cog(target, grid, _pictures(source, grid, right, down), compression=raster.compression_of(source))
        return
    with raster.reading(source) as file, raster.written(target, grid, dtype, nodata=nodata) as out:
        for window in grid.tiles(_TILE):
            wide, matrix = _wide(window, grid, right, down)
            if wide is None:
                values = np.full((window.rows, window.cols), 0 if nodata is None else nodata, dtype)
            else:
                how = cv2.INTER_LINEAR if name in _SMOOTH else cv2.INTER_NEAREST
                beyond = 0.0 if nodata is None else float(nodata)
                values = _warped(file.window(wide), matrix, window, how, beyond)
            if name in _RAISED:
                values = values + np.float32(up_m)
            out.write(window, values.astype(dtype, copy=False))


def _pictures(source: Path, grid: Grid, right: float, down: float) -> Iterator[tuple[Window, raster.Array, raster.Mask]]:
    with raster.reading(source) as file:
        for window in grid.tiles(_TILE):
            wide, matrix = _wide(window, grid, right, down)
            if wide is None:
                continue
            pixels = _warped(file.window(wide), matrix, window, cv2.INTER_CUBIC, 0.0)
            known = _warped(file.mask(wide).astype(np.uint8), matrix, window, cv2.INTER_NEAREST, 0.0) > 0
            yield window, pixels, known


def _wide(window: Window, grid: Grid, right: float, down: float) -> tuple[Window | None, np.ndarray]:
    """The cells of the source that a window needs, cut at its edge (None: none there), and where the window's cells lie in them."""
    margin = 3
    r0, c0 = window.row + math.floor(down) - margin, window.col + math.floor(right) - margin
    r1, c1 = r0 + window.rows + 2 * margin + 1, c0 + window.cols + 2 * margin + 1
    a, b, c, d = max(0, r0), max(0, c0), min(grid.rows, r1), min(grid.cols, c1)
    matrix = np.array([[1, 0, window.col + right - b], [0, 1, window.row + down - a]], np.float64)
    return (None if c <= a or d <= b else Window(a, b, c - a, d - b)), matrix


def _warped(values: raster.Array, matrix: np.ndarray, window: Window, how: int, beyond: float) -> raster.Array:
    flags = how | cv2.WARP_INVERSE_MAP
    size = (window.cols, window.rows)
    return np.asarray(
        cv2.warpAffine(values, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=(beyond,) * 4)
    )


def _move_block(source: Path, target: Path, at: Nudge) -> None:
    """Cameras and points go along: crops of evidence and later surveys that are registered into the block follow."""
    record = json.loads(source.read_text(encoding="utf-8"))
    by = (at.east_m, at.north_m, at.up_m)
    record["offset_m"] = [v + d for v, d in zip(record["offset_m"], by, strict=True)]
    for view in record["views"]:
        view["centre_m"] = [v + d for v, d in zip(view["centre_m"], by, strict=True)]
    target.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")


def _judged(survey: Survey, at: Nudge, reference: Survey | None) -> Quality:
    quality = survey.quality
    reasons = tuple(r for r in quality.reasons if r.code != "nudged")
    if at != Nudge():
        shift = math.hypot(at.east_m, at.north_m)
        reasons += (
            Reason(
                "nudged",
                f"经人工平移：向东 {at.east_m:.2f} 米，向北 {at.north_m:.2f} 米，升高 {at.up_m:.2f} 米。",
                f"Nudged by hand: {at.east_m:.2f} m east, {at.north_m:.2f} m north, {at.up_m:.2f} m up.",
                shift,
                MOST_M,
            ),
        )
    quality = replace(quality, reasons=reasons)
    if reference is None or survey.residual is None:
        return quality
    shifts = residual.measure(reference.ortho, survey.ortho, survey.grid)
    cells.picture(shifts, survey.grid, survey.ortho, survey.folder / "residual.png")
    shifts.save(survey.residual)
    quality = replace(
        quality,
        residual_median_px=shifts.median_px,
        residual_p90_px=shifts.p90_px,
        residual_refused=cells.refused_share(cells.cells(shifts, survey.grid)),
    )
    if reference.surface is None or survey.surface is None:
        return quality
    unsure = tuple(p for p in (reference.filled, survey.filled) if p is not None)
    found = coregister.between(reference.surface, survey.surface, survey.grid, unsure)
    if found is None:
        return quality
    known = found.xy_known
    return replace(
        quality,
        surface_east_m=found.east_m if known else None,
        surface_north_m=found.north_m if known else None,
        surface_up_m=found.up_m,
        surface_nmad_m=found.nmad_m,
    )
