"""A survey (一期成果): one look at an area as an orthophoto and a surface on the area's own grid, and how good it is.

`build` makes one from photos, `adopt` from a finished orthophoto of any other program. Both leave finished files in a folder and
take up what lies there already, so that a build that was killed goes on where it stood.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from shapely.geometry import MultiPoint, Polygon

from geo.area import Area, AreaId
from geo.frames import Frame, LonLat, metric_frame
from geo.grid import Grid
from geo.progress import Progress, silent
from imagery import adoption, cells, coregister, edges, flags, ground, judge, laying, orthorectify, residual, sharing, surface
from imagery.control import Control, ControlReport
from imagery.errors import ControlError, SurveyError
from imagery.photos import Photo
from imagery.quality import Quality
from imagery.raster import Compression as Compression  # noqa: PLC0414 - who orders a survey knows it from here
from imagery.raster import compression_of
from imagery.reasons import Reason, read_all
from imagery.reconstruct import Block, Method, Reconstructor

RECORD = "survey.json"
_FORMAT = 1
_GSD_STEP_M = 0.005  # ground sampling is rounded up to this, so that surveys of about one height share one grid
_USUAL_HEIGHT_M = 60.0  # of a flight whose photos tell no height
# Younger than the first surveys: older records do not name them.
_LAYERS = ("ground", "height", "ground_bridged", "flags", "certainty")
_PATHS = ("ortho", "surface", "sigma", "confidence", "filled", "off_nadir", "source", "residual", "block", *_LAYERS)


@dataclass(frozen=True, slots=True)
class Survey:
    """Files on `grid` and what is known of them.

    `ortho`: RGB cloud-optimised GeoTIFF with mask. `surface`, `sigma`: float32 metres, NaN unknown. `confidence`: uint8 per cent,
    0 where bridged, 255 unknown. `filled`: uint8 1 where the surface was bridged. `ground`, `height`: float32 metres, the bare ground
    and the surface over it; `ground_bridged`: uint8 1 where the ground was not seen. `flags`: uint8 bits where the ortho may show
    something else, `certainty`: uint8 per cent (see `flags.FlagFiles`). `off_nadir`: uint8 degrees. `source`: uint16 number
    of the block's view. `residual`: map of the shifts against the reference. `block`: the block's folder. None for what an adopted
    ortho does not have. `compression`: how the ortho is packed.
    """

    id: str
    area_id: str
    taken_on: date
    grid: Grid
    folder: Path
    ortho: Path
    quality: Quality
    photos: int
    surface: Path | None = None
    sigma: Path | None = None
    confidence: Path | None = None
    filled: Path | None = None
    ground: Path | None = None
    height: Path | None = None
    ground_bridged: Path | None = None
    flags: Path | None = None
    certainty: Path | None = None
    off_nadir: Path | None = None
    source: Path | None = None
    residual: Path | None = None
    block: Path | None = None
    reference_id: str | None = None
    compression: Compression = "jpeg"

    def save(self) -> Survey:
        """Write `survey.json` into the survey's folder, paths relative to it; the same survey comes back."""
        g = self.grid
        record: dict[str, Any] = {
            "format": _FORMAT,
            "id": self.id,
            "area_id": self.area_id,
            "taken_on": self.taken_on.isoformat(),
            "grid": {
                "epsg": g.frame.epsg,
                "gsd_m": g.gsd_m,
                "west_m": g.west_m,
                "north_m": g.north_m,
                "rows": g.rows,
                "cols": g.cols,
            },
            "quality": asdict(self.quality),
            "photos": self.photos,
            "reference_id": self.reference_id,
            "compression": self.compression,
        }
        for name in _PATHS:
            path: Path | None = getattr(self, name)
            record[name] = None if path is None else path.relative_to(self.folder).as_posix()
        temporary = self.folder / f".{RECORD}.part"
        temporary.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
        temporary.replace(self.folder / RECORD)
        return self

    @staticmethod
    def load(folder: Path) -> Survey:
        """The survey that lies in a folder; raises SurveyError when it is not whole."""
        path = folder / RECORD if folder.is_dir() else folder
        folder = path.parent
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["format"] != _FORMAT:
                raise SurveyError(f"{path}: a survey of format {record['format']}; this program reads {_FORMAT}")
            grid = dict(record["grid"])
            quality = dict(record["quality"])
            quality["reasons"] = read_all(quality["reasons"])
            if quality.get("control") is not None:
                quality["control"] = ControlReport.of_record(quality["control"])
            paths = {name: _within(folder, record[name]) for name in _PATHS if name not in _LAYERS or name in record}
            ortho = paths.pop("ortho")
            if ortho is None:
                raise SurveyError(f"{path}: a survey without an orthophoto; build it again")
            return Survey(
                id=record["id"],
                area_id=record["area_id"],
                taken_on=date.fromisoformat(record["taken_on"]),
                grid=Grid(Frame(grid.pop("epsg")), **grid),
                folder=folder,
                ortho=ortho,
                quality=Quality(**quality),
                photos=record["photos"],
                reference_id=record["reference_id"],
                compression=record.get("compression", "jpeg"),  # records of before there was a choice
                **paths,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise SurveyError(f"{path}: no whole survey lies there ({error}); build it again") from error


def _within(folder: Path, name: str | None) -> Path | None:
    """A file of the survey's own folder: a record never leads out of it."""
    if name is None:
        return None
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name} lies outside the survey's folder")
    return path


def build(
    photos: Sequence[Photo],
    area: Area,
    taken_on: date,
    folder: Path,
    *,
    reconstructor: Reconstructor,
    reference: Survey | None = None,
    control: Control | None = None,
    survey_id: str | None = None,
    gsd_m: float | None = None,
    compression: Compression = "jpeg",
    shared: bool = False,
    progress: Progress = silent,
) -> Survey:
    """Photos to a survey in `folder`: block, surface, orthophoto, residual against the reference, quality.

    With a reference the survey is registered into its block and written on its grid. `control`, in the area's frame, holds a
    survey that has no reference and measures one that has. A poor survey comes back with
    `quality.accepted` False and the reasons; SurveyError and ReconstructionError mean that there is none at all;
    ControlError that the control does not fit the photos or the area.
    A `shared` build raises `sharing.Away` wherever others are to make pieces, and goes on when it is called again.
    """
    if (folder / RECORD).exists():
        return Survey.load(folder)
    folder.mkdir(parents=True, exist_ok=True)
    make: Maker = partial(sharing.files if shared else _files, compression=compression)
    if control is not None:
        if control.frame != area.frame:
            raise ControlError(f"{control.source}: read in EPSG:{control.frame.epsg}, the area works in EPSG:{area.frame.epsg}")
        control = control.of(photos)
    if shared and not (folder / "block").exists():
        sharing.features(photos, folder)
    block = _block(photos, area, folder, reconstructor, reference, control, progress)
    grid = reference.grid if reference is not None else area.grid(gsd_m or _gsd(area, surface.native_gsd_m(block)))
    files = make(block, grid, folder, progress)
    if reference is not None and _stands_alone(block, reference) and not (folder / "laid").exists():
        block, files = _laid_onto(block, grid, folder, files, reference, make, progress)
    heights, picture = files
    bare = ground.build(heights.surface, grid, folder, progress, filled=heights.filled)
    layers = flags.Layers(heights.surface, heights.confidence, heights.filled, picture.source)
    doubts = flags.build(block, layers, grid, folder, progress)
    shifts = _residual(reference, picture.ortho, grid, folder, progress) if reference is not None else None
    check = _surface_check(reference, heights.surface, heights.filled, grid, progress)
    looked = judge.Looked(picture.ortho, shifts, check, tuple(_kept_notes(folder)))
    quality = judge.quality(block, photos, area, grid, looked, heights.filled, has_reference=reference is not None)
    for leftover in (folder / "work", *folder.glob("rough-*"), *folder.glob("ortho-*")):
        shutil.rmtree(leftover, ignore_errors=True)
    return Survey(
        id=survey_id or f"{area.id}-{taken_on:%Y%m%d}",
        area_id=area.id,
        taken_on=taken_on,
        grid=grid,
        folder=folder,
        ortho=picture.ortho,
        quality=quality,
        photos=len(photos),
        surface=heights.surface,
        sigma=heights.sigma,
        confidence=heights.confidence,
        filled=heights.filled,
        ground=bare.ground,
        height=bare.height,
        ground_bridged=bare.bridged,
        flags=doubts.flags,
        certainty=doubts.certainty,
        off_nadir=picture.off_nadir,
        source=picture.source,
        residual=folder / "residual.json" if shifts is not None else None,
        block=folder / "block",
        reference_id=reference.id if reference is not None else None,
        compression=compression_of(picture.ortho),
    ).save()


def adopt(
    ortho: Path,
    surface_path: Path | None,
    area: Area,
    taken_on: date,
    folder: Path,
    *,
    reference: Survey | None = None,
    survey_id: str | None = None,
    gsd_m: float | None = None,
    centre: LonLat | None = None,
    compression: Compression = "jpeg",
    progress: Progress = silent,
) -> Survey:
    """A finished orthophoto of any program (GeoTIFF, JPEG or PNG) to a survey on the area's grid.

    With a reference it is registered to the reference's ortho, whether it knows its place or not. Without one it must be
    georeferenced, or `gsd_m` says how wide its pixels are; it is then centred on `centre` (by default the area's). Raises SurveyError
    with numbers when the match is too weak to trust.
    """
    if (folder / RECORD).exists():
        return Survey.load(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if reference is not None:
        grid = reference.grid
    else:
        own = adoption.own_gsd_m(ortho, area.frame)
        grid = area.grid(_gsd(area, gsd_m or own or area.gsd_m))
    wanted = adoption.Wanted(area, grid, gsd_m, centre or area.centre, compression=compression)
    if reference is not None:
        wanted = replace(
            wanted, reference_ortho=reference.ortho, reference_surface=reference.surface, reference_gsd_m=reference.quality.gsd_m
        )
    found = adoption.adopt(ortho, surface_path, wanted, folder, progress)
    bare = ground.build(found.surface, grid, folder, progress) if found.surface is not None else None
    shifts = _residual(reference, found.ortho, grid, folder, progress) if reference is not None else None
    check = _surface_check(reference, found.surface, None, grid, progress)
    looked = judge.Looked(found.ortho, shifts, check, found.notes)
    quality = judge.adopted(area, grid, found.native_gsd_m, found.method, looked)
    return Survey(
        id=survey_id or f"{area.id}-{taken_on:%Y%m%d}",
        area_id=area.id,
        taken_on=taken_on,
        grid=grid,
        folder=folder,
        ortho=found.ortho,
        quality=quality,
        photos=0,
        surface=found.surface,
        ground=bare.ground if bare is not None else None,
        height=bare.height if bare is not None else None,
        ground_bridged=bare.bridged if bare is not None else None,
        residual=folder / "residual.json" if shifts is not None else None,
        reference_id=reference.id if reference is not None else None,
        compression=compression_of(found.ortho),
    ).save()


def area_from_photos(photos: Sequence[Photo], name: str) -> Area:
    """The area that photos of an unknown place cover well: the hull of their positions and a part of a footprint around it.

    Raises SurveyError when fewer than three photos know their place.
    """
    placed = [p for p in photos if p.place is not None]
    if len(placed) < 3:
        raise SurveyError(
            f"{len(photos)} 张照片中只有 {len(placed)} 张有定位（GPS），请改为在地图上画出巡查单元。 "
            f"{len(placed)} of {len(photos)} photos know their place (GPS): draw the area on the map instead"
        )
    lonlat = np.array([[p.place.lon_deg, p.place.lat_deg] for p in placed if p.place is not None])
    middle = np.median(lonlat, axis=0)
    frame = metric_frame(LonLat(lon_deg=float(middle[0]), lat_deg=float(middle[1])))
    heights = [p.takeoff_height_m for p in placed if p.takeoff_height_m is not None and p.takeoff_height_m > 5]
    height = float(np.median(heights)) if heights else _USUAL_HEIGHT_M
    camera = placed[0].camera
    margin = 0.3 * min(camera.footprint_m(height))
    outline = MultiPoint(frame.xy_array(lonlat)).convex_hull.buffer(margin, quad_segs=4).simplify(0.5)
    key = hashlib.sha256("\n".join(sorted(p.sha256 for p in placed)).encode()).hexdigest()[:8]
    assert isinstance(outline, Polygon)
    return Area(AreaId(f"photos-{key}"), name, frame.to_degrees(outline), gsd_m=_rounded(camera.gsd_m(height)), epsg=frame.epsg)


def area_from_control(control: Control, photos: Sequence[Photo], name: str) -> Area:
    """The area that surveyed points stand in, for photos that know no place: their hull and a part of its width around it.

    Raises SurveyError when the points do not span an area.
    """
    hull = MultiPoint([(p.x_m, p.y_m) for p in control.points]).convex_hull
    if not isinstance(hull, Polygon):
        raise SurveyError(
            f"{control.source}: {len(control.points)} 个像控点围不成面，请改为在地图上画出巡查单元。 "
            f"{len(control.points)} points span no area: draw the area on the map instead"
        )
    outline = hull.buffer(0.1 * math.sqrt(hull.area), quad_segs=4).simplify(0.5)
    key = hashlib.sha256("\n".join(sorted(p.sha256 for p in photos)).encode()).hexdigest()[:8]
    assert isinstance(outline, Polygon)
    return Area(AreaId(f"control-{key}"), name, control.frame.to_degrees(outline), gsd_m=_GSD_STEP_M, epsg=control.frame.epsg)


def _gsd(area: Area, native_m: float) -> float:
    """The area's ground sampling, or the photos' own where they are coarser."""
    return area.gsd_m if native_m <= area.gsd_m * 1.05 else _rounded(native_m)


def _rounded(gsd_m: float) -> float:
    return round(math.ceil(gsd_m / _GSD_STEP_M - 1e-6) * _GSD_STEP_M, 6)


def _block(
    photos: Sequence[Photo],
    area: Area,
    folder: Path,
    reconstructor: Reconstructor,
    reference: Survey | None,
    control: Control | None,
    progress: Progress,
) -> Block:
    if (folder / "block" / "block.json").exists():
        return Block.load(folder / "block", photos)
    known = Block.load(reference.block) if reference is not None and reference.block is not None else None
    block = reconstructor.reconstruct(photos, area.frame, folder / "work", reference=known, control=control, progress=progress)
    block.save(folder / "block")
    return Block.load(folder / "block", photos)  # as everybody reads it: kept points are rounded


Files = tuple[surface.SurfaceFiles, orthorectify.OrthoFiles]
Maker = Callable[[Block, Grid, Path, Progress], Files]


def _files(block: Block, grid: Grid, folder: Path, progress: Progress, *, compression: Compression) -> Files:
    heights, picture = surface.SurfaceFiles.of(folder), orthorectify.OrthoFiles.of(folder)
    if heights.whole and picture.whole:
        return heights, picture
    rough = surface.build(block, grid, edges.rough_folder(block, folder), progress)
    picture = orthorectify.build(
        block, rough.surface, grid, folder, progress, confidence=rough.confidence, compression=compression
    )
    return edges.sharpen(rough, picture.ortho, grid, folder, progress), picture


def _stands_alone(block: Block, reference: Survey) -> bool:
    """Whether the block's place rests on its own GPS although there is a reference."""
    return reference.block is None or block.stats.method not in {Method.FROZEN, Method.JOINT}


def _laid_onto(
    block: Block,
    grid: Grid,
    folder: Path,
    files: Files,
    reference: Survey,
    make: Maker,
    progress: Progress,
) -> tuple[Block, Files]:
    """A block on its own GPS moved onto the reference by their rasters, and its files made again there."""
    heights, picture = files
    move = laying.block_move(picture.ortho, heights.surface, reference.ortho, reference.surface, grid, progress)
    if not move.found:
        _keep_notes(folder, move.notes)
        return block, files
    # In this order: wherever it is killed, rasters are made again from the block that lies there, and a second move is none.
    for path in (*asdict(heights).values(), *asdict(picture).values()):
        Path(path).unlink()
    move.moved(block).save(folder / "block")
    again = Reason("made_again", "已按新位置重新生成成果。", "Surface and ortho were made again at the new place.")
    _keep_notes(folder, (*move.notes, again))
    block = Block.load(folder / "block")
    return block, make(block, grid, folder, progress)


def _residual(reference: Survey, ortho: Path, grid: Grid, folder: Path, progress: Progress) -> residual.Residual:
    path = folder / "residual.json"
    if path.exists():
        return residual.Residual.load(path)
    found = residual.measure(reference.ortho, ortho, grid, progress)
    cells.picture(found, grid, ortho, folder / "residual.png")
    found.save(path)
    return found


def _keep_notes(folder: Path, notes: Sequence[Reason]) -> None:
    """What became of the laying, so that a build that is taken up again neither lays twice nor forgets it."""
    temporary = folder / ".laid.part"
    temporary.write_text(json.dumps([asdict(n) for n in notes], ensure_ascii=False), encoding="utf-8")
    temporary.replace(folder / "laid")


def _kept_notes(folder: Path) -> tuple[Reason, ...]:
    path = folder / "laid"
    said = path.read_text(encoding="utf-8") if path.exists() else ""
    return read_all(json.loads(said)) if said else ()


def _surface_check(
    reference: Survey | None, heights: Path | None, filled: Path | None, grid: Grid, progress: Progress
) -> coregister.Coregistration | None:
    """How the surface lies over the reference's, where both have one."""
    if reference is None or reference.surface is None or heights is None:
        return None
    unsure = tuple(p for p in (reference.filled, filled) if p is not None)
    return coregister.between(reference.surface, heights, grid, unsure, progress=progress)
