"""The command line of keeping and giving: `patrol export`, `patrol mask`, `patrol retention`, `patrol catalogue`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from patrol import terminal
from patrol.commands.shell import BY, Json, opened
from patrol.terminal import complain, say, table

export_app = typer.Typer(help="对外提供 exports", no_args_is_help=True)
mask_app = typer.Typer(help="遮蔽区 masks", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="what it is for; it goes on record")]


@export_app.command("cloud")
def export_cloud(
    survey: Annotated[str, typer.Argument(help="id of the survey")],
    out: Annotated[Path | None, typer.Option(help="copy the LAZ file here")] = None,
    every: Annotated[int, typer.Option(min=1, help="take every n-th cell of every n-th row")] = 1,
    reason: Reason = "",
    json_: Json = False,
) -> None:
    """A survey's surface as a point cloud (LAZ), coloured, measured and bridged points told apart."""
    import shutil

    from patrol.pipeline import exporting

    with opened() as work, terminal.bar(json_) as progress:
        done = exporting.point_cloud(work, survey, by=BY, every=every, reason=reason, progress=progress)
    if isinstance(done, exporting.ExportRefused):
        _refused(done, json_)
    path = done[1]
    if out is not None:
        shutil.copyfile(path, out)
        path = out
    size = path.stat().st_size
    say({"survey": survey, "path": path, "size_bytes": size}, as_json=json_, table=f"{path}: {size / 1e6:.1f} MB")


@export_app.command("survey")
def export_survey(
    survey: Annotated[str, typer.Argument(help="id of the survey")],
    out: Annotated[Path, typer.Option(help="folder that does not exist yet")],
    reason: Reason = "",
    json_: Json = False,
) -> None:
    """A survey's files with their STAC item, as a folder that QGIS and other programs open."""
    import shutil

    from patrol import repositories
    from patrol.pipeline import cataloguing, exporting

    if out.exists():
        raise typer.BadParameter(f"{out} is there already; name a new folder")
    with opened() as work:
        leave = exporting.take(work, survey, "folder", by=BY, reason=reason)
        if isinstance(leave, exporting.ExportRefused):
            _refused(leave, json_)
        with work.database.read() as session:
            record = repositories.surveys.get(session, survey)
        folder = work.settings.home / record.folder
        cataloguing.write_item(work, record)
        out.mkdir(parents=True)
        for asset in record.assets:
            (out / asset.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / asset.path, out / asset.path)
        shutil.copyfile(folder / cataloguing.ITEM, out / cataloguing.ITEM)
    say({"survey": survey, "folder": out, "files": len(record.assets) + 1}, as_json=json_, table=f"{out}")


@export_app.command("photo")
def export_photo(
    photo: Annotated[Path, typer.Argument(help="a picture: of a recon flight, of an officer")],
    out: Annotated[Path, typer.Argument(help="where the picture that may leave is written (JPEG)")],
    to: Annotated[str, typer.Option(help="name in the watermark")],
    gsd_m: Annotated[float | None, typer.Option(help="metres per pixel, where known")] = None,
    json_: Json = False,
) -> None:
    """A picture fit to hand out: faces and plates blurred, no EXIF, watermark, a line in the access log."""
    from patrol.pipeline import publishing

    with opened() as work:
        done = publishing.photo(work, photo, by=BY, name=to, gsd_m=gsd_m)
    out.write_bytes(done.jpeg)
    told = {"path": out, "faces": done.faces, "plates": done.plates, "original": done.original_sha256, "notes": done.notes}
    say(told, as_json=json_, table=f"{out}: 人脸 faces {done.faces}, 车牌 plates {done.plates}\n" + "\n".join(done.notes))


def export_findings(
    out: Annotated[Path, typer.Argument(help="file to write: .gpkg, .geojson, .kml, .xlsx, or .zip of a Shapefile")],
    area: Annotated[str | None, typer.Option(help="id of an area")] = None,
    state: Annotated[str | None, typer.Option(help="triage,confirmed,…; default: all")] = None,
    finding: Annotated[list[str] | None, typer.Option(help="id of a finding; may be repeated")] = None,
    crs: Annotated[int, typer.Option(help="EPSG of GeoPackage and Shapefile: 4490, or a zone such as 4549")] = 4490,
    encoding: Annotated[str, typer.Option(help="of a Shapefile: utf-8 or gbk")] = "utf-8",
    reason: Reason = "",
    json_: Json = False,
) -> None:
    """Findings (图斑) with all their attributes as a map file or a table; logged, with a second person where one is needed."""
    from patrol import repositories
    from patrol.pipeline import exporting, handing, mapfiles

    forms = {form.suffix: name for name, form in mapfiles.FORMS.items()}
    form = forms.get(out.suffix.lower())
    if form is None:
        raise typer.BadParameter(f"{out.name}: give it one of the suffixes {', '.join(forms)}")
    wanted = repositories.CaseFilter(states=tuple(s for s in (state or "").split(",") if s), area_id=area)
    ids = tuple(finding or ())
    with opened() as work:
        done = handing.findings(work, wanted, form, by=BY, reason=reason, epsg=crs, encoding=encoding, ids=ids)
    if isinstance(done, exporting.ExportRefused):
        _refused(done, json_)
    part = out.with_name(f".{out.name}.part")
    part.write_bytes(done.content)
    part.replace(out)
    told = {"path": out, "count": done.count, "sha256": done.sha256}
    say(told, as_json=json_, table=f"{out}: {done.count} 个图斑 findings, {len(done.content) / 1e3:.0f} kB")


@export_app.command("list")
def export_list(state: Annotated[str | None, typer.Option()] = None, json_: Json = False) -> None:
    """Requests; whoever may approve decides them on the API, never the one who asked."""
    from patrol import repositories
    from patrol.tables import ExportRow

    asked = [ExportRow.state == state] if state else []
    with opened() as work, work.database.read() as session:
        found = repositories.exports.where(session, *asked, order=(ExportRow.asked_at.desc(),))
    rows = [
        (e.id, e.survey_id, e.classification, f"{e.contiguous_m2 / 1e6:.3f}", e.state, e.asked_by, e.decided_by) for e in found
    ]
    say(
        found, as_json=json_, table=table("对外提供 exports", ("id", "survey", "level", "km²", "state", "asked", "decided"), rows)
    )


@export_app.command("classify")
def export_classify(
    survey: str, level: Annotated[str, typer.Argument(help="public, internal, secret")], json_: Json = False
) -> None:
    """Give a survey another classification level."""
    from patrol.pipeline import exporting

    with opened() as work:
        done = exporting.classify(work, survey, level, by=BY)
    say({"survey": done.id, "classification": done.classification}, as_json=json_, table=f"{done.id}: {done.classification}")


@mask_app.command("import")
def mask_import(
    file: Annotated[Path, typer.Argument(help="GeoJSON polygons with `authority` and `reason`, WGS 84")], json_: Json = False
) -> None:
    """Masks of a file, burnt at once into every survey there is; later surveys are burnt as they are put in place."""
    from patrol.pipeline import masking

    with opened() as work, terminal.bar(json_) as progress:
        made = masking.import_masks(work, masking.read_masks(file), file.name, by=BY)
        burnt = masking.burn_all(work, by=BY, progress=progress)
    rows = [(m.id, m.name, m.kind, m.authority, m.reason) for m in made]
    shown = table("遮蔽区 masks", ("id", "name", "kind", "authority", "reason"), rows)
    say({"masks": made, "burnt": burnt}, as_json=json_, table=shown)


@mask_app.command("list")
def mask_list(json_: Json = False) -> None:
    """All masks."""
    from patrol import repositories

    with opened() as work, work.database.read() as session:
        found = repositories.masks.where(session)
    rows = [(m.id, m.name, m.kind, m.authority, m.reason, f"{m.made_at:%Y-%m-%d}") for m in found]
    say(found, as_json=json_, table=table("遮蔽区 masks", ("id", "name", "kind", "authority", "reason", "since"), rows))


def retention(
    apply: Annotated[bool, typer.Option("--apply/--dry-run", help="let go of what is listed; without it only list")] = False,
    json_: Json = False,
) -> None:
    """What is past its days (config/retention.csv) and needed by nothing; hashes and records of all of it stay."""
    from patrol.pipeline import retaining

    with opened() as work, terminal.bar(json_) as progress:
        found = retaining.apply(work, by=BY, progress=progress) if apply else retaining.due(work)
    rows = [(d.kind, d.subject, f"{d.since:%Y-%m-%d}", d.files, f"{d.size_bytes / 1e6:.1f}") for d in found]
    title = "已清理 let go" if apply else "到期（试运行，未删除） due, nothing deleted"
    say({"applied": apply, "due": found}, as_json=json_, table=table(title, ("class", "subject", "since", "files", "MB"), rows))


def catalogue(json_: Json = False) -> None:
    """Write every survey's STAC item, thumbnail and list of files anew: for surveys that an older version made."""
    from dataclasses import replace

    from imagery.survey import Survey
    from patrol import repositories
    from patrol.pipeline import cataloguing

    done = []
    with opened() as work:
        with work.database.read() as session:
            surveys = repositories.surveys.where(session)
        for record in surveys:
            folder = work.settings.home / record.folder
            survey = Survey.load(folder)
            if not survey.ortho.is_file():
                continue  # retention has let its files go
            cataloguing.make_thumbnail(work, folder, survey)
            renewed = replace(record, assets=tuple(cataloguing.assets(folder, survey)))
            with work.database.write() as session:
                repositories.surveys.put(session, renewed)
            done.append(cataloguing.write_item(work, renewed))
    say({"items": done}, as_json=json_, table="\n".join(map(str, done)) or "—")


def _refused(said: Any, json_: bool) -> NoReturn:
    say({"refused": True, "code": said.code, "article": said.article, "export": said.export_id}, as_json=json_)
    raise typer.Exit(complain(f"{said.zh} {said.article}\n{said.en}"))
