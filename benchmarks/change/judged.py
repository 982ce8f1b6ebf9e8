"""One aligned pair judged by its truth: our figures beside each peer's, and a picture of every failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry import Polygon

from benchmarks.change import peers
from benchmarks.report import HERE, Row
from change_detect.align import SurveyPair
from change_detect.candidate import Candidate
from change_detect.detector import GeometryImage
from change_detect.evaluate import Score, Truth, is_hit, score
from change_detect.raster import Layers

FAILURES = HERE / "results" / "failures"
_TALL_M = 1.8
_CHIP_PX = 220


def rows(dataset: str, pair: SurveyPair, truth: Sequence[Truth], *, same_frame: bool = True) -> list[Row]:
    """All figures of a pair with a truth; distractors are truths that are no structure.

    A truth that is not in the `same_frame` lies elsewhere by GPS: the median shift of what was found is taken away first, for the peers
    as for us.
    """
    before, after = peers.whole(pair)
    coverage = peers.coverage(before, after, pair.grid)
    start = time.process_time()
    found = GeometryImage().detect(pair)
    spent = time.process_time() - start
    if not same_frame:
        truth = shifted(found, truth)
    ours = score(found, truth, coverage)
    picture(dataset, pair, found, truth, ours, coverage)
    km2 = coverage.area / 1e6
    others = {n: _peer(f, before, after, pair, truth, coverage) for n, f in peers.PEERS.items()}
    things = [t for t in truth if t.is_structure and coverage.contains(t.outline.centroid)]
    print(f"{dataset}: missed {ours.missed}, held back {[(p.truth_id) for p in ours.suppressed_hits]}, false {ours.false_ids}")
    first, plain = next(((n, s) for n, s in others.items() if s is not None), (None, None))
    out: list[Row] = []

    def row(
        metric: str,
        value: float,
        way: Literal["higher", "lower"],
        bar: float | None,
        of: Callable[[Score], float],
        unit: str = "",
    ) -> None:
        peer = None if plain is None else round(of(plain), 3)
        out.append(Row(metric, dataset, round(value, 3), unit, way, bar, first, peer))

    if things:
        large = {t.id for t in things if t.outline.area >= 20 and (t.height_m or 0) >= _TALL_M}
        some = {t.id for t in things if t.outline.area >= 10 and (t.height_m or 0) >= _TALL_M}

        def recall(those: set[str]) -> Callable[[Score], float]:
            return lambda s: sum(p.truth_id in those for p in s.pairs) / max(1, len(those))

        row("recall of structures, 10 m2 and 1.8 m or more", recall(some)(ours), "higher", 0.95, recall(some))
        row("recall of structures, 20 m2 or more", recall(large)(ours), "higher", 0.98, recall(large))
        row("precision", ours.precision, "higher", 0.90, lambda s: s.precision)
        row("outline IoU, median", _median(ours.ious), "higher", 0.85, lambda s: _median(s.ious))
        row("centre error, median", ours.position_error_m, "lower", 0.3, lambda s: s.position_error_m, "m")
        row("structures", len(things), "higher", None, lambda s: len(things))
        row("held back although a structure", len(ours.suppressed_hits), "lower", None, lambda s: 0)
        out.append(Row("distractors reported", dataset, on_distractors(found, truth), "", "lower"))
    row("false alarms", ours.false_alarms, "lower", None, lambda s: s.false_alarms)
    row("false alarms per km2", ours.false_alarms / km2, "lower", 10.0, lambda s: s.false_alarms / km2, "1/km2")
    out.append(Row("ground compared", dataset, round(km2, 4), "km2", "higher"))
    out.append(Row("detection", dataset, round(spent / km2, 1), "cpu-s/km2", "lower"))
    for name, s in others.items():
        if s is None or s is plain:
            continue
        if things:
            out.append(Row(f"recall beside {name}", dataset, round(ours.recall, 3), "", "higher", None, name, round(s.recall, 3)))
        out.append(
            Row(
                f"false alarms per km2 beside {name}",
                dataset,
                round(ours.false_alarms / km2, 1),
                "1/km2",
                "lower",
                None,
                name,
                round(s.false_alarms / km2, 1),
            )
        )
    return out


def shifted(found: Sequence[Candidate], truth: Sequence[Truth]) -> list[Truth]:
    """The truth moved by the median shift of what was found."""
    shown = [c for c in found if c.suppressed is None]
    near = [
        (c.outline.centroid, t.outline.centroid) for t in truth if t.is_structure for c in shown if is_hit(c.outline, t.outline)
    ]
    dx, dy = np.median([(c.x - t.x, c.y - t.y) for c, t in near], axis=0) if near else (0.0, 0.0)
    print(f"truth's frame: {dx:+.2f} {dy:+.2f} m")
    return [replace(t, outline=translate(t.outline, dx, dy)) for t in truth]


def _peer(
    peer: Callable[[Layers, Layers, float], NDArray[np.bool_] | None],
    before: Layers,
    after: Layers,
    pair: SurveyPair,
    truth: Sequence[Truth],
    coverage: Polygon,
) -> Score | None:
    mask = peer(before, after, pair.grid.gsd_m)
    return None if mask is None else score(peers.candidates(mask, pair.grid), truth, coverage)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")


def on_distractors(found: Sequence[Candidate], truth: Sequence[Truth]) -> int:
    """How many things that are no structures a shown candidate took for one."""
    return sum(any(c.suppressed is None and is_hit(c.outline, t.outline) for c in found) for t in truth if not t.is_structure)


def picture(
    dataset: str, pair: SurveyPair, found: Sequence[Candidate], truth: Sequence[Truth], ours: Score, coverage: Polygon
) -> None:
    """A contact sheet of what was missed, held back and falsely shown: before, after, gain; a word on each."""
    named = {t.id: t.outline for t in truth}
    by_id = {c.id: c for c in found}
    held = {p.truth_id: by_id[p.candidate_id].suppressed or "" for p in ours.suppressed_hits}
    cases: list[tuple[str, Polygon]] = []
    for name in ours.missed:
        why = held.get(name, "").split(":")[0]
        cases.append((f"missed {name}" + (f" ({why})" if why else ""), named[name]))
    cases += [
        (f"false: {by_id[i].kind} {by_id[i].height_m or 0:+.1f} m {by_id[i].area_m2:.0f} m2", by_id[i].outline)
        for i in ours.false_ids
    ]
    path = FAILURES / f"{dataset}.webp"
    if not cases:
        path.unlink(missing_ok=True)
        return
    FAILURES.mkdir(parents=True, exist_ok=True)
    sheet = np.vstack([strip(pair, text, outline) for text, outline in cases[:24]])
    cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 75])


def strip(pair: SurveyPair, text: str, outline: Polygon) -> NDArray[np.uint8]:
    """Before, after and gain around an outline, a word over them."""
    west, south, east, north = outline.buffer(max(6.0, 0.5 * np.sqrt(outline.area))).bounds
    window = pair.grid.window((west, south, east, north)).grown(0, pair.grid)
    before, after = pair.read(window)
    part = pair.grid.part(window)
    if before.surface is not None and after.surface is not None:
        dz = np.nan_to_num(after.surface - before.surface, nan=0.0)
        third = cv2.applyColorMap(np.clip(128 + dz * 30, 0, 255).astype(np.uint8), cv2.COLORMAP_TWILIGHT_SHIFTED)[..., ::-1]
    else:
        third = np.abs(after.ortho.astype(np.int16) - before.ortho).clip(0, 255).astype(np.uint8)
    ring = (np.asarray(outline.exterior.coords) - (part.west_m, part.north_m)) / (part.gsd_m, -part.gsd_m)
    chips = []
    for layer in (before.ortho, after.ortho, third):
        scale = _CHIP_PX / max(layer.shape[:2])
        chip = cv2.resize(np.ascontiguousarray(layer), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        cv2.polylines(chip, [np.rint(ring * scale).astype(np.int32)], True, (255, 220, 0), 1, cv2.LINE_AA)
        canvas = np.full((_CHIP_PX + 22, _CHIP_PX + 6, 3), 255, np.uint8)
        canvas[22 : 22 + chip.shape[0], : chip.shape[1]] = chip[:_CHIP_PX, :_CHIP_PX]
        chips.append(canvas)
    strip: NDArray[np.uint8] = np.hstack(chips)
    cv2.putText(strip, text, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return strip
