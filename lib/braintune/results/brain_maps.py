"""Pictures of the brain: regions coloured by accuracy, through glass, on the surface, and in slices to browse.

Each takes a brain data set and scores at one readout, from :func:`braintune.results.tables.scores`, and draws means
over participants and tasks in the main design. Below chance is drawn as chance; a region within a network covers that
network. Where the coordinates of the voxels are unknown, the figure says so.
"""

import warnings
from collections.abc import Mapping
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from braintune.datasets.brains.base import BrainData
from braintune.datasets.brains.nifti import voxel_grid
from braintune.results import tables
from braintune.results.style import ACCURACY, nothing
from braintune.results.tables import ARMS, CHANCE


def brain_map(data: BrainData, scores: pd.DataFrame) -> Figure:
    """Draw the regions through a glass brain, coloured by accuracy, one row a method."""
    if reason := _nothing_to_map(data, scores):
        return nothing(reason)
    images, top, scale = _images(data, scores)
    rows = {f"{method}: {scale}": image for method, image in images.items()}
    return _glass(rows, cmap="viridis", vmin=CHANCE, vmax=top, cbar_tick_format="%.2f")


def brain_difference(data: BrainData, scores: pd.DataFrame) -> Figure:
    """Draw prompt-tuned minus fine-tuned accuracy of the regions through a glass brain."""
    if reason := _nothing_to_map(data, scores):
        return nothing(reason)
    rows = _here(data, scores)
    difference = tables.contrast(rows, ["region"]).mean(axis=1)
    if difference.empty:
        return nothing("only one tuning method was run")
    limit = max(float(difference.abs().max()), 0.005)
    title = f"prompt-tuned minus fine-tuned {ACCURACY} ({rows['folds'].iloc[0]} folds)"
    look = {"cmap": "RdBu", "vmin": -limit, "vmax": limit, "symmetric_cbar": True, "cbar_tick_format": "%+.3f"}
    return _glass({title: region_image(data, difference)}, **look)


def _glass(images: Mapping[str, Any], **look: Any) -> Figure:
    """Draw images through glass brains, one row a title."""
    from nilearn import plotting

    figure, panels = plt.subplots(len(images), 1, figsize=(7.4, 2.1 * len(images) + 0.1), squeeze=False)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - 0.12 / len(images), hspace=0.15)
    look |= {"display_mode": "lyrz", "colorbar": True, "plot_abs": False, "threshold": 0, "annotate": False}
    for axes, (title, image) in zip(panels[:, 0], images.items(), strict=True):
        axes.set_axis_off()
        plotting.plot_glass_brain(image, axes=axes, **look)
        axes.set_title(title, fontsize=10, loc="left")
    return figure


def brain_surface(data: BrainData, scores: pd.DataFrame) -> Figure:
    """Draw the regions on the surface of fsaverage, which ships with nilearn, one row a method."""
    if reason := _nothing_to_map(data, scores):
        return nothing(reason)
    from nilearn import datasets, plotting
    from nilearn.image import resample_to_img
    from nilearn.surface import SurfaceImage

    images, top, scale = _images(data, scores)
    template = datasets.load_mni152_template(resolution=4)
    meshes = datasets.load_fsaverage("fsaverage5")
    look = {"bg_map": datasets.load_fsaverage_data(mesh="fsaverage5", data_type="sulcal"), "view": "lateral"}
    look |= {"cmap": "viridis", "threshold": 1e-3, "vmin": CHANCE, "vmax": top, "colorbar": False}
    shape = {"figsize": (7.4, 2.6 * len(images)), "subplot_kw": {"projection": "3d"}, "squeeze": False}
    figure, panels = plt.subplots(len(images), 2, **shape)
    figure.subplots_adjust(left=0, right=0.9, bottom=0, top=1 - 0.14 / len(images), wspace=0, hspace=0.1)
    for row, (method, image) in zip(panels, images.items(), strict=True):
        image = resample_to_img(image, template, interpolation="nearest", force_resample=True, copy_header=True)
        surface = SurfaceImage.from_volume(meshes["pial"], image, interpolation="nearest_most_frequent")
        look |= {"surf_mesh": meshes["inflated"], "stat_map": surface, "figure": figure}
        for axes, side in zip(row, ("left", "right"), strict=True):
            plotting.plot_surf_stat_map(hemi=side, axes=axes, **look)
            axes.set_box_aspect(None, zoom=1.5)
        row[0].set_title(f"{method}: {scale}", fontsize=10, loc="left")
    colours = plt.cm.ScalarMappable(plt.Normalize(CHANCE, top), "viridis")
    figure.colorbar(colours, cax=figure.add_axes((0.93, 0.3, 0.015, 0.4)), format="%.2f")
    return figure


def brain_view(data: BrainData, scores: pd.DataFrame, method: str) -> HTML:
    """Show one method's accuracy by region in slices to browse; all of it is in the page."""
    reason = _nothing_to_map(data, scores)
    images, top, scale = ({}, 1.0, "") if reason else _images(data, scores)
    if method not in images:
        return HTML(f"<p>Nothing to show: {escape(reason or f'{method} was not decoded')}.</p>")
    from nilearn import plotting

    look = {"cmap": "viridis", "vmin": CHANCE, "vmax": top, "threshold": 1e-3, "symmetric_cmap": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*'partition' will ignore the 'mask'")  # within nilearn
        view = plotting.view_img(images[method], resampling_interpolation="nearest", width_view=640, **look)
    title = escape(f"{data.name}, {method}: {scale}, by region")
    frame = f"<iframe title='{title}' srcdoc='{escape(view.get_standalone())}' class='brain-view'></iframe>"
    return HTML(f"<p class='caption'><strong>{title}</strong></p>{frame}")


def region_image(data: BrainData, values: pd.Series) -> Any:
    """Return a NIfTI image in which every voxel has its region's value; a region within a network covers it."""
    import nibabel

    coordinates = data.coordinates or {}
    index, shape, affine = voxel_grid({region: coordinates[region] for region in values.index})
    image = np.zeros(shape, dtype=np.float32)
    for region in sorted(values.index, key=lambda r: len(index[r]), reverse=True):  # parts after their network
        image[tuple(index[region].T)] = values[region] or 1e-6  # a zero would be drawn as no region
    return nibabel.Nifti1Image(image, affine)


def _here(data: BrainData, scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one brain in its main design, those of the untuned model and of the two methods."""
    rows = tables.labelled(tables.in_main_design(scores[scores["brain"] == data.name]))
    return rows[rows["method"].isin(["untuned", *ARMS])]


def _images(data: BrainData, scores: pd.DataFrame) -> tuple[dict[str, Any], float, str]:
    """Return the image of each method's accuracies, the largest value of the colour scale, and its name."""
    rows = _here(data, scores)
    scores = rows.groupby(["method", "region"])["pairwise"].mean().clip(lower=CHANCE + 1e-3)
    methods = [m for m in ("untuned", *ARMS) if m in set(rows["method"])]
    images = {method: region_image(data, scores.loc[method]) for method in methods}
    seen = max(float(image.get_fdata().max()) for image in images.values())  # parts may cover their network
    return images, max(seen, CHANCE + 0.05), f"{ACCURACY} ({rows['folds'].iloc[0]} folds)"


def _nothing_to_map(data: BrainData, scores: pd.DataFrame) -> str:
    """Say why there is nothing to draw; empty where there is something."""
    if data.coordinates is None:
        return f"the coordinates of the voxels of {data.name} are unknown"
    return "neither the untuned nor a tuned representation was decoded" if _here(data, scores).empty else ""
