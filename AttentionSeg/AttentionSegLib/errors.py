"""Exceptions of the library: one class per reason, each with the exit code of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class AttentionSegError(Exception):
    """Base class. The message is one sentence for the user: which input or file, what is wrong, what to do."""

    exit_code = 1


class InputError(AttentionSegError, ValueError):
    """An input or option cannot be used."""

    exit_code = 2


class OutputError(AttentionSegError, OSError):
    """A file cannot be written: the disk is full or failing, or permission is missing."""


class OutOfMemory(AttentionSegError, MemoryError):
    """The computer or its GPU has too little memory."""


class Cancelled(AttentionSegError):
    """The user asked to stop; nothing was changed."""

    exit_code = 130


class InterruptedAfterwards(KeyboardInterrupt):
    """The user interrupted a command whose results were complete already."""


@contextmanager
def after_results() -> Iterator[None]:
    """Turn a KeyboardInterrupt into InterruptedAfterwards."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise InterruptedAfterwards from error


# Searched for in the message: ITK, and PyTorch on the CPU and on mps, have no exception class for it.
_LACK = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate memory", "bad_alloc")


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of Python, numpy, PyTorch (any device) or ITK means that memory ran out."""
    named = type(error).__name__ == "OutOfMemoryError" or any(word in str(error).lower() for word in _LACK)
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and named)


@contextmanager
def memory_for(what: str, advice: str = "close other programs, or give a region") -> Iterator[None]:
    """Turn errors that mean that memory ran out (see `is_out_of_memory`) into OutOfMemory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, OutOfMemory) or not is_out_of_memory(error):
            raise
        msg = f"There is not enough memory for {what}; {advice}."
        raise OutOfMemory(msg) from error
