"""The losses of both networks, against their formulas in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from AttentionSegLib.networks import NetworkOutput
from loss_formulas import (
    CLASSES,
    IGNORED,
    WEIGHTS,
    cross_entropy,
    dice,
    exactly,
    generator,
    guided_loss,
    make_label,
    make_logits,
    numbers,
    region_loss,
)
from torch.testing import assert_close

SIZES = [(6, 5), (4, 5, 3)]


class TestRegion:
    @pytest.mark.parametrize("size", SIZES, ids=str)
    @pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
    @pytest.mark.parametrize("ignored", [False, True], ids=["all voxels", "some ignored"])
    def test_the_formulas(self, size, weights, ignored):
        logits, label = make_logits(*size), make_label(*size, ignored=ignored)
        loss = region_loss(CLASSES, weights, IGNORED, dice_weight=0.7)(NetworkOutput(logits), label)
        given = (1, 1, 1) if weights is None else weights
        expected = {"cross_entropy": cross_entropy(logits, label, given), "dice": 0.7 * dice(logits, label, given)}
        assert numbers(loss) == {name: exactly(value) for name, value in expected.items()}
        assert loss.total.item() == exactly(sum(expected.values()))

    def test_the_better_the_smaller(self):
        label = make_label(8, 8)
        sure = torch.cat([label == value for value in range(CLASSES)], 1).double()
        losses = [region_loss(CLASSES)(NetworkOutput(scale * sure), label).total.item() for scale in (-5, 0, 1, 5, 20)]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < 1e-3

    def test_a_weight_of_two_counts_a_voxel_twice(self):
        """The same image once more, with all but class 1 ignored."""
        logits, label = make_logits(6, 5), make_label(6, 5)
        twice = torch.cat([label, torch.where(label == 1, label, IGNORED)])
        weighted = region_loss(CLASSES, [1, 2, 1])(NetworkOutput(logits), label).terms["cross_entropy"]
        repeated = region_loss(CLASSES, ignored_label=IGNORED)(NetworkOutput(torch.cat([logits, logits])), twice).terms["cross_entropy"]
        assert_close(weighted, repeated, rtol=0, atol=1e-12)

    def test_only_ratios_of_weights_count(self):
        output, label = NetworkOutput(make_logits(6, 5)), make_label(6, 5)
        alike, scaled = region_loss(CLASSES)(output, label), region_loss(CLASSES, [5, 5, 5])(output, label)
        assert numbers(scaled) == {name: exactly(value) for name, value in numbers(alike).items()}

    def test_a_checkpoint_does_not_bring_its_own_weights(self):
        assert "class_weights" not in region_loss(CLASSES, WEIGHTS).state_dict()

    def test_without_dice(self):
        output, label = NetworkOutput(make_logits(6, 5)), make_label(6, 5)
        assert numbers(region_loss(CLASSES, dice_weight=0)(output, label)) == {"cross_entropy": exactly(cross_entropy(output.logits, label))}

    @pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64], ids=str)
    def test_every_type_of_label(self, dtype):
        logits, label = make_logits(6, 5), make_label(6, 5)
        assert region_loss(CLASSES)(NetworkOutput(logits), label.to(dtype)).terms["dice"].item() == exactly(dice(logits, label))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_half_precision_is_computed_in_float32(self, dtype):
        logits, label = (1000 * make_logits(6, 5)).to(dtype).requires_grad_(), make_label(6, 5)
        half, full = (region_loss(CLASSES)(NetworkOutput(x), label) for x in (logits, logits.detach().float()))
        assert half.total.dtype == torch.float32
        assert_close(half.total.detach(), full.total, rtol=0, atol=0)
        half.total.backward()
        assert logits.grad.isfinite().all()


class TestIgnored:
    @pytest.mark.parametrize("value", [255, -1, CLASSES, -100])
    def test_logits_there_do_not_matter(self, value):
        label = make_label(6, 5, ignored=True).to(torch.int16)
        ignored = (label == IGNORED).expand(-1, CLASSES, -1, -1)
        logits = make_logits(6, 5).requires_grad_()
        others = torch.where(ignored, make_logits(6, 5, seed=5), logits.detach())
        loss, changed = (
            region_loss(CLASSES, WEIGHTS, value)(NetworkOutput(x), torch.where(label == IGNORED, value, label)).total for x in (logits, others)
        )
        assert loss.item() == changed.item()
        loss.backward()
        assert (logits.grad[ignored] == 0).all()
        assert (logits.grad[~ignored] != 0).all()

    def test_it_is_the_loss_of_the_other_voxels(self):
        logits, label = make_logits(6, 8), make_label(6, 8)
        hidden = label.clone()
        hidden[..., 5:] = IGNORED
        loss = region_loss(CLASSES, WEIGHTS, IGNORED)
        part, cut = loss(NetworkOutput(logits), hidden), loss(NetworkOutput(logits[..., :5]), label[..., :5])
        assert numbers(part) == {name: exactly(value) for name, value in numbers(cut).items()}

    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
    def test_nothing_but_ignored_voxels(self, dtype):
        logits = make_logits(6, 5).to(dtype).requires_grad_()
        loss = region_loss(CLASSES, WEIGHTS, IGNORED)(NetworkOutput(logits, side_logits=(2 * logits,)), torch.full((2, 1, 6, 5), IGNORED))
        assert loss.total.item() == 0
        loss.total.backward()
        assert (logits.grad == 0).all()

    def test_an_image_of_nothing_else_leaves_the_loss_to_the_others(self):
        logits, label = make_logits(6, 5), make_label(6, 5)
        loss = region_loss(CLASSES, ignored_label=IGNORED)
        empty = torch.cat([label[:1], torch.full_like(label[:1], IGNORED)])
        assert loss(NetworkOutput(logits), empty).total.item() == exactly(loss(NetworkOutput(logits[:1]), label[:1]).total.item())


class TestDeepSupervision:
    def test_half_the_weight_each_step_coarser(self):
        """The coarsest comes first in `side_logits`."""
        final, fine, middle, coarse = (make_logits(6, 5, seed=seed) for seed in range(4))
        label = make_label(6, 5, ignored=True)
        loss = region_loss(CLASSES, WEIGHTS, IGNORED)(NetworkOutput(final, side_logits=(coarse, middle, fine)), label)
        levels = list(zip((8 / 15, 4 / 15, 2 / 15, 1 / 15), (final, fine, middle, coarse)))
        for name, formula in (("cross_entropy", cross_entropy), ("dice", dice)):
            assert loss.terms[name].item() == exactly(sum(share * formula(logits, label, WEIGHTS) for share, logits in levels))


class TestGuided:
    """Hand-made outputs: as many scales as the network has, codes and features of a few numbers."""

    SCALES = 4

    def make_output(self, steps: int, guided: bool = True) -> NetworkOutput:
        random = generator(3)

        def features() -> tuple[torch.Tensor, ...]:
            return tuple(torch.randn(2, 3, 2, 2, dtype=torch.float64, generator=random).requires_grad_() for _ in range(self.SCALES if guided else 0))

        latents = [features() for _ in range(steps)]
        inputs, reconstructions = ([one for _ in range(steps) for one in features()] for _ in range(2))
        guided_pairs = [pair for codes, following in zip(latents, latents[1:]) for pair in zip(codes, following)]
        compared = {"guided": guided_pairs, "reconstruction": list(zip(reconstructions, inputs))}
        sides = tuple(make_logits(6, 5, seed=10 + i) for i in range(2 * self.SCALES))
        return NetworkOutput(torch.stack(sides).mean(0), side_logits=sides, compared=compared)

    def distance(self, first: torch.Tensor, second: torch.Tensor) -> float:
        return float(np.mean((first.detach().numpy() - second.detach().numpy()) ** 2))

    @pytest.mark.parametrize("steps", [1, 2, 3])
    @pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
    def test_the_terms_and_weights_of_the_paper(self, steps, weights):
        output, label = self.make_output(steps), make_label(6, 5, ignored=True)
        given = (1, 1, 1) if weights is None else weights
        expected = {
            "cross_entropy": sum(cross_entropy(side, label, given) for side in output.side_logits),
            "guided": 0.25 * sum(self.distance(*pair) for pair in output.compared["guided"]),
            "reconstruction": 0.1 * sum(self.distance(*pair) for pair in output.compared["reconstruction"]),
        }
        paper = guided_loss(CLASSES, weights, IGNORED, dice_weight=0)(output, label)
        assert numbers(paper) == {name: exactly(value) for name, value in expected.items()}
        assert paper.total.item() == exactly(sum(expected.values()))
        ours = guided_loss(CLASSES, weights, IGNORED)(output, label)
        assert ours.total.item() == exactly(sum(expected.values()) + dice(output.logits, label, given))

    def test_no_side_of_a_comparison_is_detached(self):
        output = self.make_output(steps=2)
        guided_loss(CLASSES)(output, make_label(6, 5)).total.backward()
        compared = [features for pairs in output.compared.values() for pair in pairs for features in pair]
        assert len(compared) == 2 * self.SCALES * 3
        assert all((features.grad != 0).all() for features in compared)

    def test_without_guidance_in_the_network(self):
        output, label = self.make_output(steps=2, guided=False), make_label(6, 5)
        loss = guided_loss(CLASSES)(output, label)
        assert loss.terms["guided"].item() == loss.terms["reconstruction"].item() == 0
        assert loss.total.item() == exactly(sum(cross_entropy(side, label) for side in output.side_logits) + dice(output.logits, label))

    def test_half_precision_does_not_overflow(self):
        codes = tuple(torch.full((1, 2, 2, 2), value, dtype=torch.float16) for value in (1000.0, -1000.0))
        logits = make_logits(6, 5).half()
        loss = guided_loss(CLASSES)(
            NetworkOutput(logits, side_logits=(logits,), compared={"guided": [codes], "reconstruction": []}), make_label(6, 5)
        )
        assert loss.terms["guided"].item() == 0.25 * 2000**2
