"""HiResCAM and Seg-Grad-CAM: equal to the equations on one patch, only where a label is, blended over patches, refused for other labels."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from AttentionSegLib.cli import main
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import read_image, write_map
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Prediction, Predictor
from AttentionSegLib.inference.explanation import Explanation
from AttentionSegLib.inference.preprocessing import WorkingGrid
from AttentionSegLib.inference.progress import Progress
from AttentionSegLib.map_kinds import map_kind
from AttentionSegLib.models import Model
from AttentionSegLib.options import EXPLAIN_METHODS, HIRESCAM, SEG_GRAD_CAM
from tiny_models import UNET, guided, intensity_model, random_model, save_unet

ANTERIOR, POSTERIOR = "Hippocampus anterior", "Hippocampus posterior"


def noise(*shape: int) -> Image:
    return Image(np.random.default_rng(2).normal(0, 1, (1, *shape)).astype(np.float32), np.eye(4), "noise")


def finding_anterior(network: dict[str, Any], **changes: Any) -> Model:
    """Random weights that give all of a scan to label 1."""
    model = random_model(network, **changes)
    with torch.no_grad():
        for head in getattr(model.network, "heads", None) or [model.network.head]:
            head.bias[1] += 9
    return model


def by_hand(model: Model, layer: str, voxels: np.ndarray, value: int, method: str = HIRESCAM) -> np.ndarray:
    """The equation for a scan of one patch, as a share of its largest value."""
    network = copy.deepcopy(model.network)
    kept: list[torch.Tensor] = []
    network.explained_layers[layer][0].register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    logits = network(torch.from_numpy(voxels)[None])
    kept[0].retain_grad()
    logits[0, value][logits[0].argmax(0) == value].sum().backward()
    means = kept[0].grad.flatten(2).mean(2).view(*kept[0].shape[:2], *[1] * (kept[0].ndim - 2))
    found = ((means if method == SEG_GRAD_CAM else kept[0].grad) * kept[0]).sum(1)[0].relu().detach().numpy()
    return found / found.max()


@pytest.mark.parametrize("network", [UNET, guided()], ids=lambda network: network["name"])
@pytest.mark.parametrize("which", [0, -1], ids=["default layer", "last layer"])
@pytest.mark.parametrize("method", EXPLAIN_METHODS)
def test_of_one_patch_it_is_the_equation(network, which, method):
    model = finding_anterior(network)
    layer, (_, stride) = list(model.network.explained_layers.items())[which]
    predictor = Predictor(model, "cpu", "torch", attention=False, explain_layer=layer if which else None, explain_method=method)
    found = predictor(noise(16, 16, 16), explain=[ANTERIOR])
    (name,) = found.attention
    assert name == f"why {ANTERIOR}"
    np.testing.assert_allclose(found.attention[name].spacing, stride)
    expected = by_hand(model, layer, noise(16, 16, 16).voxels, 1, method)[tuple(slice(n) for n in found.attention[name].shape)]
    assert expected.std() > 0.05
    np.testing.assert_allclose(found.attention[name].voxels[0], expected, atol=1e-3)


def test_of_slices_it_lies_on_their_grid():
    network = {**UNET, "arguments": {**UNET["arguments"], "spatial_dims": 2}}
    model = finding_anterior(network, slices="axial", patch_size=[16, 16, 1])
    image = noise(16, 16, 3)
    found = Predictor(model, "cpu", "torch")(image, explain=ANTERIOR, attention=False).attention[f"why {ANTERIOR}"]
    assert found.shape == (4, 4, 3)
    last = by_hand(model, "decoder_3", image.voxels[..., 2], 1)
    np.testing.assert_allclose(found.voxels[0, :, :, 2] / found.voxels[0, :, :, 2].max(), last, atol=1e-3)


@pytest.fixture(scope="module")
def found() -> Prediction:
    """Of two labels, over several patches."""
    return Predictor(random_model(UNET), "cpu", "torch", overlap=0.5)(noise(40, 16, 16), explain=[ANTERIOR, POSTERIOR], attention=["gate_2"])


class TestOverPatches:
    def test_every_label_has_a_map_beside_those_asked_for(self, found):
        assert list(found.attention) == ["gate_2", f"why {ANTERIOR}", f"why {POSTERIOR}"]
        assert found.attention[f"why {ANTERIOR}"].shape == (10, 4, 4)
        assert not np.array_equal(found.attention[f"why {ANTERIOR}"].voxels, found.attention[f"why {POSTERIOR}"].voxels)

    def test_it_is_a_share_of_the_largest(self, found):
        values = found.attention[f"why {ANTERIOR}"].voxels
        assert (values.min(), values.max()) == (0, 1)

    def test_on_the_grid_of_the_scan(self, found):
        on_scan = Predictor(random_model(UNET), "cpu", "torch", overlap=0.5)(
            noise(40, 16, 16), explain=[ANTERIOR], attention=False, attention_grid="scan"
        )
        assert on_scan.attention[f"why {ANTERIOR}"].shape == (40, 16, 16)


def test_what_has_no_part_in_the_label_is_0():
    """No voxel gets label 1, so none of the scan's places raised it."""
    model = random_model(UNET)
    with torch.no_grad():
        model.network.head.bias[1] = -1e4
    found = Predictor(model, "cpu", "torch")(noise(16, 16, 16), explain=[ANTERIOR], attention=False)
    assert not (found.labels.voxels == 1).any()
    assert found.attention[f"why {ANTERIOR}"].voxels.max() == 0


class TestRefusedBeforeAnyWork:
    def refused(self, model: Model, **options: object) -> str:
        with pytest.raises(InputError) as refusal:
            Predictor(model, "cpu", "torch")(noise(16, 16, 16), on_progress=lambda *_: pytest.fail("work began"), **options)
        return str(refusal.value)

    def test_a_label_that_the_model_does_not_have(self):
        assert self.refused(random_model(UNET), explain=["Liver"]).endswith(f"choose one of {ANTERIOR}; {POSTERIOR}.")

    def test_a_layer_that_the_network_does_not_have(self):
        assert "no layer 'decoder_9'; choose one of decoder_3, decoder_1" in self.refused(
            random_model(UNET), explain=[ANTERIOR], explain_layer="decoder_9"
        )

    def test_a_network_that_cannot_be_explained(self):
        assert "no layer at which" in self.refused(intensity_model(), explain=[ANTERIOR])


def test_map_is_told_in_words():
    kind = map_kind("why Right parotid gland")
    assert (kind.title, kind.unit) == ("Why Right parotid gland", "share of the largest")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Of a model and one scan."""
    folder = tmp_path_factory.mktemp("scan")
    (folder / "scans").mkdir()
    write_map(noise(16, 16, 16), folder / "scans" / "scan.nii.gz")
    save_unet(folder / "model")
    return folder


class TestCommand:
    def arguments(self, folder, output: str, *more: str) -> list[str]:
        return ["--model", str(folder / "model"), "--output", str(folder / output), "--device", "cpu", *more]

    @pytest.mark.usefixtures("blank_pictures")
    @pytest.mark.parametrize(("command", "place"), [("segment", "scans/scan.nii.gz"), ("batch", "scans")])
    def test_writes_it_on_the_grid_of_the_scan(self, folder, command, place):
        more = ["--explain", POSTERIOR, "--attention-grid", "scan", "--attention", "gate_2"]
        assert main([command, str(folder / place), *self.arguments(folder, command, *more)]) == 0
        found = {path.name: read_image(path).shape for path in (folder / command).rglob("scan_*.nrrd") if "segmentation" not in path.name}
        assert found == dict.fromkeys((f"scan_{name}.nrrd" for name in ("gate_2", "uncertainty", "why_Hippocampus_posterior")), (16, 16, 16))

    @pytest.mark.parametrize(("command", "place"), [("segment", "scans/scan.nii.gz"), ("batch", "scans")])
    def test_refuses_an_unknown_label_in_one_sentence(self, folder, command, place, capsys):
        assert main([command, str(folder / place), *self.arguments(folder, f"{command} of nothing", "--explain", "Liver")]) == 2
        assert "gives no label 'Liver'" in capsys.readouterr().err
        assert not (folder / f"{command} of nothing").exists()


def test_where_a_gpu_runs_out_of_memory_the_cpu_explains_and_a_note_says_so():
    model = finding_anterior(UNET)

    class OnFullGpu(type(model.network)):
        @property
        def explained_layers(self):
            # torch's device without memory stands for a GPU that is full.
            if next(self.parameters()).device.type == "meta":
                msg = "CUDA out of memory."
                raise torch.cuda.OutOfMemoryError(msg)
            return super().explained_layers

    network = copy.deepcopy(model.network)
    network.__class__ = OnFullGpu
    volume, grid = torch.from_numpy(noise(16, 16, 16).voxels), WorkingGrid(np.eye(4), (16, 16, 16), 3 * ((0, 16),))
    full = Explanation(replace(model, network=network), None, HIRESCAM, {ANTERIOR: 1}, [16, 16, 16], 0)
    labels = torch.ones(16, 16, 16, dtype=torch.long)
    found, notes = full.images_of(volume, labels, grid, torch.device("meta"), Progress())
    expected, none = replace(full, model=model).images_of(volume, labels, grid, torch.device("cpu"), Progress())
    assert notes == ("meta ran out of memory while labels were explained; the CPU did this instead.",)
    assert none == ()
    assert expected[f"why {ANTERIOR}"].voxels.max() > 0
    np.testing.assert_array_equal(found[f"why {ANTERIOR}"].voxels, expected[f"why {ANTERIOR}"].voxels)
