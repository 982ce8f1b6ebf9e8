"""RecheckOrder (复核飞行需求): the flight demand that a case gives birth to, so that the loop closes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dispatch.case import Case, CaseId, CaseState
from dispatch.errors import DispatchError
from dispatch.office import Office, standard_office
from geo.frames import LonLat
from geo.times import Clock, local_day


@dataclass(frozen=True, slots=True)
class RecheckOrder:
    """Look at this place of this area again, in this span; days are local and both are included."""

    case_id: CaseId
    area_id: str
    place: LonLat
    not_before: date
    not_after: date
    ordered_at: datetime

    def __post_init__(self) -> None:
        if self.not_after < self.not_before:
            raise DispatchError(f"recheck of case {self.case_id}: {self.not_after} lies before {self.not_before}")


def order(case: Case, clock: Clock, *, next_flight: date | None = None, office: Office | None = None) -> RecheckOrder:
    """The order of a case that waits for its recheck: within the recheck limit and no later than the area's next flight.

    A case under watch (closed or ledgered) is looked at by any flight until its watch ends. Raises DispatchError in other states.
    """
    office, now = office or standard_office(), clock.now()
    today = local_day(now, office.calendar.zone)
    if case.state is CaseState.RECHECK:
        last = office.due("recheck", now)
    elif case.watch_until is not None and case.state in {CaseState.CLOSED, CaseState.LEDGERED}:
        last = case.watch_until
    else:
        raise DispatchError(f"case {case.number} is {case.state}: there is nothing to recheck")
    end = local_day(last, office.calendar.zone) if last else today + timedelta(days=3)
    if next_flight is not None and today <= next_flight < end:
        end = next_flight
    return RecheckOrder(case.id, case.area_id, case.place, today, max(end, today), now)
