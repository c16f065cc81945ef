"""A model of one input, files that are there by name only, and what a batch finds of them."""

from __future__ import annotations

from pathlib import Path

from tiny_models import make_card

ONE = make_card()


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def names(cohort) -> list[str]:
    return [case.name for case in cohort.cases]


def inputs(cohort, root: Path) -> dict[str, list[str]]:
    return {case.name: [Path(path).relative_to(root).as_posix() for path in case.inputs] for case in cohort.cases}
