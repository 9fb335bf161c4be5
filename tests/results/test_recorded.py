"""The recorded results: what comes with the repository is whole, small, and says where it comes from."""

import json
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.core.sweep import Sweep
from braintune.datasets.brains.registry import is_simulated
from braintune.models.sequences import WAYS
from braintune.results import (
    claims,
    meta_analysis,
    prose,
    recorded,
    stages,
    style,
    tables,
    variants,
    variation,
)
from braintune.results.tables import ARMS, READOUTS
from braintune.workflow import record
from made_up_results import made_up


class TestRecordedRealRun:
    @pytest.fixture(scope="class")
    def recorded(self):
        return recorded.recorded()

    def test_it_is_the_reference_profile_on_real_brains(self, recorded):
        assert recorded.study.profile == "reference" and not any(map(is_simulated, recorded.study.brains))
        assert recorded.study.task_source == "folder"
        assert recorded.study.model_dump(exclude={"runs"}) == Study.load("reference").model_dump(exclude={"runs"})
        assert len(recorded.study.seeds) == 3

    def test_every_cell_is_there(self, recorded):
        rows = recorded.scores[recorded.scores["method"].isin(ARMS)]
        counts = rows.groupby(["direction", "brain", "folds", "readout", "participant", "region"]).size()
        assert set(counts) == {len(recorded.study.tasks) * len(ARMS) * len(recorded.study.seeds)}
        people = rows.groupby("brain")["participant"].nunique()
        averages = dict.fromkeys(("pereira2018-average", "tuckute2024-average"), 1)
        assert people.to_dict() == {"pereira2018-exp1": 10, "alice2016": 20} | averages
        assert set(rows.loc[rows["brain"] == "alice2016", "folds"]) == {"shuffled", "grouped"}
        assert set(rows["direction"]) == {"decoding", "encoding"}
        assert len(recorded.tuned) == len(recorded.study.tasks) * len(ARMS) * len(recorded.study.seeds)
        assert recorded.scores["pairwise"].dropna().between(0, 1).all()
        assert set(recorded.scores["readout"]) == set(READOUTS)
        assert set(recorded.null["representation"]) == set(recorded.scores["representation"])

    def test_its_provenance_names_code_and_data(self):
        facts = recorded.facts_of("real")
        assert len(facts["code"]["commit"]) == 40 and facts["code"]["changed"] is False
        assert {"torch", "transformers", "numpy"} <= set(facts["versions"])
        assert any(name.startswith("alice2016/") for name in facts["data"])
        assert any(name.startswith("nlu/wsd/") for name in facts["data"])
        assert all(len(sha) == 64 for sha in facts["data"].values())

    def test_the_claims_can_be_judged_on_it(self, recorded):
        ledger = claims.judge(recorded)
        assert {(v.brain, v.claim) for v in ledger.verdicts} == {
            (brain, claim) for brain in recorded.study.brains for claim in claims.CLAIMS
        }
        said = prose.recorded_standing(recorded)
        assert "20 listeners to a story (alice2016), the average over" in said and "1 seeds" not in said

    def test_the_two_scores_differ_as_the_pages_say(self, recorded):
        table = meta_analysis.by_score(claims.judge(recorded), recorded)
        combined = table[table["who"].str.contains("combined")].set_index("score")
        accuracy, margin = (combined.loc[name] for name in meta_analysis.SCORE_NAMES.values())
        assert accuracy["low"] > 0 > margin["high"]
        rows = recorded.primary[recorded.primary["task"] == "chunking"]
        means = rows[rows["brain"] == "pereira2018-exp1"].groupby("method")[["pairwise", "margin"]].mean()
        change = means.loc["prompt-tuned"] - means.loc["fine-tuned"]
        assert change["pairwise"] > 0.05 and change["margin"] < 0

    def test_what_the_readme_says_of_each_data_set_and_direction(self, recorded):
        ledger = claims.judge(recorded)
        answers = meta_analysis.answer_table(ledger)
        best = answers[answers["readout"] == "best"].set_index(["direction", "brain"])
        decoding, encoding = best.loc["decoding"], best.loc["encoding"]
        closed = decoding.index[decoding["closed"] != ""]
        assert list(closed) == ["pereira2018-average"] and "length" in decoding.loc[closed[0], "closed"]
        assert (decoding.drop(closed)["low"] > 0).all()
        assert encoding.loc["all", "low"] < -0.1 and encoding.loc["all", "high"] > 0.1
        assert list(encoding.index[encoding["closed"] == ""]) == ["pereira2018-exp1", "alice2016", "all"]
        last = answers[answers["readout"] == "analysis"].query("closed == '' and brain != 'all'")
        assert last[["direction", "brain"]].to_numpy().tolist() == [["decoding", "pereira2018-exp1"]]
        verdicts = {verdict.verdict for verdict in ledger.verdicts if verdict.claim == "C7"}
        assert verdicts == {"not supported", "no evidence possible"}
        for e in (e for e in ledger.first("decoding") if not e.closed):
            gains = {arm: e.against(arm, "untuned", e.region, e.learned) for arm in ARMS}
            assert all(gain.interval(0.05)[0] < 0 for gain in gains.values()), "neither is shown to be better"
            assert gains["fine-tuned"].estimate < gains["prompt-tuned"].estimate < 0, "prompt-tuning loses less"
        (story,) = (verdict for verdict in ledger.of("alice2016") if verdict.claim == "C2")
        assert "no region is decoded, not counting language, a union of regions" in story.sentence


class TestRecordedTrainingRuns:
    """What the pages say of the seeds, tasks and scores of the recorded run."""

    SETS = ("pereira2018-exp1", "alice2016", "tuckute2024-average")

    @pytest.fixture(scope="class")
    def run(self):
        return recorded.recorded()

    @pytest.fixture(scope="class")
    def ledger(self, run):
        return claims.judge(run)

    @pytest.fixture(scope="class")
    def runs(self, ledger):
        return variation.by_run(ledger)

    @pytest.fixture(scope="class")
    def judged(self, ledger):
        return {e.brain: e for e in ledger.first("decoding") if not e.closed}

    @pytest.fixture(scope="class")
    def learned(self, run):
        return tables.learned(run.tuned, ARMS)

    def test_every_seed_favours_prompt_tuning_in_decoding(self, ledger, runs):
        assert list(runs) == [*self.SETS, tables.ALL] and all((of.mean(0) > 0).all() for of in runs.values())
        answers = meta_analysis.answer_table(ledger).query("readout == 'best'").set_index(["direction", "brain"])
        here = answers.loc["decoding"].loc[list(self.SETS)]
        assert (here["low"] > 0).all() and (here["p"] < 0.05).all()
        assert answers.loc[("decoding", tables.ALL), "low"] > 0

    def test_a_third_of_the_answer_comes_from_one_task(self, learned, judged, runs):
        of_tasks = runs[tables.ALL].mean(1)
        share = of_tasks[learned.index("chunking")] / of_tasks.sum()
        assert 1 / 3 < share < 0.4 and share == of_tasks.max() / of_tasks.sum()
        others = [task for task in learned if task != "chunking"]
        without = {brain: e.difference(e.region, others) for brain, e in judged.items()}
        assert all(effect.interval(0.05)[0] > 0 for effect in without.values())
        assert [brain for brain, effect in without.items() if effect.permuted > 0.05] == ["alice2016"]

    def test_eight_tasks_are_learned_two_of_them_barely(self, run, ledger, judged, learned):
        of = run.tuned.query("method == 'prompt-tuned'").groupby("task")[["score", "bag_of_words"]].mean().loc[learned]
        barely = of.index[of["score"] - of["bag_of_words"] < 0.01]
        assert len(learned) == 8 and set(barely) == {"wsd", "paraphrase"}
        each = run.tuned[run.tuned["task"].isin(barely) & (run.tuned["method"] == "prompt-tuned")]
        assert set(each.loc[each["score"] <= each["bag_of_words"], "task"]) == set(barely), "not with every seed"
        others = [task for task in learned if task not in barely]
        fewer = meta_analysis.combine([e.difference(e.region, others) for e in judged.values()], ledger.study)
        assert fewer.low > 0 and fewer.estimate > meta_analysis.overall(ledger).estimate

    def test_encoding_shows_no_difference_and_its_sign_depends_on_the_seed(self, ledger):
        whole, found = meta_analysis.overall(ledger, "encoding"), variation.by_run(ledger, "encoding")
        assert whole.low < 0 < whole.high and set(found) == {"pereira2018-exp1", "alice2016", tables.ALL}
        assert len(set(np.sign(found["alice2016"].mean(0)))) == 2

    def test_what_is_left_out_of_the_answer(self, ledger):
        left_out = meta_analysis.sensitivity(ledger).query("direction == 'decoding' and readout == 'best'")
        low = left_out.set_index("without")["low"]
        assert low["task chunking"] > 0 and (low[list(self.SETS)] < 0).all() and low.drop(list(self.SETS)).min() > 0
        whole, seeds = meta_analysis.overall(ledger), left_out[left_out["without"].str.startswith("seed")]
        assert len(seeds) == 3 and (abs(seeds["difference"] - whole.estimate) < 0.01).all()
        assert whole.weights[0] > 0.5

    def test_shared_models_make_the_seeds_vary_together_only_slightly(self, ledger, runs):
        weights, each = meta_analysis.overall(ledger).weights, [runs[brain].mean(0).var(ddof=1) for brain in self.SETS]
        assert 1 < runs[tables.ALL].mean(0).std(ddof=1) / np.dot(np.square(weights), each) ** 0.5 < 1.2

    def test_single_tasks_vary_less_than_in_the_simulated_studies(self, runs):
        deviations = [runs[brain].var(axis=1, ddof=1).mean() ** 0.5 for brain in self.SETS]
        assert max(deviations) < 0.1 * 2**0.5

    def test_the_answer_holds_only_just_if_tasks_are_a_sample(self, ledger, judged, runs, run, learned):
        table = variation.over_tasks(ledger).set_index("brain")
        assert (table["low"] > 0).all() and (table["low"] < 0.02).all() and table["p"].between(0.03, 0.05).all()
        whole, row = meta_analysis.overall(ledger), table.loc[tables.ALL]
        others = np.array(learned) != "chunking"
        low = {brain: stats.ttest_1samp(of.mean(1)[others], 0).confidence_interval().low for brain, of in runs.items()}
        assert [brain for brain in low if low[brain] > 0] == [tables.ALL]
        here = {e.brain: np.ptp(e.difference(e.region).interval(0.05)) for e in judged.values()}
        assert [b for b in here if here[b] > table.loc[b, "high"] - table.loc[b, "low"]] == ["alice2016"]
        assert 1.8 < (row["high"] - row["low"]) / (whole.high - whole.low) < 2
        below = {task: sum(int((runs[b][k] < 0).sum()) for b in self.SETS) for k, task in enumerate(learned)}
        assert below["coreference"] + below["wsd"] == sum(below.values()) > 0
        of = run.tuned.query("task == 'coreference'")
        assert (of["score"] - of["bag_of_words"]).min() > 0.1

    def test_by_the_margin_the_readers_of_words_favour_fine_tuning(self, run, ledger, judged):
        found = {}
        for brain, e in judged.items():
            here = claims.evidence(run.of(brain), brain, {"decoding": "margin"})
            effect = next(one for one in here if one.readout == e.readout).difference(e.region)
            found[brain] = effect.interval(0.05)[1] < 0, effect.permuted < 0.05
        assert [brain for brain, both in found.items() if all(both)] == ["pereira2018-exp1"]
        assert found["tuckute2024-average"] == (True, False) and not any(found["alice2016"])
        whole = meta_analysis.by_score(ledger, run).query("score == 'matching margin'").iloc[-1]
        assert whole["high"] < 0

    def test_scores_that_only_compare_favour_prompt_tuning_and_the_squared_error_does_not(self, judged):
        for e in judged.values():
            rows = e.scores[(e.scores["region"] == e.region) & e.scores["task"].isin(e.learned)]
            by = (
                rows.groupby(["participant", "method"])[["pairwise", "pairwise_strict", "rank", "mse"]].mean().unstack()
            )
            less = by.xs("prompt-tuned", axis=1, level=1) - by.xs("fine-tuned", axis=1, level=1)
            mean = less.mean()
            assert mean["pairwise"] > 0 and mean["pairwise_strict"] > 0 and mean["rank"] < 0
            if e.brain == "pereira2018-exp1":
                assert stats.ttest_1samp(less["mse"], 0, alternative="greater").pvalue < 0.01
            else:
                assert abs(mean["mse"]) < 0.02 and (len(less) == 1 or stats.ttest_1samp(less["mse"], 0).pvalue > 0.05)

    def test_prompt_tuned_models_are_closer_with_every_seed(self, run):
        rows = run.closeness[run.closeness["kind"] == "tuned"]
        wide = rows.groupby(["brain", "seed", "method"])["spearman"].mean().unstack()
        assert len(wide) == 12 and (wide["prompt-tuned"] > wide["fine-tuned"]).all()


class TestRecordedSequences:
    @pytest.fixture(scope="class")
    def found(self):
        return recorded.sequences()

    def test_every_order_and_seed_is_there_on_real_brains(self, found):
        study, scores, brains = found
        assert study.profile == "continual-real" and not any(map(is_simulated, study.brains))
        n = len(study.tasks)
        assert scores.groupby(["way", "order", "seed"]).size().to_dict() == {
            (way, order, seed): n * (n + 1) // 2
            for way, order, seed in product(WAYS, range(1, study.orders + 1), study.seeds)
        }
        assert set(brains["brain"]) == set(study.brains) and brains["closeness"].between(-1, 1).all()
        assert brains[["pairwise", "correlation"]].notna().all(axis=None)

    def test_the_pages_can_say_what_is_forgotten(self, found):
        study, scores, brains = found
        assert "over the 3 tasks that were learned" in stages.about_tasks(stages.gains(scores))[0]
        assert "3 orders and 2 seeds used here" in stages.limits(study)
        assert "Listeners to a story, language" in set(stages.after_the_last(brains)["brain data"])

    def test_what_the_page_says_of_the_methods_after_the_last_task(self, found):
        _, _, brains = found
        last = brains[brains["stage"] == brains["stage"].max()]
        wide = last.pivot(index=["brain", "order", "seed"], columns="method")
        differing = set()
        for measure in stages.OF_REPRESENTATION:
            change = (wide[measure]["prompt-tuned"] - wide[measure]["fine-tuned"]).rename(measure).reset_index()
            found = stages.estimates(change, ["brain"], [measure])
            assert (found["high"] > 0).all()
            differing |= {(measure, brain) for brain in found.loc[found["low"] > 0, "brain"]}
        everywhere = {("closeness", brain) for brain in brains["brain"].unique()}
        assert differing == everywhere | {("pairwise", "pereira2018-exp1")}
        first = brains[brains["stage"] == 0].pivot(
            index=["brain", "order", "seed"], columns="method", values="closeness"
        )
        change = (first["prompt-tuned"] - first["fine-tuned"]).rename("change").reset_index()
        assert (stages.estimates(change, ["brain"], ["change"])["low"] > 0).all(), "after one task"
        readers = last[(last["brain"] == "pereira2018-exp1") & (last["method"] == "fine-tuned")]
        assert (stages.estimates(readers, ["brain"], ["pairwise"])["high"] < 0).all()


def _t_of(row):
    """The t value and degrees of freedom of a combined effect, from its 95 % interval."""
    degrees = row["n"] - 1
    error = (row["high"] - row["low"]) / 2 / stats.t.ppf(0.975, degrees)
    return row["estimate"] / error, degrees


class TestRecordedVariants:
    @pytest.fixture(scope="class")
    def found(self):
        return recorded.variants()

    def test_they_are_those_of_the_sweep_on_real_brains(self, found):
        study, differing, kept = found
        sweep = Sweep.load("ablation-real")
        assert study.profile == "compact" and not any(map(is_simulated, study.brains))
        assert differing == sweep.differing and set(kept["methods"]["variant"]) == {"compact", *differing}
        assert set(kept["methods"]["brain"]) == set(study.brains)
        assert set(kept) == {"against", "costs", "effects", "methods"}

    def test_what_the_page_says_of_the_prompts(self, found):
        rows = found[2]["against"].query(
            "direction == 'decoding' and method == 'prompt-tuned' and variant != 'trained'"
        )
        rows = rows.set_index(["variant", "reference"])
        base = rows.xs(variants.BASE, level="reference")
        assert base.loc["layers-upper", "low"] > 0 and (base.drop("layers-upper")["low"] < 0).all()
        assert (base["high"] > 0).all()
        p = 2 * stats.t.sf(*_t_of(base.loc["layers-upper"]))
        assert p < 0.05 < 4 * p, "not with a correction for four comparisons"
        untuned = rows.xs("untuned", level="reference")
        within = untuned[(untuned["low"] > -0.1) & (untuned["high"] < 0.1)]
        assert {"length-1", "layers-upper", found[0].profile} <= set(within.index)
        assert set(untuned.index[untuned["high"] < 0]) == {"length-64", "layers-lower"}
        assert base.loc["length-1", "estimate"] > 0 > base.loc["length-64", "estimate"]
        tuned = rows.xs("fine-tuned", level="reference")
        assert (tuned["estimate"] > 0).all() and set(tuned.index[tuned["low"] > 0]) == {"length-1", "layers-upper"}
        assert len(tuned) == 5 and set(rows["n"]) == {3}, "the base and four variants"

    def test_what_the_page_says_of_how_much_is_trained(self, found):
        of = found[2]["methods"].query("variant == 'trained' and method != 'untuned'").groupby("method")
        of = of[["task score", "closeness", "trained parameters"]].mean().astype(float)
        prompts, biases = of.loc["prompt-tuned"], of.loc["bitfit"]
        assert biases["trained parameters"] < prompts["trained parameters"]
        assert abs(biases["task score"] - prompts["task score"]) < 0.02 and biases["closeness"] < prompts["closeness"]
        assert (of["closeness"].idxmax(), of["closeness"].idxmin()) == ("prompt-tuned", "fine-tuned") and len(of) == 6
        assert of["task score"].idxmin() == "prompt-shallow"
        rows = found[2]["against"].query("direction == 'decoding' and variant in ['compact', 'trained']")
        rows = rows[rows["estimate"].notna()].set_index(["method", "reference"])
        assert set(rows["n"]) == {3} and (rows["tasks"] == "chunking, sentiment, emotion").all()
        untuned, tuned = (rows.xs(name, level="reference") for name in ("untuned", "fine-tuned"))
        assert set(untuned.index) == set(of.index)
        assert set(untuned.index[untuned["high"] > 0]) == {"prompt-tuned"} and (untuned["estimate"] < 0).all()
        order = untuned["estimate"].sort_values()
        assert (order.index[0], order.index[-1]) == ("fine-tuned", "prompt-tuned")
        assert order.iloc[-2] - order.iloc[1] < 0.04
        assert (tuned["estimate"] > 0).all() and (tuned["low"] < 0).all() and len(tuned) == 5

    def test_listeners_point_the_other_way(self, found):
        of = (
            found[2]["methods"]
            .query("method == 'prompt-tuned'")
            .pivot(index="brain", columns="variant", values="decoding accuracy")
        )
        change = of["layers-upper"] - of["compact"]
        assert set(change.index[change < 0]) == {"alice2016"}

    def test_closeness_and_task_score_by_length_and_layers(self, found):
        of = (
            found[2]["methods"].query("method == 'prompt-tuned'").groupby("variant")[["closeness", "task score"]].mean()
        )
        lengths = of.loc[["length-1", "compact", "length-64"]]
        assert lengths["closeness"].is_monotonic_decreasing and lengths["task score"].is_monotonic_increasing
        gained = lengths["task score"].diff()
        assert gained["compact"] > 0.05 > 0.01 > gained["length-64"]
        closest = of["closeness"].nlargest(2).index
        assert set(closest) == set(of["task score"].nsmallest(2).index) == {"length-1", "layers-upper"}


class TestRecordedCalibration:
    def test_it_is_whole(self):
        found = recorded.read_tables("calibration")
        assert set(found) == {"rates", "found", "power", "coverage"}
        rates = found["rates"]
        least = rates.groupby("level")["studies"].min()
        assert least["table"] >= 400 and least[["brain", "story"]].min() >= 30
        assert set(rates["level"]) == {"table", "brain", "story"} and set(rates["claim"]) <= set(claims.CLAIMS)
        assert set(found["power"]["participants"]) == {5, 10, 20} and 0 in set(found["power"]["difference"])

    def test_no_error_rate_is_clearly_above_its_limit(self):
        rates = recorded.read_tables("calibration")["rates"]
        over = rates[rates["rate"] - 3 * rates["error"] > rates["allowed"]]
        assert over.empty, over.to_string()

    def test_planted_effects_are_found_and_what_a_brain_codes_turns_the_tasks(self):
        found = recorded.read_tables("calibration")["found"]
        opened = found["rate"] / (1 - found["no evidence"])
        assert set(found["level"]) == {"brain", "story"} and opened.min() > 1 / 3, "of four participants"
        trend = found[found["claim"] == "C3"].set_index("scenario")["verdict"]
        assert trend.to_dict() == {"concept-coding brain": "supported", "syntax-coding brain": "not supported"}

    def test_the_gate_is_closed_where_nothing_is_coded(self):
        rates = recorded.read_tables("calibration")["rates"]
        closed = rates[rates["scenario"].isin(["nothing in the brain", "slow responses without content"])]
        assert set(closed["level"]) == {"brain", "story"} and closed["no evidence"].min() > 0.9

    def test_no_interval_covers_clearly_too_little(self):
        coverage = recorded.read_tables("calibration")["coverage"]
        short = coverage[coverage["coverage"] + 3 * coverage["error"] < coverage["nominal"] - 0.01]
        assert short.empty, short.to_string()


class TestKeeping:
    @pytest.fixture(autouse=True)
    def elsewhere(self, monkeypatch, tmp_path):
        monkeypatch.setattr(recorded, "FOLDER", tmp_path)

    def test_what_is_kept_comes_back(self):
        table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
        recorded.keep("calibration", {"t": table}, {"seconds": 3})
        pd.testing.assert_frame_equal(recorded.read_tables("calibration")["t"], table)
        assert recorded.facts_of("calibration")["seconds"] == 3

    def test_what_is_missing_or_altered_is_named_with_the_remedy(self):
        with pytest.raises(BraintuneError, match=r"no recorded results .*real; `make reference` makes them"):
            recorded.recorded()
        folder = recorded.keep("real", {"t": pd.DataFrame({"a": [1]})}, {})
        pd.DataFrame({"a": [2]}).to_parquet(folder / "t.parquet")
        with pytest.raises(BraintuneError, match="is not the table that was recorded; `make reference` makes it again"):
            recorded.read_tables("real")

    def test_a_set_that_is_too_large_is_refused(self, monkeypatch):
        monkeypatch.setattr(recorded, "LIMIT_BYTES", 100)
        with pytest.raises(BraintuneError, match=r"allowed are .* keep fewer rows"):
            recorded.keep("real", {"t": pd.DataFrame({"a": range(1000)})}, {})

    def test_a_simulated_run_is_refused(self):
        with pytest.raises(BraintuneError, match="'simulated', which is simulated; only a run on real brain data"):
            record.keep_run(Study.make({"profile": "reference"}))

    def test_a_run_of_another_profile_is_refused(self):
        with pytest.raises(
            BraintuneError, match="profile 'real' is not recorded; recorded are reference, profiles with"
        ):
            record.main(["real"])

    def test_simulated_sequences_are_refused(self):
        with pytest.raises(BraintuneError, match="'simulated', which is simulated"):
            record.main(["continual"])

    def test_a_simulated_sweep_is_refused(self):
        with pytest.raises(BraintuneError, match="'quick' decodes 'simulated', which is simulated"):
            record.main(["ablation"])

    def test_a_sweep_is_recorded_whole_and_as_it_is_now(self, monkeypatch, tmp_path):
        monkeypatch.setattr(Sweep, "folder", tmp_path / "made")
        with pytest.raises(
            BraintuneError, match="missing, stale or altered; `make sweep SWEEP=ablation-real` makes it"
        ):
            record.main(["ablation-real"])
        monkeypatch.setattr(record, "comparison_is_current", lambda sweep, missing: True)
        monkeypatch.setattr(record, "provenance", lambda study: {"profile": study.model_dump(mode="json")})
        store.write_table(tmp_path / "made" / "effects.parquet", pd.DataFrame({"estimate": [0.123456]}))
        record.main(["ablation-real"])
        base, differing, found = recorded.variants()
        assert base.profile == "compact" and differing["length-64"] == {"prefix_length": 64}
        assert found["effects"]["estimate"].tolist() == pytest.approx([0.1235])
        store.write_json(tmp_path / "made" / "missing.json", {"length-1": "not there"})
        with pytest.raises(BraintuneError, match="left out: length-1; a sweep is recorded as a whole"):
            record.main(["ablation-real"])

    def test_nothing_that_is_kept_holds_text_of_a_data_set(self, tmp_path):
        recorded.keep("real", {"t": pd.DataFrame({"a": [1]})}, {"profile": Study().model_dump(mode="json")})
        facts = json.loads((tmp_path / "real" / "provenance.json").read_text())
        assert set(facts) == {"profile", "tables"}


def test_permuted_labels_are_kept_as_means_over_seeds_and_no_contrast_changes():
    whole = made_up(seeds=3, participants=4)
    kept = recorded.mean_over_seeds(whole.null, whole.scores)
    back = recorded.for_every_seed(kept, whole.scores)
    drawn = [(table["permutation"] >= 0).sum() for table in (kept, whole.null, back)]
    assert drawn[0] < drawn[1] / 2 and drawn[2] == drawn[1] and list(back) == list(whole.null)
    (before, *_), (after, *_) = (claims.evidence(replace(whole, null=null), "simulated") for null in (whole.null, back))
    for region in before.cube.regions:
        one, other = (e.difference(region, whole.study.tasks[:2]) for e in (before, after))
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_allclose(one.null, other.null, atol=1e-12)
        assert one.null.std() > 0
    pd.testing.assert_frame_equal(before.gates, after.gates)


def test_the_picture_of_the_readme_is_drawn_from_what_is_recorded(monkeypatch, tmp_path):
    kept, facts = recorded.read_tables("real"), recorded.facts_of("real")
    for module in (recorded, record):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    recorded.keep("real", kept, {"profile": facts["profile"]})
    picture = record.draw_picture()
    assert picture.is_relative_to(tmp_path)
    text = picture.read_text(encoding="utf-8")
    answers = meta_analysis.answer_table(claims.judge(recorded.recorded()))
    assert text.count("<svg") == 1 and "within the margin" in text
    written = " ".join(re.findall(r">([^<>]+)<", text))  # long names are on two lines
    for row in answers[(answers["brain"] != "all") & (answers["readout"] == "best")].itertuples():
        number = "no evidence possible" if row.closed else style.percent_text(row.difference, row.low, row.high)
        assert number in written and re.search(r"\s+".join(row.who.split()), written)


def test_wrong_verdicts_are_in_one_row_a_truth_with_their_limit():
    rates = pd.DataFrame(
        {
            "level": "table", "scenario": ["same", "same", "luck"], "claim": ["C1", "C2", "C1"], "studies": 1000,
            "verdict": "not supported", "rate": [0.02, 0.01, 0.4], "error": [0.004, 0.003, 0.016],
            "allowed": [0.05, 0.05, float("nan")], "supported": 0.0,
        }
    )  # fmt: skip
    table = prose.wrong_verdicts(rates)
    assert table["C1"].tolist() == ["0.020 ± 0.004 (≤ 0.05)", "0.400 ± 0.016"]
    assert table["C2"].tolist() == ["0.010 ± 0.003 (≤ 0.05)", ""]
    assert "Of the 2 error rates for which a limit is set, 0 exceed it" in prose.calibration_answer(rates)
    worse = prose.calibration_answer(rates.assign(rate=0.2))
    assert "2 exceed it" in worse and "C1 not supported under 'same': 0.200" in worse
