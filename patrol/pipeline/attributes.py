"""What a finding (图斑) carries: its attributes as one row, told by one table of fields that every export and the API read.

`FIELDS` names each attribute three times: for code, in Chinese, and in the ten ASCII letters that a Shapefile allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from change_detect.corridor import BAND_TEXT, URGENCY_TEXT, WORK_TEXT, Band, Work, stations
from change_detect.register import EntryKind
from dispatch import texts
from dispatch.finding import Finding, FindingState
from geo.area import Area
from geo.datums import bd09, gcj02
from geo.frames import LonLat, metric_frame
from patrol import auth, records, registry, repositories
from patrol.pipeline.comparing import KIND_TEXT
from patrol.tables import CandidateRow
from patrol.wiring import Workplace

LOW_SUN_DEG = 30.0
TURNED_SUN_DEG = 20.0
"""Shadows mislead below 30 degrees of sun, and where the sun stood this much further round on the other day."""
_NEAR_DEG = 0.005
_SPOT = 0.1  # an earlier finding is on the spot when it covers so much of the smaller of the two


@dataclass(frozen=True, slots=True)
class Plot:
    """One finding with all that is known of it; `sigma_m2` and the rest None where nothing measured them."""

    finding: Finding
    area: Area
    seen: records.CandidateRecord | None
    comparison: records.ComparisonRecord | None
    before: records.SurveyRecord | None
    after: records.SurveyRecord | None
    labels: tuple[tuple[records.FindingLabel, records.RegisterEntry], ...]
    permit: tuple[str, float] | None  # the nearest one's number, metres
    earlier: tuple[str, ...]
    evidence: tuple[records.EvidenceRecord, ...]
    case: tuple[str, str] | None  # number, state
    reviewer: str

    @property
    def centre(self) -> LonLat:
        """The centroid, or a place inside where that lies outside."""
        shape = self.finding.outline_wgs84
        point = shape.centroid
        return self.finding.place if not shape.contains(point) else LonLat(lon_deg=point.x, lat_deg=point.y)

    @property
    def zone_epsg(self) -> int:
        """The 3-degree zone of CGCS2000 that its coordinates are also given in."""
        return metric_frame(self.centre).epsg


@dataclass(frozen=True, slots=True)
class Field:
    """One attribute: code, ten letters for a Shapefile, Chinese and English names, unit, decimals (None: text), and how it is read."""

    code: str
    short: str
    zh: str
    en: str
    unit: str
    decimals: int | None
    of: Callable[[Plot], Any]


def _quality(survey: records.SurveyRecord | None, name: str) -> float | None:
    value = None if survey is None else survey.quality.get(name)
    return None if value is None else float(value)


def _record(plot: Plot, name: str) -> float | None:
    value = None if plot.comparison is None else plot.comparison.record.get(name)
    return None if value is None else float(value)


def shadows(plot: Plot) -> str:
    """Whether shadows may mislead: a low sun on either day, or one that stood elsewhere; empty when the sun is not known."""
    high = [_quality(s, "sun_elevation_deg") for s in (plot.before, plot.after)]
    round_ = [_quality(s, "sun_azimuth_deg") for s in (plot.before, plot.after)]
    known = [h for h in high if h is not None]
    if not known:
        return ""
    if min(known) < LOW_SUN_DEG:
        return "太阳高度角偏低 low sun"
    if round_[0] is not None and round_[1] is not None and abs((round_[0] - round_[1] + 180) % 360 - 180) > TURNED_SUN_DEG:
        return "两期太阳方位不同 sun elsewhere"
    return "否 no"


def _kind(plot: Plot) -> str:
    return KIND_TEXT.get(plot.finding.kind, (plot.finding.kind, ""))[0]


def _held(plot: Plot) -> str:
    held = [label.held for label, _ in plot.labels if label.held]
    if plot.finding.state is FindingState.SUPPRESSED and plot.finding.decision not in held:
        held.append(plot.finding.decision)
    return "；".join(held)


def _parcels(plot: Plot) -> str:
    return "、".join(entry.number for _, entry in plot.labels if entry.kind == EntryKind.PARCEL)


def _evidence(plot: Plot) -> str:
    return "；".join(f"{e.role} {e.photo_sha256 or e.sha256}" for e in plot.evidence)


def _place(step: Callable[[LonLat], LonLat], axis: str) -> Callable[[Plot], float]:
    return lambda plot: float(getattr(step(plot.centre), axis))


def _same(place: LonLat) -> LonLat:
    return place


def _watch(plot: Plot) -> tuple[records.Watch, records.RegisterEntry] | None:
    return next(((label.watch, entry) for label, entry in plot.labels if label.watch is not None), None)


def _near(read: Callable[[records.Watch, records.RegisterEntry], Any]) -> Callable[[Plot], Any]:
    """An attribute of works near a pipeline; None where there are none."""

    def of(plot: Plot) -> Any:
        found = _watch(plot)
        return None if found is None else read(*found)

    return of


FIELDS: tuple[Field, ...] = (
    Field("number", "NUMBER", "图斑编号", "number", "", None, lambda p: p.finding.number),
    Field("kind", "KIND", "变化类型", "kind of change", "", None, _kind),
    Field("kind_code", "KIND_CODE", "变化类型代码", "code of the kind", "", None, lambda p: str(p.finding.kind)),
    Field("state", "STATE", "状态", "state", "", None, lambda p: texts.FINDING_STATES[p.finding.state.value]["zh"]),
    Field("area_m2", "AREA_M2", "面积", "area", "m²", 1, lambda p: p.finding.area_m2),
    Field("area_sigma_m2", "AREA_SD", "面积中误差", "one sigma of the area", "m²", 1, lambda p: p.seen and p.seen.area_sigma_m2),
    Field("height_m", "DZ_M", "高差", "height gained", "m", 2, lambda p: p.finding.height_m),
    Field("height_sigma_m", "DZ_SD", "高差中误差", "one sigma of stable heights", "m", 3, lambda p: _record(p, "sigma_z_m")),
    Field("score", "SCORE", "可信度", "confidence", "", 3, lambda p: p.finding.score),
    Field("reasons", "REASONS", "判定依据", "reasons", "", None, lambda p: "\n".join(p.finding.reasons)),
    Field("before_on", "BEFORE_ON", "前期日期", "before", "", None, lambda p: p.before and p.before.taken_on.isoformat()),
    Field("after_on", "AFTER_ON", "后期日期", "after", "", None, lambda p: p.after and p.after.taken_on.isoformat()),
    Field("before_survey", "BEFORE_ID", "前期成果", "survey before", "", None, lambda p: p.finding.before_survey),
    Field("after_survey", "AFTER_ID", "后期成果", "survey after", "", None, lambda p: p.finding.after_survey),
    Field("gsd_m", "GSD_M", "影像分辨率", "ground sampling distance", "m", 3, lambda p: _quality(p.after, "gsd_m")),
    Field("residual_m", "RESID_M", "两期配准中误差", "one sigma of co-registration", "m", 3, lambda p: _record(p, "sigma_xy_m")),
    Field("residual_p95_px", "RESID_P95", "配准残差95分位", "95th percentile of it", "px", 2, lambda p: _record(p, "p95_px")),
    Field("sun_before_deg", "SUN_BEF", "前期太阳高度角", "sun before", "°", 1, lambda p: _quality(p.before, "sun_elevation_deg")),
    Field("sun_after_deg", "SUN_AFT", "后期太阳高度角", "sun after", "°", 1, lambda p: _quality(p.after, "sun_elevation_deg")),
    Field("shadows", "SHADOWS", "阴影影响", "shadows may mislead", "", None, shadows),
    Field("lon_deg", "LON", "经度(CGCS2000)", "longitude CGCS2000", "°", 7, _place(_same, "lon_deg")),
    Field("lat_deg", "LAT", "纬度(CGCS2000)", "latitude CGCS2000", "°", 7, _place(_same, "lat_deg")),
    Field("zone_epsg", "ZONE_EPSG", "三度带EPSG", "EPSG of the 3-degree zone", "", 0, lambda p: p.zone_epsg),
    Field("x_m", "X_EAST", "横坐标(东)", "easting", "m", 2, lambda p: metric_frame(p.centre).xy(p.centre).x_m),
    Field("y_m", "Y_NORTH", "纵坐标(北)", "northing", "m", 2, lambda p: metric_frame(p.centre).xy(p.centre).y_m),
    Field("lon_gcj02", "LON_GCJ02", "经度(GCJ-02)", "longitude GCJ-02", "°", 6, _place(gcj02, "lon_deg")),
    Field("lat_gcj02", "LAT_GCJ02", "纬度(GCJ-02)", "latitude GCJ-02", "°", 6, _place(gcj02, "lat_deg")),
    Field("lon_bd09", "LON_BD09", "经度(BD-09)", "longitude BD-09", "°", 6, _place(bd09, "lon_deg")),
    Field("lat_bd09", "LAT_BD09", "纬度(BD-09)", "latitude BD-09", "°", 6, _place(bd09, "lat_deg")),
    Field("town", "TOWN", "镇街", "town", "", None, lambda p: p.finding.town),
    Field("area_name", "UNIT", "巡查单元", "area under watch", "", None, lambda p: p.area.name),
    Field("parcel", "PARCEL", "宗地", "parcel", "", None, _parcels),
    Field("register", "REGISTER", "底图核对", "what the register says", "", None, lambda p: "\n".join(a.zh for a, _ in p.labels)),
    Field("watch", "WATCH", "第三方施工", "third-party works", "", None, _near(lambda w, _: WORK_TEXT[Work(w.work)][0])),
    Field("urgency", "URGENCY", "紧急程度", "urgency", "", None, _near(lambda w, _: URGENCY_TEXT[w.urgency][0])),
    Field("pipeline", "PIPELINE", "管道", "pipeline", "", None, _near(lambda _, e: f"{e.number} {e.name}")),
    Field("band", "BAND", "保护带", "band of the corridor", "", None, _near(lambda w, _: BAND_TEXT[Band(w.band)][0])),
    Field("station", "STATION", "桩号", "chainage", "", None, _near(lambda w, _: stations(w.from_m, w.to_m))),
    Field("axis_m", "AXIS_M", "距管道轴线", "distance to the axis", "m", 1, _near(lambda w, _: w.distance_m)),
    Field("volume_m3", "VOLUME_M3", "土方量", "earth moved", "m³", 0, _near(lambda w, _: w.volume_m3)),
    Field(
        "pipe_owner",
        "PIPE_OWNER",
        "管道单位及联系人",
        "owner and contact",
        "",
        None,
        _near(lambda _, e: f"{e.holder} {e.contact}"),
    ),
    Field("permit", "PERMIT", "最近许可", "nearest permit", "", None, lambda p: p.permit and p.permit[0]),
    Field("permit_m", "PERMIT_M", "距最近许可", "distance to it", "m", 1, lambda p: p.permit and p.permit[1]),
    Field("held", "HELD", "抑制原因", "why it is held back", "", None, _held),
    Field("earlier", "EARLIER", "此处以往图斑", "earlier findings here", "", None, lambda p: "、".join(p.earlier)),
    Field("sightings", "SIGHTINGS", "发现次数", "times seen", "", 0, lambda p: p.finding.sightings),
    Field("evidence", "EVIDENCE", "证据及SHA-256", "evidence with SHA-256", "", None, _evidence),
    Field("reviewer", "REVIEWER", "研判人", "reviewer", "", None, lambda p: p.reviewer),
    Field(
        "decided_at",
        "DECIDED_AT",
        "研判时间",
        "decided",
        "",
        None,
        lambda p: p.finding.decided_at and p.finding.decided_at.isoformat(),
    ),
    Field("decision", "DECISION", "研判理由", "reason of the decision", "", None, lambda p: p.finding.decision),
    Field("case_number", "CASE_NO", "案件编号", "case", "", None, lambda p: p.case and p.case[0]),
    Field("case_state", "CASE_STATE", "案件状态", "state of the case", "", None, lambda p: p.case and p.case[1]),
    Field("found_at", "FOUND_AT", "发现时间", "found", "", None, lambda p: p.finding.found_at.isoformat()),
)


def row(plot: Plot) -> dict[str, str | float | int | None]:
    """An attribute of each field by its code: text, a number rounded as the field says, or None where nothing is known."""
    made: dict[str, str | float | int | None] = {}
    for field in FIELDS:
        value = field.of(plot)
        if field.decimals is None:
            made[field.code] = (str(value).strip() or None) if value else None
        elif value is None:
            made[field.code] = None
        else:
            made[field.code] = int(value) if field.decimals == 0 else round(float(value), field.decimals)
    return made


def plots(work: Workplace, session: Session, findings: Sequence[Finding]) -> tuple[Plot, ...]:
    """Findings with all that is known of them."""
    names = {user.id: user.name for user in auth.users(session)}
    areas: dict[str, Area] = {}
    surveys: dict[str, records.SurveyRecord] = {}
    return tuple(_plot(session, f, names, areas, surveys) for f in findings)


def _plot(
    session: Session,
    finding: Finding,
    names: Mapping[str, str],
    areas: dict[str, Area],
    surveys: dict[str, records.SurveyRecord],
) -> Plot:
    area = areas.setdefault(finding.area_id, repositories.areas.get(session, finding.area_id))
    for id_ in (finding.before_survey, finding.after_survey):
        if id_ is not None and id_ not in surveys:
            surveys[id_] = repositories.surveys.get(session, id_)
    seen = repositories.candidates.where(session, CandidateRow.finding_id == finding.id)
    pairs = [(repositories.comparisons.get(session, c.comparison_id), c) for c in seen]
    comparison, last = max(pairs, key=lambda p: p[0].made_at) if pairs else (None, None)
    labels = tuple((la, registry.entries.get(session, la.entry_id)) for la in registry.labels_of(session, finding.id))
    case = repositories.case_of(session, finding.id)
    return Plot(
        finding=finding,
        area=area,
        seen=last,
        comparison=comparison,
        before=surveys.get(finding.before_survey or ""),
        after=surveys.get(finding.after_survey or ""),
        labels=labels,
        permit=_nearest_permit(session, area, finding),
        earlier=_earlier(session, area, finding),
        evidence=repositories.evidence_of(session, "finding", finding.id),
        case=(case.number, texts.STATES[case.state]["zh"]) if case else None,
        reviewer=names.get(finding.decided_by or "", finding.decided_by or ""),
    )


def _around(finding: Finding, degrees: float) -> tuple[float, float, float, float]:
    west, south, east, north = finding.outline_wgs84.bounds
    return west - degrees, south - degrees, east + degrees, north + degrees


def _nearest_permit(session: Session, area: Area, finding: Finding) -> tuple[str, float] | None:
    """The nearest permit within half a kilometre, in force or not, and its distance in metres."""
    here = area.frame.to_metres(finding.outline_wgs84)
    near = registry.in_force(session, _around(finding, _NEAR_DEG))
    away = [(here.distance(area.frame.to_metres(e.outline)), e.number) for e in near if EntryKind(e.kind).is_permit]
    return (min(away)[1], float(min(away)[0])) if away else None


def _earlier(session: Session, area: Area, finding: Finding) -> tuple[str, ...]:
    wanted = repositories.CaseFilter(area_id=finding.area_id, box=finding.outline_wgs84.bounds)
    found, _ = repositories.search_findings(session, wanted, limit=200)
    here = area.frame.to_metres(finding.outline_wgs84)
    numbers = []
    for other in sorted(found, key=lambda f: f.number):
        there = area.frame.to_metres(other.outline_wgs84)
        before = other.number < finding.number and other.found_at <= finding.found_at
        if before and here.intersection(there).area > _SPOT * min(here.area, there.area):
            numbers.append(other.number)
    return tuple(numbers)
