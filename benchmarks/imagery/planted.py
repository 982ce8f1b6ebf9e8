"""Exactly known structures in real photos: how high and how wide the surfaces say they are, beside a plain pipeline's surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
from scipy import ndimage
from shapely.affinity import affine_transform
from shapely.geometry import Polygon

from benchmarks.imagery import fields, made
from benchmarks.imagery.fields import Heights
from benchmarks.report import Row
from geo.frames import Floats
from geo.grid import Grid, Window
from imagery import raster, residual
from imagery.survey import Survey

NAME = "planted_sheffield"
PEER = "plain pipeline, two separate blocks"
# The README's measured offsets of the separately made surfaces from the truth's frame: east, north.
_PEER_BEFORE, _PEER_AFTER = (0.03, -0.50), (-0.15, 0.22)


@dataclass(frozen=True, slots=True)
class Figure:
    """One structure as a pair of surfaces shows it: gain error over the footprint (m), outline IoU, centre error (m)."""

    id: str
    gain_error_m: float
    iou: float
    centre_m: float


def rows(folder: Path) -> list[Row]:
    """Ours from the photos, the peer's from its finished surfaces, both against the truth."""
    root = made.data("planted", "sheffield")
    before = made.survey(root / "before", folder / "before", date(2018, 4, 28))
    after = made.survey(root / "after", folder / "after", date(2018, 4, 29), area=made.area(before), reference=before)
    assert before.surface is not None and after.surface is not None
    truth = geopandas.read_file(root / "truth_utm.geojson")
    truth = truth[truth.is_structure]
    grid = before.grid
    # The truth's frame is that of the joint block; ours stands on its own first flight's GPS. Their orthophoto tells how they lie.
    to_ours = _frame_step(root / "ortho_before.tif", before, _PEER_BEFORE)
    gain = raster.read_window(after.surface) - raster.read_window(before.surface)
    outlines = [affine_transform(g, to_ours) for g in truth.geometry]
    known = _covered(grid, gain)
    ours = figures(gain, grid, outlines, truth, known)
    fine = Grid.over(grid.frame, grid.bounds_m, 0.1)
    separate = fields.onto(root / "dsm_after.tif", fine, shift_m=(-_PEER_AFTER[0], -_PEER_AFTER[1])) - fields.onto(
        root / "dsm_before.tif", fine, shift_m=(-_PEER_BEFORE[0], -_PEER_BEFORE[1])
    )
    theirs = figures(separate, fine, list(truth.geometry), truth, _covered(fine, separate))
    for f in ours:
        print(f"{f.id}: gain {f.gain_error_m:+.2f} m, IoU {f.iou:.2f}, centre {f.centre_m:.2f} m")
    return [*_compared(ours, theirs), *_counted(ours, truth)]


def _counted(ours: Sequence[Figure], truth: geopandas.GeoDataFrame) -> list[Row]:
    return [Row("structures measured", NAME, len(ours), "", "higher"), Row("structures planted", NAME, len(truth), "", "higher")]


def _compared(ours: Sequence[Figure], theirs: Sequence[Figure]) -> list[Row]:
    def row(metric: str, value: float, peer: float, unit: str, bar: float, *, higher: bool = False) -> Row:
        return Row(metric, NAME, round(value, 3), unit, "higher" if higher else "lower", bar, PEER, round(peer, 3))

    e, p = (np.array([f.gain_error_m for f in s]) for s in (ours, theirs))
    iou, centre = (np.median([getattr(f, n) for f in ours]) for n in ("iou", "centre_m"))
    iou_peer, centre_peer = (np.median([getattr(f, n) for f in theirs]) for n in ("iou", "centre_m"))
    return [
        row("height gain over the footprint: |mean error|", abs(e.mean()), abs(p.mean()), "m", 0.15),
        row("height gain over the footprint: RMSE", np.sqrt((e**2).mean()), np.sqrt((p**2).mean()), "m", 0.25),
        row("outline of the half-height contour: IoU, median", iou, iou_peer, "", 0.85, higher=True),
        row("centre of the outline: error, median", centre, centre_peer, "m", 0.3),
    ]


def figures(
    gain: Heights, grid: Grid, outlines: Sequence[Polygon], truth: geopandas.GeoDataFrame, known: Polygon
) -> list[Figure]:
    """A figure for every structure well inside the covered ground; stable ground near each is its zero."""
    out = []
    for outline, (_, t) in zip(outlines, truth.iterrows(), strict=True):
        if not known.contains(outline.buffer(2.0)):
            continue
        west, south, east, north = outline.buffer(6.0).bounds
        window = grid.window((west, south, east, north))
        part = grid.part(window)
        values = gain[window.slices]
        ring = raster.inside(outline.buffer(6.0).difference(outline.buffer(1.5)), part) & np.isfinite(values)
        values = values - np.nanmedian(values[ring])
        over = raster.inside(outline, part)
        error = float(np.nanmean(values[over])) - float(t.gain_mean_m)
        names, _ = ndimage.label(np.nan_to_num(values) > 0.5 * float(t.gain_mean_m))
        inner = names[over & (names > 0)]
        if not inner.size:
            out.append(Figure(t.id, error, 0.0, float("nan")))
            continue
        own = names == np.bincount(inner).argmax()
        iou = float((own & over).sum() / (own | over).sum())
        row, col = np.argwhere(own).mean(axis=0)
        x, y = part.west_m + (col + 0.5) * part.gsd_m, part.north_m - (row + 0.5) * part.gsd_m
        out.append(Figure(t.id, error, iou, float(np.hypot(x - outline.centroid.x, y - outline.centroid.y))))
    return out


def _covered(grid: Grid, gain: Heights) -> Polygon:
    from change_detect.candidate import outline_of

    closed = ndimage.binary_closing(np.isfinite(gain), iterations=5)
    names, _ = ndimage.label(closed)
    return outline_of(names == np.bincount(names.ravel())[1:].argmax() + 1, grid, Window(0, 0, grid.rows, grid.cols))


def _frame_step(their_ortho: Path, ours: Survey, offset_m: tuple[float, float]) -> list[float]:
    """Shapely's affine from the truth's frame to ours: what tiles of both orthophotos agree on, robustly."""
    theirs = fields.onto(their_ortho, ours.grid, shift_m=(-offset_m[0], -offset_m[1]))
    mine = raster.read_window(ours.ortho)
    known = raster.read_mask(ours.ortho) & (theirs[..., 3] > 0 if theirs.shape[2] == 4 else theirs.any(axis=2))
    grid, tile = ours.grid, residual.TILE
    places, shifts = [], []
    for row in range(0, grid.rows - tile, tile // 2):
        for col in range(0, grid.cols - tile, tile // 2):
            at = slice(row, row + tile), slice(col, col + tile)
            if known[at].mean() < 0.98:
                continue
            found = residual.shift(residual.grey(theirs[at][..., :3].copy()), residual.grey(mine[at]))
            if found is not None:
                places.append((grid.west_m + (col + tile / 2) * grid.gsd_m, grid.north_m - (row + tile / 2) * grid.gsd_m))
                shifts.append((found[0] * grid.gsd_m, -found[1] * grid.gsd_m))
    return _affine(np.array(places), np.array(shifts))


def _affine(places: Floats, shifts: Floats) -> list[float]:
    middle = places.mean(axis=0)
    design = np.column_stack([np.ones(len(places)), places - middle])
    kept = np.ones(len(places), bool)
    for _ in range(5):
        fit = np.linalg.lstsq(design[kept], shifts[kept], rcond=None)[0]
        error = np.linalg.norm(shifts - design @ fit, axis=1)
        kept = error < 3 * max(0.02, np.median(error))
    print(f"truth's frame to ours: {fit[0].round(3)} m, {kept.sum()} of {len(kept)} tiles, rms {error[kept].std():.3f} m")
    a = np.eye(2) + fit[1:].T
    shift = fit[0] - fit[1:].T @ middle
    return [a[0, 0], a[0, 1], a[1, 0], a[1, 1], shift[0], shift[1]]
