"""What a run will cost: the model counts the work, and its predictions hold for what recorded runs took."""

import re

import numpy as np
import pytest

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.models import backbones
from braintune.workflow import cost, plan
from braintune.workflow.jobs import STEPS, all_jobs, make_job

RECORDED = plan.check_table()


class TestPrediction:
    """A step of a recorded run within a factor of 1.7, a job within one of two: what the page promises."""

    @pytest.mark.parametrize("row", RECORDED.to_dict("records"), ids=lambda row: f"{row['run']}, {row['jobs of']}")
    def test_it_holds_for_recorded_runs(self, row):
        assert 1 / 1.7 < row["predicted"] / row["measured"] < 1.7
        assert row["low"] > 0.5 and row["high"] < 2

    def test_there_is_something_that_was_not_fitted_to(self):
        fitted = RECORDED["jobs of"].str.contains("fitted")
        assert set(RECORDED.loc[fitted, "run"]) == {"reference", "real"}
        assert RECORDED.loc[~fitted, "jobs"].sum() >= 50

    def test_coefficients_are_used_and_say_where_they_are_from(self):
        used = set()
        for job in all_jobs(Study.load("quick")):
            used |= set(cost.amounts(Study.load("quick"), job))
        assert used == set(cost.COEFFICIENTS)
        assert all(c.seconds > 0 and c.unit and c.source for c in cost.COEFFICIENTS.values())

    def test_a_run_is_recorded_for_the_check(self, tmp_path, monkeypatch):
        monkeypatch.setattr(plan, "RECORDS", tmp_path / "cost")
        facts = {"profile": Study.make({"profile": "mine"}).model_dump(mode="json"), "seconds": {"figures": 90.0}}
        store.write_json(tmp_path / "provenance.json", facts | dict.fromkeys(("code", "machine", "versions", "data")))
        plan.main(["--record", str(tmp_path)])
        monkeypatch.setattr(plan, "recorded", lambda: {"mine": store.read_json(tmp_path / "cost" / "mine.json")})
        (row,) = plan.check_table().to_dict("records")
        assert (row["run"], row["jobs"], row["measured"]) == ("mine", 1, 90.0)
        assert row["predicted"] == cost.COEFFICIENTS["figures"].seconds


class TestWork:
    @pytest.fixture
    def run(self):
        return Study.make({"tasks": ["ner"]})

    @pytest.fixture
    def tuning(self):
        return make_job("tuning", task="ner", method="fine-tuned", seed=0)

    def test_tokens_are_those_of_every_pass(self, run, tuning):
        """630 rows three times forth and back, 70 three times and 300 once forth, 11.8 tokens each."""
        tokens = 11.8 * (3 * 3 * 630 + 3 * 70 + 300)
        assert cost.amounts(run, tuning)["tokens"] == pytest.approx(tokens * 6 * 12 * 384**2 / 1e12)

    def test_a_search_costs_its_trials(self, run, tuning):
        wider = Study.make({"tasks": ["ner"], "learning_rates": {"fine-tuned": [1e-4, 1e-3], "prompt-tuned": [1, 2]}})
        steps = [cost.amounts(r, tuning)["steps"] for r in (run, wider)]
        assert steps == pytest.approx([3 * 630 / 16e3, (3 * 630 + 2 * 3 * 500) / 16e3])

    def test_rows_of_the_data_folder_are_counted(self, tmp_path, monkeypatch):
        monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
        run = Study.make({"task_source": "folder", "train_examples": None, "test_examples": 20})
        assert cost.task_size(run, "ner").train == 3000
        (tmp_path / "nlu" / "ner").mkdir(parents=True)
        (tmp_path / "nlu" / "ner" / "train.jsonl").write_text("{}\n" * 77, encoding="utf-8")
        assert (cost.task_size(run, "ner").train, cost.task_size(run, "ner").test) == (77, 20)

    def test_sizes_of_backbones_are_those_in_their_titles(self):
        assert set(cost.BACKBONE_SIZES) == set(backbones.BACKBONES)
        for name, size in cost.BACKBONE_SIZES.items():
            layers, width, millions = re.findall(r"[\d.]+", backbones.BACKBONES[name].title)[:3]
            assert (size.layers, size.width, size.millions) == (int(layers), int(width), float(millions))

    def test_the_size_of_the_packaged_backbone_is_true(self):
        backbone, size = backbones.load_backbone("all-MiniLM-L6-v2"), cost.BACKBONE_SIZES["all-MiniLM-L6-v2"]
        weights = {name: p.numel() for name, p in backbone.model.named_parameters()}
        assert sum(weights.values()) / 1e6 == pytest.approx(size.millions, rel=0.01)
        assert sum(n for name, n in weights.items() if name.startswith("encoder")) == pytest.approx(size.body, rel=0.01)

    def test_sizes_of_brains_are_those_of_the_data(self, shared_data, monkeypatch):
        from braintune.datasets.brains import registry

        monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
        run = Study.make({"brains": ["pereira2018-exp1", "alice2016", "simulated"]})
        assert set(cost.BRAIN_SIZES) == set(registry.BRAINS)
        for name in run.brains:
            data, size = registry.load_brain(run, name), cost.brain_size(run, name)
            found = data.load(data.participants[0])
            assert (size.participants, size.regions) == (len(data.participants), len(data.regions))
            assert (size.stimuli, size.sentences) == (len(data.stimuli.names), len(data.stimuli.sentences))
            assert size.voxels == pytest.approx(sum(r.shape[1] for r in found.values()), rel=0.05)

    def test_what_has_been_added_to_a_registry_is_given_a_usual_size(self):
        """An extension must run without an entry here: Snakemake asks for what every job needs."""
        run = Study.make({"tasks": ["humour"], "backbone": "/my/model", "brains": ["mice"], "task_source": "folder"})
        jobs = [
            make_job("tuning", task="humour", method="prompt-tuned", seed=0),
            make_job("decoding", brain="mice", participant="m1"),
            make_job("rsa", brain="mice"),
        ]
        assert all(cost.request(run, job)["runtime"] > 0 for job in jobs)

    @pytest.mark.parametrize("changed", [{"n_folds": 10}, {"permutations": 5000}, {"controls": []}, {"n_alphas": 40}])
    def test_decoding_grows_with_what_is_decoded(self, changed):
        job = make_job("decoding", brain="simulated", participant="S01")
        usual, other = (cost.amounts(Study.make(values), job)["products"] for values in ({}, changed))
        assert other < usual if "controls" in changed else other > usual

    def test_a_label_tells_its_job(self):
        for job in all_jobs(Study.load("quick")):
            assert cost.read_label(job.label) == job


class TestRequest:
    def test_it_leaves_room(self):
        run = Study.load("paper")
        for job in plan.jobs(run):
            asked = cost.request(run, job)
            assert asked["mem_mb"] >= 1.5 * cost.memory(run, job)
            assert asked["runtime"] * 60 >= 2 * cost.seconds(run, job)
            assert cost.request(run, job, gpu=True)["runtime"] <= asked["runtime"]

    def test_memory_is_at_least_what_recorded_tuning_took(self):
        """MB at the peak of jobs of `real`, from their metrics.json."""
        run = Study.load("real")
        for task, method, measured in PEAKS:
            job = make_job("tuning", task=task, method=method, seed=0)
            assert 0.8 * measured <= cost.memory(run, job) <= 2 * measured, job.label
            assert measured <= cost.request(run, job)["mem_mb"] <= 4 * measured, job.label


#: Task, method, MB: `peak_memory_mb` in metrics.json of a run of `real`.
PEAKS = (
    ("chunking", "fine-tuned", 2341),
    ("chunking", "head-only", 1301),
    ("chunking", "prompt-tuned", 1957),
    ("coreference", "fine-tuned", 3016),
    ("coreference", "head-only", 1530),
    ("coreference", "prompt-tuned", 2493),
    ("emotion", "fine-tuned", 1813),
    ("emotion", "head-only", 1138),
    ("emotion", "prompt-tuned", 1386),
    ("srl", "fine-tuned", 2921),
    ("srl", "head-only", 1471),
    ("srl", "prompt-tuned", 2320),
)


class TestPlan:
    def test_jobs_are_those_of_the_workflow(self):
        run = Study.load("quick")
        assert set(plan.jobs(run)) == set(all_jobs(run))

    def test_side_by_side(self):
        assert plan._side_by_side([3, 1, 2, 2], 2) == 4
        assert plan._side_by_side([5], 32) == 5
        assert plan._side_by_side([1, 2, 3], 1) == 6

    def test_one_worker_takes_the_hours_of_all_jobs(self):
        run = Study.load("quick")
        total = plan.forecast(run)["hours"].sum()
        book = (plan.BOOK + plan.PAGE * len(plan.jobs(run))) / 3600
        assert plan.hours(run, plan.Place("one core", 1)) == pytest.approx(total + book)
        assert plan.hours(run, plan.Place("many", 99)) < total / 2

    def test_more_participants_and_backbones_cost_more(self):
        run = Study.load("paper")
        place = plan.PLACES[0]
        times = [plan.hours(plan.wider(run, people), place, n) for _, n, people in plan.WIDER]
        assert np.all(np.diff(times) > 0)
        assert len(plan.jobs(plan.wider(run, 50))) == len(plan.jobs(run)) + 45

    def test_the_command_tells_steps_times_and_disk(self, capsys):
        plan.main(["quick", "--cores", "2"])
        told = capsys.readouterr().out
        assert all(re.search(rf"^{step} +\d+ ", told, flags=re.MULTILINE) for step in STEPS)
        assert "2 jobs at a time" in told and "disk: 1." in told

    def test_the_command_tells_what_a_cluster_is_asked_for(self, capsys):
        plan.main(["paper", "--engine", "slurm"])
        told = capsys.readouterr().out
        assert re.search(r"tuning asks for up to \d+ minutes and \d+ MB", told)
        assert "for tuning, embeddings a GPU" in told

    def test_a_wrong_call_says_what_is_right(self):
        with pytest.raises(BraintuneError, match="give `PROFILE"):
            plan.main(["quick", "--cores", "two"])

    def test_the_page_has_its_tables(self):
        made = plan.pages()
        page = (base.REPOSITORY / "book" / "size.md").read_text(encoding="utf-8")
        assert set(re.findall(r"results/size/(\w+)\.md", page)) == set(made)
        assert made["profiles"].count("\n") == 6 and "`paper`, both" in made["wider"]
