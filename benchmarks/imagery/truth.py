"""The simulator's exact town as a survey's own frame sees it, and how far the survey is from it, in ground samples (GSD).

A first survey stands on its GPS: moved, turned and scaled a little as a whole. The similarity between its cameras and the true ones is
told as figures of its own; then rays are cast along the survey's own vertical, so that what remains is the survey's shape. No raster
is resampled for it: every cell of the truth is a ray of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.report import Row
from geo.frames import Floats, Pose
from geo.grid import Grid
from imagery import raster
from imagery.reconstruct import Block
from imagery.survey import Survey
from simulator.lens import toned
from simulator.light import light
from simulator.scene import Scene, Shadow
from simulator.soil import Soil
from simulator.solids import Book, Tables
from simulator.sun import Sun
from simulator.textures import Atlas, atlas
from simulator.things import BUILDERS
from simulator.town import Town
from simulator.tracer import GROUND as ON_GROUND
from simulator.tracer import hit, relief_at

Bytes = NDArray[np.uint8]
Metres = NDArray[np.float32]
Mask = NDArray[np.bool_]

GROUND, ROOF, TREE, OTHER = 0, 1, 2, 3
"""Classes of a cell: bare ground, the roof of a building, a tree's crown, and walls, cars, poles and heaps."""

_ROOFED = (
    "gable_home", "hip_home", "flat_home", "slab", "shops", "workshop", "greenhouse", "hut", "shed", "rooftop_room", "extension",
    "gable_house", "canopy", "container", "repaint_gable_home", "repaint_hip_home",
)  # fmt: skip
_TILE = 64  # cells of a tile whose shift is measured
_REACH_M = 2.0  # how far from a roof's true edge the measured one is looked for; further away counts as this
_STEP_M = 1.5  # roofs that stand over what is beside them by more than this have an edge
_RAYS = 2  # rays per cell side of the true picture


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """Survey places to true ones: `scale * turn @ place + shift`, metres of the frame."""

    scale: float
    turn: Floats
    shift: Floats

    @staticmethod
    def between(own: Floats, true: Floats) -> Similarity:
        """Least squares over `(n, 3)` places (Umeyama 1991)."""
        a, b = own - own.mean(axis=0), true - true.mean(axis=0)
        u, d, vt = np.linalg.svd(b.T @ a / len(a))
        mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        turn = u @ mirror @ vt
        scale = float((d * np.diag(mirror)).sum() / (a**2).sum(axis=1).mean())
        return Similarity(scale, turn, true.mean(axis=0) - scale * turn @ own.mean(axis=0))

    def to_true(self, places: Floats) -> Floats:
        """`(n, 3)` places of the survey where they truly are."""
        return self.scale * places @ self.turn.T + self.shift

    def to_own(self, places: Floats) -> Floats:
        """`(n, 3)` true places where the survey has them."""
        return (places - self.shift) @ self.turn / self.scale


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The truth on a survey's grid: exact heights in the survey's metres, class of every cell, and what a perfect ortho shows."""

    scene: Scene
    placing: Similarity
    camera_error_m: float
    heights: Metres
    ground: Metres
    kind: Bytes
    kind_of_body: Bytes
    picture: Bytes
    gsd_m: float


def seen(scene: Scene, sun: Sun, survey: Survey, poses: Mapping[str, Pose]) -> Seen:
    """The truth for a survey whose photos were truly taken from `poses` (by file name)."""
    assert survey.block is not None
    block = Block.load(survey.block)
    own = np.array([v.pose.centre for v in block.views])
    true = np.array([poses[v.path.name].centre for v in block.views])
    placing = Similarity.between(own, true)
    left = np.linalg.norm(placing.to_true(own) - true, axis=1)
    kinds = _kinds(scene)
    heights, bodies = _heights(scene, placing, survey.grid)
    return Seen(
        scene,
        placing,
        float(np.median(left)),
        heights,
        _bare(scene, placing, survey.grid, heights),
        np.where(bodies == ON_GROUND, GROUND, kinds[np.maximum(bodies, 0)]).astype(np.uint8),
        kinds,
        _picture(scene, sun, placing, survey.grid),
        survey.quality.gsd_m,
    )


def _kinds(scene: Scene) -> Bytes:
    """Class of every body, in the order in which the scene's own book was written."""
    book, kinds = Book(), []
    for thing in scene.things:
        before = len(book.bodies)
        BUILDERS[thing.kind](book, thing)
        kind = TREE if thing.kind == "tree" else ROOF if thing.kind in _ROOFED else OTHER
        kinds += [kind] * (len(book.bodies) - before)
    return np.array(kinds or [OTHER], np.uint8)


def _starts(scene: Scene, placing: Similarity, x: Floats, y: Floats) -> tuple[Floats, Floats, float]:
    """Where rays along the survey's vertical start `(n, 3)` in the scene's metres, their direction, and their start's own height."""
    top = float(max(scene.tables.grid[5], scene.relief.heights.max())) + 30.0
    own_top = float(placing.to_own(np.array([[scene.origin.x_m, scene.origin.y_m, top]]))[0, 2])
    starts = placing.to_true(np.column_stack([x, y, np.full(len(x), own_top)]))
    return starts - [scene.origin.x_m, scene.origin.y_m, 0.0], -placing.turn[:, 2], own_top


def _heights(scene: Scene, placing: Similarity, grid: Grid) -> tuple[Metres, NDArray[np.int32]]:
    xs, ys = grid.centres()
    x, y = np.meshgrid(xs, ys)
    z, bodies = _cast(scene, placing, x.ravel(), y.ravel())
    return z.reshape(grid.shape).astype(np.float32), bodies.reshape(grid.shape)


def _cast(scene: Scene, placing: Similarity, x: Floats, y: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """Heights `(n,)` in the survey's metres over its places, and what body lies there."""
    starts, way, own_top = _starts(scene, placing, x, y)
    at, bodies = _hits(scene.tables, scene.relief.heights, scene.relief.place, starts, way)
    return own_top - at / placing.scale, bodies


def _bare(scene: Scene, placing: Similarity, grid: Grid, heights: Metres) -> Metres:
    """The bare ground in the survey's metres: the true ground under each cell, brought back."""
    xs, ys = grid.centres()
    x, y = np.meshgrid(xs, ys)
    true = placing.to_true(np.column_stack([x.ravel(), y.ravel(), heights.ravel()]))
    true[:, 2] = _relief(scene.relief.heights, scene.relief.place, true[:, 0] - scene.origin.x_m, true[:, 1] - scene.origin.y_m)
    return placing.to_own(true)[:, 2].reshape(grid.shape).astype(np.float32)


def _picture(scene: Scene, sun: Sun, placing: Similarity, grid: Grid) -> Bytes:
    """What a perfect orthophoto shows, uint8 `(rows, cols, 3)`: the mean light of a few rays per cell, through the camera's tone curve."""
    sky, sky_place = scene.sky
    xs, ys = grid.centres()
    total = np.zeros((*grid.shape, 3), np.float32)
    for i in range(_RAYS):
        for j in range(_RAYS):
            x, y = np.meshgrid(
                xs + ((i + 0.5) / _RAYS - 0.5) * grid.gsd_m,
                ys + ((j + 0.5) / _RAYS - 0.5) * grid.gsd_m,
            )
            starts, way, _ = _starts(scene, placing, x.ravel(), y.ravel())
            out = np.empty((len(starts), 3), np.float32)
            _light_down(
                scene.tables, scene.relief.heights, scene.relief.place, scene.soil, atlas(), scene.shadow(sun), sky, sky_place,
                np.array(sun.towards), sun.strength, starts, way, grid.gsd_m, out,
            )  # fmt: skip
            total += out.reshape(total.shape)
    return np.clip(toned(total / _RAYS**2) + 0.5, 0, 255).astype(np.uint8)


@njit(nogil=True)
def _hits(tables: Tables, relief: Floats, place: Floats, starts: Floats, way: Floats) -> tuple[Floats, NDArray[np.int32]]:
    n = starts.shape[0]
    at, bodies = np.empty(n), np.empty(n, np.int32)
    for i in range(n):
        at[i], bodies[i], _ = hit(tables, relief, place, starts[i, 0], starts[i, 1], starts[i, 2], way[0], way[1], way[2])
    return at, bodies


@njit(nogil=True)
def _light_down(
    tables: Tables, relief: Floats, place: Floats, soil: Soil, paints: Atlas, shadow: Shadow, sky: Metres, sky_place: Floats,
    sun: Floats, strength: float, starts: Floats, way: Floats, gsd_m: float, out: Metres,
) -> None:  # fmt: skip
    turn = np.zeros((3, 3))
    turn[2] = way
    ray = np.zeros((1, 2), np.float32)
    key = np.empty(1, np.int32)
    for i in range(starts.shape[0]):
        per_pixel = gsd_m / 40.0  # about what the ray's foot is wide where it ends: it starts some 40 m up
        light(
            tables, relief, place, soil, paints, shadow, sky, sky_place, sun, strength, turn, starts[i], per_pixel,
            ray, out[i : i + 1], key,
        )  # fmt: skip


@njit(nogil=True)
def _relief(relief: Floats, place: Floats, xs: Floats, ys: Floats) -> Floats:
    out = np.empty(len(xs))
    for i in range(len(xs)):
        out[i] = relief_at(relief, place, xs[i], ys[i])
    return out


def nmad(values: Floats | Metres) -> float:
    """Normalised median absolute deviation: the standard deviation a normal distribution of that width had."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def placed(name: str, seen: Seen, survey: Survey) -> list[Row]:
    """Where the survey stands as a whole: its GPS, not its shape; no bar for a first survey."""
    grid = survey.grid
    west, south, east, north = grid.bounds_m
    middle = np.array([[(west + east) / 2, (south + north) / 2, float(np.median(seen.ground))]])
    off = seen.placing.to_own(seen.placing.to_true(middle) * 1.0) - middle  # zero but for rounding: says the similarity inverts
    assert float(np.abs(off).max()) < 1e-3
    moved = (seen.placing.to_true(middle) - middle)[0]
    tilt = math.degrees(math.acos(min(1.0, float(seen.placing.turn[2, 2]))))
    q = survey.quality
    return [
        Row("photos registered", name, round(q.registered / q.given, 4), "", "higher", 0.98),
        Row("whole block: place along the ground", name, round(float(np.hypot(*moved[:2])), 3), "m", "lower"),
        Row("whole block: height", name, round(float(moved[2]), 3), "m", "lower"),
        Row("whole block: tilt", name, round(tilt, 3), "deg", "lower"),
        Row("whole block: scale", name, round(100 * (seen.placing.scale - 1), 3), "%", "lower"),
        Row("camera places after that, median", name, round(seen.camera_error_m / seen.gsd_m, 2), "GSD", "lower"),
        Row("GSD of the photos", name, round(100 * seen.gsd_m, 2), "cm", "lower"),
    ]


def heights(name: str, seen: Seen, survey: Survey) -> list[Row]:
    """Surface against truth on ground, roofs and trees, and how much of it was guessed."""
    assert survey.surface is not None and survey.filled is not None
    surface, filled = raster.read_window(survey.surface), raster.read_window(survey.filled)
    known, measured = np.isfinite(surface), filled == 0
    gap = (surface - seen.heights) / seen.gsd_m
    found = []
    for what, kind, bar in (("ground", GROUND, 1.0), ("roofs", ROOF, 1.0), ("trees", TREE, None)):
        cells = known & (seen.kind == kind)
        d = gap[cells]
        found += [
            Row(f"surface on {what}: bias", name, round(abs(float(np.median(d))), 3), "GSD", "lower", bar),
            Row(f"surface on {what}: NMAD", name, round(nmad(d), 3), "GSD", "lower", bar),
            Row(f"surface on {what}: p95 of the error", name, round(float(np.percentile(np.abs(d), 95)), 2), "GSD", "lower"),
            Row(f"surface on {what}: unknown or bridged", name, _percent(~measured, seen.kind == kind), "%", "lower"),
        ]
    hard = known & measured & (seen.kind != TREE)
    found.append(Row("surface without trees: off by over 1 m", name, _percent(np.abs(gap) * seen.gsd_m > 1, hard), "%", "lower"))
    return found


def bare(name: str, seen: Seen, survey: Survey) -> list[Row]:
    """Ground model and heights over it against truth."""
    if survey.ground is None or survey.height is None:
        return []
    ground, height = raster.read_window(survey.ground), raster.read_window(survey.height)
    known = np.isfinite(ground)
    e = (ground - seen.ground)[known] / seen.gsd_m
    roofs = np.isfinite(height) & (seen.kind == ROOF)
    d = (height - (seen.heights - seen.ground))[roofs] / seen.gsd_m
    return [
        Row("ground model: bias", name, round(abs(float(np.median(e))), 3), "GSD", "lower", 1.0),
        Row("ground model: NMAD", name, round(nmad(e), 3), "GSD", "lower", 1.0),
        Row("ground model: RMSE", name, round(float(np.sqrt((e**2).mean())) * seen.gsd_m, 3), "m", "lower"),
        Row("ground model: unknown", name, _percent(~known, np.ones_like(known)), "%", "lower"),
        Row("height of roofs over ground: bias", name, round(abs(float(np.median(d))), 3), "GSD", "lower", 1.0),
        Row("height of roofs over ground: NMAD", name, round(nmad(d), 3), "GSD", "lower", 1.0),
    ]


def edges(name: str, seen: Seen, survey: Survey, town: Town, day: int) -> list[Row]:
    """How far the surface's half-height contour lies from true roof edges, one figure per edge."""
    assert survey.surface is not None
    surface = raster.read_window(survey.surface)
    lengths, signed = [], []
    for thing in town.standing(day):
        if thing.kind not in _ROOFED:
            continue
        ring = np.array(thing.covered)
        for k in range(4):
            gaps = _edge(seen, survey.grid, surface, ring[k], ring[(k + 1) % 4])
            if gaps is not None:
                lengths.append(float(np.median(np.abs(gaps))) / seen.gsd_m)
                signed.append(float(np.median(gaps)) / seen.gsd_m)
    if not lengths:
        return []
    return [
        Row("roof edges: position error, median", name, round(float(np.median(lengths)), 3), "GSD", "lower", 1.0),
        Row("roof edges: position error, p90", name, round(float(np.percentile(lengths, 90)), 2), "GSD", "lower"),
        Row("roof edges: outwards, median", name, round(float(np.median(signed)), 3), "GSD", "lower"),
        Row("roof edges measured", name, len(lengths), "", "higher"),
    ]


def _edge(seen: Seen, grid: Grid, surface: Metres, a: Floats, b: Floats) -> Floats | None:
    """Signed distances `(n,)` outwards along one true edge from `a` to `b` (scene metres, house on the left); None without a clear step."""
    length = float(np.linalg.norm(b - a))
    along = (b - a) / length
    out = np.array([along[1], -along[0]])
    spots = np.arange(0.7, length - 0.7, 0.25)
    offsets = np.arange(-_REACH_M, _REACH_M + 1e-6, 0.02)
    if len(spots) < 8:
        return None
    x = a[0] + spots[:, None] * along[0] + offsets * out[0] + seen.scene.origin.x_m
    y = a[1] + spots[:, None] * along[1] + offsets * out[1] + seen.scene.origin.y_m
    level = np.full(x.size, float(np.median(seen.scene.relief.heights)))
    own = seen.placing.to_own(np.column_stack([x.ravel(), y.ravel(), level]))
    col, row = (own[:, 0] - grid.west_m) / grid.gsd_m, (grid.north_m - own[:, 1]) / grid.gsd_m
    if col.min() < 1 or row.min() < 1 or col.max() > grid.cols - 2 or row.max() > grid.rows - 2:
        return None
    z, bodies = _cast(seen.scene, seen.placing, own[:, 0], own[:, 1])
    z = z.reshape(x.shape)
    kinds = seen.kind_of_body[np.maximum(bodies, 0)].reshape(x.shape)
    grounded = (bodies == ON_GROUND).reshape(x.shape)
    inner, outer = (offsets > -0.6) & (offsets < -0.25), (offsets > 0.12) & (offsets < 1.2)
    roof, beside = np.median(z[:, inner], axis=1), np.median(z[:, outer], axis=1)
    clear = (
        (~grounded[:, inner] & (kinds[:, inner] == ROOF)).all(axis=1)
        & (grounded[:, outer] | (kinds[:, outer] != TREE)).all(axis=1)
        & (roof - z[:, outer].max(axis=1) > _STEP_M)
        & (np.ptp(z[:, outer], axis=1) < 0.6)
    )
    if clear.sum() < 8:
        return None
    map_x, map_y = ((v - 0.5).reshape(x.shape).astype(np.float32) for v in (col, row))
    found = cv2.remap(surface, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=math.nan)
    gaps = [_crossing(found[i], offsets, (roof[i] + beside[i]) / 2) for i in np.flatnonzero(clear)]
    return np.array(gaps)


def _crossing(profile: Metres, offsets: Floats, half: float) -> float:
    """Where a profile falls under `half`, nearest to the true edge; the reach where it never does."""
    known = np.isfinite(profile)
    if known.sum() < 0.5 * len(profile):
        return _REACH_M
    above = np.interp(offsets, offsets[known], profile[known]) > half
    falls = np.flatnonzero(above[:-1] & ~above[1:])
    if not len(falls):
        return _REACH_M
    at = offsets[falls] + 0.01
    return float(at[np.argmin(np.abs(at))])


def places(name: str, seen: Seen, survey: Survey) -> list[Row]:
    """How far the ortho's tiles lie from the perfect ortho's, by phase correlation; and how much of it shows something else."""
    ortho, mask = raster.read_window(survey.ortho), raster.read_mask(survey.ortho)
    mine, true = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float32) for p in (ortho, seen.picture))
    window = cv2.createHanningWindow((_TILE, _TILE), cv2.CV_32F)
    shifts: dict[str, list[float]] = {"open ground": [], "roofs": [], "trees": []}
    vectors = []
    for tile in survey.grid.tiles(_TILE):
        if (tile.rows, tile.cols) != (_TILE, _TILE) or not mask[tile.slices].all():
            continue
        kind = seen.kind[tile.slices]
        trees, roofs = float((kind == TREE).mean()), float((kind == ROOF).mean())
        what = "trees" if trees > 0.15 else "roofs" if roofs > 0.5 else "open ground" if roofs < 0.1 else ""
        (dx, dy), response = cv2.phaseCorrelate(true[tile.slices], mine[tile.slices], window)
        if what and response > 0.05:
            shifts[what].append(math.hypot(dx, dy) * survey.grid.gsd_m / seen.gsd_m)
            vectors.append((dx, dy))
    found = []
    for what, values in shifts.items():
        if len(values) < 3:
            continue
        bar = None if what == "trees" else 1.0
        found += [
            Row(f"ortho on {what}: position, median", name, round(float(np.median(values)), 3), "GSD", "lower", bar),
            Row(f"ortho on {what}: position, p90", name, round(float(np.percentile(values, 90)), 2), "GSD", "lower"),
        ]
    wrong = wrong_colour(seen, ortho)
    found.append(
        Row(
            "ortho without trees: cells that show something else", name, _percent(wrong, mask & (seen.kind != TREE)), "%", "lower"
        )
    )
    found.append(Row("ortho: holes", name, _percent(~mask, np.ones_like(mask)), "%", "lower"))
    return found


def wrong_colour(seen: Seen, ortho: Bytes, levels: float = 30.0) -> Mask:
    """Cells where the ortho differs from the perfect one by more than `levels`, after one gain per band, over some 3 x 3 cells."""
    mine, true = ortho.astype(np.float32), seen.picture.astype(np.float32)
    gains = np.array([np.median(true[..., b]) / max(1.0, float(np.median(mine[..., b]))) for b in range(3)], np.float32)
    gap = cv2.blur(mine * gains - true, (3, 3))
    wrong: Mask = np.abs(gap).mean(axis=2) > levels
    return wrong


def between(name: str, first: Survey, before: Seen, later: Survey, after: Seen) -> list[Row]:
    """A later survey against the first, where nothing was built: what a comparison sees as change."""
    assert first.surface is not None and later.surface is not None
    west, south, east, north = first.grid.bounds_m
    x, y = np.meshgrid(np.linspace(west, east, 3), np.linspace(south, north, 3))
    spots = np.column_stack([x.ravel(), y.ravel(), np.full(9, float(np.median(before.ground)))])
    moved = (before.placing.to_own(after.placing.to_true(spots)) - spots) / after.gsd_m
    one, other = raster.read_window(first.surface), raster.read_window(later.surface)
    still = (np.abs(after.heights - before.heights) < 0.15) & np.isfinite(one) & np.isfinite(other)
    still &= (before.kind != TREE) & (after.kind != TREE)
    d = ((other - one) / after.gsd_m)[still]
    q = later.quality
    return [
        Row("registered: along the ground, 9 places, median", name, round(float(np.median(np.hypot(*moved[:, :2].T))), 3), "GSD", "lower", 1.0),
        Row("registered: up, 9 places, median", name, round(float(np.median(np.abs(moved[:, 2]))), 3), "GSD", "lower", 1.0),
        Row("surface difference: bias", name, round(abs(float(np.median(d))), 3), "GSD", "lower", 1.0),
        Row("surface difference: NMAD", name, round(nmad(d), 3), "GSD", "lower", 1.5),
        Row("surface difference: over 1 m", name, round(100 * float((np.abs(d) * after.gsd_m > 1).mean()), 2), "%", "lower"),
        Row("ortho residual, median", name, q.residual_median_px, "cell", "lower", 0.3),
        Row("ortho residual, p90", name, q.residual_p90_px, "cell", "lower", 0.7),
    ]  # fmt: skip


def _percent(wrong: Mask, of: Mask) -> float:
    return round(100 * float(wrong[of].mean()), 2) if of.any() else 0.0
