"""The embedded engine: structure from motion on this machine.

A first survey is solved as a whole and laid onto the photos' GPS. Every later survey is registered into the frozen block of the
reference, so that its poses come out in the reference's own frame: separately built blocks differ by a metre, registered ones by
two centimetres. Where that fails, both are solved jointly; where that fails too, the survey stands on its own GPS. Each fallback is
written into the block's stats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geo.frames import Frame
from geo.progress import Progress, silent
from imagery.control import Control
from imagery.engines import features, mapping, store
from imagery.engines.features import Recipe
from imagery.engines.founding import first
from imagery.engines.registering import later
from imagery.engines.run import Run
from imagery.engines.store import Roll
from imagery.errors import ReconstructionError
from imagery.photos import Photo
from imagery.reconstruct import Block, Method

MOST = 300
"""Photos that are solved at once."""


@dataclass(slots=True)
class ColmapReconstructor:
    """Adapter of `Reconstructor`. `shelf` holds keypoints by photo hash for all surveys; by default it lies in the workdir.

    Blocks of more than `most` photos are solved in parts of about that many (see `parts`, `large`), so that memory is bounded.
    """

    workers: int = 2
    recipe: Recipe = field(default_factory=Recipe)
    neighbours: int = 8
    shelf: Path | None = None
    most: int = MOST

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
        """See `Reconstructor`. The block's folder lies in `workdir`; `Block.save` copies it to where it shall stay."""
        mapping.quiet()
        unique = tuple({p.sha256: p for p in photos}.values())
        if len(unique) < 3:
            raise ReconstructionError(
                f"{len(unique)} 张照片不能成图，至少需要三张相互重叠的照片。 "
                f"{len(unique)} photos make no block: a survey needs at least three that overlap"
            )
        recipe = self.recipe_into(reference)
        run = Run(
            unique,
            frame,
            workdir,
            reference,
            control,
            progress,
            recipe=recipe,
            shelf=self.shelf_in(workdir, recipe),
            neighbours=self.neighbours,
            most=self.most,
            workers=self.workers,
        )
        done = run.folder / "block"
        if (done / "block.json").exists():
            return Block.load(done, unique)
        run.folder.mkdir(parents=True, exist_ok=True)
        with store.told(run.folder):
            return first(run, Method.GLOBAL) if reference is None else later(run, reference)

    def prepare(
        self, photos: Sequence[Photo], workdir: Path, *, reference: Block | None = None, progress: Progress = silent
    ) -> None:
        """See `Reconstructor`: keypoints of single photos."""
        recipe = self.recipe_into(reference)
        features.extract(photos, self.shelf_in(workdir, recipe), recipe, workers=self.workers, progress=progress)

    def recipe_into(self, reference: Block | None) -> Recipe:
        """How keypoints are sought: as the reference's were, where it has any."""
        if reference is not None and (reference.folder / "engine" / "roll.json").exists():
            return Roll.read(reference.folder / "engine").recipe
        return self.recipe

    def shelf_in(self, workdir: Path, recipe: Recipe) -> Path:
        """Where keypoints of a recipe lie."""
        return (self.shelf or workdir / "features") / recipe.shelf
