"""The inference engine behind the panel, the Python console, the batch run and the command line: image in, prediction out."""

from typing import TYPE_CHECKING

from .finding import find_regions
from .found_regions import FoundRegions
from .prediction import Prediction

if TYPE_CHECKING:
    from .devices import available_devices
    from .predictor import Predictor

__all__ = ["FoundRegions", "Prediction", "Predictor", "available_devices", "find_regions"]


def __getattr__(name: str) -> object:
    # torch and monai take seconds to import; code that only handles predictions does not need them.
    if name == "Predictor":
        from .predictor import Predictor

        return Predictor
    if name == "available_devices":
        from .devices import available_devices

        return available_devices
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
