"""The record of a run's options: checked once, and the same wherever they come from."""

from __future__ import annotations

import argparse
import pickle
import re

import pytest
from AttentionSegLib.cli.options import add_run_options, run_options
from AttentionSegLib.errors import InputError
from AttentionSegLib.inference import Predictor
from AttentionSegLib.options import RunOptions
from tiny_models import intensity_model


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (True, True),
        (False, False),
        ("all", True),
        ("none", False),
        (" gate_3 , gate_2", ("gate_3", "gate_2")),
        (["gate_2", "gate_2"], ("gate_2",)),
        ([], ()),
    ],
)
def test_maps_are_given_as_text_or_as_names(given, kept):
    assert RunOptions(attention=given).attention == kept


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("overlap", 0.91, "The overlap of patches is 0.91"),
        ("overlap", float("nan"), "The overlap of patches is nan"),
        ("memory_limit_gb", 0, "The memory limit is 0 GB"),
        ("memory_limit_gb", float("inf"), "The memory limit is inf GB"),
        ("attention_grid", "patient", "no attention grid 'patient'"),
        ("file_format", "dicom", "no format 'dicom'; choose one of nrrd, nii"),
        ("explain_method", "lime", "no method of explanation 'lime'; choose one of hirescam, seg-grad-cam"),
    ],
)
def test_a_value_out_of_its_range_is_refused(name, value, sentence):
    with pytest.raises(InputError, match=sentence):
        RunOptions(**{name: value})


def test_they_are_given_by_name_and_stay_as_they_are():
    with pytest.raises(TypeError):
        RunOptions("cpu")
    options = RunOptions(device="cpu", overlap=0.5, attention=["gate_2"])
    with pytest.raises(AttributeError):
        options.overlap = 0.1
    assert pickle.loads(pickle.dumps(options)) == options


def test_the_command_line_gives_the_defaults_and_what_was_asked_for():
    command = argparse.ArgumentParser()
    add_run_options(command)
    assert run_options(command.parse_args([])) == RunOptions()
    asked = ["--overlap", "0.75", "--mirror", "--attention", "gate_2", "--format", "nii", "--memory-limit", "4"]
    expected = RunOptions(overlap=0.75, mirroring=True, attention=("gate_2",), file_format="nii", memory_limit_gb=4.0)
    assert run_options(command.parse_args(asked)) == expected


def test_one_image_cannot_change_what_the_model_was_loaded_with():
    predictor = Predictor(intensity_model(), options=RunOptions(device="cpu"))
    with pytest.raises(TypeError, match=re.escape("overlap cannot be chosen for one image")):
        predictor.run(None, overlap=0.5)
