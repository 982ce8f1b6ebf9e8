"""The engine on another machine under faults: a service that is away, full, slow, strict or forgetful, over its real HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import laspy
import numpy as np
import pytest

from geo.frames import Frame, Pose
from imagery.engines import clouds, nodeodm
from imagery.engines.direct import Alignment, read_opensfm
from imagery.engines.nodeodm import NodeodmReconstructor
from imagery.errors import ReconstructionError
from imagery.reconstruct import Method
from tests.conftest import free_port
from tests.contract.nodeodm_process import Node, node
from tests.contract.test_reconstructor import FRAME, RECIPE, Flight, before, errors, hills  # noqa: F401 - fixtures


def engine(service: Node, **more: object) -> NodeodmReconstructor:
    made = NodeodmReconstructor(service.url, workers=1, recipe=RECIPE, poll_s=0.05, patience_s=5.0)
    return replace(made, **more)


@pytest.fixture(scope="module")
def six(before: Flight) -> Flight:  # noqa: F811
    """The first six photos: what is tested here does not need more."""
    return Flight(before.photos[:6], before.poses)


def test_a_service_that_is_away_is_named_and_what_to_do(six: Flight, tmp_path: Path) -> None:
    """The sentence names the host, the setting, and no token."""
    away = NodeodmReconstructor(f"http://127.0.0.1:{free_port()}?token=secret", recipe=RECIPE, poll_s=0.05, patience_s=0.3)
    with pytest.raises(ReconstructionError, match=r"127\.0\.0\.1.*PATROL_NODEODM_URL") as said:
        away.reconstruct(six.photos, FRAME, tmp_path)
    assert "secret" not in str(said.value)


def test_a_failed_task_tells_its_last_words_and_is_begun_anew_next_time(six: Flight, tmp_path: Path) -> None:
    """Out of memory on the other machine is a sentence with advice; the task is removed there, and the next run sends a new one."""
    with node(tmp_path / "node", "--fail", "Not enough memory") as service:
        service.tell(six.photos, six.poses)
        for _ in range(2):
            with pytest.raises(ReconstructionError, match=r"Not enough memory; give it more memory.*MemoryError"):
                engine(service).reconstruct(six.photos, FRAME, tmp_path / "work")
        asked = service.requests()
        assert asked.count("POST /task/new/init") == asked.count("POST /task/remove") == 2


def test_a_token_is_asked_for_and_given(six: Flight, tmp_path: Path) -> None:
    """Without it the refusal is told; with it the service answers, and says how many photos it takes."""
    with node(tmp_path / "node", "--token", "abc", "--most", "4") as service:
        with pytest.raises(ReconstructionError, match=r"refuses: .*token"):
            engine(service).reconstruct(six.photos, FRAME, tmp_path / "a")
        with pytest.raises(ReconstructionError, match="takes 4 photos at most and the survey has 6"):
            engine(service, url=f"{service.url}?token=abc").reconstruct(six.photos, FRAME, tmp_path / "b")


def test_uploads_that_stumble_are_sent_again(six: Flight, tmp_path: Path) -> None:
    """Every first upload fails with a server error; all files arrive, each once, under names that tell nothing."""
    with node(tmp_path / "node", "--drop") as service:
        service.tell(six.photos, six.poses)
        block = engine(service, patience_s=60.0).reconstruct(six.photos, FRAME, tmp_path / "work")
        assert block.stats.registered == 6
        assert block.stats.method is Method.INCREMENTAL
        sent = [line for line in service.requests() if line.startswith("POST /task/new/upload")]
        assert len(sent) == 2 * 7  # six photos and geo.txt


def test_an_interrupted_upload_goes_on_with_what_is_missing(six: Flight, tmp_path: Path) -> None:
    """Killed after some files, the next run opens no second task and sends only the rest."""

    class Killed(BaseException):
        """As a signal ends a worker: nobody cleans up."""

    def kill(done: int, total: int, what: str) -> None:
        if what == "upload" and done == 3:
            raise Killed

    with node(tmp_path / "node") as service:
        service.tell(six.photos, six.poses)
        with pytest.raises(Killed):
            engine(service, uploads=1).reconstruct(six.photos, FRAME, tmp_path / "work", progress=kill)
        earlier = sum(line.startswith("POST /task/new/upload") for line in service.requests())
        assert engine(service).reconstruct(six.photos, FRAME, tmp_path / "work").stats.registered == 6
        asked = service.requests()
        assert asked.count("POST /task/new/init") == 1
        # One more than there are: the question whether the task is still open sends geo.txt again.
        assert sum(line.startswith("POST /task/new/upload") for line in asked) <= 7 + 1
        assert earlier >= 3


def test_a_run_that_was_killed_while_the_service_works_takes_the_task_up_again(six: Flight, tmp_path: Path) -> None:
    """The task goes on over there; the next run sends nothing and waits for it."""

    class Killed(BaseException):
        """As a signal ends a worker."""

    def kill(done: int, total: int, what: str) -> None:
        if what == "OpenDroneMap":
            raise Killed

    with node(tmp_path / "node", "--slow", "1.0") as service:
        service.tell(six.photos, six.poses)
        with pytest.raises(Killed):
            engine(service).reconstruct(six.photos, FRAME, tmp_path / "work", progress=kill)
        uploads = sum(line.startswith("POST /task/new/") for line in service.requests())
        told: list[str] = []
        block = engine(service).reconstruct(
            six.photos, FRAME, tmp_path / "work", progress=lambda done, total, what: told.append(what)
        )
        assert block.stats.registered == 6
        assert sum(line.startswith("POST /task/new/") for line in service.requests()) == uploads
        assert "OpenDroneMap" in told
        assert "upload" not in told


def test_progress_that_raises_cancels_the_task_over_there(six: Flight, tmp_path: Path) -> None:
    """A cancelled survey leaves nothing running on the other machine."""

    class Stopped(Exception):
        pass

    def stop(done: int, total: int, what: str) -> None:
        if what == "OpenDroneMap":
            raise Stopped

    with node(tmp_path / "node", "--slow", "30") as service:
        service.tell(six.photos, six.poses)
        with pytest.raises(Stopped):
            engine(service).reconstruct(six.photos, FRAME, tmp_path / "work", progress=stop)
        assert service.requests()[-2:] == ["POST /task/cancel", "POST /task/remove"]
        assert not list((tmp_path / "work").rglob("task.json"))


def test_a_service_that_forgot_the_task_is_sent_it_anew(six: Flight, tmp_path: Path) -> None:
    """A node that was set up again knows no old ids."""
    with node(tmp_path / "node") as service:
        service.tell(six.photos, six.poses)
        made = engine(service)
        found = nodeodm._Task(made, tmp_path / "run", six.photos, None, lambda *_: None)
        (tmp_path / "run").mkdir()
        found.kept.write_text(json.dumps({"uuid": "11111111-1111-4111-8111-111111111111"}))
        found.solve()
        assert (tmp_path / "run" / "outputs" / "opensfm" / "reconstruction.topocentric.json").exists()


def test_a_block_laid_by_the_reference_cloud_says_so_and_one_that_was_not_fell_back(six: Flight, tmp_path: Path) -> None:
    """Aligned is not frozen, and an alignment that the service skipped is a fallback with its reason."""
    with node(tmp_path / "node") as service:
        service.tell(six.photos, six.poses)
        first = engine(service).reconstruct(six.photos, FRAME, tmp_path / "first")
        again = engine(service).reconstruct(six.photos, FRAME, tmp_path / "second", reference=first)
        assert (again.stats.method, again.stats.fell_back) == (Method.ALIGNED, False)
        assert [n.code for n in again.stats.notes][-1:] == ["aligned_by_cloud"]
        elsewhere = replace(first, points=first.points + np.array([5000.0, 0.0, 0.0]))
        apart = engine(service).reconstruct(six.photos[:5], FRAME, tmp_path / "third", reference=elsewhere)
        assert (apart.stats.method, apart.stats.fell_back) == (Method.SEPARATE, True)
        assert [n.code for n in apart.stats.notes][-1:] == ["not_aligned"]


def test_the_reference_cloud_is_a_laz_file_in_its_utm_zone(tmp_path: Path) -> None:
    """Points come back to the millimetre, wherever the frame's own axes point."""
    points = np.array([[546_000.0, 3_581_000.0, 12.345], [546_020.5, 3_581_010.25, 13.0]])
    clouds.write_laz(tmp_path / "align.laz", points, FRAME)
    cloud = laspy.read(tmp_path / "align.laz")
    crs = cloud.header.parse_crs()
    assert crs is not None
    assert crs.to_epsg() == 32651
    back = Frame(32651)
    for (x, y, z), point in zip(np.column_stack([cloud.x, cloud.y, cloud.z]), points, strict=True):
        at = FRAME.xy(back.lonlat(float(x), float(y)))
        np.testing.assert_allclose([at.x_m, at.y_m, z], point, atol=2e-3)


def test_an_alignment_moves_and_turns_poses_as_it_moves_points(tmp_path: Path) -> None:
    """A pose read with an alignment sees a moved point exactly where the pose without it saw the point."""
    angle = 0.02
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    middle, shift = np.array([300_000.0, 3_580_000.0, 0.0]), np.array([3.0, -2.0, 1.5])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, middle + shift - turn @ middle
    utm = Frame(32651)
    at = utm.lonlat(300_010.0, 3_580_020.0)
    camera = {"projection_type": "brown", "width": 400, "height": 300, "focal_x": 0.9, "focal_y": 0.9}
    shot = {"rotation": [3.0, 0.1, 0.05], "translation": [1.0, 2.0, 50.0], "camera": "c"}
    lla = {"latitude": at.lat_deg, "longitude": at.lon_deg, "altitude": 10.0}
    path = tmp_path / "reconstruction.json"
    path.write_text(json.dumps([{"cameras": {"c": camera}, "shots": {"a": shot}, "reference_lla": lla}]))
    plain: Pose = read_opensfm(path, utm).poses["a"]
    moved: Pose = read_opensfm(path, utm, Alignment("EPSG:32651", matrix)).poses["a"]
    np.testing.assert_allclose(moved.centre, turn @ (plain.centre - middle) + middle + shift, atol=1e-3)
    np.testing.assert_allclose(moved.matrix, plain.matrix @ turn.T, atol=1e-5)


@pytest.mark.parametrize("matrix", ["[[1, 2], [3, 4]]", "nonsense", json.dumps((np.eye(4) * 3).tolist())])
def test_a_matrix_that_is_none_is_refused(matrix: str, six: Flight, tmp_path: Path) -> None:
    """Too few numbers, no numbers, or a stretch by three: the file is named."""
    (tmp_path / "odm_georeferencing").mkdir()
    (tmp_path / "odm_georeferencing" / "alignment_matrix.json").write_text(matrix)
    (tmp_path / "odm_georeferencing" / "proj.txt").write_text("EPSG:32651")
    with pytest.raises(ReconstructionError, match="alignment_matrix"):
        nodeodm._given(tmp_path, FRAME, six.photos)


def test_wiring_takes_the_service_where_one_is_set() -> None:
    """One setting chooses the engine, and its address, which may hold a token, is not shown."""
    from patrol.settings import Settings
    from patrol.wiring import Workplace

    here = Workplace(Settings(nodeodm_url=""), None, None)  # type: ignore[arg-type]
    there = Workplace(Settings(nodeodm_url="http://node:3000?token=secret"), None, None)  # type: ignore[arg-type]
    assert not isinstance(here.reconstructor(), NodeodmReconstructor)
    chosen = there.reconstructor()
    assert isinstance(chosen, NodeodmReconstructor)
    assert chosen.url == "http://node:3000?token=secret"
    assert "secret" not in repr(there.settings)
