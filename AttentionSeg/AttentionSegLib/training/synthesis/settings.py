"""Settings of the image synthesis: probabilities and ranges, stored in the recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# Settings by value of the label maps.
BY_VALUE = ("learned_as", "tissues")


@dataclass(frozen=True)
class Synthesis:
    """Ranges from which the parameters of every image are drawn (Billot et al. 2023, arXiv:2107.09559), uniformly. Shares are probabilities.

    Attributes:
        learned_as: values of the label maps that get an intensity of their own but are learned as another label, or as background (0).
        tissues: numbers of tissues, by values of the label maps; values of a tissue look nearly alike in a share of the images.
        steps: synthesized voxels along each axis per working voxel, about the spacing of the label maps.
        rotation_degrees: largest angle about each axis.
        scaling: smallest and largest factor along each axis.
        shear: largest shear.
        translation_mm: largest shift along each axis.
        elastic_mm: largest standard deviation of the shifts of the control points of the elastic deformation.
        elastic_spacing_mm: between these control points.
        deviation: largest standard deviation of the intensities within a label; the means lie in 0..1.
        tissue_share: of images in which the values of a tissue share a mean intensity, as in most real scans.
        tissue_contrast: least difference between the mean intensities of two tissues in such images.
        tissue_deviation: largest standard deviation of the means of such values around that of their tissue.
        texture: largest standard deviation of the smooth change of intensity within labels that are not learned, which hold many tissues.
        dark_air_share: of images whose voxels without any label are about 0.
        bias_field: largest standard deviation of the logarithm of the field at its control points.
        gamma: standard deviation of the logarithm of the exponent.
        noise: largest standard deviation, of intensities in 0..1.
        slice_share: of images in thick slices along one of the axes.
        slice_mm: smallest and largest distance of the slices.
        stripped_share: of images from which what is not learned is removed.
        stripped_margin_mm: largest distance from the learned labels of what remains then.
        cut_share: of images whose field of view ends within the patch.
        cut_size: largest fraction of the patch that is cut off along an axis.

    Raises:
        ValueError: if a value is out of range.
    """

    learned_as: Mapping[int, int] = field(default_factory=dict)
    tissues: Mapping[int, int] = field(default_factory=dict)
    steps: tuple[int, int, int] = (1, 1, 1)
    rotation_degrees: float = 20.0
    scaling: tuple[float, float] = (0.85, 1.15)
    shear: float = 0.012
    translation_mm: float = 10.0
    elastic_mm: float = 3.0
    elastic_spacing_mm: float = 20.0
    deviation: float = 0.14
    tissue_share: float = 0.8
    tissue_contrast: float = 0.15
    tissue_deviation: float = 0.08
    texture: float = 0.15
    dark_air_share: float = 0.8
    bias_field: float = 0.5
    gamma: float = 0.4
    noise: float = 0.08
    slice_share: float = 0.5
    slice_mm: tuple[float, float] = (1.0, 9.0)
    stripped_share: float = 0.25
    stripped_margin_mm: float = 6.0
    cut_share: float = 0.25
    cut_size: float = 0.4

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name in BY_VALUE:
                right = all(isinstance(key, int) and isinstance(number, int) and key > 0 and number >= 0 for key, number in value.items())
            elif name == "steps":
                right = len(value) == 3 and all(isinstance(step, int) and step >= 1 for step in value)
            elif name in ("scaling", "slice_mm"):
                right = len(value) == 2 and all(map(_is_number, value)) and 0 < value[0] <= value[1]
            else:
                largest = 1.0 if name.endswith("_share") or name in ("cut_size", "tissue_contrast") else math.inf
                right = _is_number(value) and 0 <= value <= largest and (value > 0 or name != "elastic_spacing_mm")
            if not right:
                msg = f"{name} of the synthesis is {value!r}, out of range"
                raise ValueError(msg)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Synthesis:
        """Read the entry of a recipe. Raises ValueError or TypeError if an item is unknown or out of range."""
        settings: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
        for name in settings.keys() & set(BY_VALUE):
            settings[name] = {int(value): number for value, number in settings[name].items()}
        return cls(**settings)

    @property
    def document(self) -> dict[str, Any]:
        """The entry of a recipe, as JSON types."""
        listed = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        by_value = {name: {str(value): number for value, number in sorted(getattr(self, name).items())} for name in BY_VALUE}
        return {**listed, **by_value}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
