"""Routes of the airspace: the zones in force, the editions they come from, a file looked at and taken, and files given out."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from airspace.classes import CLASS_TEXT
from airspace.differences import ASPECT_TEXT, Change
from airspace.formats.opened import MOST_BYTES
from airspace.formats.table import SUFFIXES
from airspace.zones import Zone, ZoneKind
from geo.heights import Height
from patrol import airspaces, records
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import AirKeeper, Exporter, Viewer, Work
from patrol.api.incoming import BODY, plain_name, received
from patrol.pipeline import zoning
from patrol.wiring import Workplace

router = APIRouter(prefix="/api", tags=["zones"])
MOST_SHOWN = 500


class HeightOut(wire.Wire):
    """A height over the ground below, over the sea, or over the ellipsoid."""

    metres: float
    datum: Literal["ground", "sea_level", "ellipsoid"]


class ZonePartOut(wire.Wire):
    """One piece of a zone's air."""

    outline: wire.Geometry
    floor: HeightOut
    ceiling: HeightOut


class ZoneOut(wire.Wire):
    """空域: air with rules. `article` and `article_text` say which item of Art. 19 closes it."""

    id: str
    name: str
    kind: Literal["suitable", "controlled", "prohibited", "restricted", "temporary"]
    parts: list[ZonePartOut]
    article_class: str | None
    article: str | None
    article_text: wire.Text2 | None
    buffer_m: float
    timed: bool
    authority: str
    version: str
    synthetic: bool


class ZoneNote(wire.Wire):
    """What was guessed, mended or noticed on the way in."""

    code: str
    text: wire.Text2


class ZoneVersionOut(wire.Wire):
    """空域数据版本: one edition of a source. `changes` counts zones added, removed, changed and same against the one before."""

    id: str
    source: str
    number: int
    file_name: str
    format: str
    sha256: str
    datum: str
    guessed: bool
    authority: str
    edition: str
    classification: str
    valid_from: datetime | None
    valid_until: datetime | None
    zones: int
    kinds: dict[str, int]
    changes: dict[str, int]
    notes: list[ZoneNote]
    state: Literal["current", "replaced", "withdrawn"]
    ends_at: datetime | None
    replaced_by: str | None
    said: str
    imported_by: str
    imported_at: datetime


class ZoneChangeOut(wire.Wire):
    """One zone that is new, gone or not the same; `aspects` say in what it differs."""

    what: Literal["added", "removed", "changed"]
    aspects: list[wire.Text2]
    moved_m: float
    before: ZoneOut | None
    after: ZoneOut | None


class ZoneHitOut(wire.Wire):
    """Something planned that a change touches. `exported` when the mission's file has been handed out."""

    what: Literal["mission", "sortie", "area"]
    id: str
    name: str
    zones: list[str]
    day: date | None
    exported: bool


class ZoneReviewOut(wire.Wire):
    """A file as it would be taken. `seen` is what the acceptance must name: the version it was compared with."""

    name: str
    source: str
    format: str
    datum: str
    guessed: bool
    notes: list[ZoneNote]
    zones: int
    kinds: dict[str, int]
    authority: str
    edition: str
    valid_from: datetime | None
    valid_until: datetime | None
    before: ZoneVersionOut | None
    seen: str
    counts: dict[str, int]
    changes: list[ZoneChangeOut]
    changes_left_out: int
    hits: list[ZoneHitOut]


class ZoneMove(wire.Wire):
    """Withdraw a version, or make it current again."""

    state: Literal["current", "withdrawn"]
    reason: str = Field(min_length=2, max_length=2000)


def zone_out(zone: Zone) -> ZoneOut:
    """A zone on the wire."""
    said = CLASS_TEXT[zone.article_class] if zone.article_class else None
    return ZoneOut(
        id=zone.id,
        name=zone.name,
        kind=zone.kind.value,
        parts=[
            ZonePartOut(outline=rim.geometry(p.outline), floor=_height(p.floor), ceiling=_height(p.ceiling)) for p in zone.parts
        ],
        article_class=zone.article_class.value if zone.article_class else None,
        article=said.article if said else None,
        article_text=wire.Text2(zh=said.short_zh, en=said.short_en) if said else None,
        buffer_m=zone.buffer_m,
        timed=bool(zone.spans or zone.windows or zone.valid_from or zone.valid_until),
        authority=zone.authority,
        version=zone.version,
        synthetic=zone.synthetic,
    )


def _height(height: Height) -> HeightOut:
    return HeightOut(metres=height.metres, datum=height.datum.value)


@router.get("/zones", operation_id="list_zones")
def list_zones(work: Work, _: Viewer) -> list[ZoneOut]:
    """All zones in force."""
    with work.database.read() as session:
        return [zone_out(zone) for zone in airspaces.in_force(session)]


def _version(value: records.ZoneVersion) -> ZoneVersionOut:
    given = {name: getattr(value, name) for name in ZoneVersionOut.model_fields if name != "notes"}
    notes = [ZoneNote(code=n.code, text=wire.Text2(zh=n.zh, en=n.en)) for n in value.notes]
    return ZoneVersionOut(**{**given, "state": value.state.value}, notes=notes)


def _change(change: Change) -> ZoneChangeOut:
    aspects = [wire.Text2(zh=zh, en=en) for zh, en in (ASPECT_TEXT[a] for a in change.aspects)]
    before, after = (zone_out(z) if z else None for z in (change.before, change.after))
    return ZoneChangeOut(what=change.what, aspects=aspects, moved_m=round(change.moved_m, 1), before=before, after=after)


def _review(seen: zoning.Review) -> ZoneReviewOut:
    file, changes = seen.file, seen.differences.changes
    kinds: dict[str, int] = {}
    for zone in file.zones:
        kinds[zone.kind.value] = kinds.get(zone.kind.value, 0) + 1
    return ZoneReviewOut(
        name=file.name,
        source=seen.source,
        format=file.format,
        datum=file.datum,
        guessed=file.guessed,
        notes=[ZoneNote(code=n.code, text=wire.Text2(zh=n.zh, en=n.en)) for n in file.notes],
        zones=len(file.zones),
        kinds=kinds,
        authority=file.authority,
        edition=file.edition,
        valid_from=file.valid_from,
        valid_until=file.valid_until,
        before=_version(seen.before) if seen.before else None,
        seen=seen.before.id if seen.before else NOTHING,
        counts=seen.differences.counts,
        changes=[_change(c) for c in changes[:MOST_SHOWN]],
        changes_left_out=max(0, len(changes) - MOST_SHOWN),
        hits=[
            ZoneHitOut(what=h.what, id=h.id, name=h.name, zones=list(h.zones), day=h.day, exported=h.exported) for h in seen.hits
        ],
    )


NOTHING = "none"
Name = Annotated[str, Query(max_length=200, description="the file's own name; its suffix says the format")]
Source = Annotated[str | None, Query(max_length=200, description="the series; its current version is compared with and replaced")]
Datum = Annotated[str | None, Query(max_length=50, description="wgs84, cgcs2000, gcj02, bd09, EPSG:4549")]
Kind = Annotated[
    Literal["suitable", "controlled", "prohibited", "restricted", "temporary"] | None,
    Query(description="what all its zones are, where it does not say"),
]
Layer = Annotated[str | None, Query(max_length=200, description="layer of a GeoPackage with several")]


async def _seen(
    request: Request, work: Workplace, name: str, source: str | None, datum: str | None, kind: str | None, layer: str | None
) -> zoning.Review:
    plain = plain_name(name)
    if Path(plain).suffix.lower() not in SUFFIXES or Path(plain).suffix.lower() == ".shp":
        taken = [s for s in SUFFIXES if s != ".shp"]
        raise rim.Problem(
            422,
            "zones",
            f"{plain}：请上传 {'、'.join(taken)}；Shapefile 请把 .shp、.shx、.dbf、.prj 打包为 .zip。",
            f"{plain}: send one of {', '.join(taken)}; a Shapefile as .zip of .shp, .shx, .dbf and .prj.",
        )
    async with received(request, work, plain, most_bytes=MOST_BYTES, instead="patrol zone import") as path:
        return await run_in_threadpool(
            zoning.review, work, path, name=plain, source=source, datum=datum, kind=ZoneKind(kind) if kind else None, layer=layer
        )


@router.post("/zones/review", operation_id="review_zones", openapi_extra=BODY)
async def review_zones(
    request: Request,
    work: Work,
    _: AirKeeper,
    name: Name,
    source: Source = None,
    datum: Datum = None,
    kind: Kind = None,
    layer: Layer = None,
) -> ZoneReviewOut:
    """A file looked at: its datum, what changes against the current version, what that hits. Nothing is stored; the body is the file."""
    return _review(await _seen(request, work, name, source, datum, kind, layer))


@router.post("/zones/versions", operation_id="import_zones", openapi_extra=BODY)
async def import_zones(
    request: Request,
    work: Work,
    user: AirKeeper,
    name: Name,
    seen: Annotated[str, Query(max_length=64, description="`seen` of the review: the version it was compared with")],
    source: Source = None,
    datum: Datum = None,
    kind: Kind = None,
    layer: Layer = None,
    authority: Annotated[str, Query(max_length=200)] = "",
    edition: Annotated[str, Query(max_length=200)] = "",
    classification: Annotated[str, Query(max_length=50)] = "internal",
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> ZoneVersionOut:
    """A file that was looked at becomes the current version of its source, whole or not at all; the body is the file again."""
    found = await _seen(request, work, name, source, datum, kind, layer)
    if seen != (found.before.id if found.before else NOTHING):
        raise rim.Problem(
            409,
            "zones_changed",
            "在此期间已有新版本，请重新查看差异。",
            "there is another version in the meantime: look at the changes anew.",
        )
    terms = zoning.Terms(authority, edition, classification, valid_from, valid_until)
    return _version(await run_in_threadpool(zoning.accept, work, found, terms, by=user.id))


@router.get("/zones/versions", operation_id="list_zone_versions")
def list_zone_versions(
    work: Work, _: Viewer, state: Literal["current", "replaced", "withdrawn"] | None = None
) -> list[ZoneVersionOut]:
    """Versions, by source and the newest first."""
    with work.database.read() as session:
        found = airspaces.versions_of(session, state=records.VersionState(state) if state else None)
    return [_version(v) for v in found]


@router.get("/zones/versions/{version_id}/zones", operation_id="zones_of_version")
def zones_of_version(version_id: str, work: Work, _: Viewer) -> list[ZoneOut]:
    """The zones of one version as its file had them."""
    with work.database.read() as session:
        airspaces.versions.get(session, version_id)
        return [zone_out(zone) for zone in airspaces.zones_of(session, version_id)]


@router.post("/zones/versions/{version_id}/state", operation_id="move_zones")
def move_zones(version_id: str, body: ZoneMove, work: Work, user: AirKeeper) -> ZoneVersionOut:
    """Withdraw a version, or make an earlier one current again; nothing is deleted."""
    act = zoning.withdraw if body.state == "withdrawn" else zoning.put_back
    return _version(act(work, version_id, by=user.id, reason=body.reason))


@router.get("/zones/export/{form}", operation_id="export_zones", response_class=Response)
def export_zones(
    form: Literal["geojson", "ed269", "ed318", "kml", "gpkg"], work: Work, user: Exporter, source: Source = None
) -> Response:
    """The zones in force as a file, WGS 84."""
    made = zoning.write(work, form, by=user.id, source=source)
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
    return Response(made.content, media_type=made.media_type, headers=headers)
