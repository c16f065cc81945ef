"""Layout of the overview picture, in pixels."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH, MARGIN, GAP = 1584, 24, 12
HEAD, TITLES, FOOT = 60, 30, 46
LARGE, SMALL = 400, 200
# More maps than this are laid out smaller, two per row, so that the picture does not get too long.
MOST_LARGE = 3
BETWEEN_COLUMNS = 28
VIEWS_OF_VOLUME = 3


@dataclass(frozen=True)
class Strip:
    """Position of square pictures of `size`, three or one of a single slice, with a column of text to their right."""

    left: int
    top: int
    size: int
    pictures: int = VIEWS_OF_VOLUME

    @property
    def places(self) -> list[int]:
        """Left edges of the pictures."""
        return [self.left + i * (self.size + GAP) for i in range(self.pictures)]

    @property
    def side(self) -> int:
        """Left edge of the column of text."""
        return self.places[-1] + self.size + (20 if self.size == LARGE else 12)


@dataclass(frozen=True)
class Layout:
    """Positions (left, top) of head and foot, the strip of the anatomy, the strips of the maps, and the total height."""

    head: tuple[int, int]
    anatomy: Strip
    maps: list[Strip]
    foot: tuple[int, int]
    height: int


def lay_out(maps: int, pictures: int = VIEWS_OF_VOLUME) -> Layout:
    """Lay out a number of maps (at least one) below the anatomy: large, one per row, or small, two per row; of single slices large, two per row."""
    anatomy = Strip(MARGIN, HEAD + TITLES + 16, LARGE, pictures)
    per_line, size = (2, LARGE) if pictures == 1 else (1, LARGE) if maps <= MOST_LARGE else (2, SMALL)
    column = (WIDTH - 2 * MARGIN + BETWEEN_COLUMNS) // per_line
    top = anatomy.top + LARGE + 2 * GAP
    strips = [Strip(MARGIN + n % per_line * column, top + n // per_line * (size + GAP), size, pictures) for n in range(maps)]
    bottom = strips[-1].top + size
    return Layout((MARGIN, 18), anatomy, strips, (MARGIN, bottom + 16), bottom + FOOT)
