"""Inputs that look right but mean something else: each is refused with its name and a remedy, or said."""

import gzip
import io
import re
import shutil
import zipfile

import nibabel
import numpy as np
import pandas as pd
import pytest

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import base
from braintune.datasets.brains.registry import load_brain
from braintune.datasets.brains.stimulus_table import require_region_names

N = 12
SENTENCES = [f"The {n}th lamp is on." for n in range(N)]


def study(brain, **values):
    return Study.make({"brains": [brain], "nuisance": []} | values)


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(3, 2, size=shape)


def averages(folder, name="average", seed=0, regions=("IFG", "MFG"), **columns):
    """Write a table of region averages."""
    table = pd.DataFrame({"sentence": SENTENCES} | columns)
    table[list(regions)] = numbers(seed, N, len(regions)).round(4)
    table.to_csv(folder / f"{name}.csv", index=False)
    return table


def arrays(folder, columns=None, **people):
    """Write a table of stimuli and arrays by participant: a dictionary of regions, or the seed of one region."""
    pd.DataFrame({"sentence": SENTENCES} | (columns or {})).to_csv(folder / "stimuli.csv", index=False)
    for who, own in people.items():
        np.savez(folder / f"{who}.npz", **(own if isinstance(own, dict) else {"IFG": numbers(own, N, 4)}))


def refused(brain, *fragments, load="", **values):
    """Assert that a data set is refused with a message that holds each fragment."""
    with pytest.raises(BraintuneError) as caught:
        data = load_brain(study(brain, **values), brain)
        data.load(load or data.participants[-1])
    for fragment in fragments:
        assert fragment in str(caught.value)


class TestNamesOfRegions:
    @pytest.mark.parametrize(
        "name",
        ["run", "n_words", "nWords", "block_order", "trial", "RT", "length", "duration", "onset", "TR", "word count",
         "sentence_length", "conditions", "motion", "subject", "nwords", "runID", "order", "Unnamed"],
    )  # fmt: skip
    def test_a_column_of_the_design(self, own, name):
        averages(own, **{name: numbers(1, N)})
        refused(
            "table",
            f"line 1: column {name!r} is a design or nuisance variable, judging by its name",
            "remove it",
            "`regions: [IFG, MFG]`",
        )
        assert load_brain(study("table", regions=["IFG", "MFG"]), "table").load("average").keys() == {"IFG", "MFG"}

    @pytest.mark.parametrize("name", ["S01", "sub-1", "P12", "subject 3", "M07", "participant_2", "S4", "s01", "P_03"])
    def test_a_column_of_a_participant(self, own, name):
        averages(own, **{name: numbers(1, N)})
        refused(
            "table",
            f"column {name!r} is a participant, judging by its name",
            "one file per participant",
            "regions: [IFG, M",
        )

    def test_what_regions_are_called(self):
        usual = (
            "IFG IFGorb MD DMN S1 M1 V1 S2 A1 p24 s32 STS roi_12 region-7 Parcel3 label_5 cluster1 left_IFG 7m TPOJ1 netw "
            "language visual task-positive whole-brain VWFA motor memory word_area beta response L_p9-46v lang_LH_netw é 12"
        )
        require_region_names("here", "column", usual.split())

    def test_the_profile_may_name_what_is_a_region_after_all(self, own):
        averages(own, **{"mask": numbers(1, N), "run": ["a"] * N})
        assert load_brain(study("table", regions=["IFG", "mask"]), "table").regions == ("mask", "IFG")
        refused("table", "regions: 'cuneus' not in", "it has mask, run, IFG, MFG", regions=["cuneus"])

    @pytest.mark.parametrize("name", ["motion", "confounds", "mask", "times", "onsets"])
    def test_an_array_that_is_none(self, own, name):
        arrays(own, P01={"IFG": numbers(0, N, 3), name: numbers(1, N, 2)}, P02={"IFG": numbers(2, N, 3)})
        refused(
            "folder",
            f"array or mask {name!r} is a design or nuisance variable, judging by its name",
            "`regions: [IFG]`",
        )
        assert load_brain(study("folder", regions=["IFG"]), "folder").load("P02").keys() == {"IFG"}

    @pytest.mark.parametrize("first", ["P01", "P02"])
    def test_a_region_that_some_lack(self, own, first):
        second = {"P01": "P02", "P02": "P01"}[first]
        arrays(own, **{first: {"IFG": numbers(0, N, 3), "AngG": numbers(1, N, 2)}, second: 2, "P03": 3})
        refused("folder", f"no region 'AngG', which participant {first} has", f"missing for: {second}, P03", "have IFG")
        assert load_brain(study("folder", regions=["IFG"]), "folder").participants == ("P01", "P02", "P03")
        assert load_brain(study("folder", participants=[first]), "folder").regions == ("IFG", "AngG")


class TestLanguage:
    @pytest.mark.parametrize("parts", [["IFG"], ["IFG", "MFG"]])
    def test_a_column_beside_regions_is_refused_until_the_profile_chooses(self, own, parts):
        table = averages(own, regions=[*parts, "language"])
        refused("table", f"column 'language' beside {', '.join(parts)}", f"`regions: [language, {', '.join(parts)}]`")
        loaded = load_brain(study("table", regions=["language", "IFG"]), "table").load("average")
        assert loaded.keys() == {"language", "IFG"} and loaded["language"].shape == (N, 1)
        assert np.corrcoef(loaded["language"].T, table["language"])[0, 1] == pytest.approx(1)

    def test_without_the_column_it_is_the_regions_that_the_profile_names(self, own):
        averages(own, regions=["IFG", "MFG", "V1", "DMN"])
        assert load_brain(study("table"), "table").regions == ("IFG", "MFG", "V1", "DMN")
        loaded = load_brain(study("table", regions=["language", "IFG", "MFG", "DMN"]), "table").load("average")
        np.testing.assert_array_equal(loaded["language"], np.hstack([loaded["IFG"], loaded["MFG"]]))
        refused("table", "regions: 'language' not in", "it has IFG, MFG, V1, DMN", regions=["language"])

    def test_alone_or_beside_other_networks_it_is_what_it_is(self, own):
        averages(own, regions=["language", "DMN"])
        assert load_brain(study("table"), "table").regions == ("language", "DMN")

    def test_a_name_that_the_story_makes(self, own):
        story = own.parent / "alice2016"
        story.mkdir()
        (story / "regions.txt").write_text("LIFG language\n")
        refused("alice2016", "regions.txt names LIFG language", "rename that region")


class TestColumnsOfStimuli:
    @pytest.mark.parametrize(
        "name", ["paragraph", "story", "Text", "document_id", "block", "categories", "chapters", "item nr"]
    )
    @pytest.mark.parametrize("brain", ["table", "folder"])
    def test_another_word_for_a_group(self, own, brain, name):
        groups = {name: np.arange(N) // 3}
        averages(own, **groups) if brain == "table" else arrays(own, groups, P01=1)
        for regions in (None, ["IFG"]):
            refused(brain, f"heading {name!r}", "rename it to one of these, or remove", "'topic'", regions=regions)

    def test_other_columns_are_said(self, own):
        arrays(own, {"run": 1, "n_words": 5, "passage": np.arange(N) // 3}, P01=1)
        remarks = load_brain(study("folder"), "folder").remarks
        assert remarks == ("unused columns of the table of stimuli: 'run', 'n_words'",)
        arrays(own, {"passage": np.arange(N) // 3})
        assert load_brain(study("folder"), "folder").remarks == ()

    @pytest.mark.parametrize("people", [False, True])
    def test_the_line_that_turns_a_long_table_into_a_wide_one(self, own, people):
        wide = averages(own, topic=list("aabbccddeeff"))
        long = wide.melt(["sentence", "topic"], var_name="roi", value_name="value").sample(frac=1, random_state=1)
        long = long.sort_values("sentence", key=lambda s: s.map(SENTENCES.index), kind="stable")
        if people:
            long = pd.concat([long.assign(subject=who, value=long["value"] * n) for n, who in enumerate(("A", "B"), 1)])
        long.to_csv(own / "average.csv", index=False)
        with pytest.raises(
            BraintuneError, match=r"line 3, column 'sentence': .* same as .*one column per region"
        ) as caught:
            load_brain(study("table"), "table")
        line = str(caught.value).split("in pandas: ")[1]
        (own / "average.csv").unlink()
        exec(re.sub(r"to_csv\((f?)'", rf"to_csv(\1'{own}/", line), {"table": long})
        data = load_brain(study("table"), "table")
        assert data.participants == (("A", "B") if people else ("average",)) and set(data.regions) == {"IFG", "MFG"}
        assert data.stimuli.sentences == SENTENCES and len(set(data.stimuli.topic)) == 6

    def test_participants_in_rows(self, own):
        wide = averages(own)
        pd.concat([wide.assign(participant="A"), wide.assign(participant="B")]).to_csv(own / "average.csv", index=False)
        refused("table", "table.groupby('participant'): part.drop(columns='participant').to_csv(f'{who}.csv'")


class TestPeople:
    @pytest.mark.parametrize(("one", "other"), [("sub-1", "sub-01"), ("P7", "p07"), ("S3", "S003")])
    @pytest.mark.parametrize("brain", ["table", "folder"])
    def test_a_number_with_and_without_zeros(self, own, brain, one, other):
        if brain == "folder":
            arrays(own, **{one: 1, other: 2})
        else:
            averages(own, one, 1), averages(own, other, 2)
        refused(
            brain,
            repr(one),
            repr(other),
            "are one participant, judging by their names",
            "if they are different people, rename the files",
        )

    @pytest.mark.parametrize(
        ("one", "other"),
        [("P01_L", "P01_R"), ("P01_lh", "P01_rh"), ("lh.P01", "rh.P01"), ("P01-left", "P01-right"),
         ("sub-01_hemi-L", "sub-01_hemi-R"), ("sub-1_hemi-L_run-1", "sub-1_hemi-R_run-1")],
    )  # fmt: skip
    def test_hemispheres(self, own, one, other):
        arrays(own, **{one: 1, other: 2})
        refused(
            "folder",
            "are one participant, judging by their names",
            "into one file, with the voxels of both hemispheres",
        )

    @pytest.mark.parametrize("how", ["bytes", "packed", "one region"])
    def test_copies_of_arrays(self, own, how):
        first = {"IFG": numbers(1, N, 4), "AngG": numbers(2, N, 3)}
        arrays(own, P01=first)
        if how == "bytes":
            shutil.copy(own / "P01.npz", own / "P02.npz")
        elif how == "packed":
            np.savez_compressed(own / "P02.npz", **first)
        else:
            arrays(own, P02=first | {"AngG": numbers(3, N, 3)})
        refused("folder", "P02.npz holds the same responses as P01.npz", "must not be counted twice: remove one")
        assert load_brain(study("folder", participants=["P02"]), "folder").participants == ("P02",)

    def test_arrays_that_all_share_and_no_region_has(self, own):
        arrays(own, **{who: {"IFG": numbers(n, N, 4), "mask": np.ones((2, 2))} for n, who in enumerate(("P01", "P02"))})
        assert load_brain(study("folder", regions=["IFG"]), "folder").participants == ("P01", "P02")

    def test_copies_of_images(self, own):
        arrays(own)
        grid, values = np.diag([2.0, 2, 2, 1]), numbers(1, 3, 3, 2, N).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 2), np.uint8), grid), own / "mask-IFG.nii")
        for who, scale in (("P01", 1), ("P02", 2), ("P03", 1)):
            nibabel.save(nibabel.Nifti1Image(values * np.float32(scale), grid), own / f"{who}_beta.nii")
        refused("folder", "P03_beta.nii holds the same responses as P01_beta.nii")
        assert load_brain(study("folder", participants=["P01", "P02"]), "folder").participants == ("P01", "P02")

    def test_tables_of_the_same_numbers(self, own):
        table = averages(own, "P01")
        table.assign(IFG=[f"{x:.9f}" for x in table["IFG"]]).to_csv(own / "P02.csv", index=False)
        refused("table", "P02.csv, column 'IFG': the same numbers as in P01.csv", "must not be counted twice")


class TestCodes:
    @pytest.mark.parametrize("code", [-999, 9999, 99, -9999, 1e20])
    @pytest.mark.parametrize("brain", ["table", "folder"])
    def test_a_code_of_missing_values(self, own, brain, code):
        if brain == "table":
            table = averages(own)
            table.loc[[2, 7], "MFG"] = code
            table.to_csv(own / "average.csv", index=False)
            refused("table", f"column 'MFG': 2 of 12 values are {code:g}", "remove these rows, for every participant")
            return
        values = numbers(1, N, 30)
        values[5] = code  # a trial that is missing
        arrays(own, P01={"IFG": values})
        fragments = "region IFG: 30 of 360 values", f"{code:g}", "30 of 30 columns", "write NaN there"
        refused("folder", *fragments)

    def test_a_code_in_scans(self, own):
        (own / "words.csv").write_text("word,sentence,onset_s,offset_s\nShe,1,0,1\nleft,2,59,60\n")
        scans = numbers(1, 40, 3)
        scans[3:5, 1] = -999
        np.savez(own / "P01.npz", IFG=scans)
        refused("folder", "P01.npz: IFG: 2 of 120 values are -999", "interpolate these scans", detrend_order=1)

    @pytest.mark.parametrize(
        "values",
        [
            numbers(1, 50, 20) * 1000,
            np.clip(numbers(1, 50, 20) * 1000, 0, 6000),
            np.round(numbers(1, 6, 5000) * 100),
            np.where(np.eye(50, 20) > 0, 999.5, numbers(1, 50, 20)),
            np.where(np.arange(50)[:, None] == 3, numbers(2, 20) * 1000, numbers(1, 50, 20)),
            np.where(np.arange(20) == 3, 100.0, numbers(1, 50, 20)),
            np.where((np.arange(20) == 3) & (np.arange(50)[:, None] == 5), -999, numbers(1, 50, 20)),
            np.repeat([[0.0, 100], [0, 100], [1, 0]], 9, axis=0),
            np.zeros((0, 4)),
        ],
    )
    def test_what_is_no_code(self, values):
        base.require_no_codes(values, "here", "do this")
        base.require_no_codes(values.astype(np.float32), "here", "do this")


class TestLags:
    def test_a_negative_lag(self):
        with pytest.raises(BraintuneError, match=r"lags.*greater than or equal to 0.*-2"):
            study("folder", lags=[-2.0, 4.0])

    @pytest.mark.parametrize("lag", [90.0, 60.0])
    def test_a_lag_after_the_scans(self, own, lag):
        words = "".join(f"word,{n},{n * 5},{n * 5 + 1}\n" for n in range(N))
        (own / "words.csv").write_text(f"word,sentence,onset_s,offset_s\n{words}")
        np.savez(own / "P01.npz", IFG=numbers(1, 40, 3))
        refused(
            "folder",
            f"lags: {lag:g} s after the onset",
            "40 scans",
            "(80 s)",
            "2 … 8 s",
            lags=[4, lag],
            detrend_order=1,
        )
        assert load_brain(study("folder", lags=[24.0], detrend_order=1), "folder").load("P01")["IFG"].shape == (N, 3)


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


class TestOtherFormats:
    @pytest.mark.parametrize(("mark", "quoting"), [(";", 0), ("\t", 0), (";", 2), ("|", 0)])
    def test_the_line_that_writes_commas(self, own, monkeypatch, mark, quoting):
        table = averages(own)
        table.to_csv(own / "average.csv", index=False, sep=mark, decimal=",", quoting=quoting)
        with pytest.raises(
            BraintuneError, match=r"line 1: columns are separated by .*decimal point; in pandas"
        ) as caught:
            load_brain(study("table"), "table")
        monkeypatch.chdir(own)
        exec("from pandas import read_csv\n" + re.search(r"read_csv\(.*False\)", str(caught.value))[0])
        pd.testing.assert_frame_equal(pd.read_csv(own / "average.csv"), table)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"sep=;\nsentence;IFG\n", "'sep=;' is only for Excel; remove this line"),
            (b"\xef\xbb\xbfsep=,\r\nsentence,IFG\r\n", "'sep=,' is only for Excel; remove this line"),
            (
                zipped(),
                "is an Excel workbook or another compressed file (zip), not text; save the table as CSV in UTF-8",
            ),
            (gzip.compress(b"sentence,IFG\n", mtime=0), "is a compressed file (gzip), not text; save the table as CSV"),
            (b"PAR1....", "is a Parquet file, not text"),
        ],
    )
    def test_what_is_no_csv(self, own, content, message):
        (own / "average.csv").write_bytes(content)
        refused("table", f"average.csv{', line 1:' * content.count(b'sep=')} {message}")

    @pytest.mark.parametrize("value", ["NA", "n/a", "NaN", ""])
    def test_a_missing_number(self, own, value):
        table = averages(own).astype(object)
        table.loc[4, "IFG"] = value
        table.to_csv(own / "average.csv", index=False, na_rep=value)
        refused("table", f"line 6, column 'IFG': {value!r}", "remove the rows of sentences without a response")

    @pytest.mark.parametrize("name", ["P02.csv.gz", "P02.tsv", "P02.xlsx"])
    def test_a_table_that_would_be_passed_over(self, own, name):
        averages(own, "P01")
        (own / name).write_bytes(b"")
        refused(
            "table", f"{name} is not read, only *.csv is; decompress it, or save it as CSV", "move it out of the folder"
        )

    def test_arrays_and_tables_that_would_be_passed_over(self, own):
        arrays(own, P01=1)
        np.save(own / "P02.npy", numbers(1, N, 2))
        refused("folder", "P02.npy is not read, only *.npz is; save one array per region with numpy.savez")
        (own / "stimuli.csv").rename(own / "stimuli.csv.gz")
        refused("folder", "holds neither stimuli.csv nor words.csv; exactly one is needed", "stimuli.csv.gz")

    def test_arrays_of_objects(self, own):
        arrays(own, P01={"IFG": np.array([[1, None], [2, 3]], dtype=object)})
        refused("folder", "P01.npz is not a readable .npz file", "Python objects", "dtype='float32'")

    def test_a_map_for_each_trial(self, own):
        arrays(own)
        for n in (1, 2, 3):
            image = nibabel.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4))
            nibabel.save(image, own / f"sub-01_contrast-trial{n}_stat-z_statmap.nii.gz")
        refused("folder", "these 3 images are one map per trial", "order of stimuli.csv", "nilearn.image.concat_imgs")

    def test_trials_named_as_responses_and_folders_of_subjects(self, own):
        arrays(own)
        (own / "sub-01").mkdir()
        refused("folder", "it has stimuli.csv, sub-01 (subfolders are not read)")
        for name in ("mask-IFG", "sub-01_trial-1_beta", "sub-01_trial-2_beta"):
            nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), own / f"{name}.nii")
        refused(
            "folder",
            "are one participant, judging by their names",
            "with the trials in the order of stimuli.csv",
            "concat_imgs",
        )
