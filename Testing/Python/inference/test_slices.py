"""Networks for slices: each slice as the network sees it alone, or between its neighbors."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.inference.slices import SliceNetwork
from AttentionSegLib.models import Model
from AttentionSegLib.networks import NetworkOutput
from slice_networks import NETWORKS, SLICES, across, noise
from tiny_models import AS_IT_IS, make_card, random_network
from torch.testing import assert_close


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("axis", range(3))
class TestNetwork:
    def test_each_slice_is_what_the_network_says_of_it_alone(self, name, axis):
        network, x = random_network(NETWORKS[name]), noise(2, 1, *across(axis, (16, 32), SLICES))
        with torch.inference_mode():
            found = SliceNetwork(network, axis)(x, return_attention=True)
            alone = [[network(x[b : b + 1].select(2 + axis, s), return_attention=True) for s in range(SLICES)] for b in range(2)]
        for b, s in product(range(2), range(SLICES)):
            wanted = alone[b][s]

            def same(volume: torch.Tensor, picture: torch.Tensor, b: int = b, s: int = s) -> None:
                assert_close(volume[b].select(1 + axis, s), picture[0], rtol=0, atol=1e-4 * picture.abs().max().item())

            same(found.logits, wanted.logits)
            assert found.attention.keys() == wanted.attention.keys() == network.attention_strides.keys()
            for key in wanted.attention:
                same(found.attention[key], wanted.attention[key])
            for side, side_alone in zip(found.side_logits, wanted.side_logits):
                same(side, side_alone)
            assert found.positions.keys() == wanted.positions.keys()
            for key, features in wanted.positions.items():
                row = found.positions[key].row(across(axis, (5, 9), 0), b * SLICES + s)
                assert_close(row.select(axis, 0), features.row((5, 9)), rtol=0, atol=1e-4)
            assert (found.uncertainty is None) == (wanted.uncertainty is None) == (name == "unet")
            if name == "guided":
                same(found.uncertainty, wanted.uncertainty)
        assert len(found.side_logits) == (2 if name == "unet" else 0)
        assert len(found.positions) == (0 if name == "unet" else 8)

    def test_from_slice_to_slice_nothing_is_coarser(self, name, axis):
        network, x = random_network(NETWORKS[name]), noise(1, 1, *across(axis, (32, 16), 2))
        wrapped = SliceNetwork(network, axis)
        assert wrapped.total_stride == across(axis, network.total_stride, 1)
        assert wrapped.maps_scaled_per_volume == network.maps_scaled_per_volume
        some = list(network.attention_strides)[::-1][:2]
        with torch.inference_mode():
            assert not isinstance(wrapped(x), NetworkOutput)
            output = wrapped(x, return_attention=some)
        assert list(output.attention) == some
        for key, values in output.attention.items():
            assert values.shape == (1, 1, *(n // s for n, s in zip(x.shape[2:], wrapped.attention_strides[key])))


class TestNeighbors:
    """2.5D: a slice and those before and after it are the inputs of the network."""

    @pytest.mark.parametrize(("slices", "axis"), [("sagittal", 0), ("axial", 2)])
    def test_the_network_sees_each_slice_between_its_neighbors(self, slices, axis):
        patch = list(across(axis, (16, 16), 1))
        inputs = [{"name": name, "modality": "MR", "normalization": AS_IT_IS} for name in ("T1", "T2")]
        card = make_card(network=NETWORKS["unet"], slices=slices, context=1, patch_size=patch, inputs=inputs)
        network = random_network(NETWORKS["unet"], inputs=card.in_channels)
        voxels = noise(2, *across(axis, (16, 16), 4))
        found = Predictor(Model(card, network, Path()), "cpu", "torch")(Image(voxels.numpy(), np.eye(4)), probabilities=True)
        seen = voxels.movedim(1 + axis, 0)
        with torch.inference_mode():
            # The outer slices stand for the neighbors that they lack.
            logits = [network(torch.cat([seen[max(s - 1, 0)], seen[s], seen[min(s + 1, 3)]])[None])[0] for s in range(4)]
        np.testing.assert_allclose(found.probabilities.voxels, torch.softmax(torch.stack(logits, 1 + axis), 0).numpy(), atol=1e-3)

    def test_a_label_is_explained_beside_them(self):
        card = make_card(network=NETWORKS["unet"], slices="axial", context=1, patch_size=[16, 16, 1])
        model = Model(card, random_network(NETWORKS["unet"], inputs=3), Path())
        label = card.labels[0].name
        found = Predictor(model, "cpu", "torch", explain=(label,))(Image(noise(1, 16, 16, 4).numpy(), np.eye(4)))
        (why,) = (values for name, values in found.attention.items() if name.endswith(label))
        assert why.shape[2] == 4

    def test_neighbors_are_as_far_apart_as_in_the_training(self):
        card = make_card(network=NETWORKS["unet"], slices="axial", context=1, patch_size=[16, 16, 1], spacing_mm=[1, 1, 3])
        found = Predictor(Model(card, random_network(NETWORKS["unet"], inputs=3), Path()), "cpu", "torch")(
            Image(noise(1, 16, 16, 9).numpy(), np.eye(4))
        )
        assert found.labels.shape == (16, 16, 9)
        assert found.attention["gate_2"].shape[2] == 3
