"""The class `Predictor`, which segments images by a model."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, memory_for
from ..image import Image
from ..map_kinds import WHY
from ..models import Card, Model, card_of_sides, find_model, load_model
from ..networks.contract import AttentionNetwork
from ..options import RunOptions
from ..progress import Cancel, OnProgress
from ..region import Region
from .attention_maps import attention_image, on_grid_of, shares_of_largest
from .backends import Backend, choose_backend, prepare_backend, torch_instead
from .checks import check_attention, check_input, region_note
from .devices import choose_device
from .explanation import Explanation, Wanted, check_explain, labels_of_result
from .fit import image_fit, rescaled
from .memory import limited_memory
from .memory_estimate import PATCHES_AT_A_TIME, SLICES_AT_A_TIME, check_limit
from .merging import Part, merge_maps, merge_on_input, merge_restored
from .mirroring import MirroredNetwork, check_mirroring
from .openvino_network import OpenVinoFailed
from .parts import affine_from, bounds
from .prediction import Prediction
from .preprocessing import WorkingGrid, prepare, working_grid
from .probe import ProbeOfRegions
from .progress import Progress
from .region_search import RegionSearch, offsets_of
from .restore import restore_with_fallback
from .slices import with_neighbors, with_slices
from .sliding_window import Placement, VolumeOutput, placements, run_with_fallback


class Predictor:
    """A model, loaded once and ready for many images.

        predictor = Predictor("hippocampus-mr-attention-unet")
        prediction = predictor(read_image("T1.nii.gz"))
        prediction = predictor(read_image("T1.nii.gz"), region=Region((26, -24, -13), (36, 52, 36)))

    Args:
        model: a loaded model, the id of an installed one, or the path of a model folder.
        options: of all runs; the defaults of `RunOptions` when left out.
        device, backend, more: of `RunOptions` by name, in place of those in `options`.

    Attributes:
        model, device, overlap: that are used.
        options: with this overlap.

    Raises:
        InputError: if model, device, back end or another option cannot be used, or mirroring is requested for a model that was not trained with it.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike,
        device: str | None = None,
        backend: str | None = None,
        *,
        options: RunOptions | None = None,
        **more: Any,
    ) -> None:
        named: dict[str, Any] = {"device": device, "backend": backend}
        options = replace(options or RunOptions(), **{name: value for name, value in named.items() if value is not None}, **more)
        self.device = choose_device(options.device)
        self._backend_name = choose_backend(options.backend, self.device)
        self._backend: Backend | None = None
        self.model = model if isinstance(model, Model) else load_model(find_model(model))
        card = self.model.card
        self._search = RegionSearch(card, self.model.folder, Predictor)
        self.overlap = card.overlap if options.overlap is None else float(options.overlap)
        self.options = replace(options, overlap=self.overlap, mirroring=options.mirroring or card.mirrored)
        if options.mirroring:
            check_mirroring(card)
        self._at_a_time = (PATCHES_AT_A_TIME if card.slice_axis is None else SLICES_AT_A_TIME)[self.device.type]

    @property
    def attention_names(self) -> list[str]:
        """The attention maps that the model has, finest first."""
        strides = self.model.network.attention_strides
        return sorted(strides, key=lambda name: (np.prod(strides[name]), name))

    def prepare(self) -> None:
        """Prepare the network, which otherwise happens with the first image: with OpenVINO this takes a second, or more if it has to be converted."""
        self._prepared()

    def look_ahead(self, image: Image, cancel: Cancel | None = None) -> None:
        """Find the regions of a scan before it is segmented; the run then uses them without another search.

        Raises:
            InputError, Cancelled: as the run would.
        """
        check_input(image, None, self.model.card)
        self._search(image, Progress(cancel=cancel))

    def check(self, image: Image, region: Region | None = None, **changes: Any) -> list[str]:
        """The names of the requested attention maps. Raises InputError if the image, the region or a name cannot be used (see `__call__`)."""
        options = self.options.for_image(changes)
        names = check_attention(options.attention, self.attention_names, self.model.card)
        check_input(image, region, self.model.card)
        check_explain(options, labels_of_result(image, region, self.model.card), self.model)
        return names

    def __call__(
        self, image: Image, region: Region | None = None, *, on_progress: OnProgress | None = None, cancel: Cancel | None = None, **changes: Any
    ) -> Prediction:
        """Segment an image.

        Args:
            image: one channel per input of the card.
            region: box in RAS mm; everything outside it is background. Without it, a model that needs a region segments a scan of about that size
                as a whole; in a larger one its regions are found first, and each has labels of its own (see `models.card_of_sides`).
            on_progress: called with (fraction 0..1, stage, seconds left or None) between patches, and between the steps of finding.
            cancel: called as often; the run ends when it returns True.
            changes: `attention`, `attention_grid`, `explain`, `explain_layer`, `explain_method` and `probabilities` of `RunOptions`, for this image.

        Raises:
            InputError: before any work, if image, region or a name cannot be used; later, if no region is found (see `find_regions`), one shows a
                single intensity, or the network gives numbers that are not finite.
            OutOfMemory: if there is not enough memory.
            Cancelled: if `cancel` returned True.
        """
        with memory_for(image.name):
            self.check(image, region, **changes)
            return self.run(image, region, on_progress=on_progress, cancel=cancel, **changes)

    def run(
        self, image: Image, region: Region | None = None, *, on_progress: OnProgress | None = None, cancel: Cancel | None = None, **changes: Any
    ) -> Prediction:
        """Segment an image that `check_input` has accepted; see `__call__`."""
        options = self.options.for_image(changes)
        with memory_for(image.name):
            names = check_attention(options.attention, self.attention_names, self.model.card)
            if self.device.type == "cpu":
                check_limit(image, region, self.model.card, options, [self.model.network.attention_strides[name] for name in names])
            image = rescaled(image, self.model.card) if options.rescale else image
            check_explain(options, labels_of_result(image, region, self.model.card), self.model)
            progress = Progress(on_progress, cancel)
            found = self._search(image, progress) if region is None else None
            card = self.model.card if found is None else card_of_sides(self.model.card)
            regions = [region] if found is None else list(found.regions.values())
            parts: list[Part] = []
            for one, offset in zip(regions, offsets := offsets_of(found, self.model.card)):
                wanted = Wanted(names, options.probabilities, self._explanation(card, offset, options))
                parts.append(self._segment(image, one, wanted, progress, parts[0].grid if parts else None))
            names = [*names, *(WHY + name for name in options.explain)]

            progress.stage("finish")
            merged = merge_restored(parts, offsets, len(card.labels) + 1, image)
            if image.outside is not None:
                merged.labels[image.outside.all(axis=0)] = 0
            # Imported here because scipy takes a while to import, and the network need not wait for it.
            from .arrangement import arrangement_note
            from .postprocessing import postprocess

            sides_note = postprocess(merged.labels, image.affine, card)
            unlike = arrangement_note(merged.labels, image.affine, card.arrangement, image.name)
            misfits = [*image_fit(card, image), *([unlike] if unlike else [])]
            noted = [*image.remarks, *(found.notes if found else ()), *(note for part in parts for note in part.notes), sides_note]
            maps = {name: self._attention(name, parts, image if options.attention_grid == "input" else None) for name in names}
            probes = [part.probe for part in parts]
            progress.finish()
            return Prediction(
                labels=Image(merged.labels[None], image.affine, "labels", spacing_known=image.spacing_known),
                uncertainty=Image(merged.uncertainty[None], image.affine, "uncertainty"),
                attention=maps,
                probabilities=None if merged.probabilities is None else Image(merged.probabilities, image.affine, "probabilities"),
                probe=probes[0] if found is None else ProbeOfRegions(probes, [region.center for region in found.regions.values()]),
                card=card,
                device=parts[-1].device,
                backend=self._prepared().name,
                options=options,
                seconds=progress.seconds,
                notes=tuple(dict.fromkeys(note for note in [*misfits, region_note(region, card), *noted] if note)),
                misfits=tuple(misfits),
                unlike=unlike,
                found=found,
                region=region,
            )

    def _segment(self, image: Image, region: Region | None, wanted: Wanted, progress: Progress, like: WorkingGrid | None) -> Part:
        card = self.model.card
        progress.stage("prepare")
        network = self._prepared().network
        grid = working_grid(image, region, card, self.patch, network.total_stride, like)
        volume = prepare(image, region, grid, card)
        with limited_memory(self.device, self.options.memory_limit_gb):
            progress.stage("network")
            output, placement = self._run(volume, wanted.attention, progress)
            output.probe.place(grid.affine, grid.field)
            # One class at a time, because torch copies what it checks.
            if not all(torch.isfinite(logits).all() for logits in output.logits):
                where = f"on {placement.device}; try another device (such as cpu), another region or another scan"
                msg = f"The model {card.id} gave NaN or infinite numbers for {image.name} {where}."
                raise InputError(msg)

            explained, explanation_notes = wanted.explanation.images(volume, output.logits, grid, placement, progress)

            progress.stage("restore")
            first, last = bounds(image, region)
            window = tuple(slice(a, b) for a, b in zip(first, last))
            seen = Image(image.voxels[(slice(None), *window)], affine_from(image.affine, first), image.name)
            sampled = output.logits, output.uncertainty, grid.affine
            restored, restore_note = restore_with_fallback(*sampled, seen, region, wanted.probabilities, progress)
        strides = network.attention_strides
        attended = {name: attention_image(output.attention[name].cpu(), strides[name], grid, name) for name in wanted.attention}
        notes = tuple(note for note in (self._prepared().note, placement.note, *explanation_notes, restore_note) if note)
        return Part(region, grid, restored, {**attended, **explained}, output.probe, str(placement.device), notes)

    def _explanation(self, card: Card, offset: int, options: RunOptions) -> Explanation:
        """The explanation of the requested labels in a region, whose labels have values above `offset` in the card of the result."""
        values = {label.name: label.value - offset for label in card.labels if label.name in options.explain}
        of_region = {name: value if 0 < value <= len(self.model.card.labels) else None for name, value in values.items()}
        return Explanation(self.model, options.explain_layer, options.explain_method, of_region, self.patch, self.overlap)

    def _attention(self, name: str, parts: list[Part], on: Image | None) -> Image:
        """A map merged from all parts, on the grid that it has in the network or on that of an image."""
        maps = [part.attention[name] for part in parts]
        if name.startswith(WHY) or name in self._prepared().network.maps_scaled_per_volume:
            maps = shares_of_largest(maps)
        regions = [part.region for part in parts if part.region is not None]
        if on is None:
            return merge_maps(maps, regions)
        return merge_on_input([on_grid_of(values, on, part.region) for values, part in zip(maps, parts)], regions, on)

    @property
    def patch(self) -> list[int]:
        """Voxels of a patch along the working axes."""
        strides = with_slices(self.model.network.total_stride, self.model.card.slice_axis)
        return [-(-size // stride) * stride for size, stride in zip(self.model.card.patch_size, strides)]

    def _prepared(self) -> Backend:
        if self._backend is None:
            self._backend = prepare_backend(self._backend_name, self.model, self.patch)
        return self._backend

    def _network(self) -> AttentionNetwork:
        network = self._prepared().network
        return MirroredNetwork(network, self.model.card) if self.options.mirroring else network

    def _run(self, volume: Tensor, names: list[str], progress: Progress) -> tuple[VolumeOutput, Placement]:
        tries = placements(self.device, self._at_a_time, self.options.memory_limit_gb)
        arguments = with_neighbors(volume, self.model.card), self.patch, self.overlap, names, tries, progress
        try:
            return run_with_fallback(self._network(), *arguments)
        except OpenVinoFailed as error:
            self._backend = torch_instead(self.model, self.patch, error)
        return run_with_fallback(self._network(), *arguments)
