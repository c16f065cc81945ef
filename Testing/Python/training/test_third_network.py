"""A network that nothing but the list of networks knows: offered by the command line, planned, trained by its own loss, saved, loaded and run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import load_model
from AttentionSegLib.network_names import NETWORKS
from AttentionSegLib.networks import build_network
from AttentionSegLib.networks.contract import Network, RegionLoss, Variant
from AttentionSegLib.networks.layers import conv_block, convolution, crop, max_pool, pad_to_multiple, resize
from AttentionSegLib.networks.output import NetworkOutput, ReturnAttention, wanted_maps
from AttentionSegLib.networks.supervision import added
from AttentionSegLib.planning import schedule
from tiny_training import write_cases
from torch import Tensor

pytest.importorskip("lightning")

pytestmark = pytest.mark.filterwarnings("ignore")

NAME = "mask-network"


class MaskNetwork(Network):
    """Two levels; the coarse one gives a mask for the fine one, which is the map, and a side prediction."""

    dimensions = (3,)
    size_arguments = ("width",)
    total_stride = (2, 2, 2)
    attention_strides = {"mask": (2, 2, 2)}  # noqa: RUF012 (a constant of the contract)

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, width: int = 4) -> None:
        super().__init__()
        self.fine = conv_block(spatial_dims, in_channels, width, "instance")
        self.pool = max_pool(spatial_dims, self.total_stride)
        self.coarse = conv_block(spatial_dims, width, width, "instance")
        self.mask, self.side, self.head = (convolution(spatial_dims, width, n, 1) for n in (1, out_channels, out_channels))

    @staticmethod
    def variants(device: str) -> list[Variant]:
        return [Variant(lambda _patch, _spacing: {"spatial_dims": 3, "width": {"cpu": 6, "gpu": 12}[device]}, patch_step=4)]

    @staticmethod
    def loss_terms(output: NetworkOutput, region: RegionLoss) -> dict[str, Tensor]:
        return {"fine": region.cross_entropy(output.logits), "side": 3 * added(region.dice(logits) for logits in output.side_logits)}

    def forward(self, x: Tensor, return_attention: ReturnAttention = False) -> Tensor | NetworkOutput:
        size = x.shape[2:]
        wanted = wanted_maps(return_attention, self.attention_strides)
        fine = self.fine(pad_to_multiple(x, self.total_stride))
        coarse = self.coarse(self.pool(fine))
        mask = torch.sigmoid(self.mask(coarse))
        logits, side = (crop(values, size) for values in (self.head(fine * resize(mask, fine.shape[2:])), resize(self.side(coarse), fine.shape[2:])))
        if return_attention is False:
            return logits
        maps = {name: crop(mask, [-(-n // 2) for n in size]) for name in wanted}
        return NetworkOutput(logits, maps, (side,))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("third")
    write_cases(folder)
    data = [f"--{name}={folder / name}" for name in ("images", "labels")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, NAME, f"{__name__}:MaskNetwork")
        patch.setattr(schedule, "MOST_STEPS", 4)
        assert attentionseg(["train", *data, "--network", NAME, "--hours=0.1", "--device=cpu", f"--output={folder / 'model'}"]) == 0
        yield folder


class TestThirdNetwork:
    def test_the_plan_is_its_own(self, trained):
        plan = json.loads((trained / "model-training" / "plan.json").read_text(encoding="utf-8"))
        assert plan["card"]["network"] == {"name": NAME, "arguments": {"spatial_dims": 3, "width": 6}}
        assert all(size % 4 == 0 for size in plan["card"]["patch_size"])
        assert any(note.startswith(f"Network {NAME} (width 6)") for note in plan["notes"])

    def test_its_side_output_counts_by_its_own_loss(self, trained):
        (log,) = (trained / "model-training").rglob("log/*/metrics.csv")
        with log.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["loss"]]
        assert rows
        assert {name for name in rows[0] if name.startswith("loss_")} == {"loss_fine", "loss_side"}
        # Of two labels and background, times 3.
        assert all(1 < float(row["loss_side"]) <= 3 for row in rows)
        assert all(float(row["loss"]) == pytest.approx(float(row["loss_fine"]) + float(row["loss_side"]), rel=1e-4) for row in rows)

    def test_the_engine_runs_it_and_keeps_its_map(self, trained):
        prediction = Predictor(trained / "model", "cpu", "torch")(read_image(trained / "images" / "case_3.nii.gz"))
        assert list(prediction.attention) == ["mask"]
        np.testing.assert_allclose(prediction.attention["mask"].spacing, 2)
        assert 0 < prediction.attention["mask"].voxels.min() < prediction.attention["mask"].voxels.max() < 1

    def test_it_is_built_for_what_it_is_made_for(self, trained):
        with pytest.raises(InputError, match="no variant in 2 dimensions"):
            build_network(NAME, 1, 3, {"spatial_dims": 2})


def test_without_the_list_nobody_knows_it(trained, monkeypatch):
    monkeypatch.delitem(NETWORKS, NAME)
    with pytest.raises(InputError, match=f"There is no network '{NAME}'"):
        load_model(trained / "model")


def test_without_a_loss_of_its_own_there_is_no_network():
    class Silent(MaskNetwork):
        loss_terms = Network.loss_terms

    with pytest.raises(TypeError, match="abstract"):
        Silent(3, 1, 2)
