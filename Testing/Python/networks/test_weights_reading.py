"""Reading files of pretrained weights: those of torch and safetensors, and files that are not what they should be."""

from __future__ import annotations

import io
import pickle
import tarfile
import warnings
from pathlib import Path

import pytest
import torch
from AttentionSegLib.errors import InputError
from AttentionSegLib.networks.weights_source import read_weights
from safetensors.torch import save_file
from weights_server import CONTENT

STATE = {"conv1.weight": torch.arange(6.0).half().reshape(1, 2, 3), "steps": torch.tensor(7)}


class RunsCode:
    """What a hostile pickle does: when it is opened, a file appears."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def tar_of(pickled: bytes) -> bytes:
    """The oldest format of torch."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(pickled)
            tar.addfile(info, io.BytesIO(pickled))
    return stream.getvalue()


class TestReading:
    @pytest.mark.parametrize("old", [False, True])
    @pytest.mark.parametrize("ending", [".pth", ".pt", ".PTH"])
    def test_what_torch_saved(self, tmp_path, ending, old):
        path = tmp_path / f"weights{ending}"
        torch.save({"epoch": 3, "name": "resnet", "state_dict": STATE}, path, _use_new_zipfile_serialization=not old)
        content = read_weights(path)
        assert content["epoch"] == 3
        torch.testing.assert_close(content["state_dict"], STATE, rtol=0, atol=0)

    def test_safetensors(self, tmp_path):
        path = tmp_path / "weights.safetensors"
        save_file(STATE, path)
        torch.testing.assert_close(read_weights(path), STATE, rtol=0, atol=0)

    @pytest.mark.parametrize("kind", ["zip", "old", "pickle", "tar"])
    def test_no_code_in_a_file_is_run(self, tmp_path, kind):
        path, trace = tmp_path / "weights.pth", tmp_path / "trace"
        pickled = pickle.dumps(RunsCode(trace), protocol=4 if kind == "pickle" else 2)
        if kind in ("zip", "old"):
            torch.save({"state_dict": RunsCode(trace)}, path, _use_new_zipfile_serialization=kind == "zip")
        else:
            path.write_bytes(tar_of(pickled) if kind == "tar" else pickled)
        # The sentence is all that is said.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(InputError, match=r"made by torch\.save") as raised:
                read_weights(path)
        assert not isinstance(raised.value.__cause__, Warning)
        assert not trace.exists()

    @pytest.mark.parametrize("ending", [".pth", ".safetensors"])
    @pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x02}q\x00.", b"PK\x03\x04 no zip", b"<html>Not found</html>", CONTENT], ids=range(6))
    def test_what_is_no_file_of_weights(self, tmp_path, ending, content):
        path = tmp_path / f"weights{ending}"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"weights{ending} cannot be read"):
            read_weights(path)

    @pytest.mark.parametrize("ending", [".pth", ".safetensors"])
    def test_half_a_file(self, tmp_path, ending):
        path = tmp_path / f"weights{ending}"
        save_file(STATE, path) if ending == ".safetensors" else torch.save(STATE, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match="cannot be read"):
            read_weights(path)

    @pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], 5, None], ids=str)
    def test_no_dictionary(self, tmp_path, content):
        path = tmp_path / "weights.pth"
        torch.save(content, path)
        with pytest.raises(InputError, match="not a dictionary of tensors"):
            read_weights(path)
