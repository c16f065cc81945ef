"""Headers of NRRD, written by hand."""

from __future__ import annotations

SHAPE = (6, 5, 4)
NRRD = "NRRD0005\ntype: short\nendian: little\nencoding: raw\n"


def write_nrrd(path, fields, voxels):
    path.write_bytes((NRRD + "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n").encode() + voxels.tobytes(order="F"))
    return path


def nrrd_fields(affine, space="right-anterior-superior", **changes):
    vectors = ["({},{},{})".format(*column.tolist()) for column in affine[:3].T]
    fields = {"dimension": 3, "sizes": "6 5 4", "kinds": "domain domain domain", "space": space}
    return {**fields, "space directions": " ".join(vectors[:3]), "space origin": vectors[3], **changes}
