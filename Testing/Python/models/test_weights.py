"""Weights on disk: what is saved comes back, and nothing else is taken for it."""

from __future__ import annotations

import io
import json
import pickle
import struct

import pytest
import torch
from AttentionSegLib.errors import InputError, OutputError
from AttentionSegLib.models import load_model, save_model
from builders import make_card_document
from model_folders import ARGUMENTS, CARD, WEIGHTS, edit_card, make_document, make_folder, make_network, replace_weights
from safetensors.torch import load_file, save

AGAIN = r"^The weights [^\n]+; install the model again\.$"


def refusal(folder) -> str:
    with pytest.raises(InputError, match=AGAIN) as caught:
        load_model(folder)
    return str(caught.value)


class TestRoundTrip:
    def test_the_weights_come_back_within_half_precision(self, tmp_path):
        network = make_network(seed=1)
        save_model(tmp_path / "model", make_document(), network)
        loaded = load_model(tmp_path / "model").network.state_dict()
        for name, value in network.state_dict().items():
            assert loaded[name].dtype == value.dtype
            torch.testing.assert_close(loaded[name], value, rtol=2**-10, atol=2**-24)

    def test_the_network_is_ready_to_predict(self, tmp_path):
        network, x = make_network(seed=1), torch.randn(1, 1, 16, 18, 20, generator=torch.Generator().manual_seed(2))
        model = load_model(make_folder(tmp_path / "model", seed=1))
        assert not model.network.training
        assert model.folder == tmp_path / "model"
        assert {tensor.device.type for tensor in model.network.state_dict().values()} == {"cpu"}
        expected, got = network(x, return_attention=True), model.network(x, return_attention=True)
        assert (got.logits - expected.logits).abs().max() < 0.01 * expected.logits.std()
        assert (got.attention["gate_2"] - expected.attention["gate_2"]).abs().max() < 1e-3

    def test_a_loaded_network_can_be_trained_and_moved(self, tmp_path):
        network = load_model(make_folder(tmp_path / "model")).network.train()
        network(torch.randn(1, 1, 8, 8, 8)).sum().backward()
        torch.optim.SGD(network.parameters(), lr=0.1).step()
        assert network.double().head.weight.dtype == torch.float64

    def test_saving_what_was_loaded_gives_the_same_file(self, tmp_path):
        first = make_folder(tmp_path / "first")
        save_model(tmp_path / "second", make_document(), load_model(first).network)
        assert (first / WEIGHTS).read_bytes() == (tmp_path / "second" / WEIGHTS).read_bytes()

    def test_the_file_takes_two_bytes_per_weight(self, tmp_path):
        folder = make_folder(tmp_path / "model")
        count = sum(value.numel() for value in make_network().state_dict().values())
        overhead = 8 + struct.unpack("<Q", (folder / WEIGHTS).read_bytes()[:8])[0]
        assert (folder / WEIGHTS).stat().st_size - overhead < 2.2 * count

    def test_the_card_says_what_was_saved(self, tmp_path):
        card = save_model(tmp_path / "a model", make_document(), make_network())
        loaded = load_model(tmp_path / "a model").card
        assert loaded.raw == card.raw
        assert loaded.weights_bytes == (tmp_path / "a model" / WEIGHTS).stat().st_size
        assert loaded.weights_license == "CC-BY-SA-4.0"

    def test_a_weight_beyond_half_precision_survives(self, tmp_path):
        network = make_network()
        with torch.no_grad():
            network.head.weight[0, 0] = 1e6
        save_model(tmp_path / "model", make_document(), network)
        torch.testing.assert_close(load_model(tmp_path / "model").network.head.weight, network.head.weight)


class TestWrongWeights:
    @pytest.fixture
    def folder(self, tmp_path):
        return make_folder(tmp_path / "model")

    def test_missing(self, folder):
        (folder / WEIGHTS).unlink()
        assert str(folder / WEIGHTS) in refusal(folder)

    @pytest.mark.parametrize("place", [8, 1000, -1])
    def test_one_changed_byte(self, folder, place):
        content = bytearray((folder / WEIGHTS).read_bytes())
        content[place] ^= 1
        (folder / WEIGHTS).write_bytes(content)
        assert "SHA-256" in refusal(folder)

    @pytest.mark.parametrize("kept", [0, 7, 1000])
    def test_cut_off(self, folder, kept):
        size = (folder / WEIGHTS).stat().st_size
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:kept])
        assert f"{kept} of {size} bytes" in refusal(folder)

    def test_those_of_another_model(self, folder, tmp_path):
        other = make_folder(tmp_path / "other", seed=5)
        (folder / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
        assert "not those of the card" in refusal(folder)

    def test_no_safetensors_though_the_check_sum_fits(self, folder):
        checkpoint = io.BytesIO()
        torch.save(make_network().state_dict(), checkpoint)
        valid = (folder / WEIGHTS).read_bytes()
        for content in (checkpoint.getvalue(), b"\0", b"\xff" * 100, valid[:-1], valid + b"0"):
            replace_weights(folder, content)
            assert "not a safetensors file" in refusal(folder)

    def test_a_pickle_is_never_opened(self, folder, tmp_path):
        class Evil:
            def __reduce__(self):
                return (open, (str(tmp_path / "opened"), "w"))

        replace_weights(folder, pickle.dumps(Evil()))
        refusal(folder)
        assert not (tmp_path / "opened").exists()

    def test_numbers_of_a_kind_that_torch_does_not_know(self, folder):
        header = json.dumps({"head.weight": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}).encode()
        replace_weights(folder, struct.pack("<Q", len(header)) + header + b"\x01")
        assert "not a safetensors file" in refusal(folder)


class TestWeightsThatDoNotFit:
    @pytest.fixture
    def folder(self, tmp_path):
        return make_folder(tmp_path / "model")

    def change(self, folder, change) -> str:
        state = load_file(folder / WEIGHTS)
        change(state)
        replace_weights(folder, save(state))
        message = refusal(folder)
        assert "do not fit its network 'attention-unet'" in message
        return message

    def test_a_tensor_of_another_shape(self, folder):
        message = self.change(folder, lambda state: state.update({"head.bias": torch.zeros(4)}))
        assert "1 of another shape (head.bias)" in message

    def test_a_tensor_too_many(self, folder):
        message = self.change(folder, lambda state: state.update(surplus=torch.zeros(4)))
        assert "1 unknown (surplus)" in message

    def test_a_tensor_that_is_missing(self, folder):
        message = self.change(folder, lambda state: state.pop("head.bias"))
        assert "1 missing (head.bias)" in message

    def test_other_names_throughout(self, folder):
        assert "missing" in self.change(folder, lambda state: [state.update({f"module.{name}": state.pop(name)}) for name in list(state)])

    @pytest.mark.parametrize("arguments", [{"channels": [4, 6, 10]}, {"gate": "none"}, {"deep_supervision": True}, {"strides": [1, 1]}], ids=str)
    def test_a_card_that_describes_another_network(self, folder, arguments):
        edit_card(folder, network={"name": "attention-unet", "arguments": {**ARGUMENTS, **arguments}})
        assert "hippocampus-t1 do not fit" in refusal(folder)

    def test_a_card_that_asks_for_a_network_beyond_all_memory(self, folder):
        edit_card(folder, network={"name": "attention-unet", "arguments": {**ARGUMENTS, "channels": [4, 6, 10**6]}})
        assert "of another shape" in refusal(folder)

    def test_a_card_with_an_unknown_network(self, folder):
        edit_card(folder, network={"name": "transformer", "arguments": {}})
        with pytest.raises(InputError, match=r"^There is no network 'transformer'; this version knows [^\n]+\.$"):
            load_model(folder)


class TestAllOrNothing:
    @pytest.mark.parametrize(
        "document",
        [
            {**make_document(), "id": "Not An Id"},
            {key: value for key, value in make_document().items() if key != "weights"},
            {**make_document(), "weights": "CC-BY-SA-4.0"},
            {**make_document(), "limits": []},
            {},
        ],
        ids=["wrong id", "no weights", "weights of another type", "no limits", "empty"],
    )
    def test_an_invalid_card_leaves_nothing(self, tmp_path, document):
        with pytest.raises(InputError, match=r"^the card of model breaks the schema [^\n]+\.$"):
            save_model(tmp_path / "model", document, make_network())
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("number", [float("nan"), float("inf")])
    def test_a_network_that_diverged_leaves_nothing(self, tmp_path, number):
        network = make_network()
        with torch.no_grad():
            network.encoder[1][0].weight[0, 0, 0, 0, 0] = number
        with pytest.raises(InputError, match=r"^The weights 'encoder\.1\.0\.weight' [^\n]+\.$"):
            save_model(tmp_path / "model", make_document(), network)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("kind", ["folder", "file"])
    def test_what_is_already_there_stays(self, tmp_path, kind):
        target = tmp_path / "model"
        if kind == "folder":
            make_folder(target)
            before = (target / CARD).read_bytes()
        else:
            target.write_bytes(b"notes")
            before = b"notes"
        with pytest.raises(InputError, match=r"^There is already something at [^\n]+model; [^\n]+\.$"):
            save_model(target, make_document(title="Another"), make_network())
        assert (target / CARD if kind == "folder" else target).read_bytes() == before
        assert list(tmp_path.iterdir()) == [target]

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(OutputError, match="file"):
            save_model(tmp_path / "file" / "model", make_document(), make_network())

    def test_a_saved_folder_holds_the_card_and_the_weights_alone(self, tmp_path):
        folder = make_folder(tmp_path / "deeper" / "model")
        assert sorted(path.name for path in folder.iterdir()) == [CARD, WEIGHTS]
        assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]

    def test_the_picture_given_comes_with_them(self, tmp_path):
        save_model(tmp_path / "model", make_document(), make_network(), b"picture")
        assert (tmp_path / "model" / "thumbnail.png").read_bytes() == b"picture"
        assert load_model(tmp_path / "model").card.id == make_document()["id"]

    def test_the_card_given_is_not_changed(self, tmp_path):
        document = make_card_document(network=make_document()["network"])
        save_model(tmp_path / "model", document, make_network())
        assert document == make_document()
