"""A label of a result explained: for one voxel equal to autograd on the patch that covers it, for the segment equal to that of the run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from AttentionSegLib.errors import Cancelled, InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.inference.result_explanation import explain_result
from AttentionSegLib.models import Model
from tiny_models import UNET, guided, make_card, random_model, random_network

ANTERIOR, POSTERIOR = "Hippocampus anterior", "Hippocampus posterior"
LAYERS = {"attention-unet": "decoder_3", "guided-attention": "fused"}


def noise(*shape: int) -> Image:
    return Image(np.random.default_rng(2).normal(0, 1, (1, *shape)).astype(np.float32), np.eye(4), "noise")


def by_autograd(network: torch.nn.Module, layer: str, voxels: np.ndarray, value: int, voxel: tuple[int, ...]) -> np.ndarray:
    """ReLU of the sum of the features times the gradient of one logit at one voxel, position by position, as a share of its largest value."""
    network = copy.deepcopy(network)
    kept: list[torch.Tensor] = []
    network.explained_layers[layer][0].register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    logit = network(torch.from_numpy(voxels)[None])[(0, value, *voxel)]
    (gradient,) = torch.autograd.grad(logit, kept[0])
    found = (gradient * kept[0]).sum(1)[0].relu().detach().numpy()
    return found / found.max()


def explained(network: dict[str, Any], image: Image, at: tuple[float, ...], label: str = ANTERIOR) -> tuple[Model, Image]:
    model = random_model(network)
    predictor = Predictor(model, "cpu", "torch", overlap=0.5)
    return model, explain_result(predictor, predictor(image, attention=False), image, label, at)


@pytest.mark.parametrize("network", [UNET, guided()], ids=lambda network: network["name"])
def test_of_one_voxel_it_is_the_equation_for_its_logit(network):
    image, voxel = noise(16, 16, 16), (4, 9, 11)
    model, found = explained(network, image, voxel, POSTERIOR)
    expected = by_autograd(model.network, LAYERS[network["name"]], image.voxels, 2, voxel)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found.voxels[0], expected[tuple(slice(n) for n in found.shape)], atol=1e-3)


def test_it_lies_over_the_patch_whose_center_is_nearest():
    image, voxel = noise(40, 16, 16), (18, 9, 3)
    model, found = explained(UNET, image, voxel)
    # Patches begin at 0, 8, 16 and 24; the middle of the second is at 15.5, that of the third at 23.5.
    expected = by_autograd(model.network, "decoder_3", image.voxels[:, 8:24], 1, (10, 9, 3))
    np.testing.assert_allclose(found.voxels[0], expected[tuple(slice(n) for n in found.shape)], atol=1e-3)
    np.testing.assert_allclose(found.to_ras([0, 0, 0]), [8 + 1.5, 1.5, 1.5])


def test_of_slices_it_is_that_of_the_slice_with_its_neighbors():
    flat, image = {**UNET, "arguments": {**UNET["arguments"], "spatial_dims": 2}}, noise(16, 16, 5)
    card = make_card(network=flat, slices="axial", patch_size=[16, 16, 1], context=1)
    predictor = Predictor(Model(card, random_network(flat, inputs=3), Path()), "cpu", "torch")
    found = explain_result(predictor, predictor(image, attention=False), image, POSTERIOR, (12, 3, 3))
    expected = by_autograd(predictor.model.network, "decoder_3", image.voxels[0, :, :, 2:5].transpose(2, 0, 1), 2, (12, 3))
    np.testing.assert_allclose(found.voxels[0, :, :, 3], expected, atol=1e-3)
    assert found.voxels[0, :, :, [0, 1, 2, 4]].max() == 0


def test_of_a_segment_it_is_the_map_of_the_run():
    image, predictor = noise(40, 16, 16), Predictor(random_model(UNET), "cpu", "torch", overlap=0.5)
    result = predictor(image, explain=[ANTERIOR], attention=False)
    found = explain_result(predictor, result, image, ANTERIOR)
    np.testing.assert_allclose(found.voxels, result.attention[f"why {ANTERIOR}"].voxels, atol=1e-4)
    np.testing.assert_allclose(found.affine, result.attention[f"why {ANTERIOR}"].affine)


class TestRefused:
    @pytest.fixture
    def run(self):
        predictor, image = Predictor(random_model(UNET), "cpu", "torch"), noise(16, 16, 16)
        return predictor, predictor(image, attention=False), image

    @pytest.mark.parametrize(
        ("label", "at", "phrase"),
        [("Liver", None, "gives no label 'Liver'"), (ANTERIOR, (4, 9, 30), "outside the region in which Hippocampus anterior was looked for")],
    )
    def test_label_or_place(self, run, label, at, phrase):
        with pytest.raises(InputError, match=phrase):
            explain_result(*run, label, at)

    def test_another_grid(self, run):
        with pytest.raises(InputError, match="has another grid than the result"):
            explain_result(*run[:2], noise(16, 16, 17), ANTERIOR)

    def test_when_cancelled(self, run):
        with pytest.raises(Cancelled):
            explain_result(*run, ANTERIOR, cancel=lambda: True)

    def test_a_segment_without_voxels(self):
        model, image = random_model(UNET), noise(16, 16, 16)
        with torch.no_grad():
            model.network.head.bias[1] = -1e4
        predictor = Predictor(model, "cpu", "torch")
        with pytest.raises(InputError, match="has no voxels in the result"):
            explain_result(predictor, predictor(image, attention=False), image, ANTERIOR)
