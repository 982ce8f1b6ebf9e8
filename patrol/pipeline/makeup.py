"""Make-up flights: a survey with a gap, and the photos that fill it, become one survey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from geo.area import Area
from imagery.control import Control
from imagery.errors import ImageryError, PhotoError
from imagery.photos import Photo, read_photo
from imagery.reconstruct import Block
from imagery.survey import Survey
from patrol import records, repositories
from patrol.pipeline import groundcontrol, originals, sorting
from patrol.pipeline.housing import SurveyRefused
from patrol.values import ValuesError
from patrol.wiring import Workplace


def first_flight(session: Session, area: Area, completes: str | None, flight_id: str | None) -> records.SurveyRecord | None:
    """The survey that a make-up flight completes: the one named, else the one its mission was planned for; None of a plain flight.

    Raises SurveyRefused for a survey of another area.
    """
    if completes is None and flight_id is not None:
        flight = repositories.flights.find(session, flight_id)
        mission = repositories.missions.find(session, flight.mission_id) if flight is not None and flight.mission_id else None
        completes = mission.record.get("completes") if mission is not None else None
    if completes is None:
        return None
    found = repositories.surveys.get(session, completes)
    if found.area_id != area.id:
        raise SurveyRefused(
            f"成果 {found.id} 不属于单元 {area.name}，请给出这批照片所补的那一期。 "
            f"survey {found.id} is not of area {area.name}: name the survey whose gap these photos fill"
        )
    return found


@dataclass(frozen=True, slots=True)
class First:
    """What a make-up flight completes: photos with their places as side files and the flight's log told them, and the control they had."""

    photos: tuple[Photo, ...] = ()
    control: Control | None = None

    @property
    def named(self) -> tuple[Photo, ...]:
        """The photos under the names they came with, as files of ground control call them."""
        return tuple(replace(p, path=p.path.with_name(originals.own_name(p))) for p in self.photos)

    def joined(self, more: Sequence[Photo]) -> tuple[Photo, ...]:
        """Both flights' photos in order of time, each once."""
        every = {p.sha256: p for p in (*self.photos, *more)}
        return tuple(sorted(every.values(), key=lambda p: (p.taken_at.timestamp() if p.taken_at else 0.0, p.name)))


def first_of(work: Workplace, record: records.SurveyRecord) -> First:
    """The photos that a survey was made of, read again from the kept originals, and its control. Raises SurveyRefused when one is gone."""
    folder = work.settings.home / record.folder
    try:
        survey = Survey.load(folder)
        if survey.block is None:
            raise SurveyRefused(
                f"成果 {record.id} 由现成正射影像入库，没有照片可补。 "
                f"survey {record.id} was taken over as a finished orthophoto: it has no photos to complete"
            )
        block = Block.load(survey.block)
        homes = sorted({view.path.parent for view in block.views})
        paths = [view.path for view in block.views]
        for name, _why in block.stats.unregistered:  # alone they fitted nowhere; beside the new photos they may
            paths += [path for home in homes if (path := home / name).exists()]
        photos = sorting.as_told(folder, [read_photo(path) for path in paths])
        return First(photos, groundcontrol.kept(folder))
    except (ImageryError, ValuesError, OSError) as err:
        zh, en = ("照片", "a photo") if isinstance(err, PhotoError | OSError) else ("部分数据", "a part")
        raise SurveyRefused(
            f"成果 {record.id} 的{zh}已缺失，无法补飞合成，请整片重飞。 "
            f"survey {record.id} cannot be completed, {en} of it is gone ({err}): fly the whole area"
        ) from err
