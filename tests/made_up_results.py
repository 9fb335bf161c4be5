"""Made-up results of a study in which the truth is known: scores at both readouts, null, closeness, task scores."""

from dataclasses import replace

import numpy as np
import pandas as pd

from braintune.core.study import Study
from braintune.results.tables import ARMS, READOUTS, REPRESENTATION, Results

TASKS = ("chunking", "wsd", "coreference", "ner", "nli", "qa")
CONTROLS = ("passage", "length", "position", "random-weights", "zero-prefix", "random-prefix")
SIGNAL = 0.10


def made_up(effect=None, task=None, noise=0.05, participants=8, regions=("language", "visual"), seed=0, seeds=1,
            tasks=TASKS, signal=SIGNAL, controls=None, tuning=0.2, bias=None, permutations=40, brain="simulated",
            luck=0.0, study=None, encoding=False, readouts=READOUTS):  # fmt: skip
    """Return results; everything in fractions of the signal.

    `effect` maps (task, region) to prompt-tuned minus fine-tuned, with None for any; `task` shifts a task in both arms;
    `tuning` is what both arms gain over the untuned model; `controls` maps a control to its level; `bias` maps a
    representation to what it scores with permuted labels; `luck` is the deviation of single training runs; with
    `encoding` the same numbers stand for the other direction too, and they are the same at all `readouts`.
    """
    rng = np.random.default_rng(seed)
    effect, task, bias = effect or {}, task or {}, bias or {}
    levels = {name: (controls or {}).get(name, 0.0) for name in CONTROLS}
    what = [("untuned", "untuned", "", "", -1, 1.0)]
    what += [(name, "control", "", "", -1, level) for name, level in levels.items()]
    for t in tasks:
        for m in ARMS:
            for k in range(seeds):
                level = 1 + tuning + task.get(t, 0) + luck * rng.standard_normal()
                what.append((f"{t}_{m}_seed-{k}", "tuned", t, m, k, level))
    people = 1 + 0.3 * rng.standard_normal(participants)
    rows, null = [], []
    for name, kind, t, m, k, level in what:
        for r in regions:
            gain = sum(v for key, v in effect.items() if key[0] in (None, t) and key[1] in (None, r))
            values = signal * (
                people * (level + gain * (m == "prompt-tuned")) + noise * rng.standard_normal(participants)
            )
            values = values + bias.get(name, 0.0)
            drawn = bias.get(name, 0.0) + 0.1 * SIGNAL * rng.standard_normal((permutations, participants))
            for p in range(participants):
                where = (brain, f"S{p}", r, name)
                rows.append((*where, kind, t, m, k, 2, "grouped", values[p]))
                null += [(*where, "grouped", -1, drawn[:, p].mean())] * (permutations > 0)
            null += [(brain, "", r, name, "grouped", order, mean) for order, mean in enumerate(drawn.mean(1))]
    columns = ["brain", "participant", "region", "representation", "kind", "task", "method", "seed", "layer", "folds"]
    scores = pd.DataFrame(rows, columns=[*columns, "margin"]).assign(pairwise=lambda t: 0.5 + t["margin"])
    null = pd.DataFrame(
        null, columns=["brain", "participant", "region", "representation", "folds", "permutation", "margin"]
    )
    scores, null = (
        pd.concat([table.assign(readout=readout) for readout in readouts], ignore_index=True)
        for table in (scores, null.assign(pairwise=0.5 + null["margin"]))
    )
    scores, null = (table.assign(direction="decoding") for table in (scores, null))
    if encoding:  # the same numbers as correlations
        scores, null = (
            pd.concat([table, table.assign(correlation=table["margin"], direction="encoding")], ignore_index=True)
            for table in (scores, null)
        )
    models = scores.loc[scores["kind"] == "tuned", ["brain", *REPRESENTATION, "layer"]]
    models = models.drop_duplicates()
    closeness = models.assign(spearman=rng.uniform(0.5, 0.9, len(models)), cka=0.5, low=0.4, high=0.9)
    tuned = models[["task", "method", "seed"]].assign(
        score=rng.uniform(0.6, 0.9, len(models)), baseline=0.5, bag_of_words=0.55
    )
    return Results(study or Study(), scores, null, closeness, tuned)


def of_several(*each):
    """Return the results of several brain data sets as those of one run."""
    study = Study.make({"brains": [one.scores["brain"].iloc[0] for one in each], "seeds": [0, 1, 2]})
    names = ("scores", "null", "closeness", "groups")
    joined = {name: pd.concat([getattr(one, name) for one in each], ignore_index=True) for name in names}
    return replace(each[0], study=study, **joined)


def of_an_average(results, groups=20, shared=0.02, noise=0.003, seed=0):
    """Return results of one participant with what each group of stimuli contributes to every score."""
    rng, keys = np.random.default_rng(seed), ["brain", "participant", "region", "representation", "folds", "readout"]
    rows = results.scores
    values = [name for name in ("margin", "pairwise", "correlation") if name in rows]
    spread = shared * rng.standard_normal((groups, 1)) + noise * rng.standard_normal((groups, len(rows)))
    spread -= spread.mean(0)
    each = [rows[[*keys, "direction"]].assign(group=k, **rows[values].add(spread[k], axis=0)) for k in range(groups)]
    return replace(results, groups=pd.concat(each, ignore_index=True))
