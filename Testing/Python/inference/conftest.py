"""Engines with tiny models, a scan of noise, and regions put where a test wants them, for the tests of the engine as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from AttentionSegLib.image import Image
from AttentionSegLib.inference import FoundRegions, Predictor, region_search
from AttentionSegLib.region import Region
from placed_scans import CENTER
from poses import OBLIQUE, affine_around
from scipy.ndimage import gaussian_filter
from tiny_models import intensity_model, save_unet


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(intensity_model(), "cpu")


@pytest.fixture(scope="module")
def unet(tmp_path_factory) -> Predictor:
    return Predictor(save_unet(tmp_path_factory.mktemp("models") / "unet", patch_size=[24, 24, 24]), "cpu")


@pytest.fixture
def noise() -> Image:
    voxels = gaussian_filter(np.random.default_rng(0).normal(size=(12, 10, 8)), 1.5) * 600 + 75
    return Image(voxels[None].astype(np.float32), affine_around(CENTER, voxels.shape, OBLIQUE, (1.1, 0.9, 1.4)), "scan")


@pytest.fixture
def placed(monkeypatch):
    """Regions put where a test wants them, in place of those that are found."""

    def place(**centers: tuple[float, float, float]) -> None:
        def find(card, _template, _folder, _image, on_step) -> FoundRegions:
            on_step(1.0)
            return FoundRegions({name: Region(center, card.region_size) for name, center in centers.items()}, "the test", 1.0)

        monkeypatch.setattr(region_search, "find_by_template", find)

    return place
