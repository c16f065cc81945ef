"""Qt objects of PySide6 held to what PythonQt lets Python do with them in Slicer: its names, and properties that are not called."""

from __future__ import annotations

import enum
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from PySide6 import QtCore

API_FILE = Path(__file__).parent / "slicer_qt_api.json"
ALIASES = "_pythonqt_class"


@lru_cache(maxsize=1)
def api() -> dict[str, Any]:
    """By class: `properties`, `methods` with their return types, and `signals`. Made by `Testing/Slicer/list_qt_api.py`."""
    return json.loads(API_FILE.read_text(encoding="utf-8"))


def class_api(cls: type) -> tuple[str, dict[str, Any]]:
    """Name and entry of a class, or of its nearest base that is listed."""
    for base in cls.__mro__:
        name = getattr(base, ALIASES, base.__name__) if ALIASES in vars(base) else base.__name__
        if name in api():
            return name, api()[name]
    msg = f"{cls.__name__} is not listed in {API_FILE.name}; add it to Testing/Slicer/list_qt_api.py and run that in Slicer."
    raise AttributeError(msg)


class Wrapped:
    """An object as PythonQt hands it out: properties are attributes, signals are connected by name or called to emit."""

    def __init__(self, target: Any) -> None:
        object.__setattr__(self, "target", target)

    def __getattr__(self, name: str) -> Any:
        return _get(self.target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in class_api(type(self.target))[1]["properties"]:
            msg = f"Attribute '{name}' does not exist and creation of new attributes on C++ objects is not allowed"
            raise AttributeError(msg)
        # PythonQt takes any sequence for a list, PySide a list alone.
        value = list(value) if isinstance(value, tuple) else value
        if not self.target.setProperty(name, unwrap(value)):
            msg = f"Property '{name}' does not take {value!r}"
            raise ValueError(msg)

    def __eq__(self, other: object) -> bool:
        return self.target == unwrap(other)

    def __hash__(self) -> int:
        return hash(self.target)

    def connect(self, signature: str, function: Any) -> None:
        """As in `button.connect("clicked(bool)", function)`."""
        self._signal(signature).connect(function)

    def _signal(self, signature: str) -> BoundSignal:
        signal = getattr(self, signature.partition("(")[0])
        assert isinstance(signal, BoundSignal), f"{signature} is no signal"
        return signal


class WrappedClass:
    """A class of the module `qt`: makes wrapped objects, and has the enumerations and static methods of its class."""

    def __init__(self, cls: type) -> None:
        self.target = cls

    def __call__(self, *arguments: Any) -> Wrapped:
        return Wrapped(self.target(*map(unwrap, arguments)))

    def __getattr__(self, name: str) -> Any:
        known = class_api(self.target)[1]
        # PythonQt lists no static methods on an instance; whether they are there, PySide tells.
        if name in known["properties"] or name not in known["signals"]:
            value = getattr(self.target, name)
            return _call(value) if callable(value) and not isinstance(value, enum.Enum) else value
        raise AttributeError(name)


class BoundSignal:
    """A signal of an object: called, it is emitted."""

    def __init__(self, target: QtCore.QObject, name: str) -> None:
        self._signal = getattr(target, name)
        described = target.metaObject()
        methods = (described.method(index) for index in range(described.methodCount()))
        self._values = max(method.parameterCount() for method in methods if method.name() == name.encode())

    def connect(self, function: Any) -> None:
        # PySide hands a function as many values as it takes, and none to one that takes any number.
        takes = {
            0: lambda: function(),
            1: lambda one: function(wrap(one)),
            2: lambda one, two: function(wrap(one), wrap(two)),
        }
        self._signal.connect(takes[self._values])

    def __call__(self, *values: Any) -> None:
        self._signal.emit(*map(unwrap, values))


def wrap(value: Any) -> Any:
    """What PythonQt would hand out for a value."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(wrap, value))
    is_qt = type(value).__module__.startswith("PySide6") or isinstance(value, QtCore.QObject)
    return Wrapped(value) if is_qt and not isinstance(value, (enum.Enum, enum.Flag)) else value


def unwrap(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(unwrap, value))
    return value.target if isinstance(value, Wrapped) else value


def _get(target: Any, name: str) -> Any:
    cls, known = class_api(type(target))
    if name in known["signals"]:
        return BoundSignal(target, name)
    if name in known["methods"]:
        returned = known["methods"][name]
        if returned in api()["unknown types"]:
            return _refuse(cls, name, returned)
        return _call(getattr(target, name))
    if name in known["properties"]:
        if isinstance(target, QtCore.QObject) and target.metaObject().indexOfProperty(name) >= 0:
            return wrap(target.property(name))
        value = getattr(target, name)
        return wrap(value() if callable(value) and not isinstance(value, enum.Enum) else value)
    msg = f"{cls} has no attribute named '{name}'"
    raise AttributeError(msg)


def _call(method: Any) -> Any:
    return lambda *arguments: wrap(method(*map(unwrap, arguments)))


def _refuse(cls: str, name: str, returned: str) -> Any:
    def call(*_arguments: Any) -> None:
        msg = f"Calling C++ method '{cls}.{name}': return type '{returned}' is ignored because it is unknown to PythonQt"
        raise ValueError(msg)

    return call
