"""Synthesis of an image from a label map: the generative model of SynthSeg (Billot et al. 2023, arXiv:2107.09559), on a network's working grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from ...errors import InputError
from ...image import Numbers
from ...inference.preprocessing import normalize
from ...models import Channel
from ..preparation import IGNORED
from .acquisition import Axis, draw_axes
from .geometry import draw_warp, smooth_rows, spread_matrix, warped_rows
from .settings import Synthesis

BIAS_POINTS = 4
TEXTURE_MM = 12.0
# Least fraction of a patch that the learned labels must cover for the rest to be removed.
STRIPPED_LEAST = 0.05
# Least noise, so that no image is empty.
LEAST_NOISE = 0.002
# At patches that show a single intensity; another is drawn then.
ATTEMPTS = 20


@dataclass(frozen=True, eq=False)
class Generator:
    """Synthesizes images of patches.

    The body has Gaussian intensities per label value at the spacing of the label map, the same for both sides of a pair. It is acquired (see
    `draw_axes`), with a bias field, a gamma and noise. The image and the label are sampled at the same positions.

    Attributes:
        synthesis: ranges.
        learned: [values] uint8, the label as which each value of the prepared maps is learned.
        looks: [values] int, the number of the Gaussian of each value.
        tissues: [values] int, the number of the first value of the same tissue, -1 without one.
        spacing: of the working grid in mm.
        channel: of the card, with the normalization.
    """

    synthesis: Synthesis
    learned: np.ndarray
    looks: np.ndarray
    tissues: np.ndarray
    spacing: tuple[float, float, float]
    channel: Channel

    def draw(self, values: np.ndarray, middle: Numbers, patch: Sequence[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Synthesize the network's input for a patch: a scan, cut to a field of view and normalized.

        Args:
            values: [I, J, K] uint8, prepared label map with a margin of 0.
            middle: center of the patch, in voxels of the label map.
            patch: working voxels.
            rng: random numbers.

        Returns:
            The image [*patch] float32, 0 outside the field of view; and the labels [*patch] uint8, `IGNORED` there.

        Raises:
            InputError: if the map is so empty that a single intensity is all that can be drawn.
        """
        for attempt in range(1, ATTEMPTS + 1):
            image, label = self.scan(values, middle, patch, rng)
            seen = self._field_of_view(patch, rng)
            rule = self.channel.normalization
            if rule["kind"] == "window":
                low, high = rule["window"]
                image = low + (high - low) * image
            try:
                normalized = normalize(torch.from_numpy(image), self.channel, torch.from_numpy(seen), "the drawn image").numpy()
                break
            except InputError:
                # A stripped head at the edge of a patch leaves nothing but one intensity, which no user would segment either.
                if attempt == ATTEMPTS:
                    raise
        normalized[~seen] = 0
        label[~seen] = IGNORED
        return normalized, label

    def scan(self, values: np.ndarray, middle: Numbers, patch: Sequence[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The image [*patch] float32, about 0..1, and the labels [*patch] uint8 of a patch; for the arguments see `draw`."""
        fine = [(n - 1) * step + 1 for n, step in zip(patch, self.synthesis.steps)]
        warp = draw_warp(self.synthesis, middle, fine, np.divide(self.spacing, self.synthesis.steps), rng)
        axes = draw_axes(self.synthesis, fine, self.spacing, rng)
        body, label = self._seen(warped_rows(values, warp, fine), fine, axes, rng)
        image = _shown(self._exposed(body, rng), axes)
        self._strip(image, label, rng)
        return image, label

    def _seen(self, rows: Iterator[np.ndarray], fine: Sequence[int], axes: Sequence[Axis], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Acquired means and deviations of a random contrast, [scanned], and the labels on the working grid."""
        means = self._means(rng)
        deviations = rng.uniform(0, self.synthesis.deviation, len(means))
        if rng.random() < self.synthesis.dark_air_share:
            means[self.looks[0]], deviations[self.looks[0]] = rng.uniform(0, 0.05), rng.uniform(0, 0.03)
        means, deviations = means[self.looks].astype(np.float32), deviations[self.looks].astype(np.float32)
        mixed = np.where((self.learned == 0) & (np.arange(len(self.learned)) > 0), rng.uniform(0, self.synthesis.texture), 0).astype(np.float32)
        voxel = np.divide(self.spacing, self.synthesis.steps)
        points = np.clip(np.ceil(np.multiply(fine, voxel) / TEXTURE_MM) + 1, 2, 24).astype(int)
        textures = smooth_rows(rng.standard_normal((1, *points)).astype(np.float32), fine)
        _, second, third = (axis.seen for axis in axes)
        seen, kept = [], []
        for number, row in enumerate(rows):
            if number % self.synthesis.steps[0] == 0:
                kept.append(self.learned[row[:: self.synthesis.steps[1], :: self.synthesis.steps[2]]])
            values = rng.standard_normal(row.shape, dtype=np.float32)
            values *= deviations.take(row)
            values += means.take(row)
            values += mixed.take(row) * next(textures)[0]
            seen.append(second @ values @ third.T)
        return np.tensordot(axes[0].seen, np.stack(seen), 1), np.stack(kept)

    def _means(self, rng: np.random.Generator) -> np.ndarray:
        """Mean intensities of the values: independent, or nearly the same within each tissue."""
        means = rng.uniform(0, 1, int(self.looks.max()) + 1)
        if self.synthesis.tissues and rng.random() < self.synthesis.tissue_share:
            named = np.flatnonzero(self.tissues[: len(means)] >= 0)
            first, tissue = np.unique(self.tissues[named], return_inverse=True)
            spread = rng.uniform(0, self.synthesis.tissue_deviation)
            shared = _apart(len(first), self.synthesis.tissue_contrast, rng)
            means[named] = np.clip(shared[tissue] + rng.normal(0, spread, len(named)), 0, 1)
        return means

    def _exposed(self, body: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Apply bias field, scaling to 0..1, gamma and noise."""
        field = rng.standard_normal((BIAS_POINTS,) * 3).astype(np.float32) * rng.uniform(0, self.synthesis.bias_field)
        first, second, third = (spread_matrix(BIAS_POINTS, n) for n in body.shape)
        body = np.clip(body, 0, None) * np.exp(np.einsum("abc,ia,jb,kc->ijk", field, first, second, third, optimize=True))
        low, high = body.min(), body.max()
        body = ((body - low) / max(high - low, 1e-6)) ** np.exp(rng.normal(0, self.synthesis.gamma))
        noise = max(LEAST_NOISE, rng.uniform(0, self.synthesis.noise))
        return body.astype(np.float32) + noise * rng.standard_normal(body.shape, dtype=np.float32)

    def _strip(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
        """Remove what is not learned, except for a margin."""
        missing = rng.random() < self.synthesis.stripped_share
        margin = rng.uniform(0, self.synthesis.stripped_margin_mm)
        inside = (label > 0) & (label != IGNORED)
        if not missing or inside.mean() < STRIPPED_LEAST:
            return
        steps = [round(margin / s) for s in self.spacing]
        if any(steps):
            inside = ndimage.maximum_filter(inside, [2 * step + 1 for step in steps])
        image[~inside] = 0

    def _field_of_view(self, patch: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        """A random field of view, bool [*patch]."""
        seen = np.ones(tuple(patch), bool)
        if rng.random() < self.synthesis.cut_share:
            for axis, n in enumerate(patch):
                lost = int(rng.uniform(0, self.synthesis.cut_size) * n) if rng.random() < 0.5 else 0
                ends = slice(0, lost) if rng.random() < 0.5 else slice(n - lost, n)
                seen[(slice(None),) * axis + (ends,)] = False
        return seen


def _apart(count: int, least: float, rng: np.random.Generator) -> np.ndarray:
    """So many numbers in 0..1, uniformly from all that differ by at least `least`, or evenly spaced if there are none."""
    least = min(least, 1 / max(count - 1, 1))
    spaced = np.sort(rng.uniform(0, 1 - least * (count - 1), count)) + least * np.arange(count)
    return rng.permutation(spaced)


def _shown(scan: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """A scan resampled to the working grid."""
    for number, axis in enumerate(axes):
        if axis.shown is not None:
            scan = np.moveaxis(np.tensordot(axis.shown, scan, (1, number)), 0, number)
    return np.ascontiguousarray(scan)
