"""Surveyed points hold a block, and say honestly how well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagery.control import Control, ControlReport, Role
from imagery.engines import grounding, mapping, marks, store
from imagery.engines.grounding import Laid
from imagery.engines.placing import Places
from imagery.errors import ReconstructionError
from imagery.photos import Photo
from imagery.reasons import Reason
from tests.unit.imagery import survey_ground as made
from tests.unit.imagery.survey_ground import LIMIT_PX, OFFSET, Flight


def put(flight: Flight, control: Control, places: Places) -> tuple[Laid, ControlReport]:
    """As the engine does it."""
    if not np.isfinite(places.xy).any():
        seen = marks.sightings(flight.model, control, flight.numbers, OFFSET, LIMIT_PX)
        mapping.transform(flight.model, grounding.first_laid(flight.model, flight.ids, places, seen))
    laid = grounding.put_onto(
        flight.model,
        control,
        flight.numbers,
        OFFSET,
        flight.ids,
        places,
        limit_px=LIMIT_PX,
        free_lenses=(),
        free_focals=False,
        workers=1,
    )
    report = grounding.report(flight.model, control, flight.numbers, flight.names, OFFSET, limit_px=LIMIT_PX, laid=laid)
    return laid, report


def test_control_alone_places_a_block_without_positions() -> None:
    """No receiver at all: six surveyed targets put every camera to within centimetres of where it stood."""
    flight = made.estranged(made.flight())
    _, report = put(flight, flight.control(), flight.places(known=False))
    assert np.median(flight.error_m()) < 0.06
    assert report.used and report.heights_known
    assert (report.px(Role.CONTROL) or 9) < 1.5
    assert abs(report.scale_error or 1) < 0.001


def test_control_beats_receivers_that_are_all_off() -> None:
    """A common shift of seven metres of all receivers, and noise of one, do not pull the block off its targets."""
    flight = made.flight()
    places = flight.places(shift=(5.0, -5.0, 30.0))
    mapping.transform(flight.model, grounding.placing.lay(*mapping.centres_and_axes(flight.model, flight.ids), places))
    assert np.median(flight.error_m()) > 20
    _, report = put(flight, flight.control(), places)
    assert np.median(flight.error_m()) < 0.1
    assert (report.xy_m(Role.CONTROL) or 9) < 0.05


def test_a_check_point_measures_and_does_not_hold() -> None:
    """A check point with a wrong place shows its error in full, and the block stays where the others hold it."""
    flight = made.estranged(made.flight())
    control = made.as_check(flight.control(), "T4")
    moved = replace(control, points=tuple(replace(p, x_m=p.x_m + 1.0) if p.name == "T4" else p for p in control.points))
    _, report = put(flight, moved, flight.places(known=False))
    assert report.xy_m(Role.CHECK) == pytest.approx(1.0, abs=0.06)
    assert np.median(flight.error_m()) < 0.06


def test_nominal_heights_hold_the_plan_and_the_receivers_the_height() -> None:
    """Targets whose heights are all 0 place the block in plan; its height stays where trusted receivers have it."""
    flight = made.estranged(made.flight())
    control = flight.control(heights=False)
    places = flight.places(gps_sigma_m=0.3)
    mapping.transform(flight.model, grounding.placing.lay(*mapping.centres_and_axes(flight.model, flight.ids), places))
    _, report = put(flight, control, places)
    now = np.array([flight.model.image(i).projection_center() for i in flight.ids])
    off = now - np.array([p.centre for p in flight.poses])
    assert np.abs(np.median(off[:, :2], axis=0)).max() < 0.5  # 55 m over the targets: half a degree
    assert abs(np.median(off[:, 2])) < 0.4
    assert (report.xy_m(Role.CONTROL) or 9) < 0.1
    assert report.up_m(Role.CONTROL) is None


def test_nominal_heights_alone_hold_a_block_level() -> None:
    """Without receivers and without heights the ground between the targets is taken to be level: the tilt stays below the hills'."""
    flight = made.estranged(made.flight())
    _, report = put(flight, flight.control(heights=False), flight.places(known=False))
    axes = mapping.centres_and_axes(flight.model, flight.ids)[1]
    true = np.array([p.matrix[2] for p in flight.poses])
    lean = np.degrees(np.arccos(np.clip((axes * true).sum(axis=1), -1, 1)))
    assert np.median(lean) < 4.0
    assert (report.px(Role.CONTROL) or 9) < 3.0


def test_a_misplaced_mark_is_found_and_said() -> None:
    """One mark 40 px off its target is put aside, named, and moves nothing."""
    flight = made.estranged(made.flight())
    control = flight.control()
    bad = control.points[2].marks[1]
    marks_ = tuple(replace(m, x_px=m.x_px + 40) if m is bad else m for m in control.points[2].marks)
    points = tuple(replace(p, marks=marks_) if p.name == "T2" else p for p in control.points)
    _, report = put(flight, replace(control, points=points), flight.places(known=False))
    wrong = {p.name: p.wrong_marks for p in report.points if p.wrong_marks}
    assert wrong == {"T2": (bad.photo,)}
    assert any("T2" in said.zh and bad.photo in said.en for said in report.reasons)
    assert np.median(flight.error_m()) < 0.06


def test_of_two_marks_the_survey_tells_the_wrong_one() -> None:
    """Where a target has two marks only, the one that also misses the surveyed place goes."""
    flight = made.estranged(made.flight())
    control = flight.control()
    first, second = control.points[1].marks[:2]
    two = (replace(first, y_px=first.y_px + 60), second)
    points = tuple(replace(p, marks=two) if p.name == "T1" else p for p in control.points)
    _, report = put(flight, replace(control, points=points), flight.places(known=False))
    assert {p.name: p.wrong_marks for p in report.points if p.wrong_marks} == {"T1": (first.photo,)}


def test_a_wrong_coordinate_is_named_and_does_not_bend_the_block() -> None:
    """One target typed ten metres off: the others hold the block, the report says whom to doubt."""
    flight = made.estranged(made.flight())
    control = flight.control()
    points = tuple(replace(p, y_m=p.y_m + 10) if p.name == "T3" else p for p in control.points)
    _, report = put(flight, replace(control, points=points), flight.places(known=False))
    assert any("T3" in note.zh and "T1" not in note.zh for note in report.notes)
    assert np.median(flight.error_m()) < 0.3


def test_hand_held_control_is_trusted_no_further_than_it_agrees() -> None:
    """Targets that promise centimetres and are a metre off do not bend the block: neighbouring cameras keep their distances."""
    flight = made.estranged(made.flight())
    control = flight.control()
    rng = np.random.default_rng(8)
    points = tuple(
        replace(p, x_m=p.x_m + rng.normal(0, 1.0), y_m=p.y_m + rng.normal(0, 1.0), z_m=p.z_m + rng.normal(0, 1.0))
        for p in control.points
    )
    laid, report = put(flight, replace(control, points=points), flight.places(known=False))
    assert (laid.sigma_m or 0) > 0.3
    assert flight.model.compute_mean_reprojection_error() < 0.8
    assert any(said.code == "control_disagrees" for said in report.reasons)


def test_leaving_points_out_tells_what_checks_would() -> None:
    """With good targets each is found by the others to within centimetres, and the report says so."""
    flight = made.estranged(made.flight())
    _, report = put(flight, flight.control(), flight.places(known=False))
    assert report.left_out_xy_m is not None
    assert report.left_out_xy_m < 0.1
    assert any("留一" in said.zh for said in report.reasons)


def test_two_points_do_not_place_a_block_without_positions() -> None:
    """The sentence says how many were found and how many are needed."""
    flight = made.estranged(made.flight())
    control = flight.control()
    two = replace(control, points=control.points[:2])
    with pytest.raises(ReconstructionError, match="three"):
        put(flight, two, flight.places(known=False))


def test_relief_of_the_targets_frees_the_focal_length() -> None:
    """Targets of one height leave the focal length as promised; targets that span a tenth of the flying height correct it."""
    flight = made.flight()
    control = flight.control()
    laid, _ = put(flight, control, flight.places(known=False))
    assert not laid.focal_freed
    high = replace(control, points=tuple(replace(p, z_m=p.z_m + 8 * k) for k, p in enumerate(control.points)))
    assert put(made.flight(), high, flight.places(known=False))[0].focal_freed


def test_a_block_of_parts_is_laid_onto_its_control_as_it_is() -> None:
    """Poses alone, as a block of parts has them: one similarity brings all of them to where they stood, and the report says how."""
    flight = made.estranged(made.flight())
    stands = []
    for i in flight.ids:
        photo = Photo(Path(f"{i}.jpg"), flight.names[i], None, None, None, None, None, None, None, made.CAMERA)
        stands.append(grounding.Standing(photo, store.pose_of(flight.model.image(i), (0.0, 0.0, 0.0))))
    cameras = {store.camera_name(stands[0].photo): made.CAMERA}
    similarity, laid = grounding.laid_onto(
        flight.control(), stands, cameras, OFFSET, flight.places(known=False), made.CAMERA.width_px
    )
    assert similarity is not None
    placed = similarity.apply(np.array([s.pose.centre for s in stands]))
    assert np.median(np.linalg.norm(placed - np.array([p.centre for p in flight.poses]), axis=1)) < 0.06
    moved = [replace(s, pose=store.pose(s.pose.matrix @ similarity.rotation.T, at)) for s, at in zip(stands, placed, strict=True)]
    report = grounding.measured(flight.control(), moved, cameras, OFFSET, laid, made.CAMERA.width_px)
    assert report.method == "laid on control"
    assert (report.px(Role.CONTROL) or 9) < 1.5


def test_what_was_learnt_survives_the_disk(tmp_path: Path) -> None:
    """A run that is taken up again reports the same."""
    laid = Laid(True, "adjusted on control", 0.1, 0.002, False, {"T1": (0.1, None)}, (Reason("a", "甲", "a"),))
    laid.write(tmp_path / "laid.json")
    assert Laid.read(tmp_path / "laid.json") == laid
