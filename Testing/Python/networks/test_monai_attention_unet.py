"""MONAI's network through our contract: the same logits to the last digits, and gates that are those it used."""

from __future__ import annotations

import pytest
import torch
from AttentionSegLib.networks import build_network
from AttentionSegLib.networks.monai_attention_unet import MonaiAttentionUNet
from monai.networks.nets import AttentionUnet
from monai.networks.nets.attentionunet import AttentionBlock
from torch.testing import assert_close

NAME = "monai-attention-unet"


def monai(spatial_dims: int = 3, strides=(2, 2), **more) -> AttentionUnet:
    """As after a training: batch norm has seen something."""
    torch.manual_seed(3)
    network = AttentionUnet(spatial_dims, 2, 3, (4, 6, 10), strides, **more)
    for _ in range(4):
        network(torch.randn(2, 2, *[16] * spatial_dims))
    return network.eval()


def ours(network: AttentionUnet, **arguments) -> MonaiAttentionUNet:
    built = build_network(NAME, 2, 3, {"spatial_dims": network.dimensions, "channels": [4, 6, 10], **arguments})
    built.load_state_dict(network.state_dict())
    return built.eval()


@pytest.mark.parametrize(
    ("dims", "arguments"),
    [
        (2, {}),
        (3, {}),
        (3, {"strides": [[2, 2, 1], [2, 2, 2]]}),
        (2, {"strides": [1, 2], "kernel_size": 5}),
        (3, {"up_kernel_size": 5, "dropout": 0.2}),
        (3, {"kernel_size": [3, 3, 1], "up_kernel_size": [5, 3, 3]}),
    ],
)
def test_logits_and_gates_are_those_of_monai(dims, arguments):
    theirs = monai(dims, arguments.get("strides", (2, 2)), **{key: value for key, value in arguments.items() if key != "strides"})
    network, x = ours(theirs, **arguments), torch.randn(1, 2, *(16, 24, 8)[:dims])
    used = []
    for module in theirs.modules():
        if isinstance(module, AttentionBlock):
            module.psi.register_forward_hook(lambda _module, _given, gate: used.append(gate))
    with torch.inference_mode():
        output = network(x, return_attention=True)
        assert_close(output.logits, theirs(x), rtol=0, atol=1e-5)
    # MONAI runs the deepest level first.
    assert len(used) == len(output.attention) == 2
    for level, gate in enumerate(reversed(used), start=1):
        assert_close(output.attention[f"gate_{level}"], gate, rtol=0, atol=1e-6)


def test_a_gate_that_is_changed_changes_the_logits():
    network, x = ours(monai()), torch.randn(1, 2, 16, 16, 16)
    with torch.inference_mode():
        before = network(x)
        for name, modules in network.gates.items():
            hooks = [module.register_forward_hook(lambda _module, _given, gate: 1 - gate) for module in modules]
            assert (network(x) - before).abs().max() > 1e-4, name
            for hook in hooks:
                hook.remove()
    assert list(network.explained_layers) == ["decoder_2", "decoder_1"]


def test_arguments_are_read_from_the_shapes():
    found = MonaiAttentionUNet.read_arguments(monai(2, kernel_size=5).state_dict())
    assert found == {"spatial_dims": 2, "in_channels": 2, "out_channels": 3, "channels": [4, 6, 10], "kernel_size": 5, "up_kernel_size": 3}
    thin = monai(3, kernel_size=(3, 3, 1), up_kernel_size=(5, 3, 3)).state_dict()
    assert [MonaiAttentionUNet.read_arguments(thin)[name] for name in ("kernel_size", "up_kernel_size")] == [[3, 3, 1], [5, 3, 3]]
    with pytest.raises(ValueError, match="no weights of MONAI's AttentionUnet"):
        MonaiAttentionUNet.read_arguments(build_network("attention-unet", 1, 2, {"spatial_dims": 2}).state_dict())
