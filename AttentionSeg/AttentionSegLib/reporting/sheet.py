"""A dark drawing sheet with pixel coordinates from its top left corner: text, pictures, outlines, color bars.

Drawn by matplotlib's objects on an Agg canvas: no window, no global state, any thread.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from contourpy import LineType, contour_generator
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..files import atomic_path
from ..files.nifti_header import DESCRIPTION
from ..files.own_files import SOFTWARE
from .planes import Plane

DPI = 100
PAPER = "#14171c"
INKS = {"plain": "#f1f3f5", "faint": "#a9b1ba", "warning": "#ffc14d"}
OUTSIDE = np.array([0x1E, 0x22, 0x29], np.float32) / 255
DENSEST_HEAT = 0.8
HEAT_COLORS = colormaps["inferno"](np.arange(256))[:, :3].astype(np.float32)

Color = tuple[float, float, float]


class Sheet:
    """A sheet of width x height pixels. Coordinates are in pixels, colors RGB, 0..1."""

    def __init__(self, width: int, height: int) -> None:
        self._figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="none")
        self._canvas = FigureCanvasAgg(self._figure)
        # One matplotlib axes object for all pictures: each further one takes as long to draw as its picture.
        self._paper = self._figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self._paper.set_axis_off()
        # Agg's pixel buffer, [height, width, RGBA]: pictures are copied into it, because matplotlib would resample them.
        self._pixels = np.asarray(self._canvas.get_renderer().buffer_rgba())
        self._pixels[:] = np.round(255 * np.array(to_rgba(PAPER)))

    def save(self, path: Path | str) -> None:
        """Write the sheet as PNG. Raises OutputError if writing fails; no partial file is left."""
        content = self.png()
        with atomic_path(Path(path)) as temporary:
            temporary.write_bytes(content)

    def png(self) -> bytes:
        """The sheet as PNG."""
        self._figure.draw(self._canvas.get_renderer())
        metadata, content = PngInfo(), io.BytesIO()
        metadata.add_text(SOFTWARE, DESCRIPTION)
        Image.fromarray(self._pixels[..., :3]).save(content, "png", compress_level=1, pnginfo=metadata)
        return content.getvalue()

    def text(self, x: float, y: float, text: str, size: float, align: str = "left", bold: bool = False, ink: str = "plain") -> None:
        """Write one line of text whose top is at y, in an ink of INKS; `$` and `\\` are plain characters."""
        self._write(x, y, text, size, ha=align, va="top", color=INKS[ink], weight="bold" if bold else "normal")

    def swatch(self, x: float, y: float, size: float, color: Color) -> None:
        """Draw a filled square."""
        self._paper.add_patch(Rectangle((x, y), size, size, facecolor=color, linewidth=0))

    def picture(self, x: float, y: float, gray: np.ndarray, heat: np.ndarray | None = None) -> None:
        """Draw a gray picture with a heat map over it, unscaled: both 0..1, [rows, columns], NaN where there is no value."""
        rows, columns = gray.shape
        self._pixels[y : y + rows, x : x + columns, :3] = np.round(255 * _blend(gray, heat))

    def lines(self, x: float, y: float, lines: Sequence[np.ndarray], color: Color, width: float) -> None:
        """Draw lines, each [points, (x, y)] in pixels of a picture at the same x and y."""
        drawn = LineCollection([np.add(line, (x, y)) for line in lines], colors=[color], linewidths=width, path_effects=_halo(width + 1.2, 0.45))
        self._paper.add_collection(drawn, autolim=False)

    def letters(self, x: float, y: float, plane: Plane, size: float) -> None:
        """Write R, L, A, P, S, I at the edges of a picture at the same x and y."""
        near, middle, far = 7.0, plane.pixels / 2, plane.pixels - 7.0
        places = {"left": (near, middle, "left", "center"), "right": (far, middle, "right", "center")}
        places.update({"top": (middle, near, "center", "top"), "bottom": (middle, far, "center", "bottom")})
        for edge, (across, down, ha, va) in places.items():
            self._write(x + across, y + down, plane.letters[edge], size, ha=ha, va=va, path_effects=_halo(2.5, 0.8))

    def scale_bar(self, x: float, y: float, plane: Plane, size: float) -> None:
        """Draw a bar of a round length in mm in the lower left corner of a picture at the same x and y."""
        millimeters = round_length(plane.side / 4)
        left, down = x + 12, y + plane.pixels - 12
        right = left + millimeters * plane.pixels / plane.side
        self._paper.plot((left, right), (down, down), color=INKS["plain"], linewidth=2, solid_capstyle="butt", path_effects=_halo(4, 0.7))
        self._write((left + right) / 2, down - 5, f"{millimeters:g} mm", size, ha="center", va="bottom", path_effects=_halo(2.5, 0.8))

    def color_bar(self, x: float, y: float, width: float, height: float, ends: tuple[float, float], text_size: float) -> None:
        """Draw the heat colors from bottom to top, with numbers beside them."""
        self._paper.imshow(HEAT_COLORS[::-1, None], extent=(x, x + width, y + height, y), interpolation="nearest", aspect="auto")
        numbers = np.linspace(*ends, 5 if height > 200 else 3)
        for number, down in zip(numbers, np.linspace(y + height, y, len(numbers))):
            self._paper.plot((x + width, x + width + 4), (down, down), color=INKS["faint"], linewidth=0.8)
            self._write(x + width + 8, down, f"{number:.3g}", text_size, va="center", color=INKS["faint"])

    def _write(self, x: float, y: float, text: str, size: float, **style: Any) -> None:
        self._paper.text(x, y, text, size=size, parse_math=False, **{"color": INKS["plain"], **style})


def fractions(color: tuple[int, int, int]) -> Color:
    """A color of 0..255 as one of 0..1."""
    red, green, blue = color
    return red / 255, green / 255, blue / 255


def outlines(share: np.ndarray) -> list[np.ndarray]:
    """The contours at one half of a label's fraction [rows, columns]: each [points, (x, y)] in pixels."""
    rows, columns = (np.arange(length) + 0.5 for length in share.shape)
    lines = contour_generator(columns, rows, share, line_type=LineType.Separate).lines(0.5)
    return [line for line in lines if isinstance(line, np.ndarray)]


def round_length(longest: float) -> float:
    """The longest of 1, 2, 5, 10, 20, ... (and 0.5, 0.2, ...) that is not above `longest`."""
    decade = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * decade for step in (1, 2, 5) if step * decade <= longest))


def _halo(width: float, opacity: float) -> Sequence[AbstractPathEffect]:
    """A black halo around a light line or letter, so that it is visible on white bone."""
    return [Stroke(linewidth=width, foreground="black", alpha=opacity), Normal()]


def _blend(gray: np.ndarray, heat: np.ndarray | None) -> np.ndarray:
    """RGB 0..1: heat is transparent at 0 and more opaque with higher values."""
    colors = np.where(np.isnan(gray)[..., None], OUTSIDE, np.nan_to_num(gray)[..., None])
    if heat is None:
        return colors
    heat = np.nan_to_num(heat)
    opacity = DENSEST_HEAT * heat[..., None]
    return colors * (1 - opacity) + HEAT_COLORS[np.uint8(np.round(heat * 255))] * opacity
