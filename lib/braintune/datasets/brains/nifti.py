"""Brain data as NIfTI images: one volume per stimulus and one mask per region."""

import math
import re
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


def find_images(folder: Path) -> tuple[dict[str, Path], dict[str, dict[str, Path]]]:
    """Sort the images of a folder, NIfTI files or `.img` with `.hdr`, by their names, ignoring case.

    Returns
    -------
    responses : dict of participant to Path
        `<participant>_beta.nii.gz`.
    masks : dict of participant to dict of region to Path
        `<participant>_mask-<region>.nii.gz`; those for all participants, `mask-<region>.nii.gz`, under "".

    Raises
    ------
    BraintuneError
        If an image is neither, or two have the same name.
    """
    responses: dict[str, Path] = {}
    masks: dict[str, dict[str, Path]] = {}
    others = []
    for file in sorted(folder.iterdir()):
        image = re.fullmatch(r"([^.].*)\.(?:nii|nii\.gz|img)", file.name, flags=re.IGNORECASE)
        if not image:
            continue
        beta = re.fullmatch(r"(.+)_betas?", image[1], flags=re.IGNORECASE)
        mask = re.fullmatch(r"(?:(.+)_)?mask-(.+)", image[1], flags=re.IGNORECASE)
        if beta:
            place, key = responses, beta[1]
        elif mask:
            place, key = masks.setdefault(mask[1] or "", {}), mask[2]
        else:
            others.append(file)
            continue
        if key in place:
            raise BraintuneError(f"{place[key]} and {file.name} have the same participant or region; keep one of them")
        place[key] = file
    series = [file for file in others if "bold" in file.name.lower()]
    for file in series or others:
        first = ""
        if series:
            first = "a time series must first become one volume per stimulus (e.g. with GLMsingle or nilearn.glm); "
        elif len(others) > 1:
            first = (
                f"if these {len(others)} images are one map per trial, join those of a participant, in the order of "
                "stimuli.csv: nilearn.image.concat_imgs(files).to_filename('P01_beta.nii.gz'); "
            )
        raise BraintuneError(
            f"{file} is not read: {first}responses are named <participant>_beta.nii.gz (one file, "
            "one volume per stimulus), masks mask-<region>.nii.gz (for all participants) or "
            "<participant>_mask-<region>.nii.gz; rename it, or move it out of the folder"
        )
    return responses, masks


def masks_of(masks: Mapping[str, Mapping[str, Path]], participant: str) -> dict[str, Path]:
    """Return region -> mask of a participant: its own, else that of the same subject (BIDS), else that for all.

    Raises
    ------
    BraintuneError
        If the subject has two masks of a region.
    """
    subject = re.match(r"sub-[A-Za-z0-9]+(?=_|$)", participant)
    found: dict[str, Path] = {}
    for who, own in masks.items():
        if subject and who != participant and re.match(rf"{subject[0]}(_|$)", who):
            if twice := sorted(set(found) & set(own)):
                raise BraintuneError(
                    f"{found[twice[0]]} and {own[twice[0]].name} are masks of the same region and subject; keep the "
                    f"correct one, or name it {participant}_mask-{twice[0]}.nii.gz"
                )
            found |= own
    return {**masks.get("", {}), **found, **masks.get(participant, {})}


def files_of(image: Path) -> dict[str, Path]:
    """Return name -> path of the files of an image: with the header, where that is separate."""
    headers = [image.with_suffix(suffix) for suffix in (".hdr", ".HDR")] if image.suffix.lower() == ".img" else []
    return {file.name: file for file in (image, *headers) if file is image or file.is_file()}


def read_masked(path: Path, regions: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Read the responses in some masks, voxels in the order of the image.

    Parameters
    ----------
    path : Path
        4D image, one volume per stimulus.
    regions : mapping of region to Path
        Masks on the same grid.

    Returns
    -------
    dict of region to float32 array of shape (n_volumes, n_voxels)

    Raises
    ------
    BraintuneError
        If an image cannot be read or is not 4D, or a mask is not a valid mask or lies on another grid.
    """
    values, affine = _read_image(path)
    if values.ndim != 4:
        raise BraintuneError(
            f"{path} has shape {values.shape}; four axes are needed, the last one over the stimuli: join the volumes, "
            "e.g. with nilearn.image.concat_imgs"
        )
    out = {}
    for region, file in regions.items():
        mask, mask_affine = _read_mask(file)
        same = mask.shape == values.shape[:3]
        if not (same and np.allclose(mask_affine, affine, atol=1e-3)):
            theirs, ours = (x.shape[:3] if not same else np.round(a, 3).tolist() for x, a in
                            ((mask, mask_affine), (values, affine)))  # fmt: skip
            raise BraintuneError(
                f"{file} is not on the same grid ({'affine' if same else 'shape'} {theirs}) as {path.name} ({ours}); "
                "resample it, e.g. with nilearn.image.resample_to_img and interpolation='nearest'"
            )
        out[region] = values[mask].T.astype(np.float32)
    return out


def coordinates(regions: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Return the voxel centres in some masks: region -> array of shape (n_voxels, 3), mm, in the order of the image.

    Raises
    ------
    BraintuneError
        If a mask cannot be read or is not a valid mask.
    """
    centres = {}
    for region, file in regions.items():
        mask, affine = _read_mask(file)
        centres[region] = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return centres


def _read_mask(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask as a Boolean array, and its affine; NaN is outside."""
    values, affine = _read_image(path)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise BraintuneError(f"{path} has shape {values.shape}; a mask must have three axes: write one volume")
    values = np.nan_to_num(values)
    inside = values != 0
    if inside.any() and np.ptp(values[inside]) > 0:
        raise BraintuneError(
            f"{path} holds several values besides 0 ({values[inside].min():g} … {values[inside].max():g}); a mask has "
            "one value inside its region and 0 outside: write one mask per region, or apply a threshold"
        )
    return inside, affine


def _read_image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import nibabel

    try:
        image: Any = nibabel.load(path)
        kind = image.get_data_dtype()
        if not (np.issubdtype(kind, np.integer) or np.issubdtype(kind, np.floating)):
            raise ValueError(f"its values are of type {kind}; real numbers are needed")
        claimed, stored = math.prod(map(int, image.shape)) * kind.itemsize, path.stat().st_size
        if claimed > stored * (store.DEFLATE if path.suffix.lower() == ".gz" else 1):  # before memory is allocated
            raise ValueError(f"its header claims {claimed:,} bytes, but the file has {stored:,}")
        return np.asanyarray(image.dataobj), image.affine
    except Exception as error:  # a damaged image may fail in nibabel, in gzip or in NumPy
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BraintuneError(f"{path} is not a complete NIfTI image ({reason}); create or copy it again") from None
