"""The structures of a brain and the parts of both hippocampi, through MRML nodes: volumes on the terminal, pictures, files and a scene for Slicer.

Without SCAN the MNI152 T1 head of the package nilearn is used (nothing is downloaded). The hippocampi are found, unless you say where they are. For
research only; not a medical device.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import slicer
from AttentionSegLib import RESEARCH_ONLY
from AttentionSegLib.errors import InputError
from AttentionSegLib.files import check_output_folder, read_image, scan_stem, write_map, write_segmentation
from AttentionSegLib.image import Image
from AttentionSegLib.inference import Predictor
from AttentionSegLib.mrml.segment import SegmentedVolume, segment_volume
from AttentionSegLib.region import Region
from AttentionSegLib.reporting import measure, write_overview
from AttentionSegLib.terminal import ProgressDisplay
from mni152 import mni152_head
from slicer_scene import new_scene

BRAIN, HIPPOCAMPUS = "brain-mr-attention-unet", "hippocampus-mr-attention-unet"


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", nargs="?", help="T1-weighted MR: NIfTI, NRRD, MHA or DICOM folder")
    parser.add_argument("--region", action="append", default=[], metavar="R,A,S,W,H,D", help="box around a hippocampus, mm; once or twice")
    parser.add_argument("--output", default="demo-output", metavar="DIR", help="folder for the results (default: demo-output)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    options = parser.parse_args()
    try:
        run(options)
    except InputError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    image = read_image(options.scan) if options.scan else mni152_head()
    brain, hippocampus = (Predictor(model, options.device) for model in (BRAIN, HIPPOCAMPUS))
    # By their names in files; without a region the hippocampi are found.
    regions = {f"_hippocampus_{number}": Region.parse(text) for number, text in enumerate(options.region, start=1)} or {"_hippocampus": None}
    runs = [("_brain", brain, None), *((name, hippocampus, region) for name, region in regions.items())]
    for _name, predictor, region in runs:
        predictor.check(image, region)
    folder = check_output_folder(options.output)

    stem = scan_stem(options.scan) if options.scan else "MNI152_T1"
    scene = new_scene()
    volume_node = add_volume(scene, image, stem)
    for name, predictor, region in runs:
        roi_node = None if region is None else add_roi(scene, region, name[1:].replace("_", " "))
        with ProgressDisplay(sys.stderr) as show:
            result = segment_volume(predictor, [volume_node], roi_node, on_progress=show)
        result.nodes.segmentation.SetName(f"{stem}{name.replace('_', ' ')}")
        report(result, image, folder, f"{stem}{name}")
    # Slicer writes bundles to full paths only, and does not raise when it fails.
    scene_path = folder.resolve() / f"{stem}.mrb"
    if not scene.WriteToMRB(str(scene_path)):
        msg = f"The scene {scene_path} cannot be written; check the disk and the permissions, or choose another folder."
        raise InputError(msg)
    print(f"Scene with everything, to open in Slicer: {scene_path}\n{RESEARCH_ONLY}")


def add_volume(scene: slicer.vtkMRMLScene, image: Image, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(image.affine))
    slicer.util.updateVolumeFromArray(node, image.voxels[0].transpose(2, 1, 0))
    node.CreateDefaultDisplayNodes()
    return node


def add_roi(scene: slicer.vtkMRMLScene, region: Region, name: str) -> slicer.vtkMRMLMarkupsROINode:
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.SetCenter(np.asarray(region.center, dtype=float))
    node.SetSize(np.asarray(region.size, dtype=float))
    return node


def report(result: SegmentedVolume, image: Image, folder: Path, stem: str) -> None:
    """Print the volumes, write pictures and files, and say where they are."""
    prediction = result.prediction
    measurements = measure(prediction)
    for name, region in prediction.regions.items():
        print(f"\n{name}: {', '.join(f'{c:.0f}' for c in region.center)} mm, by {prediction.found.how}", end="")
    print(f"\n{stem}: {sum(m.milliliters for m in measurements):.2f} mL in {sum(prediction.seconds.values()):.1f} s on {prediction.device}")
    for measurement in measurements:
        print(f"    {measurement.name:<30} {measurement.milliliters:6.2f} mL")
    for note in prediction.notes:
        print(f"    {note}")
    files = [folder / f"{stem}_overview.png", folder / f"{stem}.seg.nrrd"]
    write_overview(image, prediction, files[0], title=stem)
    write_segmentation(prediction.labels, prediction.card, files[1])
    for name, attention in prediction.attention.items():
        files.append(folder / f"{stem}_{name}.nrrd")
        write_map(attention, files[-1])
    for path in files:
        print(f"    {path}")


if __name__ == "__main__":
    sys.exit(main())
