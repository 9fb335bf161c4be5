"""MATLAB files in the layout of Pereira et al. (2018), Experiments 2 and 3, small and with values that tell their place.

The value of voxel c (counted from 1, as in MATLAB) in row r (from 0) is c + r / 1024, so a reader's mistake is seen in
the number. All 15 atlases are there; those of the two language hemispheres have as many parts, of the same sizes.
"""

from itertools import count

import h5py
import numpy as np
from scipy import io

VOXELS = 90
#: Names of what cells refer to.
NUMBERS = count()
#: Atlas -> part -> columns, counted from 1.
ATLASES = {
    "aal_1ofN": {"Precentral_L": [1, 2, 3], "Precentral_R": [4, 5]},
    "languageParcelsConservative_aal": {"p1": [6]},
    "languageParcels_aal": {"p1": [6, 7]},
    "semantic_aal": {"s1": [8, 9]},
    "multipleDemand_aal": {"m1": [10, 11]},
    "MD": {"L_ParInf": [12, 13, 14], "R_ParInf": [15], "none": []},
    "DMN": {"L_PCC": [17, 16], "R_PCC": [18]},
    "languageLH": {"LMidPost": [1, 30, 31], "LAntTemp": [33, 34], "AngG": [35, 36, 37]},
    "languageRH": {"RMidPost": [40, 41, 42], "RAntTemp": [43, 44], "AngG": [45, 46, VOXELS]},
    "visual_body": {"v1": [50]},
    "visual_face": {"v1": [51]},
    "visual_object": {"v1": [52]},
    "visual_scene": {"v1": [53]},
    "visual": {"body": [50, 51], "scene": [51, 52, 53]},
    "gordon": {f"g{i}": [i] for i in range(60, 80)},
}
NAMES = {2: "data_384sentences.mat", 3: "data_243sentences.mat"}
OLDER = {2: "examples_384sentences.mat", 3: "examples_243sentences.mat"}
TOPICS = {2: ["Beekeeping", "Castles"], 3: ["Castles", "Opera"]}


def content(experiment, passages=4, sentences=3, voxels=VOXELS):
    """What one file holds, in plain Python."""
    n = passages * sentences
    texts = [f"Experiment {experiment}: the {k}th – über – sentence." for k in range(n)]
    return {
        "responses": np.arange(1, voxels + 1) + np.arange(n)[:, None] / 1024 + 100 * (experiment - 2),
        "keySentences": texts,
        "labelsSentences": np.arange(1, n + 1),
        "labelsPassageForEachSentence": np.repeat(np.arange(1, passages + 1), sentences),
        "labelsPassageCategory": np.arange(passages) // 2 + 1,
        "keyPassages": [f"passage {p}" for p in range(passages)],
        "keyPassageCategory": TOPICS[experiment],
        "atlases": {atlas: dict(parts) for atlas, parts in ATLASES.items()},
        "colToCoord": np.column_stack([np.arange(1, voxels + 1), np.full(voxels, 7), np.full(voxels, 9)]),
    }


def cells(values, column=False):
    """Make a cell array, as scipy writes and reads it."""
    out = np.empty((len(values), 1) if column else (1, len(values)), dtype=object)
    for i, value in enumerate(values):
        out.flat[i] = value
    return out


def _column(values):
    return np.array(values, dtype=float).reshape(-1, 1) if len(values) else np.zeros((0, 0))


def variables(held, older=False, participant="P00"):
    """The variables of a file, in the layout of the release or of the older one."""
    atlases = held["atlases"]
    meta = {
        "subject": participant,
        "dimx": 88.0,
        "dimy": 125.0,
        "dimz": 85.0,
        "colToCoord": held["colToCoord"].astype(float),
        "indicesIn3D": _column(held["colToCoord"][:, 0]),
        "voxelsToNeighbours": np.zeros((len(held["colToCoord"]), 26)),
        "atlases": cells(list(atlases)),
        "rois": cells([cells(list(parts), column=True) for parts in atlases.values()]),
        "roiColumns": cells([cells([_column(c) for c in parts.values()], column=True) for parts in atlases.values()]),
    }
    labels = ("labelsSentences", "labelsPassageForEachSentence", "labelsPassageCategory")
    return {
        **({"examples": held["responses"]} if older else {"examples_passagesentences": held["responses"]}),
        **({} if older else {"examples_passages": held["responses"][:4]}),
        **{name: _column(held[name]) for name in labels if name in held},
        "keySentences": cells(held["keySentences"], column=True),
        "keyPassages": cells(held["keyPassages"], column=True),
        "keyPassageCategory": cells(held["keyPassageCategory"]),
        "meta": meta,
    }


def write(path, held, version=5, older=False):
    """Write one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {
        name: value
        for name, value in variables(held, older, path.parent.name).items()
        if name not in held.get("without", ())
    }
    if version == 5:
        io.savemat(path, found, do_compression=True, long_field_names=True)
        return
    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")
        for name, value in found.items():
            _put(file, references, name, value)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def _put(parent, references, name, value):
    """Write a value as MATLAB does: transposed, cells as references, texts as numbers, empty things as their shape."""
    if isinstance(value, dict):
        group = parent.create_group(name)
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, inner in value.items():
            _put(group, references, key, inner)
        return group
    if isinstance(value, str):
        data, kind = np.frombuffer(value.encode("utf-16-le"), dtype="<u2")[:, None], "char"
    elif np.asarray(value).dtype == object:
        inner = [_put(references, references, f"r{next(NUMBERS)}", entry).ref for entry in value.T.ravel()]
        data = np.empty(value.T.shape, dtype=h5py.ref_dtype)
        data.ravel()[:] = inner
        kind = "cell"
    else:
        data, kind = np.atleast_2d(value).T, "double"
    if data.size == 0:
        node = parent.create_dataset(name, data=np.array(data.shape[::-1], dtype=np.uint64))
        node.attrs["MATLAB_empty"] = np.uint8(1)
    else:
        node = parent.create_dataset(name, data=data, dtype=h5py.ref_dtype if kind == "cell" else None)
    node.attrs["MATLAB_class"] = np.bytes_(kind)
    return node
