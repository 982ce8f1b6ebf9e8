"""From a folder of photos, or a finished orthophoto, to a survey in the store.

A survey is built in a folder of its own under `building/`, named after what goes in, so that a build that was killed is taken up
again; it is renamed into place when it is whole, and only the row written last makes it visible. A large one is built by many
workers at once, who share that folder: the home folder must be one file system, at the same path for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from geo.progress import Progress, silent
from imagery import sharing, workfiles
from imagery import survey as surveys
from imagery.control import Control
from imagery.errors import ImageryError
from imagery.photos import Photo
from imagery.reasons import Reason
from imagery.sharing import Stage
from imagery.survey import Compression, Survey
from patrol import records, repositories
from patrol.pipeline import groundcontrol, housing, makeup, originals, sorting
from patrol.pipeline.housing import SurveyRefused as SurveyRefused  # noqa: PLC0414 - callers know it from here
from patrol.wiring import Workplace

ORDER = "order"

# Photos, pairs or tiles in one piece of work: so many that reading the block again for each piece does not count.
_RUN = {Stage.FEATURES: 24, Stage.PAIRS: 24, Stage.HEIGHTS: 16, Stage.PICTURES: 16}


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a folder: the survey, and each file or photo that was left out with its reason."""

    survey: records.SurveyRecord
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[Reason, ...] = ()  # what was noticed of the photos as a whole
    again: bool = False  # the same photos had been ingested before


@dataclass(frozen=True, slots=True)
class Order:
    """What a shared survey is made of; kept in its building folder, so that the photos are read and screened once."""

    survey_id: str
    area_id: str
    taken_on: date
    photos: tuple[Photo, ...]
    control: Control | None
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[Reason, ...]
    reference_id: str | None
    flight_id: str | None
    source: str
    compression: Compression


@dataclass(frozen=True, slots=True)
class Share:
    """What of a survey is to be made by whoever has time, before it can go on."""

    survey_id: str
    stage: Stage
    numbers: tuple[int, ...]

    def runs(self) -> tuple[range, ...]:
        """The numbers as runs without gaps, each a piece of work of about half a minute, or an eighth of what there is."""
        most, runs = min(_RUN[self.stage], -(-len(self.numbers) // 8)), list[range]()
        for number in self.numbers:
            if runs and runs[-1].stop == number and len(runs[-1]) < most:
                runs[-1] = range(runs[-1].start, number + 1)
            else:
                runs.append(range(number, number + 1))
        return tuple(runs)


def ingest(
    work: Workplace,
    folder: Path,
    area_id: str,
    taken_on: date,
    *,
    by: str,
    flight_id: str | None = None,
    use: Sequence[str] = (),
    control: Path | None = None,
    checks: Sequence[str] = (),
    completes: str | None = None,
    compression: Compression = "jpeg",
    progress: Progress = silent,
) -> Ingested:
    """Photos of a folder to a survey of an area, registered into the area's reference if it has one.

    `flight_id` names the flight whose log knows the photos' places; `use` what screening may not set aside (see `sorting.sort`).
    `control` is a file of ground control (see `imagery.controlfiles`), by default one that lies among the photos; points named in
    `checks` only measure.
    Photos of a make-up flight are built together with those of the survey that they complete (named, or told by the flight's mission)
    into one new survey; the incomplete one stays as it was. The same photos in another `compression` are another survey.

    Raises SurveyRefused with the reason; nothing that is stored is changed by a failure.
    """
    done = begin(
        work,
        folder,
        area_id,
        taken_on,
        by=by,
        flight_id=flight_id,
        use=use,
        control=control,
        checks=checks,
        completes=completes,
        compression=compression,
        progress=progress,
    )
    assert isinstance(done, Ingested)
    return done


def begin(
    work: Workplace,
    folder: Path,
    area_id: str,
    taken_on: date,
    *,
    by: str,
    flight_id: str | None = None,
    use: Sequence[str] = (),
    control: Path | None = None,
    checks: Sequence[str] = (),
    completes: str | None = None,
    compression: Compression = "jpeg",
    progress: Progress = silent,
    shared: bool = False,
) -> Ingested | Share:
    """As `ingest`; a `shared` survey of `share_photos` or more comes back as what others are to make before `go_on`."""
    with work.database.read() as session:
        area = repositories.areas.get(session, area_id)
        earlier = repositories.surveys_of(session, area_id, accepted=True)
        first = makeup.first_flight(session, area, completes, flight_id)
    if not folder.is_dir():
        raise SurveyRefused(f"{folder}: 没有这个文件夹，请检查路径。 there is no such folder: check the path")
    old = makeup.first_of(work, first) if first is not None else makeup.First()
    try:
        ground = groundcontrol.chosen(control, folder, area, checks, old.control)
        anchored = ground is not None or (bool(earlier) and earlier[0].record.get("block") is not None)
        chosen = sorting.sort(work, folder, area, flight_id=flight_id, use=use, anchored=anchored, progress=progress)
        if ground is not None:
            ground = ground.of(chosen.accepted, old.named)  # by hash from here on: originals are kept under other names
    except (ImageryError, sorting.UnknownUse) as err:
        raise SurveyRefused(str(err)) from err
    left_out = chosen.left_out
    refusal = chosen.screening.refusal
    if refusal is not None:
        raise SurveyRefused(f"{folder}: {refusal.text}")
    if not chosen.accepted:
        raise SurveyRefused(f"{folder}: {_none_of(left_out)}")
    every = {p.sha256 for p in (*old.photos, *chosen.accepted)}
    survey_id = housing.id_of(area, taken_on, [*every, *chosen.believed, *([ground.fingerprint] if ground else [])], compression)
    with work.database.read() as session:
        there = repositories.surveys.find(session, survey_id)
    if there is not None:
        return Ingested(there, left_out, chosen.notes, again=True)
    building = housing.room(work, survey_id, housing.needed_bytes((*old.photos, *chosen.accepted), area))
    try:
        chosen.keep(building, old.photos)
        if ground is not None:
            groundcontrol.keep(building, ground)
        photos = old.joined(originals.keep(work, area, taken_on, chosen.accepted, progress))
    except ImageryError as err:
        raise SurveyRefused(f"{folder}: {err}") from err
    except OSError as err:
        raise SurveyRefused(housing.trouble(err, building)) from err
    reference = _reference(work, earlier, survey_id)
    reference_id = reference.id if reference is not None else None
    order = Order(
        survey_id, area_id, taken_on, photos, ground, left_out, chosen.notes, reference_id, flight_id, str(folder), compression
    )
    if shared and len(photos) >= work.settings.share_photos:
        workfiles.keep(building / ORDER, order)
        return go_on(work, survey_id, by=by, progress=progress)
    return _built(work, order, building, by=by, progress=progress)


def go_on(work: Workplace, survey_id: str, *, by: str, progress: Progress = silent) -> Ingested | Share:
    """A shared survey onwards from the pieces that are there; raises SurveyRefused."""
    with work.database.read() as session:
        there = repositories.surveys.find(session, survey_id)
    if there is not None:
        return Ingested(there, (), (), again=True)
    building = housing.building_of(work, survey_id)
    if not (building / ORDER).exists() and (housing.place_of(work, survey_id) / ORDER).exists():
        building = housing.place_of(work, survey_id)  # an earlier run was killed between the rename and the row
    try:
        return _built(work, _order(building), building, by=by, progress=progress, shared=True)
    except sharing.Away as away:
        return Share(survey_id, away.stage, away.numbers)


def make_piece(work: Workplace, survey_id: str, stage: str, start: int, stop: int, *, progress: Progress = silent) -> None:
    """Pieces `start` to `stop` of a stage of a shared survey; raises SurveyRefused."""
    building = housing.building_of(work, survey_id)
    order = _order(building)
    reference = _record(work, order.reference_id)
    try:
        sharing.make(
            Stage(stage),
            range(start, stop),
            building,
            photos=order.photos,
            reconstructor=work.reconstructor(),
            reference=reference.block if reference is not None else None,
            progress=progress,
        )
    except ImageryError as err:
        raise SurveyRefused(f"{order.source}: {err}") from err
    except OSError as err:
        raise SurveyRefused(housing.trouble(err, building)) from err


def _built(
    work: Workplace, order: Order, building: Path, *, by: str, progress: Progress = silent, shared: bool = False
) -> Ingested:
    with work.database.read() as session:
        area = repositories.areas.get(session, order.area_id)
    try:
        survey = surveys.build(
            order.photos,
            area,
            order.taken_on,
            building,
            survey_id=order.survey_id,
            reference=_record(work, order.reference_id),
            control=order.control,
            compression=order.compression,
            reconstructor=work.reconstructor(),
            shared=shared,
            progress=progress,
        )
    except ImageryError as err:
        raise SurveyRefused(f"{order.source}: {err}") from err
    except OSError as err:
        raise SurveyRefused(housing.trouble(err, building)) from err
    stored = housing.put_in_place(work, area, survey, building, by=by, flight_id=order.flight_id, photos=order.photos)
    (housing.place_of(work, order.survey_id) / ORDER).unlink(missing_ok=True)
    return Ingested(stored, order.left_out, order.notes)


def adopt(
    work: Workplace,
    ortho: Path,
    area_id: str,
    taken_on: date,
    *,
    by: str,
    surface: Path | None = None,
    gsd_m: float | None = None,
    compression: Compression = "jpeg",
    progress: Progress = silent,
) -> records.SurveyRecord:
    """A finished orthophoto of any program to a survey of an area, registered to the area's reference."""
    with work.database.read() as session:
        area = repositories.areas.get(session, area_id)
        earlier = repositories.surveys_of(session, area_id, accepted=True)
    given = [path for path in (ortho, surface) if path is not None]
    for path in given:
        if not path.is_file():
            raise SurveyRefused(f"{path}: 没有这个文件，请检查路径。 there is no such file: check the path")
    survey_id = housing.id_of(area, taken_on, (housing.sha256_of(path) for path in given), compression)
    with work.database.read() as session:
        there = repositories.surveys.find(session, survey_id)
    if there is not None:
        return there
    building = housing.room(work, survey_id, int(housing.ORTHO_FACTOR * sum(path.stat().st_size for path in given)))
    try:
        survey = surveys.adopt(
            ortho,
            surface,
            area,
            taken_on,
            building,
            survey_id=survey_id,
            reference=_reference(work, earlier, survey_id),
            gsd_m=gsd_m,
            compression=compression,
            progress=progress,
        )
    except ImageryError as err:
        named = any(path.name in str(err) for path in given)
        raise SurveyRefused(str(err) if named else f"{ortho}: {err}") from err
    except OSError as err:
        raise SurveyRefused(housing.trouble(err, building)) from err
    return housing.put_in_place(work, area, survey, building, by=by, flight_id=None)


def load_survey(work: Workplace, record: records.SurveyRecord) -> Survey:
    """Imagery's survey of a record."""
    return Survey.load(work.settings.home / record.folder)


def _reference(work: Workplace, earlier: Sequence[records.SurveyRecord], survey_id: str) -> Survey | None:
    # The area's first accepted survey stays the reference of all later ones: errors do not add up from month to month.
    first = next((record for record in earlier if record.id != survey_id), None)
    return load_survey(work, first) if first else None


def _record(work: Workplace, survey_id: str | None) -> Survey | None:
    if survey_id is None:
        return None
    with work.database.read() as session:
        return load_survey(work, repositories.surveys.get(session, survey_id))


def _order(building: Path) -> Order:
    try:
        order = workfiles.load(building / ORDER)
    except ImageryError as err:
        raise SurveyRefused(
            f"{building}: 本期的构建记录已不在，请重新入库这些照片。 "
            f"what the survey is made of is not there any more ({err}): ingest its photos again"
        ) from err
    assert isinstance(order, Order)
    return order


def _none_of(left_out: Sequence[tuple[str, str]]) -> str:
    """Every kind of reason once, by its first file."""
    kinds = {why: name for name, why in reversed(left_out)}
    some = "; ".join(f"{name}: {why}" for why, name in list(kinds.items())[::-1][:3])
    return f"{len(left_out)} 个文件都不能用，请核对文件夹和下列原因。 None of {len(left_out)} files can be used: {some}"
