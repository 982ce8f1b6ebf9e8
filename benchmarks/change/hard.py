"""Hard months: 20 made-up town blocks on two dates that nothing was fitted on, judged together; and how far the score can be trusted.

The surveys are drawn straight from above and degraded as multi-view stereo would (`simulator.stereo`): shadows moved, leaves lost or come,
vehicles, tarpaulins, greenhouses, heaps, demolition, earthwork. All that a squad would want counts as truth; the peers see rises alone.
`HARD=101,102` in the environment runs other seeds.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from shapely.geometry import Polygon

from benchmarks.change import curves, judged, months, peers
from benchmarks.report import HERE, Row
from change_detect.align import SurveyPair
from change_detect.candidate import Candidate
from change_detect.detector import Detector, GeometryImage
from change_detect.evaluate import Score, is_hit, score
from patrol import terminal
from simulator.hardship import Change

NAME = "hard months"
_TALL_M = 1.8
_MOST_STRIPS = 60


@dataclass(frozen=True, slots=True)
class Block:
    """One month, looked at."""

    seed: int
    pair: SurveyPair
    changes: tuple[Change, ...]
    found: tuple[Candidate, ...]
    coverage: Polygon
    ours: Score
    others: dict[str, Score]
    spent_s: float

    def inside(self) -> list[Change]:
        """What squads would want, on ground that both surveys know."""
        return [c for c in self.changes if c.wanted and self.coverage.contains(c.outline.centroid)]


def looked_at(seed: int, folder: Path, *, detector: Detector | None = None, with_peers: bool = True, worn: bool = False) -> Block:
    """One month through the product."""
    made = months.month(seed)
    pair = months.worn_pair(made, folder) if worn else months.pair(made, folder)
    before, after = peers.whole(pair)
    coverage = peers.coverage(before, after, pair.grid)
    start = time.process_time()
    found = (detector or GeometryImage()).detect(pair)
    spent = time.process_time() - start
    truth = months.truth(made)
    others = {}
    for name, peer in peers.PEERS.items() if with_peers else ():
        mask = peer(before, after, pair.grid.gsd_m)
        if mask is not None:
            others[name] = score(peers.candidates(mask, pair.grid), truth, coverage)
    return Block(seed, pair, made.changes, found, coverage, score(found, truth, coverage), others, spent)


def rows(folder: Path) -> list[Row]:
    """All figures; the surveys lie in `folder/<seed>` and are taken up again."""
    seeds = [int(s) for s in os.environ["HARD"].split(",")] if "HARD" in os.environ else months.JUDGED
    blocks = []
    with terminal.bar() as progress:
        for done, seed in enumerate(seeds):
            progress(done, len(seeds), "hard")
            blocks.append(looked_at(seed, folder / str(seed)))
    _sheet(blocks)
    return [*_counted(blocks), *_named(blocks), *trusted(NAME, [(b.found, b.inside(), b.coverage) for b in blocks])]


def _counted(blocks: Sequence[Block]) -> list[Row]:
    km2 = sum(b.coverage.area for b in blocks) / 1e6
    first = "plain dz > 1.5 m"
    out: list[Row] = []

    def row(
        metric: str, way: Literal["higher", "lower"], bar: float | None, of: Callable[[Sequence[Score]], float], unit: str = ""
    ) -> None:
        ours, plain = of([b.ours for b in blocks]), of([b.others[first] for b in blocks])
        out.append(Row(metric, NAME, round(ours, 3), unit, way, bar, first, round(plain, 3)))

    def recall(asked: Callable[[Change], bool]) -> Callable[[Sequence[Score]], float]:
        def of(scores: Sequence[Score]) -> float:
            there = [{c.id for c in b.inside() if asked(c)} for b in blocks]
            hit = sum(p.truth_id in t for s, t in zip(scores, there, strict=True) for p in s.pairs)
            return hit / max(1, sum(map(len, there)))

        return of

    def structure(least_m2: float) -> Callable[[Change], bool]:
        return lambda c: c.name not in ("earthwork", "demolished") and c.outline.area >= least_m2 and c.height_m >= _TALL_M

    row("recall of structures, 10 m2 and 1.8 m or more", "higher", 0.95, recall(structure(10)))
    row("recall of structures, 20 m2 or more", "higher", 0.98, recall(structure(20)))
    row(
        "recall of earthwork, 50 m2 and 0.5 m or more",
        "higher",
        0.9,
        recall(lambda c: c.name == "earthwork" and c.outline.area >= 50 and abs(c.height_m) >= 0.5),
    )
    row("recall of what was pulled down", "higher", None, recall(lambda c: c.name == "demolished"))
    row(
        "precision", "higher", 0.90, lambda s: _share(sum(len(x.pairs) for x in s), sum(len(x.pairs) + x.false_alarms for x in s))
    )
    row("false alarms per km2", "lower", 10.0, lambda s: sum(x.false_alarms for x in s) / km2, "1/km2")
    row("outline IoU, median", "higher", 0.85, lambda s: _median([i for x in s for i in x.ious]))
    row("centre error, median", "lower", 0.3, lambda s: _median([p.centre_error_m for x in s for p in x.pairs]), "m")
    held = sum(len(b.ours.suppressed_hits) for b in blocks)
    wanted = sum(len(b.inside()) for b in blocks)
    out += [
        Row("wanted changes there", NAME, wanted, "", "higher"),
        Row("held back although wanted", NAME, held, "", "lower"),
        Row("blocks", NAME, len(blocks), "", "higher", 20),
        Row("ground compared", NAME, round(km2, 4), "km2", "higher"),
        Row("detection", NAME, round(sum(b.spent_s for b in blocks) / km2, 1), "cpu-s/km2", "lower"),
    ]
    for name in blocks[0].others:
        if name == first:
            continue
        mine = [b.ours for b in blocks]
        theirs = [b.others[name] for b in blocks]
        of = recall(structure(10))
        out.append(Row(f"recall beside {name}", NAME, round(of(mine), 3), "", "higher", None, name, round(of(theirs), 3)))
        alarms = [round(sum(x.false_alarms for x in s) / km2, 1) for s in (mine, theirs)]
        out.append(Row(f"false alarms per km2 beside {name}", NAME, alarms[0], "1/km2", "lower", None, name, alarms[1]))
    return out


def _named(blocks: Sequence[Block]) -> list[Row]:
    """What was missed and what was falsely shown, kind by kind, on the screen."""
    missed: Counter[str] = Counter()
    false: Counter[str] = Counter()
    for b in blocks:
        held = {p.truth_id: p.candidate_id for p in b.ours.suppressed_hits}
        by_id = {c.id: c for c in b.found}
        for c in b.inside():
            if c.id in b.ours.missed:
                why = (by_id[held[c.id]].suppressed or "").split(":")[0] if c.id in held else "not seen"
                missed[f"{c.kind} ({why})"] += 1
        for i in b.ours.false_ids:
            false[f"{by_id[i].kind} on {cause_of(by_id[i], b.changes)}"] += 1
    terminal.out.print(f"missed: {dict(missed)}\nfalse: {dict(false)}")
    return []


def cause_of(candidate: Candidate, changes: Sequence[Change]) -> str:
    """The kind of thing that lies most under a candidate; `nothing` under three tenths of it."""
    under: Counter[str] = Counter()
    for c in changes:
        if c.outline.intersects(candidate.outline):
            under[f"{c.kind}{'' if c.height_m >= 0 else ' gone'}"] += c.outline.intersection(candidate.outline).area
    best = under.most_common(1)
    return best[0][0] if best and best[0][1] > 0.3 * candidate.outline.area else "nothing"


def trusted(dataset: str, sets: Sequence[tuple[Sequence[Candidate], Sequence[Change], Polygon]]) -> list[Row]:
    """ECE and average precision of the score over shown and held-back candidates alike; both pictures."""
    chances: list[float] = []
    true: list[bool] = []
    there = 0
    for found, wanted, coverage in sets:
        there += len(wanted)
        for c in found:
            if coverage.contains(c.outline.centroid):
                chances.append(c.score)
                true.append(any(is_hit(c.outline, w.outline) for w in wanted))
    stem = HERE / "results" / "curves" / dataset.split(",", maxsplit=1)[0].replace(" ", "_")
    curves.draw_precision_recall(
        stem.with_name(f"{stem.name}_precision_recall.svg"), {dataset: curves.precision_recall(chances, true, there)}, {}
    )
    curves.draw_reliability(stem.with_name(f"{stem.name}_reliability.svg"), {dataset: (chances, true)})
    return [
        Row(
            "calibration error of the score (ECE)", dataset, round(curves.calibration_error(chances, true), 3), "", "lower", 0.05
        ),
        Row("average precision of the score", dataset, round(curves.average_precision(chances, true, there), 3), "", "higher"),
        Row("candidates the score was judged on", dataset, len(chances), "", "higher"),
    ]


def _sheet(blocks: Sequence[Block]) -> None:
    """A contact sheet of what was missed, held back and falsely shown."""
    strips = []
    for b in blocks:
        by_id = {c.id: c for c in b.found}
        held = {p.truth_id: (by_id[p.candidate_id].suppressed or "").split(":")[0] for p in b.ours.suppressed_hits}
        for c in b.inside():
            if c.id in b.ours.missed:
                text = f"{b.seed} missed {c.kind} {c.height_m:+.1f} m {c.outline.area:.0f} m2 ({held.get(c.id, 'not seen')})"
                strips.append(judged.strip(b.pair, text, c.outline))
        for i in b.ours.false_ids:
            c2 = by_id[i]
            text = f"{b.seed} false: {c2.kind} {c2.score:.2f} {c2.height_m or 0:+.1f} m {c2.area_m2:.0f} m2 on {cause_of(c2, b.changes)}"
            strips.append(judged.strip(b.pair, text, c2.outline))
    path = judged.FAILURES / f"{NAME}.webp"
    if not strips:
        path.unlink(missing_ok=True)
        return
    half = -(-min(len(strips), _MOST_STRIPS) // 2)
    columns = [np.vstack(part) for part in (strips[:half], strips[half : 2 * half]) if part]
    tall = max(c.shape[0] for c in columns)
    padded = [np.pad(c, ((0, tall - c.shape[0]), (0, 0), (0, 0)), constant_values=255) for c in columns]
    judged.FAILURES.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.hstack(padded)[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 70])


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")
