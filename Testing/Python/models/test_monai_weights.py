"""`attentionseg models import --monai`: from a checkpoint of somebody else to a model like any other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from AttentionSegLib.cli import main as attentionseg
from AttentionSegLib.errors import InputError
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.models import load_model
from AttentionSegLib.models.monai_weights import import_monai
from builders import make_card_document
from monai.networks.nets import AttentionUnet

AS_IT_IS = {"kind": "window", "window": [-1000, 1000], "mean": 0, "std": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ATTENTIONSEG_MODELS", "")
    monkeypatch.setattr("AttentionSegLib.models.monai_weights.user_folder", lambda: tmp_path / "Models")
    return tmp_path


@pytest.fixture(scope="module")
def trained() -> AttentionUnet:
    """For bright voxels, trained for a few steps."""
    torch.manual_seed(0)
    network = AttentionUnet(3, 1, 3, (4, 8, 16), (2, 2))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(10):
        image = torch.randn(2, 1, 16, 16, 16)
        loss = torch.nn.functional.cross_entropy(network(image), (image[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def write_card(folder: Path, **changes) -> Path:
    inputs = [{"name": "T1", "modality": "MR", "normalization": AS_IT_IS}]
    document = make_card_document(**{"id": "from-monai", "inputs": inputs, "patch_size": [16, 16, 16], "weights": {"license": "CC0-1.0"}, **changes})
    if "network" not in changes:
        del document["network"]
    (folder / "card.json").write_text(json.dumps(document), encoding="utf-8")
    return folder / "card.json"


def refused(content: object, folder: Path, **changes) -> str:
    torch.save(content, folder / "weights.pt")
    with pytest.raises(InputError) as raised:
        import_monai(folder / "weights.pt", write_card(folder, **changes))
    assert not (folder / "Models").exists()
    return str(raised.value)


def test_the_command_makes_a_model_that_gives_what_monai_gave(trained, folder, capsys):
    torch.save(trained.state_dict(), folder / "weights.pt")
    assert attentionseg(["models", "import", f"--monai={folder / 'weights.pt'}", f"--card={write_card(folder)}"]) == 0
    assert "Strides of 2 were assumed" in capsys.readouterr().out
    model = load_model(folder / "Models" / "from-monai")
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        wanted = trained(image)
        torch.testing.assert_close(model.network(image), wanted, rtol=0, atol=1e-5)
    found = Predictor(model, "cpu", "torch")(Image(image[0].numpy(), np.eye(4)))
    np.testing.assert_array_equal(found.labels.voxels[0], wanted[0].argmax(0).numpy())
    assert list(found.attention) == ["gate_1", "gate_2"]
    assert all(0 <= gate.voxels.min() < gate.voxels.max() <= 1 for gate in found.attention.values())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": {f"network.{name}": value for name, value in state.items()}, "epoch": 3, "hyper_parameters": {"lr": 0.1}},
        lambda state: {"model": state, "optimizer": {"state": {}}},
        lambda state: {"state_dict": {**{f"net._orig_mod.{name}": value for name, value in state.items()}, "loss.weight": torch.ones(3)}},
    ],
    ids=["Lightning", "MONAI bundle", "compiled, with more"],
)
def test_checkpoints(trained, folder, wrap):
    torch.save(wrap(trained.state_dict()), folder / "last.ckpt")
    made, notes = import_monai(folder / "last.ckpt", write_card(folder))
    assert torch.equal(load_model(made).network.state_dict()["model.2.conv.weight"], trained.state_dict()["model.2.conv.weight"])
    assert any("loss.weight" in note for note in notes) == ("loss.weight" in str(wrap({"a": 1})))


@pytest.mark.parametrize(
    ("wrap", "sentence"),
    [
        (
            lambda state, other: {**{f"net.{n}": v for n, v in state.items()}, **{f"ema.{n}": v for n, v in other.items()}},
            "net.*, not ema.*",
        ),
        (lambda state, other: {**state, **{f"ema.{n}": v for n, v in other.items()}}, "the tensors without prefix, not ema.*"),
        (lambda state, other: {"state_dict": state, "ema_state_dict": other}, "state_dict, not ema_state_dict"),
    ],
    ids=["prefixes", "one without prefix", "dictionaries"],
)
def test_which_of_several_networks_was_taken_is_told(trained, folder, wrap, sentence):
    other = {name: torch.full_like(value, 2) for name, value in trained.state_dict().items()}
    torch.save(wrap(trained.state_dict(), other), folder / "last.ckpt")
    made, notes = import_monai(folder / "last.ckpt", write_card(folder))
    assert torch.equal(load_model(made).network.state_dict()["model.2.conv.weight"], trained.state_dict()["model.2.conv.weight"])
    assert any(sentence in note for note in notes)


class TestBadInput:
    def test_code_is_not_run(self, folder):
        class Malicious:
            def __reduce__(self):
                return os.mkdir, (str(folder / "done"),)

        assert "would run code when opened" in refused({"state_dict": Malicious()}, folder)
        assert not (folder / "done").exists()

    def test_missing_additional_and_wrongly_shaped_weights_are_named(self, trained, folder):
        state = dict(trained.state_dict())
        del state["model.1.merge.conv.bias"]
        state["model.1.extra"] = torch.ones(1)
        state["model.2.conv.bias"] = torch.ones(7)
        said = refused(state, folder)
        for name in ("1 missing (model.1.merge.conv.bias)", "1 unknown (model.1.extra)", "1 of another shape (model.2.conv.bias)"):
            assert name in said

    def test_another_network(self, folder):
        assert "no weights of MONAI's AttentionUnet" in refused(torch.nn.Conv3d(1, 2, 3).state_dict(), folder)

    def test_a_card_that_does_not_suit_them(self, trained, folder):
        labels = make_card_document()["labels"]
        assert "give 3 class(es)" in refused(trained.state_dict(), folder, labels=labels[:1])
        inputs = [{"name": name, "modality": "MR", "normalization": AS_IT_IS} for name in ("T1", "T2")]
        assert "take 1 input channel(s)" in refused(trained.state_dict(), folder, inputs=inputs)
        assert "without 'slices'" in refused(AttentionUnet(2, 1, 3, (4, 8), (2,)).state_dict(), folder)
        wrong = {"name": "monai-attention-unet", "arguments": {"channels": [4, 8, 32]}}
        assert "of another shape" in refused(trained.state_dict(), folder, network=wrong)

    @pytest.mark.parametrize(
        ("network", "sentence"),
        [
            (3, "The entry 'network' of "),
            ({"arguments": [1]}, "The entry 'network' of "),
            ({"name": "attention-unet", "arguments": {}}, "names the network 'attention-unet'"),
            ({"name": "monai-attention-unet", "arguments": {"filters": 4}}, "it has no argument 'filters'; leave it out of the card."),
        ],
        ids=["number", "list", "another", "unknown argument"],
    )
    def test_a_card_with_another_network(self, trained, folder, network, sentence):
        assert sentence in refused(trained.state_dict(), folder, network=network)

    def test_half_a_command(self, capsys):
        assert attentionseg(["models", "import", "--monai=weights.pt"]) == 2
        assert "--card FILE" in capsys.readouterr().err
