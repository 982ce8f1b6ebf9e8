"""Solved parts as plain arrays: read from the solver's files, laid onto each other, and made one.

A point of the ground that two parts know is the same point where both hold the same keypoint of the same photo.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from geo.frames import Floats
from imagery.engines.placing import Similarity
from imagery.projection import pixel
from imagery.reconstruct import Ints

Numbers = NDArray[np.int64]
Keypoints = Callable[[int], Floats]
"""Pixels `(k, 2)` of an image's keypoints, by the image's number."""

_RECORD = struct.Struct("<Q3d3BdQ")  # a point of points3D.bin before its track: number, place, colour, error, length of the track


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Some images of a block and what they see, in the solver's coordinates.

    `ids` `(n,)` are image numbers in rising order, `rotations` `(n, 3, 3)` world-to-camera, `centres` `(n, 3)`. `points` `(p, 3)`.
    An observation is `(point, image, keypoint)`: index into `points`, image number, index of the image's keypoint.
    """

    ids: Numbers
    rotations: Floats
    centres: Floats
    points: Floats
    point: Ints
    image: Ints
    keypoint: Ints

    @property
    def axes(self) -> Floats:
        """Optical axes `(n, 3)`."""
        return np.asarray(self.rotations[:, 2, :])

    def rows(self, ids: Collection[int]) -> Numbers:
        """Where images stand in `ids`; they must be there."""
        return np.searchsorted(self.ids, np.asarray(list(ids), np.int64))

    def moved(self, by: Similarity) -> Piece:
        """Turned, scaled and shifted as a whole."""
        return replace(
            self, rotations=self.rotations @ by.rotation.T, centres=by.apply(self.centres), points=by.apply(self.points)
        )

    def seen_by(self, ids: Collection[int], least: int = 2) -> Piece:
        """Some of the images, and the points that at least `least` of them see."""
        kept = np.isin(self.ids, np.asarray(list(ids), np.int64))
        return replace(self, ids=self.ids[kept], rotations=self.rotations[kept], centres=self.centres[kept]).observed(
            np.isin(self.image, self.ids[kept]), least
        )

    def observed(self, which: NDArray[np.bool_], least: int = 2) -> Piece:
        """The same images with some of the observations; points that fewer than `least` of them hold go too."""
        enough = np.bincount(self.point[which], minlength=len(self.points)) >= least
        which = which & enough[self.point]
        number = np.cumsum(enough) - 1
        return replace(
            self,
            points=self.points[enough],
            point=number[self.point[which]].astype(np.int32),
            image=self.image[which],
            keypoint=self.keypoint[which],
        )


def read(model: pycolmap.Reconstruction, folder: Path) -> Piece:
    """A solved model that lies in `folder`."""
    ids = sorted(model.reg_image_ids())
    rotations = [model.image(i).cam_from_world().rotation.matrix() for i in ids]
    centres = [model.image(i).projection_center() for i in ids]
    return with_points(folder, ids, np.array(rotations).reshape(-1, 3, 3), np.array(centres).reshape(-1, 3))


def with_points(folder: Path, ids: Sequence[int], rotations: Floats, centres: Floats) -> Piece:
    """The points of a model in `folder` that at least two of the images `ids` (rising) see; the images' poses are given.

    Reads the solver's file itself: a model of five hundred photos takes a tenth of the memory this way.
    """
    data = (folder / "points3D.bin").read_bytes()
    (count,) = struct.unpack_from("<Q", data)
    starts, lengths, places = np.empty(count, np.int64), np.empty(count, np.int64), np.empty((count, 3))
    at = 8
    for k in range(count):
        _, x, y, z, _, _, _, _, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        starts[k], lengths[k], places[k] = at, length, (x, y, z)
        at += 8 * length
    raw = np.frombuffer(data, np.uint8)
    first = np.repeat(starts - 8 * (np.cumsum(lengths) - lengths), lengths)
    where = (first + 8 * np.arange(int(lengths.sum())))[:, None] + np.arange(8)
    elements = raw[where].view("<u4").astype(np.int32)
    point = np.repeat(np.arange(count, dtype=np.int32), lengths)
    whole = Piece(np.asarray(ids, np.int64), rotations, centres, places, point, elements[:, 0], elements[:, 1])
    return whole.observed(np.isin(whole.image, whole.ids))


def merged(pieces: Sequence[Piece], cores: Sequence[Collection[int]]) -> Piece:
    """One piece of several in one frame; an image's pose is taken from the piece in whose core it lies, else from the first it is in."""
    owner: dict[int, tuple[int, int]] = {}
    for number, piece in enumerate(pieces):
        core = set(cores[number])
        for row, image in enumerate(piece.ids.tolist()):
            if image not in owner or image in core:
                owner[image] = number, row
    ids = sorted(owner)
    rotations = np.array([pieces[owner[i][0]].rotations[owner[i][1]] for i in ids]).reshape(-1, 3, 3)
    centres = np.array([pieces[owner[i][0]].centres[owner[i][1]] for i in ids]).reshape(-1, 3)
    base = np.cumsum([0, *(len(p.points) for p in pieces)])
    points = np.concatenate([p.points for p in pieces])
    point = np.concatenate([p.point.astype(np.int64) + base[k] for k, p in enumerate(pieces)])
    key = np.concatenate([p.image.astype(np.int64) << 32 | p.keypoint for p in pieces])
    keys, seen = np.unique(key, return_inverse=True)
    size = len(points) + len(keys)
    links = coo_matrix((np.ones(len(point), np.int8), (point, len(points) + seen)), shape=(size, size))
    group = connected_components(links, directed=False)[1].astype(np.int64)
    count = int(group.max()) + 1 if size else 0
    weight = np.bincount(group[: len(points)], minlength=count)
    total = [np.bincount(group[: len(points)], points[:, axis], count) for axis in range(3)]
    place: Floats = np.column_stack(total).astype(np.float64) / np.maximum(weight, 1)[:, None]
    image, keypoint = (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)
    whole = Piece(np.asarray(ids, np.int64), rotations, centres, place, group[len(points) :].astype(np.int32), image, keypoint)
    # A photo sees a point once: a second keypoint of the same photo is a wrong tie, and nobody knows which of the two.
    pair = whole.point.astype(np.int64) << 32 | whole.image
    _, which, times = np.unique(pair, return_inverse=True, return_counts=True)
    return whole.observed(times[which] == 1)


def thinned(piece: Piece, per_image: int) -> Piece:
    """The points most photos see, until each image has `per_image` of them: enough to place cameras, in bounded memory."""
    lengths = np.bincount(piece.point, minlength=len(piece.points))
    order = np.argsort(piece.point, kind="stable")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.searchsorted(piece.ids, piece.image[order])
    chosen = _chosen(np.argsort(-lengths, kind="stable"), starts, rows, len(piece.ids), per_image)
    return piece.observed(chosen[piece.point])


@njit(cache=True)
def _chosen(turn: Numbers, starts: Numbers, rows: Numbers, images: int, wanted: int) -> NDArray[np.bool_]:
    have = np.zeros(images, np.int64)
    chosen = np.zeros(len(turn), np.bool_)
    for point in turn:
        needed = False
        for k in range(starts[point], starts[point + 1]):
            needed |= have[rows[k]] < wanted
        if needed:
            chosen[point] = True
            for k in range(starts[point], starts[point + 1]):
                have[rows[k]] += 1
    return chosen


def pixels(piece: Piece, keypoints: Keypoints) -> Floats:
    """Where each observation lies in its photo, `(m, 2)`."""
    px = np.empty((len(piece.image), 2))
    order = np.argsort(piece.image, kind="stable")
    bounds = np.searchsorted(piece.image[order], np.append(piece.ids, np.iinfo(np.int32).max))
    for k, image in enumerate(piece.ids.tolist()):
        here = order[bounds[k] : bounds[k + 1]]
        if len(here):
            px[here] = keypoints(image)[piece.keypoint[here], :2]
    return px


def settled(piece: Piece, px: Floats, lenses: Floats, limit_px: float, *, rounds: int) -> tuple[Piece, Floats, NDArray[np.bool_]]:
    """Points moved to where their observations `px` `(m, 2)` meet, and what misses by more than `limit_px` left out.

    `lenses` `(n, 23)` are the images' projectors (see `projection`). Gauss-Newton with a soft-L1 weight per point, cameras held.
    Returns the piece, the error in pixels of each remaining observation, and which of the old observations these are.
    """
    order = np.argsort(piece.point, kind="stable")
    starts = np.searchsorted(piece.point[order], np.arange(len(piece.points) + 1))
    rows = np.searchsorted(piece.ids, piece.image[order])
    points, errors = _settle(piece.points.copy(), starts, rows, px[order], lenses, rounds)
    error = np.empty(len(order))
    error[order] = errors
    good = error <= limit_px
    good &= (np.bincount(piece.point[good], minlength=len(points)) >= 2)[piece.point]
    return replace(piece, points=points).observed(good), error[good], good


@njit(cache=True)
def _settle(points: Floats, starts: Numbers, rows: Numbers, px: Floats, lenses: Floats, rounds: int) -> tuple[Floats, Floats]:
    errors = np.full(len(px), np.inf)
    for p in range(len(points)):
        for turn in range(rounds + 1):
            normal = np.zeros((3, 3))
            right = np.zeros(3)
            x, y, z = points[p]
            for k in range(starts[p], starts[p + 1]):
                n = lenses[rows[k]]
                u, v, depth = pixel(n, x, y, z)
                if u <= -9e3:
                    errors[k] = np.inf
                    continue
                du, dv = px[k, 0] - u, px[k, 1] - v
                errors[k] = np.sqrt(du * du + dv * dv)
                if turn == rounds:
                    continue
                step = 1e-4 * depth
                jacobian = np.empty((2, 3))
                for axis in range(3):
                    uu, vv, _ = pixel(n, x + step * (axis == 0), y + step * (axis == 1), z + step * (axis == 2))
                    jacobian[0, axis], jacobian[1, axis] = (uu - u) / step, (vv - v) / step
                weight = 1.0 / np.sqrt(1.0 + errors[k] ** 2)
                for a in range(3):
                    right[a] += weight * (jacobian[0, a] * du + jacobian[1, a] * dv)
                    for b in range(3):
                        normal[a, b] += weight * (jacobian[0, a] * jacobian[0, b] + jacobian[1, a] * jacobian[1, b])
            if turn < rounds:
                trace = normal[0, 0] + normal[1, 1] + normal[2, 2]
                if trace <= 0.0:
                    break
                for a in range(3):
                    normal[a, a] += 1e-9 * trace
                points[p] += np.linalg.solve(normal, right)
    return points, errors


def to_model(
    piece: Piece,
    cameras: Mapping[int, pycolmap.Camera],
    camera_of: Mapping[int, int],
    names: Mapping[int, str],
    keypoints: Keypoints,
) -> pycolmap.Reconstruction:
    """The piece as the solver wants it, with all keypoints of its images."""
    model = pycolmap.Reconstruction()
    for number in sorted({camera_of[i] for i in piece.ids.tolist()}):
        model.add_camera_with_trivial_rig(cameras[number])
    for row, image in enumerate(piece.ids.tolist()):
        pose = np.column_stack([piece.rotations[row], -piece.rotations[row] @ piece.centres[row]])
        px = np.asarray(keypoints(image)[:, :2], np.float64)
        made = pycolmap.Image(name=names[image], keypoints=px, camera_id=camera_of[image], image_id=image)
        model.add_image_with_trivial_frame(made, pycolmap.Rigid3d(pose))
    order = np.argsort(piece.point, kind="stable")
    image_of, keypoint_of = piece.image[order].tolist(), piece.keypoint[order].tolist()
    starts = np.searchsorted(piece.point[order], np.arange(len(piece.points) + 1)).tolist()
    for k, place in enumerate(piece.points):
        track = pycolmap.Track([pycolmap.TrackElement(image_of[e], keypoint_of[e]) for e in range(starts[k], starts[k + 1])])
        model.add_point3D(place, track)
    return model
