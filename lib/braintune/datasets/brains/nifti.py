"""Brain data as NIfTI images: one volume per stimulus and one mask per region."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from braintune.core import store
from braintune.core.base import BraintuneError


def voxel_grid(places: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[int, ...], np.ndarray]:
    """Return voxel indices by region, shape and affine of the smallest image that holds all voxels.

    Parameters
    ----------
    places : mapping of region to array of shape (n_voxels, 3)
        Voxel centres, mm.

    Returns
    -------
    index : dict of region to int array of shape (n_voxels, 3)
    shape : tuple of int
    affine : array of shape (4, 4)

    Raises
    ------
    BraintuneError
        If the voxels do not lie on one regular grid.
    """
    every = np.concatenate(list(places.values()))
    origin = every.min(axis=0)
    steps = [np.diff(np.unique(axis.round(3))) for axis in every.T]
    spacing = np.array([step.min() if step.size else 1.0 for step in steps])
    index = {region: np.rint((xyz - origin) / spacing).astype(int) for region, xyz in places.items()}
    if any(np.abs(index[r] * spacing + origin - xyz).max() > 1e-3 * spacing.min() for r, xyz in places.items()):
        raise BraintuneError("the voxels do not lie on one regular grid, so no image can be made of them")
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    shape = tuple(int(n) for n in np.concatenate(list(index.values())).max(axis=0) + 1)
    return index, shape, affine


def masks(folder: Path, participant: str) -> dict[str, Path]:
    """Return region -> mask of a participant: its own (`<participant>_mask-<region>.nii.gz`), else that of all."""
    files = {}
    for prefix in ("mask-", f"{participant}_mask-"):
        for file in sorted([*folder.glob(f"{prefix}*.nii"), *folder.glob(f"{prefix}*.nii.gz")]):
            files[file.name.removeprefix(prefix).removesuffix(".gz").removesuffix(".nii")] = file
    return files


def read_masked(path: Path, regions: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Read the responses in some masks, voxels in the order of the image.

    Parameters
    ----------
    path : Path
        4D image, a volume per stimulus.
    regions : mapping of region to Path
        Masks on the same grid; what is not 0 belongs to the region.

    Returns
    -------
    dict of region to float32 array of shape (n_volumes, n_voxels)

    Raises
    ------
    BraintuneError
        If an image cannot be read, is not 4D, or a mask lies on another grid.
    """
    values, affine = _read_image(path)
    if values.ndim != 4:
        raise BraintuneError(f"{path} has shape {values.shape}; four axes are needed, the last one over the stimuli")
    out = {}
    for region, file in regions.items():
        mask, mask_affine = _read_image(file)
        if mask.shape != values.shape[:3] or not np.allclose(mask_affine, affine, atol=1e-3):
            raise BraintuneError(
                f"{file} lies on another grid (shape {mask.shape}) than {path.name} (shape {values.shape[:3]}); "
                "resample it, e.g. with nilearn.image.resample_to_img and nearest neighbours"
            )
        out[region] = values[np.nan_to_num(mask) != 0].T.astype(np.float32)
    return out


def coordinates(regions: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Return the voxel centres in some masks: region -> array of shape (n_voxels, 3), mm, in the order of the image.

    Raises
    ------
    BraintuneError
        If a mask cannot be read or is not 3D.
    """
    centres = {}
    for region, file in regions.items():
        mask, affine = _read_image(file)
        if mask.ndim != 3:
            raise BraintuneError(f"{file} has shape {mask.shape}; a mask has three axes")
        centres[region] = np.argwhere(np.nan_to_num(mask) != 0) @ affine[:3, :3].T + affine[:3, 3]
    return centres


def _read_image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import nibabel

    try:
        image: Any = nibabel.load(path)
        kind = image.get_data_dtype()
        if not (np.issubdtype(kind, np.integer) or np.issubdtype(kind, np.floating)):
            raise ValueError(f"its values are of type {kind}; real numbers are needed")
        claimed, stored = math.prod(map(int, image.shape)) * kind.itemsize, path.stat().st_size
        if claimed > stored * (store.DEFLATE if path.suffix == ".gz" else 1):  # before memory is taken for it
            raise ValueError(f"its header claims {claimed:,} bytes, but the file has {stored:,}")
        return np.asanyarray(image.dataobj), image.affine
    except Exception as error:  # a damaged image may fail in nibabel, in gzip or in NumPy
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BraintuneError(f"{path} is not a whole NIfTI image ({reason}); write or copy it again") from None
