"""The command line says what is wrong, with an exit code for scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def _patrol(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATROL_HOME": str(home), "PATROL_DATABASE_URL": "", "PATROL_BROKER_URL": "", **more}
    command = [sys.executable, "-m", "patrol", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_a_store_from_nothing_to_an_area(tmp_path: Path) -> None:
    """init makes the store and shows a password once; an area comes in by file; the list shows it; nothing is made twice."""
    home = tmp_path / "store"
    before = _patrol(home, "area", "list")
    assert before.returncode == 3
    assert "patrol init" in before.stderr
    first = json.loads(_patrol(home, "init", "--json").stdout)
    assert first["made"]
    assert len(first["password"]) >= 12
    assert not json.loads(_patrol(home, "init", "--json").stdout)["made"]
    path = tmp_path / "areas.geojson"
    ring = [[120.56, 32.39], [120.562, 32.39], [120.562, 32.392], [120.56, 32.392], [120.56, 32.39]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {"id": "u1", "name": "一号单元", "tier": "general"}, "geometry": shape}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert _patrol(home, "area", "import", str(path)).returncode == 0
    listed = json.loads(_patrol(home, "area", "list", "--json").stdout)
    assert [a["name"] for a in listed] == ["一号单元"]
    assert listed[0]["epsg"] == 4549


def test_refusals_have_exit_code_1_and_usage_errors_2(tmp_path: Path) -> None:
    """What cannot be done and what was not understood are told apart."""
    home = tmp_path / "store"
    assert _patrol(home, "init", PATROL_ADMIN_PASSWORD="a-long-password").returncode == 0
    refused = _patrol(home, "ingest", str(tmp_path), "--area", "nothing")
    assert refused.returncode == 1
    assert "nothing" in refused.stderr
    assert _patrol(home, "ingest", str(tmp_path), "--area", "x", "--date", "yesterday").returncode == 2
    assert _patrol(home, "compare", "nothing").returncode == 1


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    """Without a store it says so and what to do; with one it is content."""
    home = tmp_path / "store"
    sick = _patrol(home, "doctor", "--json")
    assert sick.returncode == 3
    assert "database" in [f["part"] for f in json.loads(sick.stdout) if not f["ok"]]
    _patrol(home, "init")
    assert _patrol(home, "doctor", "--only", "database").returncode == 0


def test_a_bucket_or_a_server_that_cannot_be_reached_is_one_sentence(tmp_path: Path) -> None:
    """Without credentials, with a wrong store and with a wrong address: exit code 1, what is wrong, what to do, no traceback."""
    home = tmp_path / "store"
    assert _patrol(home, "init").returncode == 0
    nobody = {"AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_CONFIG_FILE": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true"}
    nobody |= {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    source = "s3://photos/today?endpoint=http://127.0.0.1:1"
    known = {"PATROL_LOGIN": "pilot", "PATROL_PASSWORD": "secret of the pilot"}
    for said, arguments, more in (
        ("no credentials were found", ("ingest", source, "--area", "u1"), nobody),
        ("write s3://bucket/prefix", ("area", "list"), {"PATROL_BLOBS_URL": "http://minio:9000/bucket"}),
        ("write https://", ("upload", str(tmp_path), "--area", "u1", "--url", "patrol.example.cn"), known),
    ):
        done = _patrol(home, *arguments, **more)
        assert done.returncode == 1, (arguments, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert "secret" not in done.stderr


def test_a_register_comes_in_by_file_and_a_wrong_datum_is_one_sentence(tmp_path: Path) -> None:
    """import says the reading aloud, list shows the version, withdraw keeps it; a file in GCJ-02 has exit code 1 and what to do."""
    home = tmp_path / "store"
    assert _patrol(home, "init").returncode == 0
    ring = [[120.56, 32.39], [120.562, 32.39], [120.562, 32.392], [120.56, 32.392], [120.56, 32.39]]
    plot = [[x + 0.0005, y + 0.0005] for x, y in ((120.56, 32.39), (120.561, 32.39), (120.561, 32.391), (120.56, 32.39))]
    for name, coordinates, properties in (("area", ring, {"id": "u1", "name": "一号"}), ("permits", plot, {"编号": "建字1"})):
        shape = {"type": "Polygon", "coordinates": [coordinates]}
        feature = {"type": "Feature", "properties": properties, "geometry": shape}
        (tmp_path / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert _patrol(home, "area", "import", str(tmp_path / "area.geojson")).returncode == 0
    given = ("register", "import", str(tmp_path / "permits.geojson"), "--kind", "建设工程规划许可")
    refused = _patrol(home, *given, "--datum", "bd09")
    assert refused.returncode == 1
    assert "--datum wgs84" in refused.stderr and "Traceback" not in refused.stderr
    done = _patrol(home, *given, "--json")
    assert done.returncode == 0, done.stderr
    assert "WGS 84" in done.stderr
    assert json.loads(done.stdout)["entries"] == 1
    assert _patrol(home, "register", "withdraw", "permits", "--reason", "试验").returncode == 0
    assert json.loads(_patrol(home, "register", "list", "--json").stdout) == []
    (kept,) = json.loads(_patrol(home, "register", "list", "--all", "--json").stdout)
    assert kept["state"] == "withdrawn"
