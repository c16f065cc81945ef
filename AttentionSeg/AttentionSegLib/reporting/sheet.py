"""A dark drawing sheet with pixel coordinates from its top left corner: text, pictures, outlines, color bars.

Drawn by matplotlib's objects on an Agg canvas: no window, no global state, any thread.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from contourpy import LineType, contour_generator
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke
from matplotlib.text import Text
from matplotlib.transforms import Affine2D
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
        # In place of matplotlib's axes, which would take time to clip each letter.
        self._downward = Affine2D.from_values(1, 0, 0, -1, 0, height)
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
        self._add(Rectangle((x, y), size, size, facecolor=color, linewidth=0))

    def picture(self, x: float, y: float, gray: np.ndarray, heat: np.ndarray | None = None) -> None:
        """Draw a gray picture with a heat map over it, unscaled: both 0..1, [rows, columns], NaN where there is no value."""
        rows, columns = gray.shape
        shade = np.rint(np.nan_to_num(255 * gray, nan=256)).astype(np.intp)
        warmth = 0 if heat is None else np.rint(255 * np.nan_to_num(heat)).astype(np.intp)
        self._pixels.view(np.uint32)[y : y + rows, x : x + columns, 0] = _mixtures()[256 * shade + warmth]

    def lines(self, x: float, y: float, lines: Sequence[np.ndarray], color: Color, width: float) -> None:
        """Draw lines, each [points, (x, y)] in pixels of a picture at the same x and y."""
        drawn = [np.add(line, (x, y)) for line in lines]
        self._add(LineCollection(drawn, colors=[color], linewidths=width, path_effects=_halo(width + 1.2, 0.45)))

    def letters(self, x: float, y: float, plane: Plane, size: float) -> None:
        """Write R, L, A, P, S, I at the edges of a picture at the same x and y."""
        near, middle, far = 7.0, plane.pixels / 2, plane.pixels - 7.0
        places = {"left": (near, middle, "left", "center"), "right": (far, middle, "right", "center")}
        places.update({"top": (middle, near, "center", "top"), "bottom": (middle, far, "center", "bottom")})
        for edge, (across, down, ha, va) in places.items():
            self._write(x + across, y + down, plane.letters[edge], size, ha=ha, va=va, path_effects=_halo(2.5, 0.8))

    def scale_bar(self, x: float, y: float, plane: Plane, size: float) -> None:
        """Draw a bar of a round length in the lower left corner of a picture at the same x and y."""
        length = round_length(plane.side / 4)
        left, down = x + 12, y + plane.pixels - 12
        right = left + length * plane.pixels / plane.side
        self._add(Line2D((left, right), (down, down), color=INKS["plain"], linewidth=2, solid_capstyle="butt", path_effects=_halo(4, 0.7)))
        self._write((left + right) / 2, down - 5, f"{length:g} {plane.unit}", size, ha="center", va="bottom", path_effects=_halo(2.5, 0.8))

    def color_bar(self, x: int, y: int, width: int, height: int, ends: tuple[float, float], text_size: float) -> None:
        """Draw the heat colors from bottom to top, with numbers beside them."""
        colors = HEAT_COLORS[::-1][(2 * np.arange(height) + 1) * len(HEAT_COLORS) // (2 * height)]
        self._pixels[y : y + height, x : x + width, :3] = np.round(255 * colors)[:, None]
        numbers = np.linspace(*ends, 5 if height > 200 else 3)
        for number, down in zip(numbers, np.linspace(y + height, y, len(numbers))):
            self._add(Line2D((x + width, x + width + 4), (down, down), color=INKS["faint"], linewidth=0.8))
            self._write(x + width + 8, down, f"{number:.3g}", text_size, va="center", color=INKS["faint"])

    def _write(self, x: float, y: float, text: str, size: float, **style: Any) -> None:
        font = _font(size, style.pop("weight", "normal"))
        self._add(Text(x, y, text, fontproperties=font, parse_math=False, **{"color": INKS["plain"], **style}))

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self._downward)
        self._figure.add_artist(artist)


def fractions(color: tuple[int, int, int]) -> Color:
    """A color of 0..255 as one of 0..1."""
    red, green, blue = color
    return red / 255, green / 255, blue / 255


def outlines(share: np.ndarray) -> list[np.ndarray]:
    """The contours at one half of a label's fraction [rows, columns]: each [points, (x, y)] in pixels."""
    if not share.any():
        return []
    # Beyond the label and a pixel on each side there are none.
    part = tuple(slice(max(places.min() - 1, 0), places.max() + 2) for places in np.nonzero(share))
    rows, columns = (np.arange(length)[ends] + 0.5 for length, ends in zip(share.shape, part))
    lines = contour_generator(columns, rows, share[part], line_type=LineType.Separate).lines(0.5)
    return [line for line in lines if isinstance(line, np.ndarray)]


def round_length(longest: float) -> float:
    """The longest of 1, 2, 5, 10, 20, ... (and 0.5, 0.2, ...) that is not above `longest`."""
    decade = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * decade for step in (1, 2, 5) if step * decade <= longest))


@lru_cache
def _font(size: float, weight: str) -> FontProperties:
    """Made once, because the settings of a font are looked up for a long time."""
    return FontProperties(size=size, weight=weight)


def _halo(width: float, opacity: float) -> Sequence[AbstractPathEffect]:
    """A black halo around a light line or letter, so that it is visible on white bone."""
    return [Stroke(linewidth=width, foreground="black", alpha=opacity), Normal()]


@lru_cache(maxsize=1)
def _mixtures() -> np.ndarray:
    """RGBA in four bytes by 256 times the shade of gray, or 256 where nothing is, plus the heat color, which is more opaque with higher values."""
    shades = np.vstack([np.linspace(0, 1, 256, dtype=np.float32)[:, None].repeat(3, 1), OUTSIDE])[:, None]
    opacity = DENSEST_HEAT * np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    colors = np.full((257, 256, 4), 255, np.uint8)
    colors[..., :3] = np.rint(255 * (shades * (1 - opacity) + HEAT_COLORS * opacity))
    return colors.view(np.uint32).ravel()
