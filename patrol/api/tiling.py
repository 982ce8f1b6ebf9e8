"""Routes of map tiles: a browser keeps what it fetched under the version that is there now, and asks again for anything else."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from patrol import repositories, tiles
from patrol.api import rim
from patrol.api.desk import Viewer, Work
from patrol.tileversions import height_version, version

router = APIRouter(prefix="/api", tags=["tiles"])

CHECKED = "private, no-cache"
KEPT = "private, max-age=86400, immutable"  # a day: what a browser keeps of a place is not for ever


@router.get("/tiles/{survey_id}/{asset}/{z}/{x}/{y}", operation_id="tile", response_class=Response)
def tile(
    survey_id: str, asset: str, z: int, x: int, y: int, request: Request, work: Work, _: Viewer, v: str | None = None
) -> Response:
    """A map tile of a survey's ortho or surface; 204 where it holds nothing. Kept by the browser only under the present version."""
    with work.database.read() as session:
        survey = repositories.surveys.get(session, survey_id)
    found, current = survey.asset(asset), version(survey, asset)
    if found is None or current is None:
        raise rim.Problem(404, "no_asset", f"该期成果没有{asset}。", f"This survey has no {asset}.")
    path = work.settings.home / survey.folder / found.path
    headers = _headers(v, current)
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    try:
        picture = (
            tiles.ortho_tile(path, z, x, y)
            if asset == "ortho"
            else tiles.surface_tile(path, z, x, y, *tiles.height_range(path, current))
        )
    except tiles.Outside:
        return Response(status_code=204, headers=headers)
    return Response(picture, media_type="image/webp", headers=headers)


@router.get("/comparisons/{comparison_id}/height/{z}/{x}/{y}", operation_id="height_tile", response_class=Response)
def height_tile(
    comparison_id: str, z: int, x: int, y: int, request: Request, work: Work, _: Viewer, v: str | None = None
) -> Response:
    """A map tile of the height gained and lost; 204 where there is none."""
    with work.database.read() as session:
        pair = repositories.comparisons.get(session, comparison_id)
        surveys = [repositories.surveys.get(session, i) for i in (pair.before_id, pair.after_id)]
    current = height_version(pair, surveys)
    if current is None:
        return Response(status_code=204, headers={"Cache-Control": CHECKED})
    headers = _headers(v, current)
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    files = [work.settings.home / s.folder / a.path for s in surveys if (a := s.asset("surface")) is not None]
    try:
        picture = tiles.height_tile(files[0], files[1], z, x, y, float(pair.record.get("up_m", 0.0)))
    except tiles.Outside:
        return Response(status_code=204, headers=headers)
    return Response(picture, media_type="image/png", headers=headers)


def _headers(asked: str | None, current: str) -> dict[str, str]:
    """An address of another version, or of none, shows what is there now and is asked for again each time."""
    return {"Cache-Control": KEPT if asked == current else CHECKED, "ETag": f'"{current}"'}
