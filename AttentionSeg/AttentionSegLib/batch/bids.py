"""Cases in a BIDS tree (Brain Imaging Data Structure, Gorgolewski et al. 2016), found by the suffixes of file names."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..files.names import extension
from ..models import Card, Channel
from .found import Search, without_extension

DESCRIPTION = "dataset_description.json"
SUFFIXES = ("T1w", "T2w", "FLAIR", "PDw", "T2starw", "inplaneT1", "ct")
NOT_RAW = ("derivatives", "sourcedata", "code")


def is_bids(folder: Path) -> bool:
    """Whether a folder is the root of a BIDS tree."""
    return (folder / DESCRIPTION).is_file()


def find_bids(search: Search, card: Card) -> None:
    """Add every `sub-..._<suffix>.nii.gz` with the suffix of an input of the model, such as T1w for an input T1.

    Scans of several inputs form a case if their names are equal up to the suffix. Derivatives are skipped.

    Raises:
        InputError: if there is no BIDS suffix for an input of the model.
    """
    suffixes = [_suffix(channel, card) for channel in card.inputs]
    cases: dict[Path, dict[str, Path]] = {}
    for folder, files in search.files():
        if folder.relative_to(search.root).parts[:1] and folder.relative_to(search.root).parts[0] in NOT_RAW:
            continue
        for path in files:
            entities, _, suffix = without_extension(path.name).rpartition("_")
            # Versions of the standard differ in `ct` and `CT`.
            known = next((one for one in suffixes if one.casefold() == suffix.casefold()), None)
            if extension(path) in (".nii", ".nii.gz") and entities.startswith("sub-") and known:
                cases.setdefault(folder / entities, {})[known] = path
    for place, scans in cases.items():
        missing = [suffix for suffix in suffixes if suffix not in scans]
        problem = f"The case {place.name} has no {place.name}_{missing[0]}.nii.gz; add it." if missing else None
        search.add(place.name, *(scans[suffix] for suffix in suffixes if suffix in scans), problem=problem)


def _suffix(channel: Channel, card: Card) -> str:
    if channel.modality == "CT":
        return "ct"
    name = channel.name.casefold()
    found = next((suffix for suffix in SUFFIXES if suffix.casefold().removesuffix("w") in name), None)
    if found is None:
        msg = f"The input '{channel.name}' of {card.id} matches no BIDS suffix ({', '.join(SUFFIXES)}); give a pattern of file names, or channels."
        raise InputError(msg)
    return found
