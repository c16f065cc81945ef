"""How a run ends early: one class for each reason, with the exit code of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class AttentionSegError(Exception):
    """A run has ended early. The message is one sentence for the user: which input or file, what is wrong, what to do."""

    exit_code = 1


class InputError(AttentionSegError, ValueError):
    """What the user gave cannot be used."""

    exit_code = 2


class OutputError(AttentionSegError, OSError):
    """A file cannot be written: the disk is full or fails, or the permission is missing."""


class OutOfMemory(AttentionSegError, MemoryError):
    """The memory of the computer or of its GPU is too small."""


class Cancelled(AttentionSegError):
    """The user asked to stop; nothing was changed."""

    exit_code = 130


# In the message: ITK in C++ and PyTorch on the CPU and on mps have no class of their own for it.
_LACK = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate memory", "bad_alloc")


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is lacking: of Python, numpy, PyTorch on any device, or ITK."""
    said = type(error).__name__ == "OutOfMemoryError" or any(word in str(error).lower() for word in _LACK)
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and said)


@contextmanager
def memory_for(what: str, advice: str = "close other programs, or give a region") -> Iterator[None]:
    """Raise OutOfMemory in place of any error that says that memory is lacking (see `is_out_of_memory`)."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, OutOfMemory) or not is_out_of_memory(error):
            raise
        msg = f"There is not enough memory for {what}; {advice}."
        raise OutOfMemory(msg) from error
