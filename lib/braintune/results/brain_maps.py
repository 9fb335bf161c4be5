"""Figures of the brain: regions coloured by accuracy, in a glass brain, on the surface, and in slices to browse.

Each function takes a brain data set and scores at one readout, from :func:`braintune.results.tables.scores`, and draws
means over participants and tasks in the main design. Values below chance are drawn as chance; a region within a network
is drawn over that network. If the coordinates of the voxels are unknown, the figure says so.
"""

import gc
import warnings
from collections.abc import Mapping
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.spatial import KDTree

from braintune.datasets.brains.base import BrainData
from braintune.datasets.brains.nifti import voxel_grid
from braintune.results import tables
from braintune.results.style import ACCURACY, nothing
from braintune.results.tables import ARMS, CHANCE

#: Largest distance of a vertex of the surface from the voxel whose value it shows, in millimetres.
REACH_MM = 8.0
_VIEWS = [(side, view) for side in ("left", "right") for view in ("lateral", "medial")]


def brain_map(data: BrainData, scores: pd.DataFrame) -> Figure:
    """Draw the regions in a glass brain: first their locations, then coloured by accuracy, one row per method."""
    if reason := _nothing_to_map(data, scores):
        return nothing(reason)
    images, top, scale = _images(data, scores)
    rows = {f"{method}: {scale}": image for method, image in images.items()}
    regions = list(dict.fromkeys(_here(data, scores)["region"]))
    return _glass(rows, ACCURACY, regions=(data, regions), cmap="viridis", vmin=CHANCE, vmax=top)


def brain_difference(data: BrainData, scores: pd.DataFrame) -> Figure:
    """Draw prompt-tuned minus fine-tuned accuracy of the regions in a glass brain."""
    if reason := _nothing_to_map(data, scores):
        return nothing(reason)
    rows = _here(data, scores)
    difference = tables.contrast(rows, ["region"]).mean(axis=1)
    if difference.empty:
        return nothing("only one tuning method was run")
    limit = max(float(difference.abs().max()), 0.005)
    title = f"prompt-tuned minus fine-tuned {ACCURACY} ({rows['folds'].iloc[0]} folds)"
    look: dict[str, Any] = {"cmap": "RdBu", "vmin": -limit, "vmax": limit}
    return _glass({title: region_image(data, difference)}, f"difference in {ACCURACY}", **look)


def _glass(
    images: Mapping[str, Any], label: str, regions: tuple[BrainData, list[str]] | None = None, **look: Any
) -> Figure:
    """Draw images through glass brains, one row per title, with one colour bar; first where the `regions` lie."""
    rows = len(images) + (regions is not None)
    above, below = (0.8 if regions else 0.3), 0.8  # inches of the legend and of the colour bar
    height = 2.1 * rows + above + below
    figure, panels = plt.subplots(rows, 1, figsize=(7.4, height), squeeze=False)
    figure.subplots_adjust(left=0, right=1, bottom=below / height, top=1 - above / height, hspace=0.18)
    shared: dict[str, Any] = {
        "display_mode": "lyrz",
        "colorbar": False,
        "plot_abs": False,
        "threshold": 0,
        "annotate": False,
    }
    for axes, (title, image) in zip(panels[-len(images) :, 0], images.items(), strict=True):
        _glass_row(axes, image, title, **shared, **look)
    if regions:
        _name_regions(figure, panels[0, 0], *regions, **shared)
    scale = plt.cm.ScalarMappable(plt.Normalize(look["vmin"], look["vmax"]), look["cmap"])
    bar = figure.add_axes((0.25, 0.55 / height, 0.5, 0.13 / height))
    figure.colorbar(scale, cax=bar, orientation="horizontal", label=label, ticks=MaxNLocator(5))
    return figure


def _glass_row(axes: plt.Axes, image: Any, title: str, **look: Any) -> None:
    """Draw an image through glass brains; the outlines of each, hundreds of patches, become one that is drawn fast."""
    from nilearn import plotting

    axes.set_axis_off()
    axes.set_title(title, fontsize=10, loc="left")
    gc.freeze()  # nilearn collects garbage four times, which takes seconds where a process holds much
    try:
        views = plotting.plot_glass_brain(image, axes=axes, **look).axes.values()
    finally:
        gc.unfreeze()
    for view in views:
        patches = list(view.ax.patches)
        paths = [(patch.get_transform() - view.ax.transData).transform_path(patch.get_path()) for patch in patches]
        outlines = PathCollection(
            paths,
            facecolors=[patch.get_facecolor() for patch in patches],
            edgecolors=[patch.get_edgecolor() for patch in patches],
            linewidths=[patch.get_linewidth() for patch in patches],
            zorder=patches[0].get_zorder(),
            joinstyle="miter",
        )
        view.ax.add_collection(outlines, autolim=False)
        for patch in patches:
            patch.remove()


def _name_regions(figure: Figure, axes: plt.Axes, data: BrainData, names: list[str], **look: Any) -> None:
    """Draw where each region lies, named in a legend above; one that its parts cover wholly is left out."""
    image = region_image(data, pd.Series(range(1, len(names) + 1), names, dtype=float))
    tab = sns.color_palette("tab20", 20)
    colours = [(tab[::2] + tab[1::2])[place % 20] for place in range(len(names))]
    look |= {"cmap": ListedColormap(colours), "vmin": 0.5, "vmax": len(names) + 0.5}
    _glass_row(axes, image, "regions; a part covers its network", **look)
    seen = set(np.unique(image.get_fdata()).astype(int))
    patches = [Patch(color=colours[k], label=name) for k, name in enumerate(names) if k + 1 in seen]
    figure.legend(handles=patches, loc="upper center", ncols=min(6, len(patches)), fontsize=8)


def brain_surface(data: BrainData, scores: pd.DataFrame) -> Figure:
    """Draw the regions on the surface of fsaverage, which ships with nilearn: both hemispheres, one row per method."""
    if reason := _nothing_to_map(data, scores):
        return nothing(reason)
    images, top, scale = _images(data, scores)
    picture, places = _paint_surfaces(images, top)
    figure = plt.figure(figsize=_surface_size(images))
    canvas = figure.add_axes((0, 0, 1, 1))
    canvas.set_axis_off()
    canvas.imshow(picture, aspect="auto", interpolation="none")
    centred: dict[str, Any] = {"ha": "center", "fontsize": 8}
    for row, method in zip(places, images, strict=True):
        figure.text(row[0].x0, row[0].y0 + 1.04 * row[0].height, f"{method}: {scale}", fontsize=10)
    for (side, view), place in zip(_VIEWS, places[0], strict=True):
        figure.text(place.x0 + place.width / 2, place.y0 + 0.02 * place.height, f"{side}, {view}", **centred)
    colours = plt.cm.ScalarMappable(plt.Normalize(CHANCE, top), "viridis")
    bar = figure.add_axes((0.3, 0.44 / figure.get_figheight(), 0.4, 0.12 / figure.get_figheight()))
    figure.colorbar(colours, cax=bar, orientation="horizontal", format="%.2f", label=ACCURACY)
    return figure


def _surface_size(images: Mapping[str, Any]) -> tuple[float, float]:
    return 7.4, 1.9 * len(images) + 0.7


def _paint_surfaces(images: Mapping[str, Any], top: float) -> tuple[np.ndarray, list[list[Any]]]:
    """Paint the surfaces of all images once, as pixels: a figure of 20,000 faces a panel is slow to write and large.

    Returns
    -------
    picture : array of shape (height, width, 4)
    places : list of list of Bbox
        Where the panels are in the picture, as parts of it, one list an image.
    """
    from nilearn import datasets, plotting
    from nilearn.surface import PolyMesh

    files = datasets.load_fsaverage("fsaverage5")  # read once here, else for every panel several times
    meshes = {
        name: PolyMesh(**{side: part.loaded() for side, part in files[name].parts.items()})
        for name in ("inflated", "pial")
    }
    look = {"bg_map": datasets.load_fsaverage_data(mesh="fsaverage5", data_type="sulcal")}
    look |= {"cmap": "viridis", "threshold": 1e-3, "vmin": CHANCE, "vmax": top, "colorbar": False}
    shape = {"figsize": _surface_size(images), "dpi": 150, "subplot_kw": {"projection": "3d"}, "squeeze": False}
    figure, panels = plt.subplots(len(images), len(_VIEWS), **shape)
    bottom = 0.8 / figure.get_figheight()
    figure.subplots_adjust(left=0, right=1, bottom=bottom, top=1 - 0.14 / len(images), wspace=0, hspace=0.15)
    for row, image in zip(panels, images.values(), strict=True):
        look |= {"surf_mesh": meshes["inflated"], "stat_map": _on_surface(image, meshes["pial"]), "figure": figure}
        for axes, (side, view) in zip(row, _VIEWS, strict=True):
            plotting.plot_surf_stat_map(hemi=side, view=view, axes=axes, **look)
            axes.set_box_aspect(None, zoom=1.5)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.array(canvas.buffer_rgba())
    plt.close(figure)
    return picture, [[axes.get_position(original=True) for axes in row] for row in panels]


def _on_surface(image: Any, mesh: Any) -> Any:
    """Give each vertex the value of the nearest voxel of a region within :data:`REACH_MM`, else 0."""
    from nilearn.surface import SurfaceImage

    values = image.get_fdata()
    index = np.argwhere(values != 0)
    tree = KDTree(index @ image.affine[:3, :3].T + image.affine[:3, 3])
    found = {}
    for side, part in mesh.parts.items():
        distance, nearest = tree.query(part.coordinates, distance_upper_bound=REACH_MM)
        nearest = np.where(np.isfinite(distance), nearest, 0)
        found[side] = np.where(np.isfinite(distance), values[tuple(index[nearest].T)], 0.0).astype(np.float32)
    return SurfaceImage(mesh=mesh, data=found)


def brain_view(data: BrainData, scores: pd.DataFrame, method: str) -> HTML:
    """Show one method's accuracy by region in slices to browse; the viewer is embedded in the page."""
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
    """Return a NIfTI image in which every voxel has its region's value; a region overwrites its network."""
    import nibabel

    coordinates = data.coordinates() if data.coordinates else {}
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
