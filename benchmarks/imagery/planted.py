"""Exactly known structures in real photos: how high and how wide the surfaces say they are, beside a plain pipeline's surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
from scipy import ndimage
from scipy.optimize import minimize
from shapely.affinity import affine_transform
from shapely.geometry import Polygon, box

from benchmarks.imagery import fields, made
from benchmarks.imagery.fields import Heights
from benchmarks.report import Row
from geo.area import Area, AreaId
from geo.frames import Floats, Frame
from geo.grid import Grid, Window
from imagery import raster

NAME = "planted_sheffield"
_EXTENT = (333044.0, 3102880.0, 333256.0, 3103045.0)  # of the truth's rasters: some structures stand at the edge of the photos
_SCALED = "; scale and turn of the truth's frame taken away"
PEER = "plain pipeline, two separate blocks"


@dataclass(frozen=True, slots=True)
class Figure:
    """One structure as a pair of surfaces shows it: gain error over the footprint (m), outline IoU, how far its centre is off."""

    id: str
    gain_error_m: float
    iou: float
    off_m: tuple[float, float]

    @property
    def centre_m(self) -> float:
        """Length of the centre's error."""
        return float(np.hypot(*self.off_m))


def rows(folder: Path) -> list[Row]:
    """Ours from the photos, the peer's from its finished surfaces, both against the truth."""
    root = made.data("planted", "sheffield")
    frame = Frame(32617)
    area = Area(AreaId(NAME), NAME, frame.to_degrees(box(*_EXTENT)), gsd_m=0.135, epsg=frame.epsg)
    before = made.survey(root / "before", folder / "before", date(2018, 4, 28), area=area)
    after = made.survey(root / "after", folder / "after", date(2018, 4, 29), area=area, reference=before)
    assert before.surface is not None and after.surface is not None
    truth = geopandas.read_file(root / "truth_utm.geojson")
    truth = truth[truth.is_structure]
    grid = before.grid
    gain = raster.read_window(after.surface) - raster.read_window(before.surface)
    ours = figures(gain, grid, truth)
    fine = Grid.over(grid.frame, grid.bounds_m, 0.1)
    separate = _separate(root, fine)
    theirs = figures(separate, fine, truth)
    for name, found in (("ours", ours), ("peer", theirs)):
        for f in found:
            print(f"{name} {f.id}: gain {f.gain_error_m:+.2f} m, IoU {f.iou:.2f}, centre {f.centre_m:.2f} m")
    return [
        *_compared(ours, theirs),
        *_compared(*(figures(g, on, truth, scaled=True) for g, on in ((gain, grid), (separate, fine))), suffix=_SCALED),
        *_counted(ours, truth),
    ]


def _counted(ours: Sequence[Figure], truth: geopandas.GeoDataFrame) -> list[Row]:
    return [Row("structures measured", NAME, len(ours), "", "higher"), Row("structures planted", NAME, len(truth), "", "higher")]


def _compared(ours: Sequence[Figure], theirs: Sequence[Figure], suffix: str = "") -> list[Row]:
    def row(metric: str, value: float, peer: float, unit: str, bar: float, *, higher: bool = False) -> Row:
        return Row(metric + suffix, NAME, round(value, 3), unit, "higher" if higher else "lower", bar, PEER, round(peer, 3))

    e, p = (np.array([f.gain_error_m for f in s]) for s in (ours, theirs))
    iou, centre = (np.nanmedian([getattr(f, n) for f in ours]) for n in ("iou", "centre_m"))
    iou_peer, centre_peer = (np.nanmedian([getattr(f, n) for f in theirs]) for n in ("iou", "centre_m"))
    return [
        row("height gain over the footprint: |mean error|", abs(e.mean()), abs(p.mean()), "m", 0.15),
        row("height gain over the footprint: RMSE", np.sqrt((e**2).mean()), np.sqrt((p**2).mean()), "m", 0.25),
        row("outline of the half-height contour: IoU, median", iou, iou_peer, "", 0.85, higher=True),
        row("centre of the outline: error, median", centre, centre_peer, "m", 0.3),
    ]


def _separate(root: Path, grid: Grid) -> Heights:
    """The peer's height gain: the later surface laid onto the earlier one by the shift that makes their difference calmest."""
    before = fields.onto(root / "dsm_before.tif", grid)

    def gain(shift: Floats) -> Heights:
        return fields.onto(root / "dsm_after.tif", grid, shift_m=(float(shift[0]), float(shift[1]))) - before

    found = minimize(lambda s: fields.nmad(gain(s)[::2, ::2]), np.zeros(2), method="Nelder-Mead", options={"xatol": 0.01})
    return gain(found.x)


def figures(gain: Heights, grid: Grid, truth: geopandas.GeoDataFrame, *, scaled: bool = False) -> list[Figure]:
    """Figures of the structures well inside the covered ground.

    The truth's frame is that of a joint block of both flights, any other stands elsewhere by its GPS: the one shift that brings the
    centres together is taken away first, from ours and from the peer's alike. `scaled` takes its scale and turn away too: the joint
    block is 0.4 % shorter than the surveyed ground control, which is a third of a metre at the outer structures.
    """
    known = _covered(grid, gain)
    middle = np.array([truth.geometry.centroid.x.mean(), truth.geometry.centroid.y.mean()])
    shift, turn = 0j, 1 + 0j
    for _ in range(5):
        a, b = turn.real, turn.imag
        x, y = shift.real + middle[0], shift.imag + middle[1]
        to_ours = [a, -b, b, a, x - a * middle[0] + b * middle[1], y - b * middle[0] - a * middle[1]]
        outlines = [affine_transform(g, to_ours) for g in truth.geometry]
        found = _measured(gain, grid, outlines, truth, known)
        more, by = _agreed({f.id: f.off_m for f in found}, truth, middle, scaled=scaled)
        shift, turn = shift + more, turn + by
    print(f"truth's frame: {shift:.2f} m, scale and turn {turn:.4f}")
    return found


def _agreed(
    off: dict[str, tuple[float, float]], truth: geopandas.GeoDataFrame, middle: Floats, *, scaled: bool
) -> tuple[complex, complex]:
    """The shift (and change of scale and turn) that most centres agree on, as complex numbers; reweighted least squares."""
    rows = [(t.geometry.centroid, off[t.id]) for t in truth.itertuples() if t.id in off and np.isfinite(off[t.id][0])]
    apart = np.array([complex(*o) for _, o in rows])
    if not scaled:
        return complex(np.median(apart.real), np.median(apart.imag)), 0j
    at = np.array([complex(c.x - middle[0], c.y - middle[1]) for c, _ in rows])
    design, weight = np.column_stack([np.ones(len(at)), at]), np.ones(len(at))
    for _ in range(8):
        fit = np.linalg.lstsq(design * weight[:, None], apart * weight, rcond=None)[0]
        error = np.abs(apart - design @ fit)
        weight = 1 / np.sqrt(np.maximum(1.0, error / max(0.02, float(np.median(error)))))
    return complex(fit[0]), complex(fit[1])


def _measured(
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
            out.append(Figure(t.id, error, 0.0, (float("nan"), float("nan"))))
            continue
        own = names == np.bincount(inner).argmax()
        iou = float((own & over).sum() / (own | over).sum())
        row, col = np.argwhere(own).mean(axis=0)
        x, y = part.west_m + (col + 0.5) * part.gsd_m, part.north_m - (row + 0.5) * part.gsd_m
        out.append(Figure(t.id, error, iou, (x - outline.centroid.x, y - outline.centroid.y)))
    return out


def _covered(grid: Grid, gain: Heights) -> Polygon:
    from change_detect.candidate import outline_of

    closed = ndimage.binary_closing(np.isfinite(gain), iterations=5)
    names, _ = ndimage.label(closed)
    return outline_of(names == np.bincount(names.ravel())[1:].argmax() + 1, grid, Window(0, 0, grid.rows, grid.cols))
