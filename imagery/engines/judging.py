"""How good a block is, by what can be measured without control points."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pycolmap

from geo.camera import Camera
from geo.frames import Floats
from imagery.engines import placing, store
from imagery.engines.placing import Places
from imagery.photos import Photo
from imagery.reasons import Reason
from imagery.reconstruct import BlockStats, Method, View

_AGL_RATIO = (0.75, 1.33)  # a wrong focal length moves the ground by as much; so does ground above or below the take-off


def judge(
    photos: Sequence[Photo],
    views: Sequence[View],
    points: Floats,
    found: store.Tracks,
    places: Places,
    cameras: Mapping[str, Camera],
) -> BlockStats:
    """The stats of registered photos and their views (same order) that follow from geometry alone; the rest is the caller's."""
    centres = np.array([v.pose.centre for v in views]).reshape(-1, 3)
    axes = np.array([v.pose.matrix[2] for v in views]).reshape(-1, 3)
    apart = np.linalg.norm(centres[:, :2] - places.xy, axis=1)
    apart = apart[np.isfinite(apart)]
    heights = centres[found.view, 2] - points[found.point, 2]
    agl = float(np.median(heights)) if len(heights) else 0.0
    takeoff = [p.takeoff_height_m for p in photos if p.takeoff_height_m is not None and p.takeoff_height_m > 5]
    ratio = agl / float(np.median(takeoff)) if takeoff else None
    notes = []
    if ratio is not None and not _AGL_RATIO[0] < ratio < _AGL_RATIO[1]:
        notes.append(
            Reason(
                "height_above_ground",
                f"相机离地 {agl:.1f} 米，无人机记录离起飞点 {np.median(takeoff):.1f} 米：地面与起飞点高度不同，或焦距有误。",
                f"The cameras stand {agl:.1f} m over the ground, the drone says {np.median(takeoff):.1f} m over take-off: "
                "either the ground lies elsewhere than the take-off, or the focal length is wrong.",
                number=agl,
                limit=float(np.median(takeoff)),
            )
        )
    promised = {v.camera_id: p.camera.focal_px for v, p in zip(views, photos, strict=True)}
    changes = [cameras[name].focal_px / focal - 1.0 for name, focal in promised.items()]
    return BlockStats(
        given=len(photos),
        registered=len(views),
        reprojection_px=0.0,
        gps_residual_m=float(np.sqrt(np.mean(apart**2))) if len(apart) else None,
        agl_m=agl,
        tilt_deg=placing.tilt_deg(centres, axes, places),
        method=Method.GIVEN,
        agl_ratio=ratio,
        focal_change=max(changes, key=abs) if changes else None,
        notes=tuple(notes),
    )


def ties(model: pycolmap.Reconstruction, new: Collection[int], old: Collection[int]) -> tuple[int, float | None]:
    """Points that at least two `old` images and a new one see, and the mean error of their new observations in pixels."""
    reference, fresh = set(old), set(new) - set(old)
    errors: list[float] = []
    count = 0
    for point in model.points3D.values():
        elements = point.track.elements
        if sum(e.image_id in reference for e in elements) < 2:
            continue
        mine = [e for e in elements if e.image_id in fresh]
        count += bool(mine)
        for e in mine:
            image = model.image(e.image_id)
            pixel = image.project_point(point.xyz)
            if pixel is not None:
                errors.append(float(np.linalg.norm(pixel - image.point2D(e.point2D_idx).xy)))
    return count, float(np.mean(errors)) if errors else None
