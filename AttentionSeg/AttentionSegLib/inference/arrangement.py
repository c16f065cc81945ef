"""Whether the labels of a result lie to each other as in the training data; those of a scan of something else lie anywhere."""

from __future__ import annotations

import numpy as np

from ..boxes import label_boxes
from ..models.arrangement import Arrangement

# A label with fewer voxels is taken for noise, and fewer labels than this fit anything.
LEAST_VOXELS, LEAST_LABELS = 20, 4
# Smallest share of the known labels, below which a scan shows something else.
LEAST_SHARE = 1 / 5
# The misfit that is tolerated in any case, and the multiple of the largest one of the training cases. Of the structures of the brain, heads had up to
# 0.1, scans of something else and noise 0.5 or more.
TOLERATED, TIMES = 0.3, 2.0
# How much larger or smaller than in the training data everything may be.
SCALES = (0.6, 1.6)


def label_centers(labels: np.ndarray, affine: np.ndarray) -> dict[int, np.ndarray]:
    """The center of mass of each label, RAS mm, by value, except of those with too few voxels.

    Args:
        labels: [I, J, K] label values.
        affine: IJK to RAS in mm.
    """
    centers = {}
    for value, window in label_boxes(labels).items():
        inside = labels[window] == value
        count = np.count_nonzero(inside)
        if count >= LEAST_VOXELS:
            # By sums of planes, which is five times as fast as by the place of each voxel.
            planes = [inside.sum(tuple(other for other in range(3) if other != axis)) for axis in range(3)]
            index = [part.start + np.arange(len(sums)) @ sums / count for part, sums in zip(window, planes)]
            centers[value] = affine[:3, :3] @ index + affine[:3, 3]
    return centers


def misfit_of(points: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """How points [N, 3] differ from known ones after the rotation, shift and scaling that bring these closest to them in the mean of squares.

    Returns:
        The median distance as a share of the root mean square distance of the points from their center, and the scale.
    """
    # Imported here because it takes a while, and few models know an arrangement.
    from scipy.spatial.transform import Rotation

    points, known = points - points.mean(0), known - known.mean(0)
    rotation, _ = Rotation.align_vectors(points, known)
    turned = rotation.apply(known)
    scale = float((points * turned).sum() / (known**2).sum())
    size = np.sqrt((points**2).sum(1).mean())
    return float(np.median(np.linalg.norm(points - scale * turned, axis=1)) / max(size, 1e-6)), scale


def arrangement_note(labels: np.ndarray, affine: np.ndarray, known: Arrangement | None, name: str) -> str:
    """A sentence that a scan probably shows something else than the training data, by the arrangement of its labels; empty if it does not seem so.

    Args:
        labels: [I, J, K] label values.
        affine: IJK to RAS in mm.
        known: of the card; without it nothing is said.
        name: of the scan.
    """
    fault = "" if known is None else _fault(label_centers(labels, affine), known)
    return f"{name} probably shows something else than this model was trained on: {fault}." if fault else ""


def _fault(centers: dict[int, np.ndarray], known: Arrangement) -> str:
    shared = sorted(centers.keys() & known.centers.keys())
    if len(shared) < LEAST_SHARE * len(known.centers):
        return f"{len(shared)} of {len(known.centers)} structures were found"
    if len(shared) < LEAST_LABELS:
        return ""
    misfit, scale = misfit_of(np.array([centers[value] for value in shared]), np.array([known.centers[value] for value in shared]))
    most = max(TOLERATED, TIMES * known.misfit)
    if misfit > most:
        return f"the structures found lie {misfit:.0%} of their extent off from where they lie in the training data (at most {most:.0%} is expected)"
    if not SCALES[0] <= scale <= SCALES[1]:
        return f"the structures found lie {scale:.2f} times as far apart as in the training data ({SCALES[0]:g} to {SCALES[1]:g} is expected)"
    return ""
