"""Routes of the register: files in as versions, their entries, and what they say of a finding."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from change_detect.corridor import station
from change_detect.register import ENTRY_TEXT, EntryKind
from patrol import records, registry, repositories
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import Registrar, Viewer, Work
from patrol.api.incoming import BODY, plain_name, received
from patrol.pipeline import overlaying, registering, watching
from patrol.registerfile import FORMATS

router = APIRouter(prefix="/api", tags=["register"])
MOST_BYTES = 300_000_000


class RegisterNote(wire.Wire):
    """What was guessed or mended on the way in."""

    code: str
    text: wire.Text2


class RegisterVersionOut(wire.Wire):
    """一次导入: a version of a source. `changes` counts entries new, gone, changed and same against the version before."""

    id: str
    source: str
    number: int
    file_name: str
    sha256: str
    datum: str
    guessed: bool
    entries: int
    kinds: dict[str, int]
    changes: dict[str, int]
    notes: list[RegisterNote]
    state: Literal["current", "replaced", "withdrawn"]
    replaced_by: str | None
    said: str
    imported_by: str
    imported_at: datetime


class RegisterEntryOut(wire.Wire):
    """One permit, parcel, site, ledger entry or corridor (its outline is the outer width), WGS 84."""

    id: str
    number: str
    kind: str
    kind_text: wire.Text2
    name: str
    holder: str
    area_limit_m2: float | None
    height_limit_m: float | None
    valid_from: date | None
    valid_to: date | None
    outline: wire.Geometry


class FindingLabelOut(wire.Wire):
    """What an entry says of a finding; `held` when the finding is held back for it."""

    entry_id: str
    number: str
    kind: str
    kind_text: wire.Text2
    share: float
    in_force: bool
    excess_area_m2: float
    excess_height_m: float
    text: wire.Text2
    held: str | None
    judged_on: date
    source: str
    version: int
    version_state: Literal["current", "replaced", "withdrawn"]


class CorridorOut(wire.Wire):
    """管道保护带: a pipeline's axis with its bands, WGS 84, and whom to call."""

    id: str
    number: str
    name: str
    holder: str
    contact: str
    inner_m: float
    outer_m: float
    start: str
    valid_from: date | None
    valid_to: date | None
    axis: wire.Geometry
    inner: wire.Geometry
    outer: wire.Geometry


class RegisterMove(wire.Wire):
    """Withdraw a version, or make it current again."""

    state: Literal["current", "withdrawn"]
    reason: str = Field(min_length=2, max_length=2000)


class RelabelOut(wire.Wire):
    """What today's register changes: numbers of the findings held back now, and of those back in triage."""

    looked_at: int
    held: list[str]
    back: list[str]


def _out(value: records.RegisterVersion) -> RegisterVersionOut:
    given = {name: getattr(value, name) for name in RegisterVersionOut.model_fields if name != "notes"}
    notes = [RegisterNote(code=n.code, text=wire.Text2(zh=n.zh, en=n.en)) for n in value.notes]
    return RegisterVersionOut(**{**given, "state": value.state.value}, notes=notes)


def _kind_text(kind: str) -> wire.Text2:
    zh, en = ENTRY_TEXT[EntryKind(kind)]
    return wire.Text2(zh=zh, en=en)


@router.get("/register", operation_id="list_register")
def list_register(
    work: Work, _: Viewer, state: Literal["current", "replaced", "withdrawn"] | None = None
) -> list[RegisterVersionOut]:
    """Versions, by source and the newest first."""
    with work.database.read() as session:
        found = registry.versions_of(session, state=records.VersionState(state) if state else None)
    return [_out(v) for v in found]


@router.post("/register", operation_id="import_register", openapi_extra=BODY)
async def import_register(
    request: Request,
    work: Work,
    user: Registrar,
    name: Annotated[str, Query(max_length=200, description="the file's own name: .gpkg, .geojson, .kml, or .zip of a Shapefile")],
    source: Annotated[str | None, Query(max_length=200, description="the version before it in this source is replaced")] = None,
    kind: Annotated[str | None, Query(max_length=50, description="what the whole file holds, without a column for it")] = None,
    datum: Annotated[str | None, Query(max_length=50, description="wgs84, cgcs2000, gcj02, bd09, EPSG:4549")] = None,
    layer: Annotated[str | None, Query(max_length=200)] = None,
) -> RegisterVersionOut:
    """A file as the new version of its source, whole or not at all; the body is the file."""
    plain = plain_name(name)
    suffix = Path(plain).suffix.lower()
    if suffix not in {*FORMATS, ".zip"} or suffix == ".shp":
        raise rim.Problem(
            422,
            "register",
            f"{plain}：请上传 .gpkg、.geojson、.kml，或包含 .shp/.shx/.dbf/.prj 的 .zip。",
            f"{plain}: send .gpkg, .geojson, .kml, or a .zip with .shp, .shx, .dbf and .prj.",
        )
    async with received(request, work, plain, most_bytes=MOST_BYTES, instead="patrol register import") as path:
        made = await run_in_threadpool(
            registering.import_file,
            work,
            path,
            by=user.id,
            name=plain,
            source=source,
            kind=kind,
            datum=datum,
            layer=layer,
        )
    return _out(made)


@router.get("/register/{version_id}/entries", operation_id="register_entries")
def register_entries(
    version_id: str,
    work: Work,
    _: Viewer,
    limit: Annotated[int, Query(ge=1, le=2000)] = 500,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[RegisterEntryOut]:
    """Entries of a version, by number."""
    with work.database.read() as session:
        registry.versions.get(session, version_id)
        found = registry.entries_of(session, version_id, limit=limit, offset=offset)
    names = set(RegisterEntryOut.model_fields) - {"kind_text", "outline"}
    return [
        RegisterEntryOut(**{n: getattr(e, n) for n in names}, kind_text=_kind_text(e.kind), outline=rim.geometry(e.outline))
        for e in found
    ]


@router.post("/register/{version_id}/state", operation_id="move_register")
def move_register(version_id: str, body: RegisterMove, work: Work, user: Registrar) -> RegisterVersionOut:
    """Withdraw a version, or make an earlier one current again; nothing is deleted."""
    act = registering.withdraw if body.state == "withdrawn" else registering.put_back
    return _out(act(work, version_id, by=user.id, reason=body.reason))


@router.post("/areas/{area_id}/relabel", operation_id="relabel")
def relabel(area_id: str, work: Work, user: Registrar) -> RelabelOut:
    """Look at an area's open findings again under the register of today."""
    done = overlaying.relabel(work, area_id, by=user.id)
    return RelabelOut(looked_at=done.looked_at, held=list(done.held), back=list(done.back))


@router.get("/areas/{area_id}/corridors", operation_id="list_corridors")
def list_corridors(area_id: str, work: Work, _: Viewer) -> list[CorridorOut]:
    """Corridors of pipelines that touch an area, in the current versions of the register."""
    with work.database.read() as session:
        area = repositories.areas.get(session, area_id)
        found = watching.corridors_of(session, area)
    return [
        CorridorOut(
            id=c.ref,
            number=c.id,
            name=c.name,
            holder=c.holder,
            contact=c.contact,
            inner_m=c.inner_m,
            outer_m=c.outer_m,
            start=station(c.start_m),
            valid_from=c.valid_from,
            valid_to=c.valid_to,
            axis=rim.geometry(area.frame.to_degrees(c.axis)),
            inner=rim.geometry(area.frame.to_degrees(c.axis.buffer(c.inner_m, quad_segs=4))),
            outer=rim.geometry(area.frame.to_degrees(c.axis.buffer(c.outer_m, quad_segs=4))),
        )
        for c in found
    ]


@router.get("/findings/{finding_id}/register", operation_id="finding_register")
def finding_register(finding_id: str, work: Work, _: Viewer) -> list[FindingLabelOut]:
    """What the register says of a finding, the largest share first, and by which version."""
    with work.database.read() as session:
        repositories.findings.get(session, finding_id)
        out = []
        for label in registry.labels_of(session, finding_id):
            entry = registry.entries.get(session, label.entry_id)
            version = registry.versions.get(session, entry.version_id)
            names = ("entry_id", "kind", "share", "in_force", "excess_area_m2", "excess_height_m", "held", "judged_on")
            out.append(
                FindingLabelOut(
                    **{n: getattr(label, n) for n in names},
                    number=entry.number,
                    kind_text=_kind_text(label.kind),
                    text=wire.Text2(zh=label.zh, en=label.en),
                    source=version.source,
                    version=version.number,
                    version_state=version.state.value,
                )
            )
    return out
