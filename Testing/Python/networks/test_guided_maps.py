"""The maps of the guided-attention network, and its probe: what a single position attends to."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.networks import position_attention
from guided_networks import assert_same, equations, make_input, make_network
from largest_tensor import LargestTensor
from torch.testing import assert_close


class TestMaps:
    @pytest.mark.parametrize("size", [(64, 96), (32, 32, 64)], ids=str)
    def test_position_attention_received_is_1_on_average(self, size):
        network = make_network(len(size))
        with torch.no_grad():
            maps = network(make_input(2, 1, *size), return_attention=True).attention
        for name, values in maps.items():
            if name.startswith("position"):
                assert_close(values.flatten(1).mean(1), torch.ones(2, dtype=torch.float64))
                assert values.std() > 1e-3

    def test_a_guided_map_answers_at_the_place_where_the_image_changes(self):
        network, x = make_network(norm="batch"), make_input(1, 1, 128, 128)
        changed = x.clone()
        changed[..., 40:56, 88:104] += 3
        with torch.no_grad():
            before, after = (network(image, return_attention=["guided_scale1_step1"]).attention["guided_scale1_step1"] for image in (x, changed))
        change = (after - before).abs()[0, 0]
        row, column = divmod(int(change.argmax()), change.shape[1])
        assert 8 <= row <= 15
        assert 20 <= column <= 27

    def test_maps_may_be_asked_for_while_training(self):
        network = make_network().train()
        output = network(make_input(1, 1, 32, 64), return_attention=["position_scale2_step1"])
        assert list(output.attention) == ["position_scale2_step1"]
        sum(side.square().mean() for side in output.side_logits).backward()
        assert network.backbone.conv1.weight.grad.abs().max() > 0


class TestProbe:
    NAME = "position_scale2_step1"

    def test_a_row_is_what_the_matrix_has_there(self):
        network, x = make_network(), make_input(2, 1, 64, 96)
        with torch.no_grad():
            output, rows = network(x, return_attention=[self.NAME]), equations(network, x)["rows"][self.NAME]
        assert list(output.positions) == [self.NAME]
        for image, position in ((0, (0, 0)), (1, (3, 17)), (1, (15, 23))):
            row = output.positions[self.NAME].row(position, image)
            assert row.shape == (16, 24)
            assert row.min() >= 0
            assert row.sum().item() == pytest.approx(1)
            assert_same(row, rows[image, position[0] * 24 + position[1]].reshape(16, 24))

    def test_in_3d_the_last_axis_runs_fastest(self):
        network, x = make_network(3, stem_stride=2), make_input(1, 1, 16, 32, 8)
        with torch.no_grad():
            output, rows = network(x, return_attention=[self.NAME]), equations(network, x)["rows"][self.NAME]
        row = output.positions[self.NAME].row((3, 10, 1))
        assert_same(row, rows[0, (3 * 16 + 10) * 4 + 1].reshape(8, 16, 4))

    def test_the_mean_of_all_rows_is_the_map(self):
        network, x = make_network(), make_input(1, 1, 32, 64)
        with torch.no_grad():
            output = network(x, return_attention=[self.NAME])
            rows = [output.positions[self.NAME].row((i, j)) for i in range(8) for j in range(16)]
        assert_same(output.attention[self.NAME][0, 0], sum(rows))

    def test_no_matrix_of_all_pairs_exists(self, monkeypatch):
        monkeypatch.setattr(position_attention, "COMPARED_AT_A_TIME", 2**18)
        network = make_network(stem_stride=1, steps=1, width=4).float()
        with torch.inference_mode(), LargestTensor() as whole:
            output = network(make_input(1, 1, 64, 64).float(), return_attention=[self.NAME])
        pairs = 64**4
        assert whole.entries < pairs / 50
        with LargestTensor() as one:
            output.positions[self.NAME].row((63, 0))
        assert one.entries < pairs / 1000

    @pytest.mark.parametrize("position", [(16, 0), (0, -1), (1,), (1, 2, 3)])
    def test_a_position_off_the_grid(self, position):
        network = make_network()
        positions = network(make_input(1, 1, 64, 96), return_attention=[self.NAME]).positions
        with pytest.raises(IndexError, match=r"^There is no position \(.*\) on the grid of 16 x 24\.$"):
            positions[self.NAME].row(position)

    def test_positions_come_with_the_maps_asked_for_and_no_others(self):
        output = make_network()(make_input(1, 1, 32, 64), return_attention=["guided_scale1_step1", "position_scale4_step2"])
        assert list(output.positions) == ["position_scale4_step2"]


def test_guided_maps_are_the_ones_to_be_shown_as_a_share_of_the_largest():
    network = make_network()
    assert network.maps_scaled_per_volume == {name for name in network.attention_strides if name.startswith("guided_")}
