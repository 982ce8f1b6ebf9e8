"""What else a region shows: the part of its row of features that no rule reads, but classes learn from.

`lower`/`upper` and the window are those of `measure`: the object always stands in `upper`.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from change_detect.appearance import straightness
from change_detect.raster import Bytes, Layers, Mask, Metres

DARK = 60
"""Brightest band of a cell that lies in deep shadow, grey levels."""


def witness(lower: Layers, upper: Layers, gain: Metres, body: Mask, gsd_m: float) -> Mapping[str, float]:
    """Light, texture, colour, edges and form of one object whose cells are `body`; all arrays cover the same window.

    Lightness and chroma in CIELAB units, texture as the deviation of lightness from its mean over half a metre, shares 0..1, metres.
    """
    part = _around(body, 1.0 / gsd_m)
    body, gain = np.ascontiguousarray(body[part]), np.ascontiguousarray(gain[part])
    cells = body.astype(np.uint8)
    deep = cv2.distanceTransform(np.pad(cells, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    inner = deep > min(0.4 / gsd_m, 0.5 * float(deep.max()))
    heart = deep > 0.6 * float(deep.max())
    border = body & (deep <= max(2.0, 0.35 / gsd_m))
    rim = (cv2.dilate(cells, np.ones((3, 3), np.uint8)) - cv2.erode(cells, np.ones((3, 3), np.uint8))) > 0
    ring = (cv2.dilate(cells, np.ones((2 * round(0.8 / gsd_m) + 1,) * 2, np.uint8)) > 0) & ~body
    out: dict[str, float] = {}
    for name, layers in (("before", lower), ("after", upper)):
        lab, level = _lab(layers.ortho[part])
        light = lab[..., 0]
        rough = np.abs(light - cv2.blur(light, (_odd(0.5 / gsd_m),) * 2))
        step = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(light, cv2.CV_32F, 0, 1, scale=0.25))
        out |= {
            f"light_{name}": _mean(light, body),
            f"texture_{name}": _mean(rough, inner),
            f"uneven_{name}": float(light[inner].std()) if inner.any() else 0.0,
            f"a_{name}": _mean(lab[..., 1], body),
            f"b_{name}": _mean(lab[..., 2], body),
            f"shade_{name}": float(np.mean(level[body] < DARK)),
            f"rim_{name}": _mean(step, rim) / max(0.5, _mean(step, inner)),
            f"apart_{name}": float(np.linalg.norm(lab[body].mean(0) - lab[ring].mean(0))) if ring.any() else 0.0,
        }
    tall = float(np.median(gain[body]))
    low, high = np.percentile(gain[body], [10, 90])
    dx = cv2.Sobel(upper.surface[part], cv2.CV_32F, 1, 0, ksize=3, scale=1 / (8 * gsd_m)) if upper.surface is not None else gain
    dy = cv2.Sobel(upper.surface[part], cv2.CV_32F, 0, 1, ksize=3, scale=1 / (8 * gsd_m)) if upper.surface is not None else gain
    slope = np.hypot(dx, dy)[inner]
    slope = slope[np.isfinite(slope)]
    sigma = upper.sigma[part][body] if upper.sigma is not None else np.empty(0, np.float32)
    sigma = sigma[np.isfinite(sigma)]
    hull = cv2.convexHull(max(cv2.findContours(cells, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=cv2.contourArea))
    return out | {
        "light_moved": out["light_after"] - out["light_before"],
        "gain_low": float(low) / tall if tall else 0.0,
        "gain_high": float(high) / tall if tall else 0.0,
        "domed": (_mean(gain, heart) - _mean(gain, border)) / tall if tall else 0.0,
        "slope": float(np.median(slope)) if slope.size else 0.0,
        "slope_high": float(np.percentile(slope, 90)) if slope.size else 0.0,
        "sigma_after_m": float(sigma.mean()) if sigma.size else float("nan"),
        "solid": float(body.sum()) / max(1.0, float(cv2.contourArea(hull))),
        "straight": straightness(body),
    }


def _around(body: Mask, margin: float) -> tuple[slice, slice]:
    rows, cols = np.nonzero(body.any(1))[0], np.nonzero(body.any(0))[0]
    m = max(3, round(margin))
    return slice(max(0, rows[0] - m), rows[-1] + m + 1), slice(max(0, cols[0] - m), cols[-1] + m + 1)


def _lab(ortho: Bytes) -> tuple[Metres, Bytes]:
    rgb = np.ascontiguousarray(ortho)
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), np.float32), rgb.max(-1)


def _mean(values: Metres, cells: Mask) -> float:
    return float(values[cells].mean()) if cells.any() else 0.0


def _odd(cells: float) -> int:
    return max(3, round(cells) | 1)
