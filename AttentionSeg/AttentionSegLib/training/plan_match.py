"""Comparison of the plan in a work folder with the cases and options of a new call."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..datasets import CaseSet
from ..datasets.case_files import files_of, readable
from ..datasets.case_set import with_validation
from ..datasets.cases import ROLES, Case, named
from ..datasets.label_names import label_of
from ..errors import InputError

MADE_FOR = "made_for"
# By option of a plan, the name on the command line.
OPTIONS = {
    "output": "--output",
    "network": "--network",
    "hours": "--hours",
    "seed": "--seed",
    "title": "--title",
    "license": "--license",
    "modality": "--modality",
    "region": "--field-of-view",
    "label_names": "--label-names",
    "channel_names": "--channel-names",
    "ignored_label": "--ignored-label",
    "label_map": "--label-map",
    "resample_labels": "--resample-labels",
    "start_from": "--start-from",
    "slices": "--slices",
    "context": "--context",
    "backbone": "--backbone",
    "learned_as": "--learn-as",
    "tissues": "--tissues",
    "found_by": "--found-by",
    "rescale": "--rescale",
}
# Options that are recorded as they are given.
RECORDED = (
    *("output", "network", "hours", "seed", "title", "license", "modality"),
    *("start_from", "slices", "context", "backbone", "found_by", "rescale"),
)
# Options that plans of earlier versions do not record, though they depend on them.
UNRECORDED = ("hours",)
# Options that a plan cannot replace when they are left out: they are applied when cases and initial weights are read.
APPLIED = ("label_map", "resample_labels", "start_from")
# Bytes of a file at its middle and its end by which other scans of the same names are noticed; compressed files end in their checksum.
MARKED = 4096


def made_for(cases: CaseSet, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The cases of each role and the given options of a plan, as JSON types.

    Args:
        cases: for training and validation.
        asked: options of `train_model`; None for those left out.
    """
    reading = cases.roles["train"][0].reading
    synthesis = asked.get("synthesis")
    options = {
        **{name: asked.get(name) for name in RECORDED},
        "region": None if asked.get("region") is None else "region" if asked["region"] else "whole",
        "label_names": list(cases.label_names.values()) or None,
        "channel_names": list(cases.channel_names) or None,
        "ignored_label": cases.ignored_label,
        "label_map": {str(key): value for key, value in reading.label_map.items()} or None,
        "resample_labels": reading.resample or None,
        "learned_as": None if synthesis is None else {str(value): label for value, label in synthesis.learned_as.items()},
        "tissues": None if synthesis is None else {str(value): tissue for value, tissue in synthesis.tissues.items()} or None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    ids = {role: [case.id for case in cases.roles[role]] for role in ROLES}
    scans = {case.id: _mark(case) for role in ROLES for case in cases.roles[role]}
    return json.loads(json.dumps({"cases": ids, "options": given, "scans": scans}))


def planned_cases(path: Path, cases: CaseSet, asked: Mapping[str, Any], is_given: bool = False) -> CaseSet:
    """The cases, with the validation cases of the plan if they are drawn at random.

    Plans of earlier versions that do not record cases and options are compared by their card and training settings, and by the survey beside them.

    Args:
        path: of the plan.
        cases: of the new call.
        asked: options of `train_model`; None for those left out, which match any plan.
        is_given: whether the plan was given (`--plan`), so that it may have been made for other cases.

    Raises:
        InputError: naming the options that differ from the plan, or the cases that were added, removed or, most of them, replaced.
    """
    document = _read(path)
    now, then = made_for(cases, asked), document.get(MADE_FOR) or {"cases": _surveyed(path), "options": {}}
    stored, planned = then["options"], _planned(document)
    differing: list[str] = []
    free = _free(cases, planned) if is_given else ()
    for name, value in now["options"].items():
        if name in free:
            continue
        # A plan may have been edited since: both its original and its edited value match.
        there = planned.get(name, stored.get(name))
        unknown = MADE_FOR not in document and name not in planned and name not in UNRECORDED
        if value not in (stored.get(name), there) and not unknown:
            shown = _shown(there) if name in stored or name not in UNRECORDED else "unknown"
            differing.append(f"{_given(name, value)} (there: {shown})")
    differing += [f"no {_given(name, stored[name])}" for name in APPLIED if name in stored and name not in now["options"]]
    same = _all_ids(now["cases"]) == _all_ids(then["cases"])
    if not is_given:
        differing += _other_cases(now["cases"], then["cases"], cases.validation_seed is not None) + _other_scans(now, then)
    if differing:
        anew = "give what it was made for to resume with it, or start again in another work folder (--work) or in this one (--restart)"
        ways = "give what it was made for, or change the plan" if is_given else anew
        msg = f"The plan {path} was made for something else than {'; '.join(differing)}: {ways}."
        raise InputError(msg)
    if cases.validation_seed is not None and same and now["cases"] != then["cases"]:
        return with_validation(cases, then["cases"]["val"], f"The plan says which {len(then['cases']['val'])} cases to validate on.")
    return cases


def _free(cases: CaseSet, planned: Mapping[str, Any]) -> tuple[str, ...]:
    """The options that a given plan replaces, with the names of labels unless one of them is that of another label in the plan."""
    labels = dict(enumerate(planned["label_names"], start=1))
    exchanged = any(label_of(name, labels) not in (None, value) for value, name in cases.label_names.items())
    return ("channel_names", "learned_as", "tissues", *(() if exchanged else ("label_names",)))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return dict(document)
    except (OSError, ValueError, TypeError) as error:
        msg = f"The plan {path} cannot be used ({error}); have it made again (--restart), or choose another work folder."
        raise InputError(msg) from error


def _planned(document: Mapping[str, Any]) -> dict[str, Any]:
    """The options that can be read from the card and settings of a plan."""
    card, training = document.get("card", {}), document.get("training", {})
    found: dict[str, Any] = {
        "output": card.get("id"),
        "network": card.get("network", {}).get("name"),
        "seed": training.get("seed"),
        "title": card.get("title"),
        "license": card.get("weights", {}).get("license"),
        "ignored_label": training.get("ignored_label"),
        "label_names": [label.get("name") for label in card.get("labels", ())],
        "channel_names": [channel.get("name") for channel in card.get("inputs", ())],
        "region": card.get("field_of_view", {}).get("kind"),
        "slices": card.get("slices", "none"),
        "context": card.get("context", 0),
    }
    modalities = {channel.get("modality") for channel in card.get("inputs", ())}
    if len(modalities) == 1:
        found["modality"] = modalities.pop()
    return found


def _surveyed(path: Path) -> dict[str, list[str]]:
    """The cases by role in the survey beside a plan; empty if there is no survey."""
    survey = path.with_name("survey.json")
    if not survey.is_file():
        return {}
    cases = _read(survey).get("cases", ())
    return {role: [case["id"] for case in cases if case["role"] == role] for role in ROLES}


def _other_cases(now: Mapping[str, list[str]], then: Mapping[str, list[str]], drawn: bool) -> list[str]:
    if not then:
        return []
    # Roles are compared only if a split gives them; cases drawn at random get the roles of the plan.
    sides = [(" ", _all_ids(now), _all_ids(then))]
    if not drawn:
        sides = [(f" of the role '{role}' ", set(now[role]), set(then[role])) for role in ROLES]
    added = [("new", where, sorted(is_now - was)) for where, is_now, was in sides]
    gone = [("missing", where, sorted(was - is_now)) for where, is_now, was in sides]
    return [f"{which} cases{where}({named(ids)})" for which, where, ids in added + gone if ids]


def _all_ids(cases: Mapping[str, list[str]]) -> set[str]:
    return {case for of in cases.values() for case in of}


def _other_scans(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    """The cases with other scans, if they are the most: single ones may have been corrected."""
    before = then.get("scans", {})
    other = [case for case, mark in now["scans"].items() if before.get(case, mark) != mark]
    return [f"other scans of the same names ({named(other)})"] if 2 * len(other) > len(now["scans"]) else []


def _mark(case: Case) -> list[int]:
    """A checksum of each file of a scan."""
    with readable():
        return [_checksum(path) for scan in case.images for path in files_of(scan)]


def _checksum(path: Path) -> int:
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        parts = [file.read(MARKED) for start in (size // 2, size - MARKED) if file.seek(max(0, start)) >= 0]
    return zlib.crc32(b"".join(parts), size)


def _given(name: str, value: Any) -> str:
    """An option as on the command line."""
    if name == "learned_as" and not value:
        return "--synthesize"
    return OPTIONS[name] if value is True else f"{OPTIONS[name]} {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{key}={label}" for key, label in value.items())
    return "none" if value is None else f"{value}"
