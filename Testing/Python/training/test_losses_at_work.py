"""The losses of both networks at work on them, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.networks import AttentionUNet, GuidedAttention, NetworkOutput

pytest.importorskip("monai")
from AttentionSegLib.training.losses import NetworkLoss
from loss_formulas import CLASSES, IGNORED, make_label, make_logits, region_loss

NETWORKS = {
    "attention-unet": lambda: AttentionUNet(2, 1, CLASSES, channels=(4, 6, 8), norm="instance", deep_supervision=True),
    "guided-attention": lambda: guided_network(),
    "guided-attention without guidance": lambda: guided_network(guided=False),
    "guided-attention of one step": lambda: guided_network(steps=1),
}


def guided_network(**arguments) -> GuidedAttention:
    return GuidedAttention(2, 1, CLASSES, **{"backbone": 10, "backbone_width": 0.125, "stem_stride": 2, "width": 4, "norm": "instance", **arguments})


class TestWrongInput:
    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"class_weights": [1, 2]}, r"class_weights is \[1, 2\]; [^\n]+ 3 classes"),
            ({"class_weights": [1, 0, 2]}, r"class_weights is \[1, 0, 2\]; "),
            ({"class_weights": torch.tensor([1, float("nan"), 2])}, r"class_weights is \[1\.0, nan, 2\.0\]; "),
            ({"class_weights": [1, float("inf"), 2]}, r"class_weights is \[1\.0, inf, 2\.0\]; "),
            ({"class_weights": 2}, r"class_weights is 2; "),
            ({"ignored_label": 2}, r"ignored_label is 2, "),
            ({"ignored_label": 0}, r"ignored_label is 0, "),
            ({"dice_weight": -0.5}, r"dice_weight is -0\.5; "),
            ({"dice_weight": float("nan")}, r"dice_weight is nan; "),
        ],
        ids=str,
    )
    def test_arguments(self, arguments, named):
        with pytest.raises(InputError, match=rf"^{named}[^\n]+\.$"):
            region_loss(CLASSES, **arguments)

    @pytest.mark.parametrize(
        ("value", "dtype", "ignored"), [(3, torch.uint8, 255), (255, torch.uint8, -1), (-1, torch.int8, 255), (156, torch.uint8, -100)]
    )
    def test_a_value_that_is_no_class(self, value, dtype, ignored):
        label = make_label(6, 5).to(dtype)
        label[1, 0, 2, 3] = value
        with pytest.raises(InputError, match=rf"^The label holds \[{value}\], [^\n]+ classes \(0\.\.2\) nor ignored \({ignored}\); [^\n]+\.$"):
            region_loss(CLASSES, ignored_label=ignored)(NetworkOutput(make_logits(6, 5)), label)

    @pytest.mark.parametrize("shape", [(2, 6, 5), (2, 3, 6, 5), (1, 1, 6, 5), (2, 1, 5, 6)], ids=str)
    def test_another_shape(self, shape):
        with pytest.raises(InputError, match=r"^The label has the shape [^\n]+ must be \(2, 1, 6, 5\), [^\n]+\.$"):
            region_loss(CLASSES)(NetworkOutput(make_logits(6, 5)), torch.zeros(shape, dtype=torch.uint8))

    def test_fractions(self):
        with pytest.raises(InputError, match=r"^The label is of type torch\.float32; [^\n]+\.$"):
            region_loss(CLASSES)(NetworkOutput(make_logits(6, 5)), make_label(6, 5).float())


@pytest.mark.parametrize("name", NETWORKS)
class TestAtWork:
    def make(self, name: str, size: int = 32) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
        """A network, and squares of two brightnesses with some voxels ignored."""
        torch.manual_seed(0)
        label = torch.zeros(2, 1, size, size, dtype=torch.uint8)
        label[:, :, 4:16, 6:20], label[:, :, 18:28, 10:24] = 1, 2
        image = label.float() + 0.1 * torch.randn(label.shape)
        label[:, :, :3] = IGNORED
        return NETWORKS[name]().train(), image, label

    def test_every_parameter_gets_a_gradient(self, name):
        network, image, label = self.make(name)
        for parameter_name, parameter in network.named_parameters():
            if parameter_name.endswith("gamma"):
                torch.nn.init.constant_(parameter, 0.5)
        NetworkLoss(network.loss_terms, CLASSES, [0.5, 1, 1], IGNORED)(network(image, return_attention=()), label).total.backward()
        gradients = {parameter_name: parameter.grad for parameter_name, parameter in network.named_parameters()}
        # The softmax over positions is the same whatever is added to all keys.
        without = {found for found, grad in gradients.items() if grad is None or not grad.any()}
        assert {found for found in without if not found.endswith("key.bias")} == set()
        assert all(grad.isfinite().all() for grad in gradients.values())

    def test_training_makes_it_smaller(self, name):
        network, image, label = self.make(name)
        loss = NetworkLoss(network.loss_terms, CLASSES, ignored_label=IGNORED)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        totals = []
        for _ in range(4):
            total = loss(network(image, return_attention=()), label).total
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            totals.append(total.item())
        assert totals[-1] < 0.9 * totals[0]

    def test_half_precision(self, name):
        network, image, label = self.make(name)
        with torch.autocast("cpu", torch.bfloat16):
            loss = NetworkLoss(network.loss_terms, CLASSES, ignored_label=IGNORED)(network(image, return_attention=()), label)
        assert loss.total.dtype == torch.float32
        loss.total.backward()
        assert loss.total.isfinite()
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())

    def test_out_of_training_it_is_the_region_that_counts(self, name):
        network, image, label = self.make(name)
        loss = NetworkLoss(network.loss_terms, CLASSES, ignored_label=IGNORED)(network.eval()(image, return_attention=()), label)
        assert loss.terms.keys() == {"cross_entropy", "dice"}
        assert loss.total.isfinite()
