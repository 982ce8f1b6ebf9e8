"""Files of ground control are understood, or refused by the line."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pyproj import Transformer

from geo.camera import Camera
from geo.frames import Frame
from imagery import controlfiles
from imagery.control import Control, ControlReport, PointResidual, Role
from imagery.errors import ControlError
from imagery.photos import Photo
from imagery.screening import Why, screen

GCP = """\
{frame}
333158.20 3102916.18 {z} 539.89 333.74 DJI_0065.JPG GCP1
333158.20 3102916.18 {z} 541.37 392.05 DJI_0066.JPG GCP1
333187.62 3102954.46 7.5 286.94 140.87 DJI_0065.JPG GCP2
"""


def written(folder: Path, text: str, name: str = "gcp_list.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def photo(path: str, sha256: str) -> Photo:
    return Photo(Path(path), sha256, None, None, None, None, None, None, None, Camera(800, 600, 450.0, 400.0, 300.0))


@pytest.mark.parametrize(
    "frame", ["EPSG:32617", "epsg:32617", "+proj=utm +zone=17 +ellps=WGS84 +datum=WGS84 +units=m +no_defs", "WGS84 UTM 17N"]
)
def test_all_names_of_a_frame_are_one(tmp_path: Path, frame: str) -> None:
    """A code, a proj4 string and words put the points at the same place."""
    control = controlfiles.read(written(tmp_path, GCP.format(frame=frame, z="3.2")), Frame(32617))
    assert [(p.name, round(p.x_m, 3), round(p.y_m, 3), p.z_m) for p in control.points] == [
        ("GCP1", 333158.2, 3102916.18, 3.2),
        ("GCP2", 333187.62, 3102954.46, 7.5),
    ]
    assert control.heights_known
    assert [len(p.marks) for p in control.points] == [2, 1]
    assert not control.notes


def test_points_come_into_the_frame_of_the_area(tmp_path: Path) -> None:
    """Read into another frame, a point is where the transformation of the frames puts it."""
    control = controlfiles.read(written(tmp_path, GCP.format(frame="EPSG:32617", z="3.2")), Frame(32616))
    x, y = Transformer.from_crs(32617, 32616, always_xy=True).transform(333158.20, 3102916.18)
    assert (control.points[0].x_m, control.points[0].y_m) == pytest.approx((x, y), abs=1e-4)


@pytest.mark.parametrize(("first", "second"), [("3", "3"), ("0", "0"), ("nan", "NaN")])
def test_heights_that_are_all_alike_are_not_heights(tmp_path: Path, first: str, second: str) -> None:
    """Nominal heights are told from surveyed ones, and it is said."""
    text = f"EPSG:32617\n333158.2 3102916.2 {first} 1 2 a.jpg A\n333187.6 3102954.5 {second} 3 4 a.jpg B\n"
    control = controlfiles.read(written(tmp_path, text))
    assert not control.heights_known
    assert [n.code for n in control.notes] == ["control_heights"]


def test_points_without_names_are_told_by_their_places(tmp_path: Path) -> None:
    """Two marks of one place are one point."""
    text = "EPSG:32617\n# a remark\n\n1000 2000 5 1 2 a.jpg\n1000 2000 5 3 4 b.jpg\n1100 2000 6 5 6 b.jpg\n"
    control = controlfiles.read(written(tmp_path, text), Frame(32617))
    assert [(p.name, len(p.marks)) for p in control.points] == [("P1", 2), ("P2", 1)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("EPSG:32617\n1 2 3 4 a.jpg\n", "line 2"),
        ("EPSG:32617\n1 2 3 4 5 a.jpg A\n1 x 3 4 5 b.jpg A\n", "line 3"),
        ("EPSG:32617\n1 2 3 4 5 a.jpg A\n1 9 3 4 5 b.jpg A\n", "line 3.*line 2"),
        ("EPSG:32617\n1 2 3 4 5 a.jpg A\n1 2 3 7 8 a.jpg A\n", "line 3.*twice"),
        ("somewhere\n1 2 3 4 5 a.jpg A\n", "line 1"),
        ("EPSG:4326\n3810000 230000 3 4 5 a.jpg A\n", "[Ll]ine 2"),
        ("EPSG:32617\n", "no control points"),
        ("", "empty"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """A person can go to the line and mend it."""
    with pytest.raises(ControlError, match=f"(?s){said}"):
        controlfiles.read(written(tmp_path, text))


def test_a_table_for_people(tmp_path: Path) -> None:
    """Chinese heads, a frame in a remark, check points and standard deviations."""
    text = "# EPSG:4549\n点名,东,北,高,照片,列,行,用途,精度\nK1,500100,3580000,12.3,a.jpg,10,20,,0.02\nJ1,500200,3580050,11.1,a.jpg,30,40,检查,\n"
    control = controlfiles.read(written(tmp_path, text, "control.csv"), Frame(4549))
    first, second = control.points
    assert (first.name, first.x_m, first.sigma_xy_m, first.role) == ("K1", pytest.approx(500100), 0.02, Role.CONTROL)
    assert (second.role, second.z_m, second.height_known) == (Role.CHECK, 11.1, True)
    with pytest.raises(ControlError, match="line 2"):
        controlfiles.read(written(tmp_path, "#\n点名,东,北\nK1,1,2\n", "bad.csv"))


def test_degrees_and_geojson_are_one(tmp_path: Path) -> None:
    """A table in degrees and GeoJSON put a point at the same place."""
    table = written(tmp_path, "name,lon,lat,z,photo,px,py\nA,120.5,32.4,5,a.jpg,1,2\nB,120.51,32.4,6,a.jpg,3,4\n", "c.csv")
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [lon, 32.4, z]},
            "properties": {"name": name, "marks": [{"photo": "a.jpg", "px": px, "py": py}]},
        }
        for name, lon, z, px, py in (("A", 120.5, 5, 1, 2), ("B", 120.51, 6, 3, 4))
    ]
    other = written(tmp_path, json.dumps({"type": "FeatureCollection", "features": features}), "c.geojson")
    for a, b in zip(controlfiles.read(table).points, controlfiles.read(other).points, strict=True):
        assert (a.name, a.x_m, a.y_m, a.z_m, a.marks[0].x_px) == (b.name, b.x_m, b.y_m, b.z_m, b.marks[0].x_px)


def test_marks_find_their_photos_by_any_name(tmp_path: Path) -> None:
    """Case, ending and folders may differ; a name that fits two photos is refused until its folder is told."""
    control = controlfiles.read(written(tmp_path, GCP.format(frame="EPSG:32617", z="3.2")))
    found = control.of([photo("/card/one/dji_0065.jpg", "a" * 64), photo("/card/one/other.jpg", "b" * 64)])
    assert [[m.photo for m in p.marks] for p in found.points] == [["a" * 64], ["a" * 64]]
    assert [n.code for n in found.notes] == ["control_elsewhere"]
    twice = [photo("/card/one/DJI_0065.JPG", "a" * 64), photo("/card/two/DJI_0065.JPG", "b" * 64)]
    with pytest.raises(ControlError, match="fits 2 photos"):
        control.of(twice)
    with_folder = GCP.format(frame="EPSG:32617", z="3.2").replace("DJI_0065", "two/DJI_0065")
    told = controlfiles.read(written(tmp_path, with_folder)).of(twice)
    assert told.points[0].marks[0].photo == "b" * 64
    with pytest.raises(ControlError, match="do the file names match"):
        control.of([photo("/card/x.jpg", "c" * 64)])


def test_two_files_points_stand_beside_each_other(tmp_path: Path) -> None:
    """One point in both has the marks of both; one name for two places is told apart; a name is sought among the newer photos first."""
    first = controlfiles.read(written(tmp_path, GCP.format(frame="EPSG:32617", z="3.2"))).with_checks(["GCP2"])
    old = [photo("/card/old/DJI_0065.JPG", "a" * 64)]
    kept = first.of(old)
    moved = tuple(replace(p, x_m=p.x_m + 5) if p.name == "GCP1" else p for p in first.points)
    other = replace(first, points=moved, source="second.txt")
    both = kept.beside(other)
    assert [p.name for p in both.points] == ["GCP1", "GCP2", "GCP1 (second.txt)"]
    assert both.points[1].role is Role.CHECK
    found = both.of([photo("/card/new/DJI_0065.JPG", "b" * 64)], old)
    assert [[m.photo[0] for m in p.marks] for p in found.points] == [["a"], ["a", "b"], ["b"]]
    again = kept.beside(first).of([photo("/card/new/else.jpg", "c" * 64)], old)
    assert [[m.photo[0] for m in p.marks] for p in again.points] == [["a"], ["a"]]


def test_only_points_that_are_there_can_be_checks(tmp_path: Path) -> None:
    """A misspelt name is refused with the names there are."""
    control = controlfiles.read(written(tmp_path, GCP.format(frame="EPSG:32617", z="3.2")))
    assert [p.role for p in control.with_checks(["GCP2"]).points] == [Role.CONTROL, Role.CHECK]
    with pytest.raises(ControlError, match=r"GCP9.*GCP1"):
        control.with_checks(["GCP9"])


def test_photos_without_place_need_control() -> None:
    """They are set aside with a sentence, unless control is there to place them."""
    photos = [photo(f"/card/{i}.jpg", str(i) * 64) for i in range(3)]
    assert {s.code for s in screen(photos).set_aside} == {Why.NO_POSITION}
    refusal = screen(photos).refusal
    assert refusal is not None
    assert "gcp_list.txt" in refusal.en
    assert len(screen(photos, anchored=True).accepted) == 3


def test_a_report_survives_its_json() -> None:
    """What a block keeps of its control is what it was."""
    point = PointResidual("A", Role.CHECK, 2, 0.1, -0.2, None, 1.5, ("a.jpg",), 0.3)
    report = ControlReport("adjusted on control", "x.txt", (point,), True, False, 0.05, 0.001, None)
    assert ControlReport.of_record(json.loads(json.dumps(asdict(report)))) == report
    assert {r.code for r in report.reasons} == {"check_residual", "control_left_out", "control_marks"}
    assert Control(Frame(32617), (), "x").fingerprint != Control(Frame(32616), (), "x").fingerprint
