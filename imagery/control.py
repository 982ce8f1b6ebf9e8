"""Ground control: surveyed points of the ground, where they show in photos, and how well a block agrees with them.

A *control* point holds the block, a *check* point only measures it. Files are read in `imagery.controlfiles`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import PurePath
from typing import Any

import numpy as np

from geo.frames import Floats, Frame
from imagery.errors import ControlError
from imagery.photos import Photo
from imagery.reasons import Reason, read_all

SURVEYED_SIGMA_M = 0.03
"""Of a place of which the file says nothing: what network RTK gives."""

_SAME_M = 0.01  # between two files' words on one point: they round differently

NOMINAL_SIGMA_M = 2.0
"""Of a height that stands for all points alike: ground that is called level is level within a storey."""


class Role(StrEnum):
    """What a point is for."""

    CONTROL = "control"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class Mark:
    """A point's place in one photo: pixels from the picture's outer corner. `line` is where the file says so."""

    photo: str
    x_px: float
    y_px: float
    line: int = 0


@dataclass(frozen=True, slots=True)
class ControlPoint:
    """A point in metres of the control's frame; its height counts only where `height_known`, else `z_m` is nominal."""

    name: str
    x_m: float
    y_m: float
    z_m: float
    height_known: bool
    marks: tuple[Mark, ...]
    sigma_xy_m: float = SURVEYED_SIGMA_M
    sigma_z_m: float = 2 * SURVEYED_SIGMA_M
    role: Role = Role.CONTROL

    @property
    def place(self) -> Floats:
        """`(3,)` metres."""
        return np.array([self.x_m, self.y_m, self.z_m])


@dataclass(frozen=True, slots=True)
class Control:
    """The points of one file, in the metres of `frame`. `notes` say how the file was understood."""

    frame: Frame
    points: tuple[ControlPoint, ...]
    source: str
    notes: tuple[Reason, ...] = ()

    @property
    def heights_known(self) -> bool:
        """Whether the heights of the points that hold the block are surveyed."""
        return any(p.height_known for p in self.points if p.role is Role.CONTROL)

    @property
    def fingerprint(self) -> str:
        """Changes when anything that matters does."""
        return repr((self.frame.epsg, self.points))

    def with_checks(self, names: Collection[str]) -> Control:
        """The points of these names only measure. Raises ControlError when there is no such point."""
        unknown = sorted(set(names) - {p.name for p in self.points})
        if unknown:
            raise ControlError(
                f"{self.source}：没有名为 {'、'.join(unknown)} 的点；有：{'、'.join(p.name for p in self.points)}。 "
                f"No point is called {', '.join(unknown)}; there are {', '.join(p.name for p in self.points)}"
            )
        return replace(self, points=tuple(replace(p, role=Role.CHECK) if p.name in names else p for p in self.points))

    def beside(self, other: Control) -> Control:
        """These points and another file's: a point that both name at one place has the marks of both, and the other's word where they
        differ. A name that stands for two places is told apart by its file. Raises ControlError for another frame.
        """
        if other.frame != self.frame:
            raise ControlError(
                f"{other.source}（EPSG:{other.frame.epsg}）与 {self.source}（EPSG:{self.frame.epsg}）的坐标系不同。 "
                f"{other.source} is in EPSG:{other.frame.epsg}, {self.source} in EPSG:{self.frame.epsg}: give both in one frame"
            )
        points = {p.name: p for p in self.points}
        for point in other.points:
            old = points.get(point.name)
            if old is None:
                points[point.name] = point
            elif math.dist(old.place, point.place) < _SAME_M:
                role = Role.CHECK if Role.CHECK in (old.role, point.role) else Role.CONTROL  # not every form can say which
                points[point.name] = replace(point, marks=(*old.marks, *point.marks), role=role)
            else:
                name = f"{point.name} ({other.source})"
                points[name] = replace(point, name=name)
        return Control(self.frame, tuple(points.values()), f"{self.source}, {other.source}", (*self.notes, *other.notes))

    def of(self, photos: Sequence[Photo], earlier: Sequence[Photo] = ()) -> Control:
        """The same with marks by the photos' hashes, so that files may be moved; marks in other photos are left out and said.

        A mark names a photo by its file name, with or without ending and folders, in any case; among `earlier` photos (of another
        flight, which counted from 1 as well) where none of `photos` has that name. Raises ControlError where a name fits two photos,
        and when no mark is in any photo.
        """
        hashes, before = _Names(photos), _Names(earlier)
        left_out: set[str] = set()
        points = []
        for point in self.points:
            marks = []
            for mark in point.marks:
                found = hashes.find(mark.photo) or before.find(mark.photo)
                if len(found) > 1:
                    raise ControlError(
                        f"{self.source} 第 {mark.line} 行：照片名 {mark.photo} 对应 {len(found)} 张照片，请在名前写上文件夹。 "
                        f"Line {mark.line}: {mark.photo} fits {len(found)} photos; write the folder before the name"
                    )
                if found:
                    marks.append(replace(mark, photo=found[0]))
                else:
                    left_out.add(mark.photo)
            points.append(replace(point, marks=tuple({m.photo: m for m in marks}.values())))  # the last word on each photo
        if not any(p.marks for p in points):
            raise ControlError(
                f"{self.source}：所标照片（如 {sorted(left_out)[0]}）都不在本次照片中，请检查文件名。 "
                f"None of the photos it marks (such as {sorted(left_out)[0]}) is among these: do the file names match?"
            )
        notes = self.notes
        if left_out:
            some = ", ".join(sorted(left_out)[:5]) + (" …" if len(left_out) > 5 else "")
            notes += (
                Reason(
                    "control_elsewhere",
                    f"像控点所标的 {len(left_out)} 张照片不在本次使用之列：{some}。",
                    f"{len(left_out)} photos that control is marked in are not used here: {some}.",
                    number=len(left_out),
                ),
            )
        return replace(self, points=tuple(points), notes=notes)


class _Names:
    """Photos by every name that a person may give them."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._by_name: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        self._hashes = {p.sha256 for p in photos}
        for p in photos:
            parts = tuple(part.casefold() for part in p.path.parts)
            for key in {parts[-1], PurePath(parts[-1]).stem}:
                self._by_name.setdefault(key, []).append((parts[:-1], p.sha256))

    def find(self, name: str) -> list[str]:
        """Hashes of the photos that a name fits."""
        if name in self._hashes:
            return [name]
        *folders, last = (part.casefold() for part in PurePath(name.replace("\\", "/")).parts)
        fits = self._by_name.get(last, [])
        within = [sha for parts, sha in fits if not folders or parts[-len(folders) :] == tuple(folders)]
        return list(dict.fromkeys(within))


@dataclass(frozen=True, slots=True)
class PointResidual:
    """How a block agrees with one point: block less survey in metres (None where one mark gives no place, or no height is known).

    `px` is the rms distance between marks and the surveyed place as the block projects it (with the block's own height where none
    was surveyed); `wrong_marks` are photos whose mark was put aside as off. `left_out_xy_m`, `left_out_up_m` tell how far the point
    lies off when the other points alone place the block.
    """

    name: str
    role: Role
    marks: int
    east_m: float | None
    north_m: float | None
    up_m: float | None
    px: float | None
    wrong_marks: tuple[str, ...] = ()
    left_out_xy_m: float | None = None
    left_out_up_m: float | None = None

    @property
    def xy_m(self) -> float | None:
        """Horizontal distance."""
        return None if self.east_m is None or self.north_m is None else math.hypot(self.east_m, self.north_m)


@dataclass(frozen=True, slots=True)
class ControlReport:
    """Control and checks of a block, kept with it. `scale_error` is the block's distances between control points over the surveyed
    ones, less one; `scale_change` how far control changed the scale that the photos' own positions gave. `sigma_m` is how far
    the control was trusted: its own word, or its own disagreement where that is larger.
    """

    method: str
    source: str
    points: tuple[PointResidual, ...]
    used: bool
    heights_known: bool
    sigma_m: float | None = None
    scale_error: float | None = None
    scale_change: float | None = None
    notes: tuple[Reason, ...] = ()

    def px(self, role: Role) -> float | None:
        """Rms over all points of a role, pixels."""
        return _rms(p.px for p in self.points if p.role is role)

    def xy_m(self, role: Role) -> float | None:
        """Rms horizontal distance of a role's points."""
        return _rms(p.xy_m for p in self.points if p.role is role)

    def up_m(self, role: Role) -> float | None:
        """Rms height difference of a role's points."""
        return _rms(p.up_m for p in self.points if p.role is role)

    @property
    def left_out_xy_m(self) -> float | None:
        """Rms horizontal distance of points when left out."""
        return _rms(p.left_out_xy_m for p in self.points)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What a person should read."""
        said = list(self.notes)
        for role, zh, en in ((Role.CONTROL, "控制点", "control points"), (Role.CHECK, "检查点", "check points")):
            count = sum(p.role is role and p.marks > 0 for p in self.points)
            if count:
                plan, up, px = _m(self.xy_m(role)), _m(self.up_m(role)), _figure(self.px(role), ".1f")
                said.append(
                    Reason(
                        f"{role}_residual",
                        f"{count} 个{zh}的残差：平面 {plan}，高程 {up}，像点 {px} 像素（中误差）。",
                        f"{count} {en} are met to {plan} in plan, {up} in height, {px} px in the photos (rms).",
                        number=self.xy_m(role),
                    )
                )
        if self.left_out_xy_m is not None:
            said.append(
                Reason(
                    "control_left_out",
                    f"逐点留一检验：平面 {_m(self.left_out_xy_m)}（中误差）。",
                    f"Each control point left out in turn and placed by the others: {_m(self.left_out_xy_m)} in plan (rms).",
                    number=self.left_out_xy_m,
                )
            )
        wrong = [f"{p.name} @ {photo}" for p in self.points for photo in p.wrong_marks]
        if wrong:
            some = ", ".join(wrong[:6]) + (" …" if len(wrong) > 6 else "")
            said.append(
                Reason(
                    "control_marks",
                    f"{len(wrong)} 处像控点标记疑似点错，未采用：{some}。",
                    f"{len(wrong)} marks look misplaced and were put aside: {some}.",
                    number=len(wrong),
                )
            )
        return tuple(said)

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> ControlReport:
        """From what `asdict` made of a report and JSON of that."""
        points = tuple(
            PointResidual(**{**p, "role": Role(p["role"]), "wrong_marks": tuple(p["wrong_marks"])}) for p in record["points"]
        )
        return ControlReport(**{**record, "points": points, "notes": read_all(record["notes"])})


@dataclass(slots=True)
class Draft:
    """A point while its lines are being read."""

    name: str
    at: tuple[float, float, float | None]
    line: int
    sigma_xy_m: float = SURVEYED_SIGMA_M
    sigma_z_m: float = 2 * SURVEYED_SIGMA_M
    role: Role = Role.CONTROL
    marks: list[Mark] = field(default_factory=list)


def gathered(drafts: Iterable[Draft], xy: Floats, frame: Frame, source: str, notes: Sequence[Reason] = ()) -> Control:
    """Points of a file with their places `(n, 2)` in the frame, heights judged: all alike is a word for "not measured"."""
    drafts = tuple(drafts)
    heights = [d.at[2] for d in drafts]
    given = [h for h in heights if h is not None]
    alike = len(given) >= 2 and max(given) - min(given) < 1e-6
    zero = bool(given) and all(h == 0 for h in given)
    said = list(notes)
    if alike or zero or not given:
        what_zh, what_en = (f"都是 {given[0]:g} 米", f"all {given[0]:g} m") if given else ("没有写", "not given")
        said.append(
            Reason(
                "control_heights",
                f"{source}：像控点高程{what_zh}，视为未测：只约束平面，点间地面按水平估计。",
                f"{source}: the heights of the points are {what_en} and count as not measured: the points hold the plan, and the ground "
                "between them is taken to be level.",
            )
        )
    points = []
    nominal = given[0] if given else 0.0
    for d, at in zip(drafts, xy, strict=True):
        known = d.at[2] is not None and not (alike or zero)
        z = d.at[2] if d.at[2] is not None else (float(np.median(given)) if given else nominal)
        points.append(
            ControlPoint(d.name, float(at[0]), float(at[1]), z, known, tuple(d.marks), d.sigma_xy_m, d.sigma_z_m, d.role)
        )
    return Control(frame, tuple(points), source, tuple(said))


def _rms(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return math.sqrt(sum(v * v for v in known) / len(known)) if known else None


def _figure(value: float | None, form: str) -> str:
    return "—" if value is None else format(value, form)


def _m(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f} m"
