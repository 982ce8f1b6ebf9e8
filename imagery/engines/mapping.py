"""Solving: photos of a first survey with each other, or photos of a later one into a reference that does not move.

Focal lengths stay as promised unless the promise is a guess: a flat nadir block would rather bend the focal length by a fifth
than its residuals by a hundredth.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import pycolmap

from geo.frames import Floats
from imagery.engines.matching import SEED
from imagery.engines.placing import Places, Similarity
from imagery.errors import ReconstructionError

_MAX_ERROR_PX = 2.0  # at the scale keypoints were found at
_ONE_HEADING = 0.8  # length of the mean heading (1: all the same): a fifth of the photos turned about gives 0.6
_MANY = 30
_TRACKS_PER_VIEW = 400  # enough to place a camera; with all tracks the first solution costs six times as much and ends the same


def tolerance_px(rec_cameras: Collection[pycolmap.Camera], long_side_px: int) -> float:
    """The reprojection error in full-size pixels beyond which an observation is wrong."""
    longest = max(max(c.width, c.height) for c in rec_cameras)
    return _MAX_ERROR_PX * max(1.0, longest / long_side_px)


def quiet() -> None:
    """The solver's own chatter off: only its errors reach stderr."""
    pycolmap.logging.minloglevel = 2


def solve_all(database: Path, folder: Path, *, workers: int, refine_focal: bool, refine_lens: bool) -> pycolmap.Reconstruction:
    """All images at once, on a selection of tracks; the largest connected part is the block.

    Raises ReconstructionError when there is none.
    """
    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = workers
    options.random_seed = SEED
    options.mapper.num_threads = workers
    options.mapper.random_seed = SEED
    options.mapper.rotation_averaging.random_seed = SEED
    options.mapper.global_positioning.random_seed = SEED
    options.mapper.global_positioning.use_gpu = False
    options.mapper.bundle_adjustment.refine_focal_length = refine_focal
    options.mapper.bundle_adjustment.refine_extra_params = refine_lens  # left free, it bends a flat block
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    options.mapper.track_required_tracks_per_view = _TRACKS_PER_VIEW
    options.mapper.skip_retriangulation = True  # `triangulate` does it later, under adjusted poses
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        models = pycolmap.global_mapping(database, folder, folder, options)
    except (RuntimeError, ValueError) as error:
        raise ReconstructionError(_unsolved(str(error))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _largest(models)


def solve_stepwise(
    database: Path, folder: Path, *, workers: int, refine_focal: bool, refine_lens: bool
) -> pycolmap.Reconstruction:
    """Image by image: slower, and steadier where few photos hang together loosely. Raises ReconstructionError."""
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = workers
    options.random_seed = SEED
    options.mapper.random_seed = SEED
    options.min_model_size = 3
    options.ba_refine_focal_length = refine_focal
    options.mapper.abs_pose_refine_focal_length = refine_focal
    options.ba_refine_extra_params = refine_lens
    options.mapper.abs_pose_refine_extra_params = refine_lens
    options.extract_colors = False
    options.mapper.init_min_tri_angle = 4.0  # neighbours of a nadir line see each other under small angles
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        models = pycolmap.incremental_mapping(database, folder, folder, options)
    except (RuntimeError, ValueError) as error:
        raise ReconstructionError(_unsolved(str(error))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _largest(models)


def _unsolved(cause: str) -> str:
    return (
        "照片无法联合解算：请检查重叠度、清晰度，以及是否混入别处的照片。 "
        f"the photos could not be solved together ({cause}): do they overlap, are they sharp, are there some of another place among them?"
    )


def _largest(models: Mapping[int, pycolmap.Reconstruction]) -> pycolmap.Reconstruction:
    if not models:
        raise ReconstructionError(
            "没有两张照片能连在一起：重叠是否过半、照片是否清晰？若否，请重飞。 "
            "no two photos could be tied together: do they overlap by more than half, are they sharp? If not, fly again"
        )
    return max(models.values(), key=lambda m: (m.num_reg_images(), m.num_points3D()))


def transform(model: pycolmap.Reconstruction, similarity: Similarity) -> None:
    """Move a model in place."""
    model.transform(pycolmap.Sim3d(similarity.matrix))


def centres_and_axes(model: pycolmap.Reconstruction, ids: Collection[int]) -> tuple[Floats, Floats]:
    """Camera centres and optical axes `(n, 3)` of registered images, in the order of `ids`."""
    centres = [model.image(i).projection_center() for i in ids]
    axes = [model.image(i).cam_from_world().rotation.matrix()[2] for i in ids]
    return np.array(centres).reshape(-1, 3), np.array(axes).reshape(-1, 3)


def headings_differ(model: pycolmap.Reconstruction) -> bool:
    """Whether the photos look about in more than one direction, so that the lens's middle can be told from a tilt of all cameras.

    With one heading a shift of the principal point and a tilt fit alike; lines flown there and back with the nose turned, or crossing
    lines, tell them apart; a few photos do not.
    """
    if model.num_reg_images() < _MANY:
        return False
    ups = np.array([model.image(i).cam_from_world().rotation.matrix()[1, :2] for i in model.reg_image_ids()])
    ups /= np.maximum(np.linalg.norm(ups, axis=1, keepdims=True), 1e-9)
    return bool(np.linalg.norm(ups.mean(axis=0)) < _ONE_HEADING)


def adjust(
    model: pycolmap.Reconstruction,
    *,
    free_lenses: Collection[int],
    free_focals: bool,
    free_middle: bool = False,
    workers: int,
    places: tuple[Collection[int], Places] | None = None,
    frozen: Collection[int] = (),
) -> None:
    """Bundle adjustment in place. `frozen` images do not move; `places` (image ids in order, their places) hold the rest softly."""
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length = free_focals
    options.refine_extra_params = bool(free_lenses)
    options.refine_principal_point = free_middle
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.loss_function_scale = 1.0
    options.ceres.solver_options.num_threads = workers
    options.ceres.solver_options.function_tolerance = 1e-6  # never reached at the default with priors
    options.ceres.solver_options.max_num_iterations = 60
    config = pycolmap.BundleAdjustmentConfig()
    still = set(frozen)
    moving = [i for i in model.reg_image_ids() if i not in still]
    for i in moving:
        config.add_image(i)
    if still:
        # Points that both sides see bring their frozen observations along; frozen images themselves stay outside the problem.
        config_points: set[int] = set()
        for i in moving:
            config_points.update(p.point3D_id for p in model.image(i).get_observation_points2D())
        for point in config_points:
            config.add_variable_point(point)
    for number in model.cameras:
        if number not in free_lenses:
            config.set_constant_cam_intrinsics(number)
    if places is not None:
        priors = _priors(model, *places)
        prior_options = pycolmap.PosePriorBundleAdjustmentOptions()
        prior_options.ceres.prior_position_loss_function_type = pycolmap.LossFunctionType.SOFT_L1
        adjuster = pycolmap.create_pose_prior_bundle_adjuster(options, prior_options, config, priors, model)
    else:
        if not still:
            config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
        adjuster = pycolmap.create_default_bundle_adjuster(options, config, model)
    summary = adjuster.solve()
    if not summary.is_solution_usable():
        raise ReconstructionError(_unsolved(summary.brief_report()))
    model.update_point_3d_errors()


def _priors(model: pycolmap.Reconstruction, ids: Collection[int], places: Places) -> list[pycolmap.PosePrior]:
    priors = []
    for k, i in enumerate(ids):
        if not (np.isfinite(places.xy[k]).all() and np.isfinite(places.z[k])):
            continue
        prior = pycolmap.PosePrior()
        prior.pose_prior_id = i
        prior.corr_data_id = model.image(i).data_id
        prior.position = np.array([*places.xy[k], places.z[k]])
        variance = [places.sigma_xy[k] ** 2, places.sigma_xy[k] ** 2, places.sigma_z[k] ** 2]
        prior.position_covariance = np.diag(variance)
        prior.coordinate_system = pycolmap.PosePriorCoordinateSystem.CARTESIAN
        priors.append(prior)
    return priors


def drop_wrong(model: pycolmap.Reconstruction, max_error_px: float, min_angle_deg: float = 1.0) -> int:
    """Remove observations that miss by too much and points seen under too small an angle; returns how many."""
    return int(pycolmap.ObservationManager(model).filter_all_points3D(max_error_px, min_angle_deg))


def register_into(
    database: Path,
    model: pycolmap.Reconstruction,
    new_ids: Collection[int],
    *,
    free_lenses: Collection[int],
    max_error_px: float,
    believable: Callable[[int, Floats, Floats], bool],
    workers: int,
    progress: Callable[[int, int], None],
) -> None:
    """Add images of the database to a model whose images do not move; those that fit nowhere stay out.

    `believable(image, centre, axis)` may refuse a pose: flat ground looks the same, mirrored, from below.

    Every new image is resected on points that are already there (the best seen first), its own points are triangulated, and
    all new images are adjusted together at the end: cheaper than the usual adjustment after every image, and safe because the frozen
    reference lies under all of them.
    """
    opened = pycolmap.Database.open(database)
    cache_options = pycolmap.DatabaseCacheOptions()
    cache_options.min_num_matches = 15
    cache_options.load_all_images = True  # reference images without new neighbours belong to the model all the same
    cache = pycolmap.DatabaseCache.create(opened, cache_options)
    opened.close()
    frozen = set(model.reg_image_ids())
    mapper = pycolmap.IncrementalMapper(cache)
    mapper.begin_reconstruction(model)
    options = pycolmap.IncrementalMapperOptions()
    options.abs_pose_refine_focal_length = False
    options.abs_pose_refine_extra_params = False
    options.abs_pose_max_error = 2.0 * max_error_px
    options.filter_max_reproj_error = max_error_px
    options.fix_existing_frames = True
    options.num_threads = workers
    options.random_seed = SEED
    triangulation = pycolmap.IncrementalTriangulatorOptions()
    triangulation.random_seed = SEED
    triangulation.merge_max_reproj_error = max_error_px
    triangulation.complete_max_reproj_error = max_error_px
    waiting, done = set(new_ids), 0
    while waiting:
        candidates = [i for i in mapper.find_next_images(options, False) if i in waiting]
        added = next((i for i in candidates if mapper.register_next_image(options, i)), None)
        if added is None:
            break
        waiting.discard(added)
        centres, axes = centres_and_axes(model, [added])
        if not believable(added, centres[0], axes[0]):
            mapper.observation_manager.deregister_frame(model.image(added).frame_id)
            continue
        mapper.triangulate_image(triangulation, added)
        done += 1
        progress(done, len(new_ids))
    for _ in range(2):
        if not done:
            break
        adjust(model, free_lenses=free_lenses, free_focals=False, workers=workers, frozen=frozen)
        mapper.filter_points(options)
        mapper.complete_and_merge_tracks(triangulation)
    if done:
        adjust(model, free_lenses=free_lenses, free_focals=False, workers=workers, frozen=frozen)
        mapper.filter_points(options)
    mapper.end_reconstruction(False)


def triangulate(database: Path, model: pycolmap.Reconstruction, folder: Path) -> pycolmap.Reconstruction:
    """Points under poses that are known and do not move."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = SEED
    options.ba_refine_focal_length = False
    options.ba_refine_extra_params = False
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        made = pycolmap.triangulate_points(model, database, folder, folder, options=options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    made.update_point_3d_errors()
    return made
