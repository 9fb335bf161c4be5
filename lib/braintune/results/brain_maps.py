"""Pictures of the brain: regions coloured by accuracy, through glass, on the surface, and in slices to move through.

Each takes a brain data set and scores at the analysis layer, from :func:`braintune.results.tables.scores`, and draws means over
participants and tasks under the design that claims are judged on. Below chance is drawn as chance; a region within a
network covers that network. Where the places of the voxels are unknown, the figure says so.
"""

import warnings
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
from braintune.results.tables import CHANCE


def brain_map(data: BrainData, at_layer: pd.DataFrame) -> Figure:
    """Draw the regions through a glass brain, coloured by accuracy, one row a method."""
    if reason := _nothing_to_map(data, at_layer):
        return nothing(reason)
    from nilearn import plotting

    images, top, design = _images(data, at_layer)
    methods = list(images)
    figure, panels = plt.subplots(len(methods), 1, figsize=(7.4, 2.1 * len(methods)), squeeze=False)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - 0.12 / len(methods), hspace=0.15)
    for axes, method in zip(panels[:, 0], methods, strict=True):
        axes.set_axis_off()
        plotting.plot_glass_brain(
            images[method], display_mode="lyrz", axes=axes, cmap="viridis", colorbar=True,
            vmin=CHANCE, vmax=top, plot_abs=False, threshold=0, annotate=False, cbar_tick_format="%.2f",
        )  # fmt: skip
        axes.set_title(f"{method}: {ACCURACY} ({design} folds)", fontsize=10, loc="left")
    return figure


def brain_difference(data: BrainData, at_layer: pd.DataFrame) -> Figure:
    """Draw prompt-tuned minus fine-tuned accuracy of the regions through a glass brain."""
    if reason := _nothing_to_map(data, at_layer):
        return nothing(reason)
    rows = _here(data, at_layer)
    arms = rows.pivot_table(index="region", columns="method", values="pairwise", sort=False)
    if not set(tables.ARMS) <= set(arms):
        return nothing("only one tuning method was run")
    from nilearn import plotting

    difference = arms["prompt-tuned"] - arms["fine-tuned"]
    limit = max(float(difference.abs().max()), 0.005)
    figure, axes = plt.subplots(figsize=(7.4, 2.2))
    figure.subplots_adjust(left=0, right=1, bottom=0, top=0.88)
    axes.set_axis_off()
    plotting.plot_glass_brain(
        region_image(data, difference), display_mode="lyrz", axes=axes, cmap="RdBu", colorbar=True, vmin=-limit,
        vmax=limit, plot_abs=False, symmetric_cbar=True, threshold=0, annotate=False, cbar_tick_format="%+.3f",
    )  # fmt: skip
    title = f"prompt-tuned minus fine-tuned {ACCURACY} ({rows['folds'].iloc[0]} folds)"
    axes.set_title(title, fontsize=10, loc="left")
    return figure


def brain_surface(data: BrainData, at_layer: pd.DataFrame) -> Figure:
    """Draw the regions on the surface of fsaverage, which ships with nilearn, one row a method."""
    if reason := _nothing_to_map(data, at_layer):
        return nothing(reason)
    from nilearn import datasets, plotting
    from nilearn.image import resample_to_img
    from nilearn.surface import SurfaceImage

    images, top, design = _images(data, at_layer)
    methods = list(images)
    template = datasets.load_mni152_template(resolution=4)
    meshes = datasets.load_fsaverage("fsaverage5")
    folds = datasets.load_fsaverage_data(mesh="fsaverage5", data_type="sulcal")
    figure, panels = plt.subplots(
        len(methods), 2, figsize=(7.4, 2.6 * len(methods)), subplot_kw={"projection": "3d"}, squeeze=False
    )
    figure.subplots_adjust(left=0, right=0.9, bottom=0, top=1 - 0.14 / len(methods), wspace=0, hspace=0.1)
    for row, method in zip(panels, methods, strict=True):
        image = resample_to_img(
            images[method], template, interpolation="nearest", force_resample=True, copy_header=True
        )
        surface = SurfaceImage.from_volume(meshes["pial"], image, interpolation="nearest_most_frequent")
        for axes, side in zip(row, ("left", "right"), strict=True):
            plotting.plot_surf_stat_map(
                stat_map=surface, surf_mesh=meshes["inflated"], hemi=side, view="lateral", bg_map=folds, axes=axes,
                figure=figure, cmap="viridis", threshold=1e-3, vmin=CHANCE, vmax=top, colorbar=False,
            )  # fmt: skip
            axes.set_box_aspect(None, zoom=1.5)
        row[0].set_title(f"{method}: {ACCURACY} ({design} folds)", fontsize=10, loc="left")
    scale = plt.cm.ScalarMappable(plt.Normalize(CHANCE, top), "viridis")
    figure.colorbar(scale, cax=figure.add_axes((0.93, 0.3, 0.015, 0.4)), format="%.2f")
    return figure


def brain_view(data: BrainData, at_layer: pd.DataFrame, method: str) -> HTML:
    """Show one method's accuracy by region in slices that a reader can move through; all of it is in the page."""
    if reason := _nothing_to_map(data, at_layer):
        return HTML(f"<p>Nothing to show: {escape(reason)}.</p>")
    from nilearn import plotting

    images, top, design = _images(data, at_layer)
    if method not in images:
        return HTML(f"<p>Nothing to show: {escape(method)} was not decoded.</p>")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*'partition' will ignore the 'mask'")  # nilearn's own doing
        view = plotting.view_img(
            images[method], cmap="viridis", vmin=CHANCE, vmax=top, threshold=1e-3,
            symmetric_cmap=False, resampling_interpolation="nearest", width_view=640,
        )  # fmt: skip
    title = escape(f"{data.name}, {method}: {ACCURACY} by region ({design} folds)")
    frame = f"<iframe title='{title}' srcdoc='{escape(view.get_standalone())}' class='brain-view'></iframe>"
    return HTML(f"<p class='caption'><strong>{title}</strong></p>{frame}")


# --- parts -------------------------------------------------------------------------------------------------------


def region_image(data: BrainData, values: pd.Series) -> Any:
    """Return a NIfTI image in which every voxel has its region's value; a region within a network covers it."""
    import nibabel

    index, shape, affine = voxel_grid({region: data.coordinates[region] for region in values.index})
    image = np.zeros(shape, dtype=np.float32)
    for region in sorted(values.index, key=lambda r: len(index[r]), reverse=True):  # parts after their network
        image[tuple(index[region].T)] = values[region] or 1e-6  # a zero would be drawn as no region
    return nibabel.Nifti1Image(image, affine)


def _here(data: BrainData, at_layer: pd.DataFrame) -> pd.DataFrame:
    return tables.in_main_design(at_layer[at_layer["brain"] == data.name])


def _images(data: BrainData, at_layer: pd.DataFrame) -> tuple[dict[str, Any], float, str]:
    """Return the image of each method's accuracies, what the colours end at, and the design."""
    rows = _here(data, at_layer)
    scores = rows.groupby(["method", "region"])["pairwise"].mean().clip(lower=CHANCE + 1e-3)
    methods = [m for m in ("untuned", *tables.ARMS) if m in set(rows["method"])]
    images = {method: region_image(data, scores.loc[method]) for method in methods}
    seen = max(float(image.get_fdata().max()) for image in images.values())  # a network may lie under its parts
    return images, max(seen, CHANCE + 0.05), rows["folds"].iloc[0]


def _nothing_to_map(data: BrainData, at_layer: pd.DataFrame) -> str:
    """Say why there is nothing to draw; empty where there is something."""
    if data.coordinates is None:
        return f"the voxels of {data.name} have no known places"
    if not _here(data, at_layer)["method"].isin(["untuned", *tables.ARMS]).any():
        return "neither the untuned nor a tuned representation was decoded"
    return ""
