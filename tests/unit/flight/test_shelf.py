from __future__ import annotations

import io
import math
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.errors import FormatError, PlanningError
from flight.formats import wpml
from flight.formats.shelf import FORMATS, Wanted, read
from flight.items import Cmd, FenceArea, Item, ItemFrame, RallyPoint
from flight.mission import Mission
from flight.models import model, models
from geo.frames import LonLat

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "missions" / "dji_wpml"
HOME = LonLat(lon_deg=120.56, lat_deg=32.38)
SQUARE = tuple(LonLat(lon_deg=120.55 + x, lat_deg=32.37 + y) for x, y in ((0, 0), (0.02, 0), (0.02, 0.02), (0, 0.02)))
M3E = Wanted(model=model("dji_m3e"))


def _point(lon: float, lat: float, height: float) -> Item:
    return Item(Cmd.WAYPOINT, ItemFrame.RELATIVE, (0, 0, 0, 0), lon, lat, height)


def _photos(every_m: float) -> Item:
    return Item(Cmd.DO_SET_CAM_TRIGG_DIST, ItemFrame.MISSION, (every_m, 0, 1 if every_m else 0, 0))


SURVEY = Mission(
    name="一号单元-20261201-1of2",
    version=2,
    home=HOME,
    items=(
        Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, (0, 0, 0, 0), HOME.lon_deg, HOME.lat_deg, 100.25),
        Item(Cmd.DO_CHANGE_SPEED, ItemFrame.MISSION, (1, 8.5, -1, 0)),
        Item(Cmd.DO_MOUNT_CONTROL, ItemFrame.MISSION, (-90, 0, 0, 0), altitude_m=2),
        _point(120.5612345, 32.3812345, 100.5),
        _photos(23.741),
        _point(120.5712345, 32.3812345, 101.25),
        _photos(0),
        _point(120.5712345, 32.3822345, 101.25),
        _photos(23.741),
        _point(120.5612345, 32.3822345, 100.5),
        _photos(0),
        _point(HOME.lon_deg, HOME.lat_deg, 100.25),
        Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION),
    ),
    cruise_speed_m_s=8.5,
    home_altitude_m=4.5,
    notes=("没有地形数据 no terrain data",),
)
FENCED = replace(SURVEY, fence=(FenceArea(True, SQUARE), FenceArea(False, (), HOME, 30.0)), rally=(RallyPoint(SQUARE[0], 60.0),))


@pytest.mark.parametrize("suffix", [s for s in FORMATS if s not in {"kmz", "waypoints"}])
def test_every_format_reads_back_what_it_wrote(suffix: str) -> None:
    """Items, fence, rally points, name, version, home and notes: the same mission, the same hash."""
    back = read(f"x.{suffix.upper()}", FORMATS[suffix].write(FENCED, M3E))
    assert back == FENCED
    assert back.sha256 == FENCED.sha256


@pytest.mark.parametrize("suffix", ["geojson", "csv", "kml"])
@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-179, 179), st.floats(-80, 80), st.floats(-50, 500, width=32), st.sampled_from([math.nan, 0.0, 7.5])),
        max_size=6,
    ),
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=20),
)
def test_any_items_survive_a_round_trip(suffix: str, places: list[tuple[float, float, float, float]], name: str) -> None:
    """Places to 1e-7 degrees, heights exactly, and the numbers an autopilot chooses itself (NaN)."""
    label = " ".join(name.split())
    items = tuple(Item(Cmd.WAYPOINT, ItemFrame.RELATIVE, (0, 0, 0, yaw), lon, lat, height) for lon, lat, height, yaw in places)
    mission = replace(SURVEY, name=label, items=(*SURVEY.items, *items), notes=())
    assert read(f"x.{suffix}", FORMATS[suffix].write(mission, M3E)) == mission


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_a_changed_file_is_refused(suffix: str) -> None:
    """Who moves a waypoint by hand is told that it is no longer the mission that was checked."""
    data = FORMATS[suffix].write(SURVEY, M3E)
    moved = (b"32.3812345", b"32.3912345")
    changed = _with(data, "wpmz/waylines.wpml", *moved) if suffix == "kmz" else data.replace(*moved)
    assert changed != data
    with pytest.raises(FormatError, match="changed after it was written"):
        read(f"x.{suffix}", changed)


def test_a_dji_file_reads_back_without_its_fence() -> None:
    """What a wayline holds comes back exactly; that it holds no fence is said in the notes."""
    back = wpml.read(FORMATS["kmz"].write(FENCED, M3E))
    assert back.items == SURVEY.items
    assert (back.name, back.version, back.home, back.home_altitude_m) == (SURVEY.name, 2, HOME, 4.5)
    assert back.fence == ()
    assert any("no fence" in note and "2" in note for note in back.notes)
    assert wpml.write(FENCED, model("dji_m3e")) == FORMATS["kmz"].write(FENCED, M3E), "the same mission gives the same bytes"


def test_a_dji_file_has_what_dji_asks_for() -> None:
    """Both files; longitude first in coordinates, latitude first in the take-off point; a known pair of aircraft and camera."""
    with zipfile.ZipFile(io.BytesIO(FORMATS["kmz"].write(SURVEY, M3E))) as archive:
        template, waylines = (archive.read(n).decode() for n in ("wpmz/template.kml", "wpmz/waylines.wpml"))
    assert "<wpml:takeOffRefPoint>32.3800000,120.5600000,4.500000</wpml:takeOffRefPoint>" in template
    assert "<coordinates>120.5612345,32.3812345</coordinates>" in waylines
    for text in (template, waylines):
        assert "<wpml:droneEnumValue>77</wpml:droneEnumValue>" in text
        assert "<wpml:payloadEnumValue>66</wpml:payloadEnumValue>" in text
        assert "<wpml:actionTriggerType>multipleDistance</wpml:actionTriggerType>" in text
        assert "<wpml:actionTriggerParam>23.741</wpml:actionTriggerParam>" in text
    assert "<wpml:executeHeightMode>relativeToStartPoint</wpml:executeHeightMode>" in waylines
    assert "<wpml:heightMode>relativeToStartPoint</wpml:heightMode>" in template
    assert waylines.count("<wpml:index>") == 5
    assert "<wpml:finishAction>goHome</wpml:finishAction>" in waylines


@pytest.mark.parametrize(
    ("mission", "words"),
    [
        (replace(SURVEY, items=SURVEY.items[1:]), "item 1 has to be a take-off"),
        (
            replace(
                SURVEY, items=(*SURVEY.items[:-1], Item(Cmd.LOITER_TURNS, ItemFrame.RELATIVE, (1, 0, 30, 0), 120.56, 32.38, 50))
            ),
            "item 13",
        ),
        (replace(SURVEY, items=(replace(SURVEY.items[0], altitude_m=0.5), *SURVEY.items[1:])), "1.2 to 1500 m"),
        (replace(SURVEY, items=SURVEY.items[:4]), "two waypoints"),
    ],
)
def test_what_a_wayline_cannot_hold_is_named(mission: Mission, words: str) -> None:
    """The item and what to do instead."""
    with pytest.raises(FormatError, match=words):
        wpml.write(mission, model("dji_m3e"))


def test_a_dji_file_needs_a_model_that_flies_one() -> None:
    """Without the aircraft's model no numbers can be put in; a camera plane flies no WPML at all."""
    with pytest.raises(FormatError, match="--model"):
        FORMATS["kmz"].write(SURVEY, Wanted())
    with pytest.raises(FormatError, match="flies no WPML"):
        wpml.write(SURVEY, model("sony_a6000_20"))
    with pytest.raises(PlanningError, match="dji_m3e"):
        model("dji_m4x")
    assert all(0.5 <= m.photo_interval_s <= 3 and m.camera.width_px > m.camera.height_px for m in models().values())


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("wpmz/waylines.wpml", b"<wpml:index>1<", b"<wpml:index>2<", "waypoint 1: has index 2"),
        (
            "wpmz/waylines.wpml",
            b"<wpml:executeHeight>101.25<",
            b"<wpml:executeHeight>high<",
            "waypoint 1: wpml:executeHeight is 'high'",
        ),
        ("wpmz/waylines.wpml", b"120.5712345,32.3812345", b"32.3812345,120.5712345", "waypoint 1: coordinates"),
        ("wpmz/waylines.wpml", b"relativeToStartPoint", b"realTimeFollowSurface", "realTimeFollowSurface"),
        ("wpmz/waylines.wpml", b"</Folder>", b"", "line "),
        ("wpmz/waylines.wpml", b"<kml", b'<!DOCTYPE a [<!ENTITY b "c">]><kml', "entities"),
        ("wpmz/template.kml", b"32.3800000,120.5600000,4.500000", b"32.38,120.56", "takeOffRefPoint"),
    ],
)
def test_a_broken_dji_file_is_refused_with_its_place(name: str, old: bytes, new: bytes, words: str) -> None:
    """File, waypoint and value."""
    with pytest.raises(FormatError, match=words):
        wpml.read(_with(FORMATS["kmz"].write(SURVEY, M3E), name, old, new))


def test_what_is_no_mission_file_is_refused() -> None:
    """Another ending, no archive, an archive without waylines, bytes that are no text."""
    with pytest.raises(FormatError, match=r"\.plan"):
        read("x.docx", b"")
    with pytest.raises(FormatError, match=r"not a \.kmz"):
        read("x.kmz", b"PK but no archive")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("wpmz/template.kml", "<kml/>")
    with pytest.raises(FormatError, match=r"lacks wpmz/waylines\.wpml"):
        read("x.kmz", out.getvalue())
    for suffix in ("csv", "kml", "geojson"):
        with pytest.raises(FormatError):
            read(f"x.{suffix}", b"\xff\xfe\x00")
        with pytest.raises(FormatError):
            read(f"x.{suffix}", b"{}")


def test_a_line_of_another_program_is_flown_along() -> None:
    """The first place is home; without heights it is refused."""
    line = '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":{"type":"LineString","coordinates":%s}}]}'
    mission = read("x.geojson", (line % "[[120.56,32.38,0],[120.57,32.38,60],[120.57,32.39,60]]").encode())
    assert mission.home == HOME
    assert [i.altitude_m for i in mission.items[:3]] == [60, 60, 60]
    with pytest.raises(FormatError, match="no heights"):
        read("x.geojson", (line % "[[120.56,32.38],[120.57,32.38],[120.57,32.39]]").encode())
    kml = "<kml><Document><Placemark><LineString><coordinates>120.56,32.38,0 120.57,32.38,60 120.57,32.39,60</coordinates></LineString></Placemark></Document></kml>"
    assert read("x.kml", kml.encode()).items == mission.items


def test_real_dji_files_are_read() -> None:
    """Three files of other programs: points with photos, a five-direction survey over the ellipsoid, one without a take-off place."""
    if not REAL.is_dir():
        pytest.skip(f"real missions are not here: {REAL}")
    points = wpml.read((REAL / "geoyee_waypoint.kmz").read_bytes())
    assert sum(i.command == Cmd.WAYPOINT for i in points.items) == 6
    assert any("orientedShoot" in note for note in points.notes)
    oblique = wpml.read((REAL / "geoyee_mapping3d.kmz").read_bytes())
    heights = {round(i.altitude_m) for i in oblique.items if i.command == Cmd.WAYPOINT}
    assert heights <= {294, 295}, "327 m over the ellipsoid from a place at 33 m"
    assert {round(i.params[0]) for i in oblique.items if i.command == Cmd.DO_MOUNT_CONTROL} == {-90, -45}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("template.kml", "waylines.wpml"):
            archive.write(REAL / "waygen_wpmz" / name, f"wpmz/{name}")
    assert any("no take-off place" in note for note in wpml.read(out.getvalue()).notes)


def _with(data: bytes, name: str, old: bytes, new: bytes) -> bytes:
    """A .kmz with one of its files changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as made:
        for entry in archive.namelist():
            text = archive.read(entry)
            assert entry != name or old in text
            made.writestr(entry, text.replace(old, new) if entry == name else text)
    return out.getvalue()
