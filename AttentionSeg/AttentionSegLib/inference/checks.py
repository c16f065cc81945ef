"""Checks of the input of a run before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations

import numpy as np

from ..errors import InputError
from ..image import Image, Numbers
from ..models import Card
from ..models.card import ACROSS
from ..models.channels import COLORS, are_colors
from ..region import Region
from .parts import bounds, held, slabs

# Squares and sums of larger intensities leave the range of float32, in which the engine works.
LARGEST = 1e15
VOXELS_AT_A_TIME = 1_000_000
# Shares of the region size of a model, along one edge. At 0.7 and 1.25, hippocampi lose 8 % of their volume (Testing/benchmarks/region_size.py).
SMALLEST_REGION, LARGEST_REGION = 0.75, 1.25
# A scan up to this many times the region size of a model is taken for the region itself.
REGION_ITSELF = 2.0


def check_input(image: Image, region: Region | None, card: Card) -> None:
    """Raise InputError unless the model can work on the image.

    Checked: number of channels, a volume or the slice orientation of the model, finite numbers, more than one intensity, a region that contains
    voxels, and that a region is given if the model needs one and its card names no method to find it.
    """
    check_channels(image, card)
    check_slice(image, card)
    check_voxels(image, [channel.name for channel in card.inputs])
    if region is not None:
        _check_region(image, region)
    elif lacks_region(image.spacing * image.shape, card):
        size, known = (" x ".join(f"{v:.0f}" for v in values) for values in (image.spacing * image.shape, card.region_edges))
        msg = f"The model {card.id} needs a region of about {known} mm around the structure, and {image.name} is {size} mm large; give a region."
        raise InputError(msg)


def check_channels(image: Image, card: Card) -> None:
    """Raise InputError for a gray image where the model takes colors, the other way, or another number of inputs."""
    msg = None
    if card.in_colors and image.channels == 1:
        msg = f"{image.name} is gray, and the model {card.id} takes images in colors (red, green, blue); choose a model for gray images."
    elif len(card.inputs) == 1 and image.channels == len(COLORS) and image.is_slice:
        msg = f"{image.name} is in colors, and the model {card.id} takes gray images; save it in gray, or choose a model for colors."
    elif image.channels != len(card.inputs):
        names = ", ".join(channel.name for channel in card.inputs)
        msg = f"The model {card.id} needs {len(card.inputs)} input(s) ({names}), and {image.channels} were given; give exactly these, in this order."
    if msg:
        raise InputError(msg)


def check_slice(image: Image, card: Card) -> None:
    """Raise InputError for an image without voxels, or a single slice that the model does not take."""
    size = " x ".join(map(str, image.shape))
    if min(image.shape) < 1:
        msg = f"{image.name} has no voxels ({size}); choose another scan."
        raise InputError(msg)
    if not image.is_slice:
        return
    if card.slices is None:
        msg = f"{image.name} has {size} voxels, and the model {card.id} takes volumes; give the scan with all of its slices, or choose a 2D model."
        raise InputError(msg)
    thin = thin_planes(image)
    if thin != [card.slices]:
        msg = (
            f"{image.name} ({size} voxels) is a single {' and '.join(thin)} slice, and the model {card.id} takes {card.slices} ones; choose another."
        )
        raise InputError(msg)


def thin_planes(image: Image) -> list[str]:
    """The planes in which an image is a single slice: `axial`, `coronal` or `sagittal`; none for a volume."""
    return [name for name, axis in ACROSS.items() if image.shape[image.nearest_axes[axis]] == 1]


def larger_than_region(extent: Numbers, size: Sequence[float] | None) -> bool:
    """Whether a scan with these edges, in mm, is too large to be taken for a region of this size; False without a size."""
    return size is not None and bool((np.sort(extent) > REGION_ITSELF * np.sort(size)).any())


def lacks_region(extent: Numbers, card: Card) -> bool:
    """Whether a region has to be given for a scan with these edges, in mm: the model needs one and its card names no method to find it."""
    return card.needs_region and card.found_by is None and larger_than_region(extent, card.region_size)


def is_searched(extent: Numbers, card: Card) -> bool:
    """Whether the model finds its regions in a scan with these edges, in mm, and so distinguishes their sides."""
    return card.needs_region and card.found_by is not None and larger_than_region(extent, card.region_size)


def check_attention(attention: bool | tuple[str, ...], available: Iterable[str], card: Card) -> list[str]:
    """The names of the requested maps. Raises InputError for a name that the model does not have."""
    available = list(available)
    if isinstance(attention, bool):
        return available if attention else []
    unknown = [name for name in attention if name not in available]
    if unknown:
        msg = f"The model {card.id} has no attention map '{unknown[0]}'; it has {', '.join(available) or 'none'}."
        raise InputError(msg)
    return list(attention)


def check_voxels(image: Image, channels: Sequence[object], otherwise: str = "choose another scan") -> None:
    """Raise InputError, ending in the advice `otherwise`, unless every channel has finite numbers only and more than one intensity.

    Of the three channels of a color image, named by `COLORS`, one or two may have a single intensity.
    """
    if image.voxels.dtype.kind not in "biuf":
        msg = f"{image.name} has voxels of type {image.voxels.dtype}; real numbers are needed."
        raise InputError(msg)
    same = []
    for channel, voxels in zip(channels, image.voxels):
        named = image.name if image.channels == 1 else f"{image.name} (channel {channel})"
        low, high = voxels.min(), voxels.max()
        if not (abs(float(low)) <= LARGEST and abs(float(high)) <= LARGEST):
            bad = int((~(np.abs(voxels.astype(np.float64)) <= LARGEST)).sum())
            msg = f"{named} has {bad} voxel(s) that are NaN, infinite or above {LARGEST:g}; replace them (with 0, say), or {otherwise}."
            raise InputError(msg)
        same += [f"{named} has the same intensity ({low:g}) everywhere"] if low == high else []
    if same and (len(same) == image.channels or not are_colors(channels)):
        msg = f"{same[0]}; there is nothing to segment, {otherwise}."
        raise InputError(msg)


def holds_voxels(image: Image, region: Region) -> bool:
    """Whether the region contains the center of at least one voxel."""
    return any(held(image.affine, first, last, region).any() for first, last in slabs(*bounds(image, region), VOXELS_AT_A_TIME))


def region_note(region: Region | None, card: Card) -> str:
    """A warning about a region much smaller or larger than the region size of the model; empty for any other."""
    if region is None or card.region_size is None:
        return ""
    # The edges of a rotated box that are closest to right, anterior, superior.
    along = max(permutations(range(3)), key=lambda order: np.abs(region.axes[range(3), order]).sum())
    edges = np.asarray(region.size)[list(along)]
    known = np.array(card.region_size)
    too_small, too_large = (edges < SMALLEST_REGION * known).any(), (edges > LARGEST_REGION * known).any()
    if not (too_small or too_large):
        return ""
    size, wanted = (" x ".join(f"{length:.0f}" for length in lengths) for lengths in (edges, known))
    wrong = "too small and too large" if too_small and too_large else "too small" if too_small else "too large"
    return (
        f"The region of {size} mm is {wrong} for this model, trained on about {wanted} mm, so its volumes may be wrong; give one of about that size."
    )


def _check_region(image: Image, region: Region) -> None:
    if holds_voxels(image, region):
        return
    ranges = ", ".join(f"{axis} {a:.0f}..{b:.0f}" for axis, a, b in zip("RAS", image.corners().min(0), image.corners().max(0)))
    center = ", ".join(f"{c:.0f}" for c in region.center)
    msg = f"The region around ({center}) holds no voxel of {image.name}, which spans {ranges} mm; move the region into the image."
    raise InputError(msg)
