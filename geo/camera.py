"""One camera model for all: flight plans with it, imagery projects with it, the simulator draws with it.

Brown-Conrady radial and tangential distortion, as OpenCV has it (k1, k2, p1, p2, k3) and COLMAP's OPENCV model without k3. Pixel coordinates count from the
picture's outer corner, so the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geo.errors import GeoError
from geo.frames import Floats, Pose


@dataclass(frozen=True, slots=True)
class Camera:
    """Size, focal length and principal point in pixels; distortion without unit."""

    width_px: int
    height_px: int
    focal_px: float
    cx_px: float
    cy_px: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    def __post_init__(self) -> None:
        if self.width_px <= 0 or self.height_px <= 0 or self.focal_px <= 0:
            raise GeoError(f"no such camera: {self.width_px} x {self.height_px} px, focal {self.focal_px} px")

    @staticmethod
    def of_fov(width_px: int, height_px: int, focal_35mm: float) -> Camera:
        """A camera by its 35 mm equivalent focal length (by the diagonal, CIPA DCG-001)."""
        diagonal = float(np.hypot(width_px, height_px))
        return Camera(width_px, height_px, focal_35mm * diagonal / 43.267, width_px / 2, height_px / 2)

    def gsd_m(self, height_m: float) -> float:
        """Ground metres per pixel straight below, from `height_m` above the ground."""
        return height_m / self.focal_px

    def height_for_gsd_m(self, gsd_m: float) -> float:
        """Metres above the ground that give this ground sampling."""
        return gsd_m * self.focal_px

    def footprint_m(self, height_m: float) -> tuple[float, float]:
        """Ground seen by a nadir photo: (across = picture width, along = picture height) in metres."""
        return self.width_px * self.gsd_m(height_m), self.height_px * self.gsd_m(height_m)

    def scaled(self, factor: float) -> Camera:
        """The same camera with pictures resized by `factor`."""
        return Camera(
            round(self.width_px * factor),
            round(self.height_px * factor),
            self.focal_px * factor,
            self.cx_px * factor,
            self.cy_px * factor,
            self.k1,
            self.k2,
            self.p1,
            self.p2,
            self.k3,
        )

    def project(self, points: Floats, pose: Pose) -> tuple[Floats, Floats]:
        """World points `(n, 3)` to pixels `(n, 2)` and depths `(n,)`; a depth <= 0 lies behind the camera, its pixel is NaN."""
        local = (points - pose.centre) @ pose.matrix.T
        depth = local[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = local[:, 0] / depth, local[:, 1] / depth
        r2 = x * x + y * y
        radial = 1.0 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        u = self.focal_px * (x * radial + 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x)) + self.cx_px
        v = self.focal_px * (y * radial + self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y) + self.cy_px
        pixels = np.column_stack([u, v])
        pixels[depth <= 0] = np.nan
        return pixels, depth

    def rays(self, pixels: Floats) -> Floats:
        """Directions `(n, 3)` in the camera's frame with z = 1 through pixels `(n, 2)`; inverts the distortion by iteration."""
        xd = (pixels[:, 0] - self.cx_px) / self.focal_px
        yd = (pixels[:, 1] - self.cy_px) / self.focal_px
        x, y = xd.copy(), yd.copy()
        for _ in range(20):
            r2 = x * x + y * y
            radial = 1.0 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
            dx = 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x)
            dy = self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y
            x, y = (xd - dx) / radial, (yd - dy) / radial
        return np.column_stack([x, y, np.ones_like(x)])
