"""Finished orthophotos of other programs, laid onto the area's grid.

A picture may know its place (any coordinate system) or not. With a reference it is registered to it by what both show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from geo.area import Area
from geo.frames import Floats, Frame, LonLat
from geo.grid import Grid, Window
from geo.progress import Progress, silent
from imagery import raster, register
from imagery.errors import SurveyError
from imagery.reasons import Reason
from imagery.register import WORK_CELLS, Drift, Side, composed, inverted
from imagery.stereo import Metres

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_TILE = 1024
_MOST_PIXELS = 400_000_000  # of a JPEG or PNG, which must be decoded whole
_DARK = 6  # a border that dark in all bands is no ground


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where an orthophoto is to lie: the area, its grid, what is known of the picture, the reference's files; and how it is packed."""

    area: Area
    grid: Grid
    gsd_m: float | None
    centre: LonLat
    reference_ortho: Path | None = None
    reference_surface: Path | None = None
    reference_gsd_m: float = 0.05
    compression: raster.Compression = "jpeg"


@dataclass(frozen=True, slots=True)
class Adopted:
    """The files on the area's grid, and how they came there."""

    ortho: Path
    surface: Path | None
    native_gsd_m: float
    method: str
    notes: tuple[Reason, ...]


class _Picture:
    """A file read by pixels: GeoTIFFs by windows, others whole, decoded once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info = raster.info(path)
        if self.info.bands not in {1, 3, 4} or self.info.dtype != "uint8":
            raise SurveyError(
                f"{path.name}: {self.info.bands} 个波段（{self.info.dtype}），正射影像应为 8 位红绿蓝，请按此导出。 "
                f"{self.info.bands} bands of {self.info.dtype}; an orthophoto has red, green and blue in 8 bits: write it so"
            )
        self._whole: tuple[Pixels, Mask] | None = None
        if self.info.driver != "GTiff":
            if self.info.rows * self.info.cols > _MOST_PIXELS:
                raise SurveyError(
                    f"{path.name}: {self.info.driver} 图像过大（{self.info.cols} x {self.info.rows} 像素），须整幅读入；请存为分块 GeoTIFF。 "
                    f"a {self.info.driver} of {self.info.cols} x {self.info.rows} pixels must be read whole: write it as a tiled GeoTIFF"
                )
            pixels = _rgb(raster.read_window(path))
            self._whole = pixels, raster.read_mask(path) & ~_dark_border(pixels)

    def read(self, window: Window) -> tuple[Pixels, Mask]:
        """Colours `(rows, cols, 3)` and what is known of a window of pixels."""
        if self._whole is not None:
            return self._whole[0][window.slices], self._whole[1][window.slices]
        return _rgb(raster.read_window(self.path, window)), raster.read_mask(self.path, window)

    def small(self, thin: int) -> tuple[Pixels, Mask]:
        """The whole picture, every `thin` x `thin` pixels as one."""
        if self._whole is None:
            return _rgb(raster.read_window(self.path, thin=thin)), raster.read_mask(self.path, thin=thin)
        size = (-(-self.info.cols // thin), -(-self.info.rows // thin))
        mask = cv2.resize(self._whole[1].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        return np.asarray(cv2.resize(self._whole[0], size, interpolation=cv2.INTER_AREA), np.uint8), mask


def adopt(ortho: Path, surface: Path | None, wanted: Wanted, folder: Path, progress: Progress = silent) -> Adopted:
    """Write `ortho.tif` (and `surface.tif`) on the wanted grid; raises SurveyError when the picture cannot be placed."""
    picture = _Picture(ortho)
    grid = wanted.grid
    own = _own_place(picture.info, grid.frame)
    notes: list[Reason] = []
    if wanted.reference_ortho is not None:
        progress(0, 3, "adopt: registering")
        place, drift, method, note = _onto_reference(picture, own, wanted.reference_ortho, wanted)
        notes.append(note)
    elif own is not None:
        place, drift, method = own, None, "georeference"
    elif wanted.gsd_m is None:
        raise SurveyError(
            f"{ortho.name}: 影像没有坐标，单元也还没有参考期，请给出每像素多少米（--gsd-m）。 "
            "the picture does not know its place and the area has no reference yet: say how many metres one pixel is wide (gsd_m)"
        )
    else:
        place, drift, method = _centred(picture, wanted.centre, wanted.gsd_m, grid.frame), None, "centred"
        notes.append(
            Reason(
                "no_place",
                "影像没有坐标，按给定分辨率放在单元中心。",
                "The picture has no place of its own: laid at the area's centre by its ground sampling.",
            )
        )
    native = math.sqrt(abs(float(np.linalg.det(place[:, :2]))))
    target = folder / "ortho.tif"
    if not target.exists():
        tiles = _warped(picture, place, drift, grid, native, progress)
        raster.write_cog(target, grid, tiles, compression=wanted.compression)
    heights = None
    if surface is not None:
        shift = composed(place, inverted(own)) if own is not None else None
        heights = _adopt_surface(surface, picture.info, place, shift, drift, wanted, folder, notes)
    return Adopted(target, heights, native, method, tuple(notes))


def own_gsd_m(path: Path, frame: Frame) -> float | None:
    """Metres per pixel of a georeferenced file in a frame; None when it does not know its place."""
    own = _own_place(raster.info(path), frame)
    return None if own is None else math.sqrt(abs(float(np.linalg.det(own[:, :2]))))


def _own_place(info: raster.RasterInfo, frame: Frame) -> Floats | None:
    """Pixel (column, row) to frame metres as a `(2, 3)` matrix, fitted over the picture; None without georeference."""
    if info.transform is None or info.epsg is None:
        return None
    gx, gy = np.meshgrid(np.linspace(0, info.cols, 5), np.linspace(0, info.rows, 5))
    t = info.transform
    x, y = t.a * gx + t.b * gy + t.c, t.d * gx + t.e * gy + t.f
    if info.epsg != frame.epsg:
        x, y = Transformer.from_crs(info.epsg, frame.epsg, always_xy=True).transform(x, y)
    sides = np.column_stack([gx.ravel(), gy.ravel(), np.ones(gx.size)])
    solved = np.linalg.lstsq(sides, np.column_stack([np.ravel(x), np.ravel(y)]), rcond=None)[0]
    return np.asarray(solved.T, np.float64)


def _centred(picture: _Picture, centre: LonLat, gsd_m: float, frame: Frame) -> Floats:
    """The place of a north-up picture whose middle lies at `centre`."""
    middle = frame.xy(centre)
    rows, cols = picture.info.rows, picture.info.cols
    return np.array([[gsd_m, 0, middle.x_m - gsd_m * cols / 2], [0, -gsd_m, middle.y_m + gsd_m * rows / 2]])


def _onto_reference(picture: _Picture, own: Floats | None, reference: Path, wanted: Wanted) -> tuple[Floats, Drift, str, Reason]:
    """The picture's place by what it shares with the reference, what drift is left, and a note with the numbers."""
    grid = wanted.grid
    thin = max(1, math.ceil(max(grid.rows, grid.cols) / WORK_CELLS))
    cell = grid.gsd_m * thin
    ref_rgb, ref_known = _rgb(raster.read_window(reference, thin=thin)), raster.read_mask(reference, thin=thin)
    ref = cv2.cvtColor(ref_rgb, cv2.COLOR_RGB2GRAY)
    gsd = wanted.gsd_m if own is None else math.sqrt(abs(float(np.linalg.det(own[:, :2]))))
    likely = gsd or wanted.reference_gsd_m
    new_thin = max(1, round(cell / likely))
    rgb, known = picture.small(new_thin)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    # Brought to cells as wide as the reference's, by what is known or likely of its own.
    factor = likely * new_thin / cell
    size = (max(8, round(grey.shape[1] * factor)), max(8, round(grey.shape[0] * factor)))
    grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    known = cv2.resize(known.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    to_metres = np.array([[cell, 0, grid.west_m], [0, -cell, grid.north_m]])
    to_cells = inverted(to_metres)
    shrink = np.array([[grey.shape[1] / picture.info.cols, 0, 0], [0, grey.shape[0] / picture.info.rows, 0]])
    first = own if own is not None else _centred(picture, wanted.centre, likely, grid.frame)
    guess = composed(to_cells, composed(first, inverted(shrink)))
    new, reference_side = Side(grey, known), Side(ref, ref_known)
    fit = register.fit(new, reference_side, [guess], scale_known=gsd is not None, what=picture.path.name)
    place = composed(to_metres, composed(fit.matrix, shrink))
    coarse = Grid(grid.frame, cell, grid.west_m, grid.north_m, *ref.shape)
    drift: Drift | None = None
    for _ in range(2):
        laid, laid_known = _sampled(picture, place, drift, coarse, Window(0, 0, *ref.shape))
        more = register.drift(ref, ref_known, cv2.cvtColor(laid, cv2.COLOR_RGB2GRAY), laid_known, cell)
        drift = more if drift is None else Drift(drift.east_m + more.east_m, drift.south_m + more.south_m, drift.step_m)
    assert drift is not None
    largest = float(np.hypot(drift.east_m, drift.south_m).max())
    note = Reason(
        "registered_by_picture",
        f"按影像配准：{fit.agreeing}/{fit.matches} 处一致，残差 {fit.rms_px * cell:.2f} 米，旋转 {fit.turn_deg:.2f}°，"
        f"局部改正最大 {largest:.2f} 米。",
        f"Registered by {fit.agreeing} of {fit.matches} {fit.how}, {fit.rms_px * cell:.2f} m rms, turned {fit.turn_deg:.2f}°, "
        f"local drift up to {largest:.2f} m.",
        number=fit.rms_px * cell,
    )
    return place, drift, "registered", note


def _warped(
    picture: _Picture, place: Floats, drift: Drift | None, grid: Grid, native_m: float, progress: Progress
) -> Iterator[tuple[Window, Pixels, Mask]]:
    tiles = list(grid.tiles(_TILE))
    for done, tile in enumerate(tiles):
        pixels, known = _sampled(picture, place, drift, grid, tile)
        if known.any():
            yield tile, pixels, known
        progress(done + 1, len(tiles), "adopt: tiles")


def _sampled(picture: _Picture, place: Floats, drift: Drift | None, grid: Grid, window: Window) -> tuple[Pixels, Mask]:
    """Colours and mask of one window of a grid, taken from the picture at its place."""
    info = picture.info
    map_x, map_y = _maps(place, drift, grid, window)
    r0, r1 = max(0, math.floor(float(map_y.min())) - 3), min(info.rows, math.ceil(float(map_y.max())) + 4)
    c0, c1 = max(0, math.floor(float(map_x.min())) - 3), min(info.cols, math.ceil(float(map_x.max())) + 4)
    pixels = np.zeros((window.rows, window.cols, 3), np.uint8)
    if r1 <= r0 or c1 <= c0:
        return pixels, np.zeros((window.rows, window.cols), bool)
    values, known = picture.read(Window(r0, c0, r1 - r0, c1 - c0))
    wide = grid.gsd_m / math.sqrt(abs(float(np.linalg.det(place[:, :2]))))
    if wide > 1.5:  # coarser cells than pixels: each must be the mean of what it covers
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), 0.4 * wide), np.uint8)
    map_x, map_y = map_x - np.float32(c0), map_y - np.float32(r0)
    pixels = np.asarray(cv2.remap(values, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    mask = cv2.remap(known.astype(np.uint8), map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0) > 0
    pixels[~mask] = 0
    return pixels, mask


def _maps(place: Floats, drift: Drift | None, grid: Grid, window: Window) -> tuple[Metres, Metres]:
    """Where the cells of a window lie in a file placed by `place`, for `cv2.remap`."""
    x, y = grid.centres(window)
    gx, gy = np.meshgrid(x, y)
    if drift is not None:
        east, south = drift.at(grid.part(window), grid, window)
        gx, gy = gx + east, gy - south
    back = inverted(place)
    map_x = back[0, 0] * gx + back[0, 1] * gy + back[0, 2] - 0.5
    map_y = back[1, 0] * gx + back[1, 1] * gy + back[1, 2] - 0.5
    return map_x.astype(np.float32), map_y.astype(np.float32)


def _adopt_surface(
    path: Path,
    ortho: raster.RasterInfo,
    place: Floats,
    shift: Floats | None,
    drift: Drift | None,
    wanted: Wanted,
    folder: Path,
    notes: list[Reason],
) -> Path:
    """The surface moved as the ortho was, and lowered or raised onto the reference's."""
    info = raster.info(path)
    if info.bands != 1 or np.dtype(info.dtype).kind not in "fiu":
        raise SurveyError(
            f"{path.name}: {info.bands} 个波段（{info.dtype}），地表模型应为一个以米计高程的波段。 "
            f"{info.bands} bands of {info.dtype}; a surface is one band of heights in metres"
        )
    own = _own_place(info, wanted.grid.frame)
    if own is not None and shift is not None:
        lies = composed(shift, own)
    elif own is None and abs(info.rows / info.cols - ortho.rows / ortho.cols) < 0.01:
        lies = place.copy()
        lies[:, 0] *= ortho.cols / info.cols
        lies[:, 1] *= ortho.rows / info.rows
    else:
        raise SurveyError(
            f"{path.name}: 与正射影像的位置对不上，请都带坐标，或都在同一像素格网上。 "
            "it and the ortho do not agree on their place: give both georeferenced, or both on the same pixels"
        )
    values = np.full(wanted.grid.shape, np.nan, np.float32)
    for window in wanted.grid.tiles(_TILE):
        values[window.slices] = _sampled_heights(path, info, lies, drift, wanted.grid, window)
    if wanted.reference_surface is not None:
        known = raster.read_window(wanted.reference_surface)
        plane = _plane(values, known)
        if plane is None:
            notes.append(
                Reason(
                    "heights_apart",
                    "高程与参考期无公共区域，未做高程对齐。",
                    "The surface shares no ground with the reference: heights were left as they are.",
                )
            )
        else:
            rows, cols = np.indices(values.shape, np.float32)
            values -= plane[0] + plane[1] * cols / values.shape[1] + plane[2] * rows / values.shape[0]
            notes.append(
                Reason(
                    "heights_moved",
                    f"高程整体改正 {-plane[0]:.2f} 米。",
                    f"Heights were moved by {-plane[0]:.2f} m onto the reference.",
                    number=-plane[0],
                )
            )
    return raster.write_float(folder / "surface.tif", wanted.grid, values)


def _sampled_heights(
    path: Path, info: raster.RasterInfo, place: Floats, drift: Drift | None, grid: Grid, window: Window
) -> Metres:
    map_x, map_y = _maps(place, drift, grid, window)
    r0, r1 = max(0, math.floor(float(map_y.min())) - 1), min(info.rows, math.ceil(float(map_y.max())) + 2)
    c0, c1 = max(0, math.floor(float(map_x.min())) - 1), min(info.cols, math.ceil(float(map_x.max())) + 2)
    if r1 <= r0 or c1 <= c0:
        return np.full((window.rows, window.cols), np.nan, np.float32)
    part = Window(r0, c0, r1 - r0, c1 - c0)
    values = raster.read_window(path, part).astype(np.float32)
    values[~raster.read_mask(path, part)] = np.nan
    map_x, map_y = map_x - np.float32(c0), map_y - np.float32(r0)
    smooth, near = (
        cv2.remap(values, map_x, map_y, how, borderMode=cv2.BORDER_CONSTANT, borderValue=math.nan)
        for how in (cv2.INTER_LINEAR, cv2.INTER_NEAREST)
    )
    return np.where(np.isfinite(smooth), smooth, near).astype(np.float32)


def _plane(values: Metres, known: Metres) -> Floats | None:
    """Offset and slopes (per width, per height) of `values` over `known` on ground that did not change; None without common ground."""
    rows, cols = np.nonzero(np.isfinite(values) & np.isfinite(known))
    if len(rows) < 500:
        return None
    take = np.linspace(0, len(rows) - 1, min(len(rows), 200_000)).astype(np.int64)
    rows, cols = rows[take], cols[take]
    gap = (values[rows, cols] - known[rows, cols]).astype(np.float64)
    sides = np.column_stack([np.ones(len(gap)), cols / values.shape[1], rows / values.shape[0]])
    plane = np.array([np.median(gap), 0.0, 0.0])
    for _ in range(6):
        left = gap - sides @ plane
        spread = max(0.05, 1.4826 * float(np.median(np.abs(left - np.median(left)))))
        keep = np.abs(left - np.median(left)) < 2.5 * spread
        plane = np.linalg.lstsq(sides[keep], gap[keep], rcond=None)[0]
    return np.asarray(plane, np.float64)


def _rgb(values: NDArray[np.uint8]) -> Pixels:
    if values.ndim == 2:
        return np.repeat(values[..., None], 3, axis=2)
    return np.ascontiguousarray(values[..., :3])


def _dark_border(pixels: Pixels) -> Mask:
    """Black that reaches in from the picture's edge: JPEGs have no mask."""
    dark = (pixels.max(axis=2) <= _DARK).astype(np.uint8)
    _, names = cv2.connectedComponents(dark, connectivity=4)
    rim = np.concatenate([names[0], names[-1], names[:, 0], names[:, -1]])
    outer: Mask = np.isin(names, np.unique(rim[rim > 0])) if (rim > 0).any() else np.zeros(dark.shape, bool)
    return outer
