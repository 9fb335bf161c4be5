"""Simulated participants: voxels that encode the latent features of the generated sentences, with noise.

No language model is involved. The profile sets what the voxels encode, so the correct result of an analysis is known.
By default, the visual network encodes nothing.
"""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from braintune.core.base import BraintuneError
from braintune.core.preprocess import zscore
from braintune.core.settings import SimulationSettings, WorldSettings
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData, BrainSource, Stimuli
from braintune.datasets.microworld.passages import WorldStimuli, stimuli

#: The eight language regions, left hemisphere, each by one point in MNI space (mm): the approximate middle of each
#: functional parcel of Fedorenko et al. (2010). The parcels themselves are not used.
LANGUAGE_REGIONS = {
    "IFGorb": (-46, 30, -8),
    "IFG": (-50, 18, 16),
    "MFG": (-42, 2, 48),
    "AntTemp": (-52, 6, -20),
    "MidAntTemp": (-56, -12, -10),
    "MidPostTemp": (-57, -34, 0),
    "PostTemp": (-54, -50, 16),
    "AngG": (-44, -68, 32),
}
#: The other networks, each by its names in the atlas of Seitzman et al. (2020).
NETWORKS = {
    "DMN": ("DefaultMode",),
    "task-positive": ("FrontoParietal", "CinguloOpercular", "DorsalAttention"),
    "visual": ("Visual",),
}
#: Size of those networks relative to a language region.
NETWORK_SIZE = 2
REGIONS = ("language", *NETWORKS, *LANGUAGE_REGIONS)
#: Network of every region that is generated.
NETWORK_OF = dict.fromkeys(LANGUAGE_REGIONS, "language") | {network: network for network in NETWORKS}


def simulate(study: Study) -> BrainData:
    """Return simulated participants who read the stimuli of the microworld.

    A voxel's response is the sum of

    - a signal: random weights on the concept features and on the syntax features (z-scored over the stimuli), mixed
      by ``syntax_share`` of the variance and scaled to the standard deviation ``signal`` of its network. Half of the
      variance of the weights is shared by all participants;
    - an effect of the passage alone, standard deviation ``passage_drift``, unrelated to the content;
    - white noise, standard deviation 1.

    Every participant has a separate random stream, so adding participants does not change the others; the size of the
    signal does not change the noise.

    Parameters
    ----------
    study : Study
        WorldSettings and SimulationSettings are used.

    Returns
    -------
    BrainData
        Four networks and eight language regions, which together are the network ``language``. Voxels lie on the MNI
        grid: the language regions around the approximate middle of the parcels of [1]_, the other networks around the
        regions of [2]_ (which ship with nilearn).

    Raises
    ------
    BraintuneError
        If ``signal`` names anything other than a network or region.

    References
    ----------
    .. [1] Fedorenko et al. (2010). New method for fMRI investigations of language. J Neurophysiol 104, 1177-1194.
    .. [2] Seitzman et al. (2020). A set of functionally-defined brain regions with improved representation of the
       subcortex and cerebellum. NeuroImage 206, 116290.
    """
    if unknown := [name for name in study.signal if name not in REGIONS]:
        raise BraintuneError(f"signal: unknown network or region {unknown[0]!r}; known: {', '.join(REGIONS)}")
    levels = {region: study.signal.get(region, study.signal.get(net, 0.0)) for region, net in NETWORK_OF.items()}
    world = _world(**study.values(WorldSettings))
    n = len(world.sentences)
    names = [f"passage {p + 1}, sentence {k + 1}" for p, k in zip(world.passage, world.position, strict=True)]
    return BrainData(
        name="simulated",
        participants=tuple(f"S{i:02d}" for i in range(1, study.simulated_participants + 1)),
        regions=REGIONS,
        stimuli=Stimuli(names, world.sentences, np.arange(n), world.passage, world.topic, world.position),
        simulated=True,
        load=partial(_participant, study, levels, world),
        coordinates=partial(place_voxels, study.voxels_per_region),
    )


# --- responses ---------------------------------------------------------------------------------------------------


def _participant(
    study: SimulationSettings, levels: Mapping[str, float], world: WorldStimuli, participant: str
) -> dict[str, np.ndarray]:
    """Generate one participant's responses: region -> float32 array of shape (n_stimuli, n_voxels)."""
    rng = np.random.default_rng([study.simulation_seed, int(participant[1:])])
    features = zscore(world.concepts), zscore(world.syntax)
    responses = {}
    for i, (region, level) in enumerate(levels.items()):
        # Participants count from 1, so no participant has a stream whose second number is 0.
        shared = np.random.default_rng([study.simulation_seed, 0, i + 1])
        size = _size(region, study.voxels_per_region)
        parts = []
        for feature in features:  # half of the variance of the weights is shared
            shape = (feature.shape[1], size)
            weights = (shared.standard_normal(shape) + rng.standard_normal(shape)) / np.sqrt(2)
            parts.append(zscore(feature @ weights))
        signal = zscore(np.sqrt(1 - study.syntax_share) * parts[0] + np.sqrt(study.syntax_share) * parts[1])
        drift = rng.standard_normal((world.passage.max() + 1, size))[world.passage]
        noise = rng.standard_normal(signal.shape)
        responses[region] = (level * signal + study.passage_drift * drift + noise).astype(np.float32)
    together = np.concatenate([responses[region] for region in LANGUAGE_REGIONS], axis=1)
    return {"language": together} | responses


def _size(region: str, voxels: int) -> int:
    return voxels if region in LANGUAGE_REGIONS else NETWORK_SIZE * voxels


@cache
def _world(**settings: Any) -> WorldStimuli:
    """Generate the stimuli once for each set of settings; they are kept, as they are only a few hundred sentences."""
    return stimuli(WorldSettings(**settings))


# --- coordinates -------------------------------------------------------------------------------------------------


@cache
def place_voxels(voxels: int) -> dict[str, np.ndarray]:
    """Place the voxels of all regions on the MNI grid; the generated regions do not overlap.

    Parameters
    ----------
    voxels : int
        Voxels of a language region; a network has twice as many.

    Returns
    -------
    dict of region to float array of shape (n_voxels, 3)
        Voxel centres, mm. Within a region they are in the order of the image, except in ``language``, whose voxels
        come region by region. A small number of voxels is placed on a grid of 4 mm, a larger number on a finer one.
    """
    from nilearn.datasets import fetch_coords_seitzman_2018, load_mni152_brain_mask

    atlas = fetch_coords_seitzman_2018()  # ships with nilearn: nothing is downloaded
    points = atlas.rois[["x", "y", "z"]].to_numpy(dtype=float)
    cortex = np.array([part.startswith("cortex") for part in atlas.regions])
    centres = {name: np.array([xyz], dtype=float) for name, xyz in LANGUAGE_REGIONS.items()}
    centres |= {name: points[cortex & np.isin(atlas.networks, parts)] for name, parts in NETWORKS.items()}
    left = np.array([_size(region, voxels) for region in centres])
    spacing = next(mm for mm, most in ((4, 6_000), (3, 15_000), (2, 60_000), (1, np.inf)) if left.sum() <= most)
    mask = load_mni152_brain_mask(resolution=spacing)
    grid = np.argwhere(mask.get_fdata() > 0) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    distance = np.stack([KDTree(near).query(grid)[0] for near in centres.values()], axis=1)
    owner = np.full(len(grid), -1)
    while left.any():  # free voxels are offered to the nearest region that needs more; it takes the nearest of them
        free = np.flatnonzero(owner < 0)
        wanted = np.where(left > 0, distance[free], np.inf).argmin(axis=1)
        for region in np.flatnonzero(left):
            applying = free[wanted == region]
            taken = applying[np.argsort(distance[applying, region], kind="stable")[: left[region]]]
            owner[taken] = region
            left[region] -= len(taken)
    coordinates = {region: grid[owner == i] for i, region in enumerate(centres)}
    return {"language": np.concatenate([coordinates[region] for region in LANGUAGE_REGIONS])} | coordinates


SOURCE = BrainSource(
    name="simulated",
    title="Simulated participants whose voxels encode known features of the generated sentences",
    make=simulate,
    size="generated: 4 networks and 8 language regions",
    licence="MIT, as this project",
    get="generated from `simulation_seed`",
    simulated=True,
    people="simulated participants",
)
