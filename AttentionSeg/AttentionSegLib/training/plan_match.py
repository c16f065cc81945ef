"""Whether the plan that lies in a work folder is for what a training is asked to do now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..datasets import CaseSet
from ..datasets.case_set import with_validation
from ..datasets.cases import ROLES, named
from ..errors import InputError

MADE_FOR = "made_for"
# As the command line calls what a plan was asked for.
OPTIONS = {
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
}
# What a plan from before it said what it was made for does not tell, though all of it hangs on that.
UNTOLD = ("hours",)


def made_for(cases: CaseSet, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan is made for, in the types that JSON has: the cases of each role, and those options that were given.

    Args:
        cases: to learn from and to validate on.
        asked: options of `train_model`; None where one was left out.
    """
    reading = cases.roles["train"][0].reading
    synthesis = asked.get("synthesis")
    options = {
        **{
            name: asked.get(name)
            for name in ("network", "hours", "seed", "title", "license", "modality", "start_from", "slices", "context", "backbone")
        },
        "region": None if asked.get("region") is None else "region" if asked["region"] else "whole",
        "label_names": list(cases.label_names.values()) or None,
        "channel_names": list(cases.channel_names) or None,
        "ignored_label": cases.ignored_label,
        "label_map": {str(key): value for key, value in reading.label_map.items()} or None,
        "resample_labels": reading.resample or None,
        "learned_as": None if synthesis is None else {str(value): label for value, label in synthesis.learned_as.items()},
    }
    given = {name: value for name, value in options.items() if value is not None}
    return json.loads(json.dumps({"cases": {role: [case.id for case in cases.roles[role]] for role in ROLES}, "options": given}))


def planned_cases(path: Path, cases: CaseSet, asked: Mapping[str, Any]) -> CaseSet:
    """The cases with the roles that the plan of a work folder gave them where they were drawn.

    Plans from before they said what they were made for are compared by what their card and training say, and by the survey beside them.

    Args:
        path: of the plan.
        cases: that are to be learned from now.
        asked: options of `train_model`; None where one was left out, which contradicts no plan.

    Raises:
        InputError: naming what was asked for and the plan contradicts, or which cases have come or gone.
    """
    document = _read(path)
    now, then = made_for(cases, asked), document.get(MADE_FOR) or {"cases": _surveyed(path), "options": {}}
    stored, planned = then["options"], _planned(document)
    differing = []
    for name, value in now["options"].items():
        # A plan may have been edited since: what it was asked for then, it may be asked for again.
        there = planned.get(name, stored.get(name))
        unknown = MADE_FOR not in document and name not in planned and name not in UNTOLD
        if value not in (stored.get(name), there) and not unknown:
            differing.append(f"{OPTIONS[name]} {_shown(value)} (there: {_shown(there) if name in stored or name not in UNTOLD else 'not told'})")
    differing += _other_cases(now["cases"], then["cases"], cases.validation_seed is not None)
    if differing:
        msg = (
            f"The plan {path} was made for something else than {'; '.join(differing)}: leave these out to go on with that plan, or begin anew, with "
            "another work folder (--work) or in place of what is there (--restart)."
        )
        raise InputError(msg)
    if cases.validation_seed is not None and then["cases"] and now["cases"] != then["cases"]:
        return with_validation(cases, then["cases"]["val"], f"The plan says which {len(then['cases']['val'])} cases to validate on.")
    return cases


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return dict(document)
    except (OSError, ValueError, TypeError) as error:
        msg = f"The plan {path} cannot be used ({error}); have it made anew (--restart), or choose another work folder."
        raise InputError(msg) from error


def _planned(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan says of the options itself, so far as it does."""
    card, training = document.get("card", {}), document.get("training", {})
    found: dict[str, Any] = {
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
    """The cases by role of the survey beside a plan; none where there is no such survey."""
    survey = path.with_name("survey.json")
    if not survey.is_file():
        return {}
    cases = _read(survey).get("cases", ())
    return {role: [case["id"] for case in cases if case["role"] == role] for role in ROLES}


def _other_cases(now: Mapping[str, list[str]], then: Mapping[str, list[str]], drawn: bool) -> list[str]:
    if not then:
        return []
    # Which of all cases were drawn, the plan says; a split that names them counts.
    sides = [(" ", {case for of in now.values() for case in of}, {case for of in then.values() for case in of})]
    if not drawn:
        sides = [(f" of the role '{role}' ", set(now[role]), set(then[role])) for role in ROLES]
    added = [("new", where, sorted(is_now - was)) for where, is_now, was in sides]
    gone = [("missing", where, sorted(was - is_now)) for where, is_now, was in sides]
    return [f"{which} cases{where}({named(ids)})" for which, where, ids in added + gone if ids]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{key}={label}" for key, label in value.items())
    return "none" if value is None else f"{value}"
