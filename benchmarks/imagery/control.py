"""Ground control: a kite's photos placed by targets alone, a suburb held by three points, and the projector against another lens model.

What an independent survey would say is not to be had for these sets: the kite's targets were measured with a hand-held receiver, and
the suburb has three points. So beside the residual stands what leaving each point out says, and the scale against GPS alone.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.spatial.transform import Rotation

from benchmarks.imagery import made
from benchmarks.report import Row
from geo.area import Area
from geo.frames import Floats, Frame, Pose
from imagery import controlfiles, raster
from imagery.control import Control, ControlReport, Role
from imagery.engines import direct
from imagery.engines.colmap import ColmapReconstructor
from imagery.photos import read_folder
from imagery.projection import Projector
from imagery.reconstruct import Block
from imagery.survey import Survey, area_from_control, area_from_photos, build
from patrol import terminal

KITE, POSES = "copr_dunes_gcp", "p4rtk_4img_known_poses"
SUBURB = "sheffield_cross, 2 flights + 3 control points"


def rows(folder: Path) -> list[Row]:
    """All three sets."""
    return [*suburb(folder), *kite(folder), *projector()]


def kite(folder: Path) -> list[Row]:
    """41 photos from a kite: no position of any kind, tilted, and ten targets."""
    root = made.data("raw_surveys", KITE)
    photos = read_folder(root / "images").photos
    control = controlfiles.read(root / "gcp_list.txt")
    survey = _survey(folder / "kite", photos, control, area_from_control(control, photos, "dunes"), date(2009, 9, 1))
    q = survey.quality
    assert q.control is not None
    gsd = q.gsd_m
    left_out = q.control.left_out_xy_m
    return [
        Row("photos without GPS registered on control alone", KITE, round(q.registered / q.given, 4), "", "higher", 0.98),
        Row("reprojection error", KITE, _rounded(q.reprojection_px), "px", "lower"),
        Row("control in plan, rms (hand-held receiver)", KITE, _rounded(q.control.xy_m(Role.CONTROL)), "m", "lower"),
        Row("control left out in turn, in plan, rms", KITE, _rounded(left_out), "m", "lower"),
        Row("ground sampling of the photos", KITE, round(gsd, 4), "m", "lower"),
        Row("area covered", KITE, round(q.coverage, 4), "", "higher"),
    ]


def suburb(folder: Path) -> list[Row]:
    """Two flights in one block, GPS and three control points with nominal heights."""
    root = made.data("raw_surveys", "sheffield_cross")
    photos = read_folder(root).photos
    frame = area_from_photos(photos, "suburb").frame
    control = controlfiles.read(root / "gcp_list.txt", frame).of(photos)
    kept = folder / "suburb"
    if (kept / "block.json").exists():
        block = Block.load(kept, photos)
    else:
        with terminal.bar() as progress:
            engine = ColmapReconstructor(shelf=folder / "features")
            block = engine.reconstruct(photos, frame, folder / "work", control=control, progress=progress).save(kept)
    report = block.stats.control
    assert report is not None
    return [
        Row(
            "photos of both flights registered in one block",
            SUBURB,
            round(block.stats.registered / block.stats.given, 4),
            "",
            "higher",
            0.98,
        ),
        Row("residual at the 3 control points, rms", SUBURB, _rounded(report.px(Role.CONTROL)), "px", "lower", 2.0),
        Row("residual at the worst control point", SUBURB, _worst(report), "px", "lower"),
        Row("scale error between the control points", SUBURB, _percent(report.scale_error), "%", "lower", 0.5),
        Row("scale of the block on GPS alone against control", SUBURB, _percent(report.scale_change), "%", "lower"),
        Row("control left out in turn, in plan, rms", SUBURB, _rounded(report.left_out_xy_m), "m", "lower"),
    ]


def projector() -> list[Row]:
    """Points of the set's surface model through our projector, and through OpenSfM's formulas written down once more here.

    Once with the poses as they are given, on the plane that touches the earth there: that compares the lens and the projection. And
    once with our poses in the metres of the map's frame, whose scale and curvature differ from the plane's.
    """
    root = made.data("raw_surveys", POSES)
    frame = Frame(32651)
    path = root / "opensfm" / "reconstruction.json"
    given = direct.read_opensfm(path, frame)
    record = json.loads(path.read_text())[0]
    world = _surface_points(root / "odm_dem" / "dsm.tif")
    plane = _to_plane(world, record["reference_lla"], frame)
    lens_only, in_frame = [], []
    for name, shot in record["shots"].items():
        camera = given.cameras[name]
        turn = Rotation.from_rotvec(shot["rotation"]).as_matrix()
        x, y, z = -turn.T @ np.array(shot["translation"])
        theirs, inside = _opensfm(plane, shot, record["cameras"][shot["camera"]])
        pose = Pose(float(x), float(y), float(z), tuple(turn.ravel().tolist()))
        for found, at, stood in ((lens_only, plane, pose), (in_frame, world, given.poses[name])):
            ours, _ = Projector.of(camera, stood).points(at)
            found.append(np.linalg.norm(ours - theirs, axis=1)[inside])
    lens, framed = np.concatenate(lens_only), np.concatenate(in_frame)
    seen = np.isfinite(lens)
    return [
        Row("projector against OpenSfM's formulas, worst point", POSES, float(f"{lens[seen].max():.2g}"), "px", "lower", 0.02),
        Row("projector against OpenSfM's formulas, median", POSES, float(f"{np.median(lens[seen]):.2g}"), "px", "lower"),
        Row("the same in the map's frame, worst point", POSES, float(f"{np.nanmax(framed):.2g}"), "px", "lower"),
        Row("points compared in 4 photos", POSES, int(seen.sum()), "", "higher"),
        Row("points in the picture that the projector leaves out", POSES, int((~seen).sum()), "", "lower", 0),
    ]


def _opensfm(plane: Floats, shot: dict[str, Any], lens: dict[str, Any]) -> tuple[Floats, NDArray[np.bool_]]:
    """Brown's lens as OpenSfM documents it: pixels from the outer corner `(n, 2)`, and which of them lie in the picture `(n,)`."""
    seen = Rotation.from_rotvec(shot["rotation"]).apply(plane) + np.array(shot["translation"])
    x, y = seen[:, 0] / seen[:, 2], seen[:, 1] / seen[:, 2]
    r2 = x**2 + y**2
    radial = 1 + lens["k1"] * r2 + lens["k2"] * r2**2 + lens["k3"] * r2**3
    xd = x * radial + 2 * lens["p1"] * x * y + lens["p2"] * (r2 + 2 * x**2)
    yd = y * radial + 2 * lens["p2"] * x * y + lens["p1"] * (r2 + 2 * y**2)
    side = max(lens["width"], lens["height"])
    u = (lens["focal_x"] * xd + lens["c_x"]) * side + lens["width"] / 2
    v = (lens["focal_y"] * yd + lens["c_y"]) * side + lens["height"] / 2
    # Beyond the angle at which the polynomial turns back, rays would be folded into the picture.
    turning = np.roots([7 * lens["k3"], 5 * lens["k2"], 3 * lens["k1"], 1.0])
    real = turning.real[(abs(turning.imag) < 1e-9) & (turning.real > 0)]
    inside = (seen[:, 2] > 0) & (u > 0) & (v > 0) & (u < lens["width"]) & (v < lens["height"])
    return np.column_stack([u, v]), inside & (r2 < (real.min() if len(real) else np.inf))


def _to_plane(world: Floats, lla: dict[str, float], frame: Frame) -> Floats:
    """Frame metres to east, north, up on the plane that touches the ellipsoid at the reference."""
    lonlat = frame.lonlat_array(world[:, :2])
    earth = Transformer.from_crs(4979, 4978, always_xy=True)
    at = np.column_stack(earth.transform(lonlat[:, 0], lonlat[:, 1], world[:, 2]))
    origin = np.array(earth.transform(lla["longitude"], lla["latitude"], lla["altitude"]))
    lon, lat = np.radians([lla["longitude"], lla["latitude"]])
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    return np.asarray((at - origin) @ np.column_stack([east, north, np.cross(east, north)]), np.float64)


def _surface_points(path: Path) -> Floats:
    grid = raster.grid_of(path)
    z = raster.read_window(path)[::7, ::7].astype(np.float64)
    x, y = (c[::7] for c in grid.centres())
    gx, gy = np.meshgrid(x, y)
    points = np.column_stack([gx.ravel(), gy.ravel(), z.ravel()])
    return points[np.isfinite(z.ravel()) & (z.ravel() > -100)]


def _survey(folder: Path, photos: Any, control: Control, area: Area, day: date) -> Survey:
    with terminal.bar() as progress:
        engine = ColmapReconstructor(shelf=folder.parent / "features")
        return build(photos, area, day, folder, reconstructor=engine, control=control, progress=progress)


def _worst(report: ControlReport) -> float | None:
    known = [p.px for p in report.points if p.px is not None]
    return round(max(known), 3) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * abs(value), 3)
