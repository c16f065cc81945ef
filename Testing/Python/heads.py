"""A small head with a structure on each side, the template that finds them, and models that use it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from AttentionSegLib.files.nifti import write_nifti
from AttentionSegLib.image import Image
from AttentionSegLib.models import Model, save_model
from builders import make_card_document
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation
from tiny_models import UNET, IntensityNetwork, guided, make_card, random_network

SPACING, SHAPE = 5.0, (30, 36, 28)
TEMPLATE_NAME = "head.nii.gz"
# RAS mm in the template, whose middle is the origin.
CENTERS = {"right": (30.0, -8.0, -10.0), "left": (-30.0, -8.0, -10.0)}
SIDES = {"right": ("24028007", "Right"), "left": ("7771000", "Left")}
REGION_MM = (30.0, 36.0, 30.0)
# Above 100 is label 2 of `IntensityNetwork`, 50 to 100 label 1, of which the tissue around the structures has nothing.
TISSUE, CORE, SHELL = 30.0, 150.0, 80.0


def template() -> Image:
    """Tissue with folds, unlike on both sides, and dark around it: 1 byte a voxel, 5 mm."""
    values = np.random.default_rng(7).normal(size=SHAPE)
    folds = gaussian_filter(values, 1.5)
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = -SPACING * (np.array(SHAPE) - 1) / 2
    places = np.moveaxis(np.indices(SHAPE), 0, -1) @ affine[:3, :3] + affine[:3, 3]
    inside = ((places / (58.0, 72.0, 54.0)) ** 2).sum(-1) < 1
    bright = np.clip(TISSUE + 25 * folds / folds.std(), 5, 48)
    return Image(np.where(inside, np.round(bright), 0).astype(np.uint8)[None], affine, "template")


def head(
    degrees: tuple[float, float, float] = (0, 0, 0),
    size: float = 0.9,
    offset: tuple[float, float, float] = (6, -9, 4),
    spacing: float = 3.0,
    seed: int = 0,
) -> tuple[Image, dict[str, np.ndarray]]:
    """A scan of the template's head, smaller, turned, shifted and noisy, with the structures in it; and where their centers are, RAS mm."""
    source = template()
    linear = size * Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    shape = tuple(int(n) for n in np.ceil(np.array([170, 190, 165]) / spacing))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2 + np.array(offset) / 2
    places = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3] + affine[:3, 3]
    before = (places - offset) @ np.linalg.inv(linear).T
    voxels = map_coordinates(source.voxels[0].astype(np.float32), np.moveaxis(source.to_ijk(before), -1, 0), order=1)
    for center in CENTERS.values():
        distance = np.linalg.norm((before - center) / (1, 1.4, 1), axis=-1)
        voxels = np.where(distance < 9, SHELL, voxels)
        voxels = np.where(distance < 5, CORE, voxels)
    noise = np.random.default_rng(seed).normal(0, 1.0, shape)
    return Image((voxels + noise).astype(np.float32)[None], affine, "head"), {name: linear @ center + offset for name, center in CENTERS.items()}


def found_by(folder: Path) -> dict[str, Any]:
    """Write the template into a model folder; the block of the card that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    source = template()
    write_nifti(folder / TEMPLATE_NAME, source.voxels[0], source.affine)
    content = (folder / TEMPLATE_NAME).read_bytes()
    regions = [
        {"name": name, "center_mm": list(center), "laterality": {"scheme": "SCT", "value": SIDES[name][0], "meaning": SIDES[name][1]}}
        for name, center in CENTERS.items()
    ]
    return {
        "kind": "template",
        "file": TEMPLATE_NAME,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "license": "CC0-1.0",
        "source": "a head of formulas",
        "regions": regions,
    }


def entries(folder: Path, **changes: Any) -> dict[str, Any]:
    """What is different on the card of a model that finds its regions in these heads."""
    field_of_view = {"kind": "region", "size_mm": list(REGION_MM)}
    return {"field_of_view": field_of_view, "spacing_mm": [2.0, 2.0, 2.0], "found_by": found_by(folder), **changes}


def intensity_finder(folder: Path, **changes: Any) -> Model:
    """`IntensityNetwork` in the regions of these heads: the shell of a structure is label 1, its core label 2."""
    return Model(make_card(**entries(folder, **changes)), IntensityNetwork().eval(), folder)


def guided_finder(folder: Path) -> Model:
    """A network with position attention and random weights."""
    card = make_card(network=guided(), **entries(folder))
    return Model(card, random_network(guided(), 1, 3), folder)


def save_finder(folder: Path, **changes: Any) -> Path:
    """Write the folder of an Attention U-Net with random weights that finds its regions in these heads."""
    aside = folder.parent / f"{folder.name}-template"
    document = make_card_document(**{**entries(aside), "network": UNET, "patch_size": [16, 16, 16], **changes})
    save_model(folder, document, random_network(UNET))
    (aside / TEMPLATE_NAME).rename(folder / TEMPLATE_NAME)
    aside.rmdir()
    return folder
