"""Starting from another model or a pretrained backbone: what is taken, what is left, and what is refused."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.datasets.case_set import CaseSet
from AttentionSegLib.datasets.cases import Case, find_cases
from AttentionSegLib.errors import InputError
from AttentionSegLib.models import save_model
from AttentionSegLib.networks import build_network
from AttentionSegLib.training import plan_training, train_model
from AttentionSegLib.training.initial_weights import InitialWeights, initialize, take_weights
from safetensors.torch import save_file
from tiny_models import random_network
from tiny_training import make_card, make_document, make_labels, make_recipe, write_cases

UNET = {"name": "attention-unet", "arguments": {"spatial_dims": 3, "channels": [4, 8, 16], "norm": "instance", "deep_supervision": True}}
GUIDED = {"name": "guided-attention", "arguments": {"spatial_dims": 3, "backbone": 10, "backbone_width": 0.0625, "stem_stride": 2, "width": 4}}


def network_of(card) -> torch.nn.Module:
    return build_network(card.network, len(card.inputs), len(card.labels) + 1, card.network_arguments)


def saved(folder, network=UNET, labels: int = 2):
    """A model folder, and its network."""
    torch.manual_seed(7)
    document = make_document({"network": network, "labels": make_labels(labels)})["card"]
    built = network_of(make_card(network=network, labels=make_labels(labels)))
    save_model(folder / "model", {**document, "weights": {"license": "CC0-1.0"}}, built)
    return folder / "model", built


class TestTakeWeights:
    def test_the_same_network_is_taken_whole(self, tmp_path):
        folder, given = saved(tmp_path)
        card = make_card(network=UNET)
        network = network_of(card)
        note = take_weights(network, card, folder)
        for name, value in network.state_dict().items():
            torch.testing.assert_close(value, given.state_dict()[name].half().float(), rtol=0, atol=0)
        assert note == f"Started from boxes 1.0.0: {len(given.state_dict())} of {len(given.state_dict())} tensors taken."

    def test_other_labels_leave_only_the_last_layers(self, tmp_path):
        folder, given = saved(tmp_path)
        card = make_card(network=UNET, labels=make_labels(5))
        network = network_of(card)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        note = take_weights(network, card, folder)
        kept = [name for name, value in network.state_dict().items() if torch.equal(value, before[name])]
        left = [name for name in before if name.startswith(("head.", "side_heads."))]
        assert set(left) <= set(kept)
        assert f"{len(before) - len(left)} of {len(before)} tensors taken; {len(left)} start at random (" in note
        torch.testing.assert_close(network.encoder[0][0].weight, given.encoder[0][0].weight.half().float())

    def test_another_network(self, tmp_path):
        folder, _ = saved(tmp_path)
        card = make_card(network=GUIDED)
        with pytest.raises(InputError, match=r"^The model boxes is a network 'attention-unet', not 'guided-attention'; [^\n]+\.$"):
            take_weights(network_of(card), card, folder)

    def test_another_network_is_refused_before_the_cases_are_looked_at(self, tmp_path):
        folder, _ = saved(tmp_path)
        missing = [Case("a", (tmp_path / "a.nii.gz",), tmp_path / "b.nii.gz")]
        with pytest.raises(InputError, match="The model boxes is a network 'attention-unet', not 'guided-attention'"):
            train_model(CaseSet({"train": missing, "val": missing}), "guided-attention", tmp_path / "new", start_from=folder)
        with pytest.raises(InputError, match="There is no file or folder"):
            train_model(CaseSet({"train": missing, "val": missing}), "attention-unet", tmp_path / "new", start_from=folder)
        assert [path.name for path in tmp_path.iterdir()] == ["model"]

    def test_a_network_of_another_width(self, tmp_path):
        folder, _ = saved(tmp_path)
        card = make_card(network={**UNET, "arguments": {**UNET["arguments"], "channels": [5, 10, 20]}})
        with pytest.raises(InputError, match=r"^Only \d+ % of the weights of boxes fit the network; [^\n]+\.$"):
            take_weights(network_of(card), card, folder)

    def test_no_model(self, tmp_path):
        card = make_card(network=UNET)
        with pytest.raises(InputError, match=r"^The model card [^\n]+ cannot be read"):
            take_weights(network_of(card), card, tmp_path)


class TestPretrained:
    def test_a_backbone(self, tmp_path):
        card = make_card(network=GUIDED)
        source, network = network_of(card), network_of(card)
        torch.save(source.backbone.state_dict(), tmp_path / "weights.pth")
        (note,) = initialize(network, card, InitialWeights(pretrained=str(tmp_path / "weights.pth")))
        assert torch.equal(network.backbone.conv1.weight, source.backbone.conv1.weight)
        assert not torch.equal(network.heads[0].weight, source.heads[0].weight)
        assert note.startswith("Pretrained weights from ")

    @pytest.mark.parametrize("ending", ["pth", "safetensors", "bin"])
    def test_color_weights_of_torchvision_and_timm_for_a_gray_slice(self, tmp_path, ending):
        arguments = {"spatial_dims": 2, "backbone": 18, "width": 4}
        published = random_network({"name": "guided-attention", "arguments": arguments}, inputs=3).backbone
        # With the classifier for ImageNet's classes.
        weights = {**published.state_dict(), "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
        path = tmp_path / f"resnet18.{ending}"
        save_file(weights, path) if ending == "safetensors" else torch.save(weights, path)
        card = make_card(network={"name": "guided-attention", "arguments": arguments}, slices="axial", patch_size=[16, 16, 1])
        network = network_of(card).eval()
        (note,) = initialize(network, card, InitialWeights(pretrained=str(path)))
        assert "from 3 to 1 input channels" in note
        gray = torch.randn(1, 1, 64, 64)
        with torch.inference_mode():
            # As the code of the paper, which gives one image to all three inputs.
            for found, wanted in zip(network.backbone(gray), published(gray.expand(-1, 3, -1, -1))):
                torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())

    def test_a_network_without_one(self, tmp_path):
        card = make_card(network=UNET)
        with pytest.raises(InputError, match=r"^The network 'attention-unet' has no backbone for the pretrained weights [^\n]+\.$"):
            initialize(network_of(card), card, InitialWeights(pretrained=str(tmp_path / "weights.pth")))

    def test_they_are_looked_at_before_the_cases(self, tmp_path):
        """And nothing is left of the attempt."""
        (tmp_path / "weights.pth").write_text("no weights")
        missing = [Case("a", (tmp_path / "a.nii.gz",), tmp_path / "b.nii.gz")]
        for network, sentence in (("guided-attention", r"cannot be read: they are damaged"), ("attention-unet", "has no backbone")):
            with pytest.raises(InputError, match=rf"^The [^\n]+{sentence}[^\n]+\.$"):
                train_model(CaseSet({"train": missing, "val": missing}), network, tmp_path / "model", pretrained=str(tmp_path / "weights.pth"))
        assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]

    @pytest.mark.parametrize(
        ("backbone", "sentence"),
        [("resnet34", "are of a ResNet of another depth, with 2 blocks in 'layer1' there and 3 here"), ("resnet17", "has no backbone 'resnet17'")],
    )
    def test_they_are_of_the_backbone_that_was_asked_for(self, tmp_path, backbone, sentence):
        weights = tmp_path / "weights.pth"
        torch.save(random_network({"name": "guided-attention", "arguments": {"spatial_dims": 2, "backbone": 18}}).backbone.state_dict(), weights)
        missing = [Case("a", (tmp_path / "a.nii.gz",), tmp_path / "b.nii.gz")]
        with pytest.raises(InputError, match=sentence):
            train_model(CaseSet({"train": missing}), "guided-attention", tmp_path / "model", pretrained=str(weights), backbone=backbone)
        InitialWeights(pretrained=str(weights)).check("guided-attention", "resnet18")

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"backbone": "resnet18", "slices": "none"}, "are for 2D images, and a network for volumes was asked for"),
            ({}, r"fit none of the sizes [^\n]+; name the backbone that they are for \(--backbone resnet18\)"),
        ],
        ids=["dimensions", "sizes of the plan"],
    )
    @pytest.mark.parametrize("call", [train_model, plan_training])
    def test_they_suit_what_is_planned(self, tmp_path, call, options, sentence):
        weights, folder = tmp_path / "weights.pth", [tmp_path / "work"] if call is plan_training else []
        torch.save(random_network({"name": "guided-attention", "arguments": {"spatial_dims": 2, "backbone": 18}}).backbone.state_dict(), weights)
        missing = CaseSet({"train": [Case("a", (tmp_path / "a.nii.gz",), tmp_path / "b.nii.gz")]})
        with pytest.raises(InputError, match=rf"^The weights from [^\n]+{sentence}[^\n]*\.$"):
            call(missing, "guided-attention", tmp_path / "model", *folder, pretrained=str(weights), device="cpu", **options)
        assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]

    def test_files_without_a_resnet(self, tmp_path):
        torch.save({"weight": torch.zeros(3)}, tmp_path / "weights.pth")
        with pytest.raises(InputError, match="are not those of a ResNet"):
            InitialWeights(pretrained=str(tmp_path / "weights.pth")).check(None, None)

    def test_not_both(self, tmp_path):
        card = make_card(network=GUIDED)
        with pytest.raises(InputError, match=r"^Both a model to start from [^\n]+; give one of them\.$"):
            initialize(network_of(card), card, InitialWeights(tmp_path, "weights.pth"))


class TestTraining:
    @pytest.mark.filterwarnings("ignore")
    def test_it_starts_from_the_model(self, tmp_path):
        pytest.importorskip("lightning")
        from AttentionSegLib.training.trainer import train

        folder, given = saved(tmp_path)
        recipe = make_recipe(tmp_path, {"network": UNET}, learning_rate=1e-12)
        cases = find_cases(tmp_path / "images", tmp_path / "labels", write_cases(tmp_path))
        trained = train(recipe, cases, tmp_path / "work", "cpu", InitialWeights(folder))
        torch.testing.assert_close(trained.network.encoder[0][0].weight, given.encoder[0][0].weight, rtol=1e-3, atol=1e-5)
        assert trained.notes[0].startswith("Started from boxes 1.0.0: ")
