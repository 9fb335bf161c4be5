"""Listening to the first chapter of Alice in Wonderland: Brennan et al. (2016)."""

import numpy as np

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import base
from braintune.datasets.brains.base import BrainData, BrainSource
from braintune.datasets.brains.story import read_story, respond

SECONDS_PER_SCAN = 2.0


def alice2016(study: Study) -> BrainData:
    """Return the responses of six language regions to 84 sentences of a story [1]_.

    References
    ----------
    .. [1] Brennan et al. (2016). Abstract linguistic structure correlates with temporal activity during naturalistic
       comprehension. Brain and Language 157-158, 81-94.
    """
    folder = base.data_set_folder(SOURCE)
    texts = {file: folder / file for file in ("regions.txt", "words.csv")}
    parts = base.read_text(texts["regions.txt"]).split()
    if len(set(parts)) < len(parts) or "language" in parts:
        raise BraintuneError(
            f"{texts['regions.txt']} names {' '.join(parts)}; the names must differ, and 'language' is the name of all "
            "regions together: rename that region"
        )
    story = read_story(texts["words.csv"])
    files = base.participant_files(folder, "s[0-9]*.npz")

    def load(participant: str) -> dict[str, np.ndarray]:
        (path,) = files[participant].values()
        scans = base.read_array(path, "timecourses")
        if scans.shape[1] != len(parts):
            raise BraintuneError(
                f"{path} has {scans.shape[1]} time courses, but regions.txt names {len(parts)}; `data/README.md` says "
                "how to create both"
            )
        lagged = respond(story, scans, study, SECONDS_PER_SCAN, str(path))
        each = {part: np.ascontiguousarray(lagged[:, :, i]) for i, part in enumerate(parts)}
        return {"language": np.concatenate(list(each.values()), axis=1)} | each

    regions = "language", *parts
    return BrainData(SOURCE.name, tuple(files), regions, story.stimuli, False, load, texts=texts, files=files)


SOURCE = BrainSource(
    name="alice2016",
    title="Brennan et al. (2016): listening to chapter 1 of Alice in Wonderland",
    make=alice2016,
    size="20 participants, 84 sentences, six language regions of 10 mm; 0.5 MB",
    licence="CC BY 4.0",
    get="in the folder `brain/alice2016` of the data folder; `data/README.md` says how to create it from the originals",
    folder="alice2016",
    people="listeners to a story",
)
