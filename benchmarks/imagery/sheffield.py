"""Two real flights minutes apart: the second registered into the first. Nothing was built, so what differs is ours."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.imagery import fields, made
from benchmarks.report import Row
from geo.frames import Floats
from imagery import raster
from imagery.engines import features, matching, pairs
from imagery.engines.features import Recipe
from imagery.reconstruct import Block
from imagery.survey import Survey

NAME = "sheffield_cross"


def rows(folder: Path) -> list[Row]:
    """Both surveys and how they lie on each other."""
    root = made.data("raw_surveys", NAME)
    before = made.survey(root / "flight1_1206", folder / "before", date(2018, 4, 28))
    area = made.area(before)
    after = made.survey(root / "flight2_1219", folder / "after", date(2018, 4, 29), area=area, reference=before)
    return [*registered(before, after), *ties(before, after, folder / "features"), *on_each_other(before, after)]


def registered(before: Survey, after: Survey) -> list[Row]:
    """Photos that found their place."""
    out = []
    for name, survey in (("first", before), ("second", after)):
        q = survey.quality
        out.append(Row(f"{name} flight: photos registered", NAME, round(q.registered / q.given, 4), "", "higher", 0.98))
    return out


def ties(before: Survey, after: Survey, shelf: Path) -> list[Row]:
    """The same keypoints placed by each survey's photos alone."""
    assert before.block is not None and after.block is not None
    old, new = Block.load(before.block), Block.load(after.block)
    apart = _tie_differences(old, new, shelf / Recipe().shelf)
    gsd = before.grid.gsd_m
    xy = np.hypot(apart[:, 0], apart[:, 1])
    return [
        Row("tie points: xy apart, median", NAME, round(float(np.median(xy)) / gsd, 3), "GSD", "lower", 1.0),
        Row("tie points: z, NMAD", NAME, round(fields.nmad(apart[:, 2]) / gsd, 3), "GSD", "lower", 3.0),
        Row("tie points: z, bias", NAME, round(abs(float(np.median(apart[:, 2]))) / gsd, 3), "GSD", "lower"),
        Row("tie points: x and y, bias", NAME, round(float(np.hypot(*np.median(apart[:, :2], axis=0))) / gsd, 3), "GSD", "lower"),
        Row("tie points", NAME, len(apart), "", "higher"),
    ]


def _tie_differences(old: Block, new: Block, shelf: Path) -> Floats:
    """`(n, 3)` metres between a place by the new photos and by the old ones, each triangulated from its own observations only."""
    old_points, new_points = _triangulated(old), _triangulated(new)
    old_xy, new_xy = (np.array([[v.pose.x_m, v.pose.y_m] for v in b.views]) for b in (old, new))
    kept = []
    for i, j in sorted(pairs.neighbours(new_xy[::3], old_xy, 4)):
        a, b = new.views[3 * i], old.views[j]
        one, other = features.load(shelf, a.photo_sha256), features.load(shelf, b.photo_sha256)
        mine, theirs = _points_of(new, 3 * i), _points_of(old, j)
        for k, m in matching.match(one, other):
            p = mine.get(tuple(one.keypoints[k, :2].tolist()))
            q = theirs.get(tuple(other.keypoints[m, :2].tolist()))
            if p is not None and q is not None:
                kept.append(new_points[p] - old_points[q])
    found = np.array(kept).reshape(-1, 3)
    found = found[np.isfinite(found).all(axis=1)]
    # A wrong match is metres off: it says nothing of the registration.
    return found[np.linalg.norm(found - np.median(found, axis=0), axis=1) < 3.0]


def _points_of(block: Block, view: int) -> dict[tuple[float, ...], int]:
    return {tuple(px): int(p) for px, p in zip(block.observed_px(view).tolist(), block.seen(view).tolist(), strict=True)}


def _triangulated(block: Block) -> Floats:
    """Every point anew from the block's own rays: the place nearest to all of them (least squares); NaN under small angles."""
    normal = np.zeros((len(block.points), 3, 3))
    right = np.zeros((len(block.points), 3))
    axis = np.zeros((len(block.points), 3))
    for i, view in enumerate(block.views):
        rays = block.camera(view).rays(block.observed_px(i).astype(np.float64)) @ view.pose.matrix
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        depth = np.maximum(1.0, block.depths_m(i))[:, None, None]
        across = (np.eye(3) - rays[:, :, None] * rays[:, None, :]) / depth**2
        seen = block.seen(i)
        np.add.at(normal, seen, across)
        np.add.at(right, seen, across @ (view.pose.centre - np.array(block.offset_m)))
        np.add.at(axis, seen, rays)
    count = np.bincount(block.track_point, minlength=len(block.points))
    spread = 1 - np.linalg.norm(axis, axis=1) / np.maximum(count, 1)  # 0 when all rays are one
    out = np.full((len(block.points), 3), np.nan)
    good = spread > 1 - np.cos(np.radians(3.0))
    out[good] = np.linalg.solve(normal[good], right[good][..., None])[..., 0] + np.array(block.offset_m)
    return block.bend.onto(out) if block.bend is not None else out


def on_each_other(before: Survey, after: Survey, dataset: str = NAME) -> list[Row]:
    """Orthophotos and surfaces."""
    q, grid = after.quality, after.grid
    assert before.surface is not None and after.surface is not None
    assert before.confidence is not None and after.confidence is not None
    old, new = raster.read_window(before.surface), raster.read_window(after.surface)
    sure = np.ones(grid.shape, bool)
    for survey in (before, after):
        assert survey.confidence is not None
        confidence = raster.read_window(survey.confidence)
        sure &= (confidence > 0) & (confidence <= 100)
    leafy = fields.green(before.ortho, grid) | fields.green(after.ortho, grid)
    dz = new - old
    dz -= np.float32(np.nanmedian(dz[sure & ~leafy]))
    hard = sure & ~leafy & np.isfinite(dz)
    steep = np.maximum(fields.slope_deg(old, grid.gsd_m), fields.slope_deg(new, grid.gsd_m)) > 30
    known = np.isfinite(dz)
    return [
        Row("ortho to ortho: shift, median", dataset, round(q.residual_median_px or np.nan, 3), "px", "lower", 0.3),
        Row("ortho to ortho: shift, p90", dataset, round(q.residual_p90_px or np.nan, 3), "px", "lower", 0.7),
        Row(
            "surfaces apart, hard ground, NMAD",
            dataset,
            round(fields.nmad(dz[hard & ~steep]) / grid.gsd_m, 3),
            "GSD",
            "lower",
            1.5,
        ),
        Row("surfaces apart, everything known, NMAD", dataset, round(fields.nmad(dz[known]), 3), "m", "lower"),
        Row("cells off by > 1 m, all known", dataset, round(float((np.abs(dz[known]) > 1).mean()), 4), "", "lower"),
        Row("cells off by > 1 m, measured and not green", dataset, round(float((np.abs(dz[hard]) > 1).mean()), 4), "", "lower"),
        Row("share of cells measured in both", dataset, round(float(sure[known].mean()), 3), "", "higher"),
        Row("blobs > 1 m, 4 m2, not green", dataset, fields.blobs((np.abs(dz) > 1) & hard, 4.0, grid.gsd_m), "", "lower", 0),
    ]
