"""The engine on another machine: OpenDroneMap behind NodeODM's HTTP API solves the poses, our own keypoints give the sparse points.

ODM is AGPL and stays a separate service; `pyodm` speaks to it. What is asked of it is as little as it can do: poses, and with a
reference a point cloud to lay onto the reference's (ODM's `align`). ODM moves that cloud and leaves the poses where GPS put them,
so the matrix it found is applied here. A block laid so shares no points with the reference: it is `ALIGNED`, never `FROZEN`.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

import numpy as np
import requests
from pyodm import Node
from pyodm.exceptions import NodeConnectionError, NodeResponseError, NodeServerError, OdmError
from pyodm.utils import MultipartEncoder, options_to_json

from geo.frames import Floats, Frame
from geo.progress import Progress, silent
from imagery import workfiles
from imagery.control import Control
from imagery.engines import clouds, features
from imagery.engines.direct import Alignment, DirectReconstructor, Given, read_opensfm
from imagery.engines.features import Recipe
from imagery.errors import ReconstructionError
from imagery.photos import Photo
from imagery.reasons import Reason
from imagery.reconstruct import Block, Method

T = TypeVar("T")

_QUEUED, _RUNNING, _FAILED, _COMPLETED, _CANCELED = 10, 20, 30, 40, 50  # NodeODM's status codes

# Poses need no mesh, no orthophoto and no report. Options a node does not know it drops by itself.
_POSES: Mapping[str, Any] = {"end-with": "opensfm", "skip-report": True, "skip-orthophoto": True, "skip-3dmodel": True}
_ALIGNED: Mapping[str, Any] = {**_POSES, "end-with": "odm_georeferencing", "pc-quality": "low", "crop": 0}
_TOPOCENTRIC, _OPENSFM = "opensfm/reconstruction.topocentric.json", "opensfm/reconstruction.json"
_PROJ, _MATRIX = "odm_georeferencing/proj.txt", "odm_georeferencing/alignment_matrix.json"
_OUTPUTS = (_TOPOCENTRIC, _OPENSFM, _PROJ, _MATRIX)
_LAST_LINES = 8


@dataclass(slots=True)
class NodeodmReconstructor:
    """Adapter of `Reconstructor`. `url` is the node's, `http://host:3000?token=…` where it asks for one.

    A node that does not answer is asked again for `patience_s`; the task's id is kept, so that a later run goes on with it.
    """

    url: str
    workers: int = 2
    recipe: Recipe = field(default_factory=Recipe)
    neighbours: int = 8
    uploads: int = 4
    poll_s: float = 5.0
    patience_s: float = 300.0
    timeout_s: float = 60.0

    def reconstruct(
        self,
        photos: Sequence[Photo],
        frame: Frame,
        workdir: Path,
        *,
        reference: Block | None = None,
        control: Control | None = None,
        progress: Progress = silent,
    ) -> Block:
        """See `Reconstructor`. Control is not sent: the block is only measured against it.

        An exception out of `progress` cancels and removes the task on the node.
        """
        unique = tuple(sorted({p.sha256: p for p in photos}.values(), key=lambda p: p.sha256))
        if len(unique) < 3:
            raise ReconstructionError(f"{len(unique)} photos make no block: a survey needs at least three that overlap")
        parts = [str(frame.epsg), repr(self.recipe), *(p.sha256 for p in unique), reference.key if reference is not None else ""]
        parts += [control.fingerprint] if control is not None else []
        run = workdir / f"nodeodm-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"
        if (run / "block" / "block.json").exists():
            return Block.load(run / "block", unique)
        run.mkdir(parents=True, exist_ok=True)
        if not (run / "outputs").exists():
            _Task(self, run, unique, reference, progress).solve()
        given, aligned = _given(run / "outputs", frame, unique)
        direct = DirectReconstructor(given, workers=self.workers, recipe=self.recipe, neighbours=self.neighbours)
        block = direct.reconstruct(unique, frame, workdir, control=control, progress=progress)
        missing = tuple((name, "OpenDroneMap could not place it") for name, _ in block.stats.unregistered)
        method, notes = _method(reference, aligned)
        stats = replace(
            block.stats,
            method=method,
            fell_back=method is Method.SEPARATE,
            unregistered=missing,
            notes=(*block.stats.notes, *notes),
        )
        return replace(block, stats=stats).save(run / "block")

    def prepare(
        self, photos: Sequence[Photo], workdir: Path, *, reference: Block | None = None, progress: Progress = silent
    ) -> None:
        """See `Reconstructor`: keypoints of single photos, for the sparse points under the node's poses."""
        features.extract(photos, workdir / "features" / self.recipe.shelf, self.recipe, workers=self.workers, progress=progress)


def _method(reference: Block | None, aligned: bool) -> tuple[Method, tuple[Reason, ...]]:
    """How the block came to its frame, told as it is."""
    if reference is None:
        return Method.INCREMENTAL, ()
    if aligned:
        zh = "由 OpenDroneMap 独立解算后按点云与参考期对齐，未与参考期共同平差：以影像残差为准。"
        en = "Solved apart by OpenDroneMap and laid onto the reference's points, not registered into its block: judge it by the residual."
        return Method.ALIGNED, (Reason("aligned_by_cloud", zh, en),)
    zh, en = "OpenDroneMap 未能与参考期点云对齐。", "OpenDroneMap could not align it to the reference's points."
    return Method.SEPARATE, (Reason("not_aligned", zh, en),)


class _Task:
    """One task on the node, from upload to download; every step is taken up again after an interruption."""

    def __init__(
        self, engine: NodeodmReconstructor, run: Path, photos: Sequence[Photo], reference: Block | None, progress: Progress
    ) -> None:
        self.engine, self.run, self.photos, self.reference, self.progress = engine, run, photos, reference, progress
        self.node = Node.from_url(engine.url, timeout=engine.timeout_s)
        self.where = f"NodeODM at {urlparse(engine.url).hostname}:{self.node.port}"
        self.kept = run / "task.json"

    def solve(self) -> None:
        """Leaves the wanted outputs in `outputs`; raises ReconstructionError."""
        self._check()
        status = self._status()
        try:
            if status is None or status in {_FAILED, _CANCELED}:
                self._begin()
                status = self._status()
            self._wait(status)
            self._download()
        except ReconstructionError:
            raise
        except Exception:  # out of progress: whoever raised it wants the work to end, so nothing runs on over there
            self._end()
            raise
        self._remove()

    # -- steps ---------------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        info = self._asked(lambda: self.node.get("/info"))
        most = info.get("maxImages")
        if most is not None and len(self.photos) > int(most):
            raise ReconstructionError(f"{self.where} takes {most} photos at most and the survey has {len(self.photos)}")

    def _status(self) -> int | None:
        """The status of the task this run has begun; None when there is none, or the node has forgotten it."""
        info = self._known(self._info) if self.kept.exists() else None
        return None if info is None else int(info["status"]["code"])

    def _begin(self) -> None:
        """Upload what is not there yet, and commit."""
        files = self._files()
        uploaded = self.run / "uploaded"
        if not (self.kept.exists() and uploaded.exists() and self._open(*files[-1])):
            shutil.rmtree(uploaded, ignore_errors=True)
            uploaded.mkdir()
            fields = {
                "name": f"patrol {self.run.name}",
                "options": options_to_json(_POSES if self.reference is None else _ALIGNED),
                "skipPostProcessing": "true",
                "outputs": json.dumps(_OUTPUTS),
            }
            own = str(uuid.uuid4())
            with workfiles.placed(self.kept) as temporary:
                temporary.write_text(json.dumps({"uuid": own}))
            self._asked(lambda: self._post("/task/new/init", fields, {"set-uuid": own}))
        left = [file for file in files if not (uploaded / file[0]).exists()]

        def upload(name: str, path: Path) -> None:
            fields = _images(name, path)
            self._asked(lambda: self._post(f"/task/new/upload/{self._uuid}", fields))
            (uploaded / name).touch()

        with ThreadPoolExecutor(self.engine.uploads) as pool:
            sent = [pool.submit(upload, name, path) for name, path in left]
            try:
                for done, one in enumerate(as_completed(sent)):
                    one.result()
                    self.progress(len(files) - len(left) + done + 1, len(files), "upload")
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        self._asked(lambda: self.node.post(f"/task/new/commit/{self._uuid}"))
        shutil.rmtree(uploaded, ignore_errors=True)

    def _open(self, name: str, path: Path) -> bool:
        """Whether the node still takes files for the task that was begun: one is sent (again), under its own name."""
        return self._known(lambda: self._post(f"/task/new/upload/{self._uuid}", _images(name, path))) is not None

    def _files(self) -> list[tuple[str, Path]]:
        """What is uploaded, under names that neither collide nor tell anything."""
        files = [(f"{_name(p)}{p.path.suffix.lower()}", p.path) for p in self.photos]
        placed = _positions(self.photos)
        if placed:
            (self.run / "geo.txt").write_text(placed, encoding="utf-8")
            files.append(("geo.txt", self.run / "geo.txt"))
        if self.reference is not None:
            align = self.run / "align.laz"
            if not align.exists():
                with workfiles.placed(align) as temporary:
                    clouds.write_laz(temporary, clouds.of_reference(self.reference), self.reference.frame)
            files.append(("align.laz", align))
        return files

    def _wait(self, status: int | None) -> None:
        while status in {_QUEUED, _RUNNING}:
            info = self._asked(self._info)
            status = int(info["status"]["code"])
            self.progress(min(99, int(info.get("progress", 0))), 100, "OpenDroneMap")
            if status in {_QUEUED, _RUNNING}:
                time.sleep(self.engine.poll_s)
        if status == _COMPLETED:
            self.progress(100, 100, "OpenDroneMap")
            return
        if status is None:
            raise ReconstructionError(f"{self.where} has lost the task: was it restarted? Ask again, and it is sent anew")
        self._failed()

    def _failed(self) -> None:
        """Say why, with the last lines of the console, and let the next run begin anew."""
        said = self._asked(self._info)["status"].get("errorMessage") or "no reason given"
        lines = self._asked(lambda: self.node.get(f"/task/{self._uuid}/output", {"line": -_LAST_LINES}))
        advice = "; give it more memory, or fewer photos" if "memory" in said.lower() else ""
        self._remove()
        self.kept.unlink(missing_ok=True)
        last = " | ".join(str(line).strip() for line in lines if str(line).strip())
        raise ReconstructionError(f"{self.where} could not solve the photos: {said}{advice}. Its last words: {last}")

    def _download(self) -> None:
        archive = self.run / "all.zip"

        def fetch() -> None:
            with workfiles.placed(archive) as temporary:
                answer = self.node.get(f"/task/{self._uuid}/download/all.zip", {}, stream=True)
                with temporary.open("wb") as file:
                    for chunk in answer.iter_content(1 << 16):
                        file.write(chunk)
                if not zipfile.is_zipfile(temporary):
                    raise NodeServerError("the archive is torn")

        self._asked(fetch)
        temporary = self.run / "outputs.part"
        shutil.rmtree(temporary, ignore_errors=True)
        with zipfile.ZipFile(archive) as kept:
            there = set(kept.namelist())
            for name in _OUTPUTS:  # by name, so that nothing else comes out of the archive
                if name in there:
                    (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                    (temporary / name).write_bytes(kept.read(name))
        if not temporary.exists():
            raise ReconstructionError(f"{self.where} has sent an archive without poses: is its version older than 1.5?")
        temporary.rename(self.run / "outputs")
        archive.unlink()

    def _remove(self) -> None:
        """Let the node forget the task; a node that does not answer forgets by itself after some days."""
        with suppress(OdmError):
            self.node.post("/task/remove", {"uuid": self._uuid})

    def _end(self) -> None:
        if not self.kept.exists():
            return
        with suppress(OdmError):  # not committed yet, or over: removing is all that is left
            self.node.post("/task/cancel", {"uuid": self._uuid})
        self._remove()
        self.kept.unlink(missing_ok=True)

    # -- asking --------------------------------------------------------------------------------------------------------------

    @property
    def _uuid(self) -> str:
        return str(json.loads(self.kept.read_text())["uuid"])

    def _info(self) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.node.get(f"/task/{self._uuid}/info", {})
        return answer

    def _post(self, url: str, fields: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        body = MultipartEncoder(fields=fields)
        return self.node.post(url, data=body, headers={"Content-Type": body.content_type, **(headers or {})})

    def _known(self, question: Callable[[], T]) -> T | None:
        """As `_asked`; None where the node says that it knows of no such task."""
        try:
            return self._asked(question)
        except ReconstructionError as err:
            if isinstance(err.__cause__, NodeResponseError):
                return None
            raise

    def _asked(self, question: Callable[[], T]) -> T:
        """An answer of the node; when it is away or stumbles, it is asked again until patience ends. Raises ReconstructionError."""
        until, pause = time.monotonic() + self.engine.patience_s, min(1.0, self.engine.poll_s)
        while True:
            try:
                return question()
            except (NodeConnectionError, NodeServerError, requests.RequestException) as err:
                if time.monotonic() + pause > until:
                    raise ReconstructionError(
                        f"{self.where} does not answer ({_brief(err)}): is the service running, and PATROL_NODEODM_URL right? "
                        "What was sent is kept: ask again, and it goes on"
                    ) from err
                time.sleep(pause)
                pause = min(2 * pause, 15.0)
            except OdmError as err:
                raise ReconstructionError(f"{self.where} refuses: {_brief(err)}") from err


def _images(name: str, path: Path) -> dict[str, Any]:
    """One file as a form's field."""
    kind = "image/jpeg" if path.suffix.lower() in {".jpg", ".jpeg"} else "application/octet-stream"
    return {"images": [(name, path.read_bytes(), kind)]}


def _brief(err: Exception) -> str:
    """An error without the address, which may hold a token."""
    return str(err).split("token=", maxsplit=1)[0][:200] or type(err).__name__


def _name(photo: Photo) -> str:
    return photo.sha256[:20]


def _positions(photos: Sequence[Photo]) -> str:
    """ODM's `geo.txt`: the places as we know them, which may be better than the photos' own."""
    lines = [
        f"{_name(p)}{p.path.suffix.lower()} {p.place.lon_deg:.9f} {p.place.lat_deg:.9f} {p.ellipsoid_height_m or 0.0:.3f}"
        for p in photos
        if p.place is not None
    ]
    return "\n".join(["EPSG:4326", *lines, ""]) if lines else ""


def _given(outputs: Path, frame: Frame, photos: Sequence[Photo]) -> tuple[Given, bool]:
    """Poses and cameras by photo hash, and whether the node has aligned them to the reference."""
    alignment = None
    if (outputs / _MATRIX).exists() and (outputs / _PROJ).exists():
        try:
            matrix: Floats = np.array(json.loads((outputs / _MATRIX).read_text(encoding="utf-8")), np.float64).reshape(4, 4)
        except (ValueError, TypeError) as err:
            raise ReconstructionError(f"{outputs / _MATRIX}: no matrix of 4 x 4 numbers ({err})") from err
        if not np.isfinite(matrix).all() or not math.isclose(abs(np.linalg.det(matrix[:3, :3])) ** (1 / 3), 1.0, abs_tol=0.2):
            raise ReconstructionError(f"{outputs / _MATRIX}: an alignment that stretches by more than a fifth is none")
        alignment = Alignment((outputs / _PROJ).read_text(encoding="utf-8").strip(), matrix)
    path = outputs / _TOPOCENTRIC if (outputs / _TOPOCENTRIC).exists() else outputs / _OPENSFM
    found = read_opensfm(path, frame, alignment)
    names = {_name(p): p.sha256 for p in photos}

    def by_hash(values: Mapping[str, T]) -> dict[str, T]:
        return {names[Path(name).stem]: value for name, value in values.items() if Path(name).stem in names}

    return Given(by_hash(found.poses), by_hash(found.cameras)), alignment is not None
