"""The JSON Schema of model cards, and the check against it, which stays fast whatever a card contains."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import InputError

# Bytes.
LARGEST_CARD = 4_000_000
# Levels of arrays and objects in each other.
MOST_NESTED = 16
# Characters of each end of a long value that a message shows.
SHOWN = 90


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a card."""
    return json.loads((Path(__file__).parent / "card.schema.json").read_text(encoding="utf-8"))


def check_schema(document: Any, source: str) -> None:
    """Raise InputError, naming `source` and the first field that breaks the schema, unless a parsed card complies with it."""
    from jsonschema.exceptions import best_match

    _check_nesting(document, source)
    error = best_match(validator().iter_errors(document))
    if error is not None:
        where = ".".join(str(part) for part in error.absolute_path) or "the card"
        wrong = error.message if len(error.message) <= 2 * SHOWN else f"{error.message[:SHOWN]} ... {error.message[-SHOWN:]}"
        msg = f"{source} breaks the schema of model cards at {where}: {wrong}; correct the card or install the model again."
        raise InputError(msg)


def _check_nesting(document: Any, source: str) -> None:
    values = [document]
    for _ in range(MOST_NESTED):
        arrays = [value.values() if isinstance(value, dict) else value for value in values if isinstance(value, (dict, list, tuple))]
        values = [inner for array in arrays for inner in array]
    if values:
        msg = f"{source} has more than {MOST_NESTED} arrays and objects in each other; correct the card or install the model again."
        raise InputError(msg)


@lru_cache(maxsize=1)
def validator() -> Any:
    """A validator that is stricter than JSON Schema: numbers must not be NaN or infinite, and 16.0 is not an integer.

    Tuples count as arrays, because a card may be checked before it is written as JSON. What has too many items is refused without a look at them.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"number": _is_number, "integer": _is_integer, "array": _is_array})
    bounded = {name: _bounded(Draft202012Validator.VALIDATORS[name]) for name in ("items", "uniqueItems", "propertyNames", "additionalProperties")}
    return extend(Draft202012Validator, validators=bounded, type_checker=types)(schema())


def _bounded(check: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def bounded(validator: Any, keyword: Any, value: Any, rules: dict[str, Any]) -> Iterator[Any]:
        most = rules.get("maxProperties" if isinstance(value, dict) else "maxItems", math.inf)
        if not isinstance(value, (dict, list, tuple)) or len(value) <= most:
            yield from check(validator, keyword, value, rules) or ()

    return bounded


def _is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_array(_checker: object, value: object) -> bool:
    return isinstance(value, (list, tuple))


def _is_number(checker: object, value: object) -> bool:
    return _is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))
