"""Fly a mission: give it to the vehicle, start it, follow it to the ground, and write down what truly happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flight.errors import LinkError
from flight.flightlog import Ending, FlightLog, Outcome, PhotoEvent, TrackPoint
from flight.link import Notice, VehicleLink, VehicleState
from flight.mission import Mission
from geo.times import Clock

_NAV_END = 95  # MAV_CMD_NAV_LAST: commands from 16 to here fly, those above it only act
_TRACK_STEP_S = 0.5  # vehicle time between two points of the track
_WARNING = 4


def _unwatched_state(_state: VehicleState) -> None:
    return


def _unwatched_photo(_photo: PhotoEvent) -> None:
    return


def _never() -> str | None:
    return None


@dataclass(slots=True)
class _Diary:
    """What has been seen of a flight so far."""

    photos_before: int
    notices_before: tuple[Notice, ...]
    track: list[TrackPoint] = field(default_factory=list)
    photos_told: int = 0
    furthest: int = -1
    airborne: bool = False
    left_auto: str = ""  # the mode it changed to without being told to
    reason: str = ""  # why we broke the flight off

    def note(self, state: VehicleState) -> None:
        """Keep a state."""
        last = self.track[-1].at if self.track else None
        if last is None or state.at - last >= timedelta(seconds=_TRACK_STEP_S):
            self.track.append(_point(state))
        if state.mode == "AUTO":
            self.furthest = max(self.furthest, state.mission_index)
            self.left_auto = ""
        elif state.armed and not self.left_auto:
            self.left_auto = state.mode
        self.airborne = self.airborne or state.on_ground is False


def fly(
    mission: Mission,
    link: VehicleLink,
    clock: Clock,
    *,
    on_state: Callable[[VehicleState], None] = _unwatched_state,
    on_photo: Callable[[PhotoEvent], None] = _unwatched_photo,
    abort: Callable[[], str | None] = _never,
    timeout_s: float = 3600.0,
    link_patience_s: float = 60.0,
    poll_s: float = 0.1,
) -> FlightLog:
    """Upload, verify, arm, start, follow to the landing.

    `abort()` is asked at every poll and returns a reason to break off, or None; the vehicle is then sent home. The same happens
    after `timeout_s`. A link that stays away for `link_patience_s` ends the log as lost; the vehicle flies on by itself.

    Raises LinkError for what fails before the mission has started; from then on there is always a log.
    """
    link.upload(mission)
    diary = _Diary(len(link.photos()), link.notices())
    link.arm()
    started = link.state().at
    link.start()
    begun = clock.now()
    lost_at: datetime | None = None
    while True:
        state, now = link.state(), clock.now()
        on_state(state)
        _tell_photos(diary, link, on_photo)
        if not state.link_fresh:
            lost_at = lost_at or now
            if (now - lost_at).total_seconds() >= link_patience_s:
                return _log(mission, diary, link, started, Outcome(Ending.LINK_LOST, _lost(diary, link_patience_s)))
            time.sleep(poll_s)
            continue
        if lost_at is not None:
            lost_at = None
            fault = _changed(link)
            if fault:
                return _log(mission, diary, link, started, Outcome(Ending.ABORTED, fault))
        diary.note(state)
        if state.armed is False:
            _tell_photos(diary, link, on_photo)
            return _log(mission, diary, link, started, _outcome(mission, diary, link))
        why = None if diary.reason else abort()
        if not diary.reason and why is None and (now - begun).total_seconds() > timeout_s:
            why = f"the flight took longer than {timeout_s:g} s"
        if why is not None:
            diary.reason = _broken_off(link, why)
        time.sleep(poll_s)


def _tell_photos(diary: _Diary, link: VehicleLink, on_photo: Callable[[PhotoEvent], None]) -> None:
    taken = link.photos()[diary.photos_before :]
    for photo in taken[diary.photos_told :]:
        on_photo(photo)
    diary.photos_told = max(diary.photos_told, len(taken))


def _broken_off(link: VehicleLink, why: str) -> str:
    try:
        link.return_home()
    except LinkError as error:
        return f"{why}; sending the vehicle home failed ({error})"
    return why


def _changed(link: VehicleLink) -> str:
    """What is wrong after a lost link; empty when the vehicle still flies this mission."""
    try:
        link.assure()
    except LinkError as error:
        return str(error)
    return ""


def _lost(diary: _Diary, patience_s: float) -> str:
    where = f"; last heard at item {diary.furthest}" if diary.track else ""
    return f"the link was silent for more than {patience_s:g} s{where}; the vehicle goes on by its own rules"


def _outcome(mission: Mission, diary: _Diary, link: VehicleLink) -> Outcome:
    if diary.reason:
        return Outcome(Ending.ABORTED, diary.reason)
    last = max((n for n, item in enumerate(mission.items) if item.command <= _NAV_END), default=0)
    if diary.furthest >= last and not diary.left_auto:
        return Outcome(Ending.COMPLETED)
    old = {id(n) for n in diary.notices_before}
    said = [n.text for n in link.notices() if n.severity < _WARNING and id(n) not in old]
    how = f"changed to {diary.left_auto}" if diary.left_auto else "landed"
    why = f": {'; '.join(dict.fromkeys(said))}" if said else ""
    return Outcome(Ending.ABORTED, f"the vehicle {how} at item {diary.furthest} of {last}{why}")


def _log(mission: Mission, diary: _Diary, link: VehicleLink, started: datetime, outcome: Outcome) -> FlightLog:
    gaps = link.photo_gaps()
    photos = link.photos()[diary.photos_before :]
    last = [link.state().at, *(p.at for p in diary.track[-1:]), *(p.at for p in photos[-1:])]
    return FlightLog(mission.name, mission.sha256, started, max(started, *last), tuple(diary.track), photos, outcome, gaps)


def _point(s: VehicleState) -> TrackPoint:
    return TrackPoint(s.at, s.place, s.height, s.yaw_deg, s.speed_m_s, s.mode, s.mission_index)
