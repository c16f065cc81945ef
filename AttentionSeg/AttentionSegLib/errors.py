"""The two ways a run ends early on purpose."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used. The message is one sentence: which input, what is wrong, what to do."""


class Cancelled(Exception):
    """The user asked to stop; nothing was changed."""
