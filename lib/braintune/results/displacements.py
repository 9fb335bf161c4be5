"""What tuning does to a representation: whether models of different tasks and seeds move the stimuli in the same way.

The displacement of a stimulus is its tuned minus its untuned vector, at the analysis layer.
"""

import numpy as np
import pandas as pd

from braintune.core.study import Representation, Study
from braintune.neural.representations import Embeddings, analysis_layer
from braintune.neural.rsa import u_centred

#: In what two models tuned by one method differ; other tasks may come with other seeds.
SEED, TASK = "the seed", "the task"


def displacement_table(study: Study, embeddings: Embeddings) -> pd.DataFrame:
    """Compare the displacements of every pair of tuned representations.

    Parameters
    ----------
    study : Study
    embeddings : mapping of Representation to array of shape (n_layers, n_stimuli, width)

    Returns
    -------
    DataFrame
        One row for each ordered pair: representation_a, representation_b; for pairs tuned with the same method,
        `method` and `differs` (in what the two models differ); `cosine`, mean over stimuli of the cosine between the
        displacements of a stimulus; `cka`, debiased linear CKA of the displacements, which ignores what all stimuli
        have in common. A stimulus that is not moved (with prompts, at layer 0) has cosine 0.
    """
    tuned = [one for one in embeddings if one.kind == "tuned"]
    (untuned,) = (values for one, values in embeddings.items() if one.kind == "untuned")
    columns = ["representation_a", "representation_b", "method", "differs", "cosine", "cka"]
    if not tuned:
        return pd.DataFrame(columns=columns)
    at = analysis_layer(len(untuned), study.layer)
    moved = np.stack([embeddings[one][at] - untuned[at] for one in tuned]).astype(np.float64)
    lengths = np.linalg.norm(moved, axis=2, keepdims=True)
    unit = np.divide(moved, lengths, out=np.zeros_like(moved), where=lengths > 0).reshape(len(tuned), -1)
    centred = u_centred(moved @ moved.swapaxes(1, 2))
    cosine, cka = unit @ unit.T / untuned.shape[1], centred @ centred.T
    rows = [
        (a.name, b.name, *_relation(a, b), cosine[i, j], cka[i, j])
        for i, a in enumerate(tuned)
        for j, b in enumerate(tuned)
    ]
    return pd.DataFrame(rows, columns=columns)


def _relation(a: Representation, b: Representation) -> tuple[str, str]:
    """Return the method that two representations share, and in what they differ; empty where there is none."""
    if a == b or a.method != b.method:
        return "", ""
    return a.method, SEED if a.task == b.task else TASK


def displacement_means(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean `cosine` and `cka` by method and by what the models differ in, from :func:`displacement_table`."""
    pairs = table[table["method"] != ""]
    return pairs.groupby(["method", "differs"], sort=False)[["cosine", "cka"]].mean().reset_index()


def displacement_answer(table: pd.DataFrame) -> str:
    """Say in one sentence how similar the displacements of one method are."""
    said = []
    for differs, of in displacement_means(table).groupby("differs", sort=False):
        values = ", ".join(f"{row.method} {row.cosine:.2f} (CKA {row.cka:.2f})" for row in of.itertuples())
        said.append(f"between models that differ in {differs}: {values}")
    if not said:
        return "No method has two tuned models to compare."
    return f"Mean cosine of displacements {'; '.join(said)}."
