import csv

import numpy as np
import pytest

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import registry
from braintune.datasets.brains.registry import load_brain
from braintune.datasets.brains.table import read_table
from braintune.neural.folds import make_folds

N = 12
HEADING = ["sentence", "IFG", "MFG"]


def study(**values):
    return Study.make({"brains": ["table"], "nuisance": []} | values)


def rows(*columns):
    """Rows of a table: a sentence each, further columns, two regions."""
    rng = np.random.default_rng(0)
    return [[f"The {n}th lamp, again.", *(c[n] for c in columns), *rng.normal(3, 2, size=2)] for n in range(N)]


def write(folder, records, heading=HEADING, name="average"):
    path = folder / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *records])
    return path


class TestWhatIsThere:
    def test_one_file_is_an_average(self, own):
        records = rows()
        path = write(own, records)
        data = load_brain(study(), "table")
        assert (data.participants, data.regions) == (("average",), ("IFG", "MFG"))
        assert data.stimuli.sentences[3] == "The 3th lamp, again."
        assert data.stimuli.groups is None and not data.stimuli.contiguous
        values = np.array([record[1:] for record in records])
        expected = (values - values.mean(0)) / values.std(0)
        loaded = data.load("average")
        np.testing.assert_allclose(np.hstack([loaded["IFG"], loaded["MFG"]]), expected, atol=1e-6)
        assert list(registry.data_checksums(study(), "table")) == [path.name]

    def test_it_says_what_it_reads(self, own):
        write(own, rows([f"t{n // 4}" for n in range(N)]), ["sentence", "topic", "IFG", "MFG"], "study")
        (remark,) = load_brain(study(), "table").remarks
        assert remark == f"study.csv: {N} sentences, 3 topics; regions IFG, MFG"
        assert registry.participants_label("table", 1) == "an average, or one participant"
        assert registry.participants_label("table", 4) == "4 participants"

    def test_the_name_of_its_folder_is_no_data_set(self, own):
        write(own, rows())
        with pytest.raises(BraintuneError, match=r"there is a folder brain/own .* set `brains: \[table\]` \(CSV files"):
            load_brain(study(), "own")
        with pytest.raises(
            BraintuneError, match=r"holds neither stimuli.csv nor .*column per region, set `brains: \[table"
        ):
            load_brain(study(), "folder")

    def test_a_file_for_each_participant(self, own):
        first, second = rows(), [[*record[:1], -record[1], record[2] + n] for n, record in enumerate(rows())]
        write(own, first, name="P01")
        write(own, second, name="P02")
        data = load_brain(study(regions=["IFG"]), "table")
        assert (data.participants, data.regions) == (("P01", "P02"), ("IFG",))
        np.testing.assert_allclose(data.load("P01")["IFG"], -data.load("P02")["IFG"], atol=1e-6)

    def test_a_changed_file_is_read_again(self, own):
        write(own, rows())
        before = load_brain(study(), "table").load("average")["IFG"]
        write(own, [[s, -10.5 * x, y] for s, x, y in rows()])
        np.testing.assert_allclose(load_brain(study(), "table").load("average")["IFG"], -before, atol=1e-6)

    def test_responses_are_z_scored_within_an_experiment(self, own):
        experiment = [2] * 5 + [3] * 7
        write(
            own, [[*r[:2], r[2] + 40 * r[1], r[3]] for r in rows(experiment)], ["sentence", "experiment", *HEADING[1:]]
        )
        loaded = load_brain(study(), "table").load("average")["IFG"]
        for part in (loaded[:5], loaded[5:]):
            np.testing.assert_allclose([part.mean(), part.std()], [0, 1], atol=1e-6)

    def test_groups_lie_within_an_experiment(self, own):
        experiment, topic, passage = list("222222333333"), list("aabbccaabbcc"), list("xyxyxyxyxyxx")
        heading = ["sentence", "experiment", "topic", "passage", *HEADING[1:]]
        write(own, rows(experiment, [f" {t}" for t in topic], passage), heading)
        stimuli = load_brain(study(), "table").stimuli
        assert stimuli.topic.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        assert stimuli.passage.tolist() == [*range(10), 10, 10]

    def test_an_incomplete_passage_gives_way_to_the_topic(self, own):
        topic, passage = list("aabbccddeeff"), [*"pqrstu", *[""] * 6]
        write(own, rows(topic, passage), ["sentence", "topic", "passage", *HEADING[1:]])
        stimuli = load_brain(study(), "table").stimuli
        assert stimuli.passage is None
        folds = make_folds(stimuli, "grouped", study(n_folds=3, inner_folds=2))
        assert all(not set(stimuli.topic[f.train]) & set(stimuli.topic[f.test]) for f in folds)

    def test_positions_without_groups_are_a_story(self, own):
        write(own, rows(range(N)), ["sentence", "position", *HEADING[1:]])
        stimuli = load_brain(study(), "table").stimuli
        assert stimuli.contiguous and stimuli.position.tolist() == list(range(N))
        write(own, rows([*range(N - 2), 11, 10]), ["sentence", "position", *HEADING[1:]])
        with pytest.raises(BraintuneError, match=r"line 13, column 'position': 10 is out of order; .*sort the rows"):
            load_brain(study(), "table")

    def test_wording(self, own):
        write(own, rows([f"It {n}" for n in range(N)]), ["sentence", "dereferenced", *HEADING[1:]])
        assert load_brain(study(), "table").stimuli.sentences[1] == "The 1th lamp, again."
        assert load_brain(study(wording="dereferenced"), "table").stimuli.sentences[1] == "It 1"

    def test_what_a_spreadsheet_writes(self, own):
        """A byte-order mark, Windows line ends, and a line break in a quoted field; lines count as in an editor."""
        path = write(own, rows())
        text = path.read_text(encoding="utf-8").replace("The 0th lamp,", "The\n0th lamp,")
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n")
        assert read_table(path).index.tolist() == [2, *range(4, N + 3)]

    def test_spaces_and_what_has_no_heading(self, own):
        """Numbered rows and empty columns, as pandas and spreadsheets add them, are no regions."""
        write(
            own,
            [[n, *r[:2], f" {r[2]} ", ""] for n, r in enumerate(rows(), 3)],
            ["", " sentence ", "IFG", "MFG", ""],
        )
        data = load_brain(study(), "table")
        assert data.regions == ("IFG", "MFG") and data.stimuli.sentences[1] == "The 1th lamp, again."
        write(own, rows())
        np.testing.assert_array_equal(data.load("average")["IFG"], load_brain(study(), "table").load("average")["IFG"])

    def test_a_story_may_leave_out_sentences(self, own):
        write(own, rows([2 * n + 1 for n in range(N)]), ["sentence", "position", *HEADING[1:]])
        stimuli = load_brain(study(), "table").stimuli
        assert stimuli.contiguous and stimuli.position.tolist() == list(range(N))


def replaced(row, column, value):
    """Rows with one field changed."""
    records = rows()
    records[row][column] = value
    return records


class TestRefusals:
    @pytest.mark.parametrize(
        ("records", "heading", "message"),
        [
            (replaced(3, 0, ""), HEADING, r"line 5, column 'sentence': '' is missing; write the sentence"),
            (replaced(3, 0, " The 1th lamp, again. "), HEADING, r"line 5, .*'The 1th .*same as in line 3; average the"),
            (replaced(4, 1, "high"), HEADING, r"line 6, column 'IFG': 'high' is not allowed; a region needs a finite"),
            (replaced(4, 1, "0,5"), HEADING, "line 6, column 'IFG': '0,5' has a decimal comma; write it with a decimal point"),
            (replaced(0, 2, " "), HEADING, "line 2, column 'MFG': '' is missing; .*finite number in every row"),
            (replaced(0, 2, "nan"), HEADING, "line 2, column 'MFG': 'nan' is not allowed; .*finite number"),
            (replaced(0, 2, "-inf"), HEADING, "line 2, column 'MFG': '-inf' is not allowed; .*finite number"),
            ([*rows(), ["More."]], HEADING, r"line 14: 1 fields \('More.'\) for 3 headings; put .* double quotes"),
            ([*rows(), ["a", "b", 1, 2]], HEADING, r"line 14: 4 fields .* for 3 headings; put .* double quotes"),
            ([[3, *r] for r in rows()], ["", *HEADING], "line 1, column 1: the heading is empty, but the column has values"),
            ([[*r, "x"] for r in rows()], [*HEADING, " "], "line 1, column 4: the heading is empty, .*name the column, or"),
            ([[n, *r] for n, r in enumerate(rows(), 1)], ["id", *HEADING], "column 'id' is an index, .*remove it .*index=False"),
            ([[*r, n] for n, r in enumerate(rows())], [*HEADING, "trial"], "column 'trial' is an index, not a region"),
            (rows(range(0, 24, 2)), ["sentence", "Topic ID", *HEADING[1:]], "heading 'Topic ID' is unknown; rename it to 'topic' if that is meant"),
            (rows("abcdefghijkl"), ["sentence", " Passage", *HEADING[1:]], "heading 'Passage' must be written 'passage'"),
            (rows("abcdefghijkl"), ["sentence", "topics", *HEADING[1:]], "column 2: heading 'topics' must be written 'topic'"),
            (rows(["sea", " Sea"] * 6), ["sentence", "topic", *HEADING[1:]], "line 3, .*'Sea' and 'sea' in line 2 are the same name"),
            (rows(["N/A"] * N), ["sentence", "topic", *HEADING[1:]], "line 2, column 'topic': 'N/A' is not a name; fill it in"),
            (rows(range(N)), ["sentence", "stimulus", *HEADING[1:]], "column 'stimulus' is not allowed here"),
            (rows(), ["sentence", "IFG", "Language"], "column 3: heading 'Language' must be written 'language'"),
            (rows(), ["sentence", "IFG", "IFG"], "column 3: heading 'IFG' is repeated; name each column once"),
            (rows(), ["sentence", "IFG", ""], "column 3: the heading is empty, but the column has values; name the column"),
            (rows(), ["sentence;IFG", "b", "c"], "no column 'sentence'; it has 'sentence;IFG', .*separate columns by commas"),
            ([r[:1] for r in rows()], ["sentence"], "no region; besides sentence it needs a column of responses"),
            (rows()[:9], HEADING, "9 sentences; at least 10 are needed"),
            ([], [], "no column 'sentence'; it has nothing"),
            (rows([*"abcdefghijk", " "]), ["sentence", "topic", *HEADING[1:]], "line 13, column 'topic': '' is missing; fill"),
            (rows([*"abcdefghijk", ""]), ["sentence", "passage", *HEADING[1:]], "line 13, column 'passage': '' is missing"),
            (rows([0, 1, 0.5] * 4), ["sentence", "position", *HEADING[1:]], "line 4, column 'position': '0.5' is not .*whole"),
            (rows([-1] * N), ["sentence", "position", *HEADING[1:]], "line 2, column 'position': '-1' is not .*whole"),
            ([[*r[:2], 4] for r in rows()], HEADING, "column 'MFG': every value is the same, .*remove the column"),
        ],
    )  # fmt: skip
    def test_a_faulty_table(self, own, records, heading, message):
        write(own, records, heading)
        with pytest.raises(BraintuneError, match=rf"average\.csv.*{message}"):
            load_brain(study(), "table").load("average")

    def test_a_region_that_is_constant_in_an_experiment(self, own):
        write(
            own, [[*r[:2], max(r[1], 1), r[3]] for r in rows([0, 1, 2] * 4)], ["sentence", "experiment", *HEADING[1:]]
        )
        with pytest.raises(
            BraintuneError, match=r"column 'IFG': every value is the same in experiment '0'.*or the exp"
        ):
            load_brain(study(), "table").load("average")

    def test_another_encoding(self, own):
        path = write(own, rows())
        path.write_bytes(path.read_bytes().replace(b"5th", "fünfte".encode("latin-1")))
        with pytest.raises(
            BraintuneError, match=r"average\.csv, line 7: byte b'\\xfc' is not UTF-8 text; save .* in UTF-8"
        ):
            load_brain(study(), "table")
        path.write_bytes("sentence,IFG\nA lamp.,1\n".encode("utf-16-le"))
        with pytest.raises(BraintuneError, match=r"average\.csv, line 1: byte b'\\x00' is not UTF-8 text"):
            load_brain(study(), "table")

    def test_an_open_quote(self, own):
        path = write(own, rows())
        path.write_text(path.read_text(encoding="utf-8").replace('again."', "again.", 1), encoding="utf-8")
        with pytest.raises(BraintuneError, match=r"average\.csv, line 2: .*close every double quote"):
            load_brain(study(), "table")

    @pytest.mark.parametrize(
        ("records", "heading", "message"),
        [
            (replaced(2, 0, "Other."), HEADING, r"P02\.csv, line 4, column 'sentence': 'Other.', but P01\.csv has 'The 2th"),
            (rows()[:-1], HEADING, r"P02\.csv has 11 sentences, but P01\.csv has 12; .*the same sentences"),
            (rows(), ["sentence", "PostTemp", "MFG"], r"P02\.csv, line 1: no column 'IFG', which P01\.csv has; .*same columns"),
        ],
    )  # fmt: skip
    def test_participants_that_differ(self, own, records, heading, message):
        write(own, rows(), name="P01")
        write(own, records, heading, name="P02")
        with pytest.raises(BraintuneError, match=message):
            load_brain(study(), "table")

    def test_a_missing_file_and_a_missing_wording(self, own):
        with pytest.raises(BraintuneError, match=r"no participant in .*own: no file '\*\.csv'"):
            load_brain(study(), "table")
        folder = own.parent / "pereira2018_average"
        folder.mkdir()
        run = study(brains=["pereira2018-average"], wording="dereferenced")
        with pytest.raises(BraintuneError, match=r"cannot read .*sentences\.csv"):
            load_brain(run, "pereira2018-average")
        write(folder, rows(), name="sentences")
        with pytest.raises(BraintuneError, match=r"no column 'dereferenced'; add it, or set wording: presented"):
            load_brain(run, "pereira2018-average")


class TestRealCopies:
    """Counts of the two averages."""

    def test_pereira(self, shared_data, monkeypatch):
        monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
        run = study(brains=["pereira2018-average"])
        data = load_brain(run, "pereira2018-average")
        assert (data.participants, data.regions) == (("average",), ("language",))
        assert (len(data.stimuli.sentences), len(np.unique(data.stimuli.topic))) == (627, 48)
        assert data.stimuli.passage is None
        assert len(make_folds(data.stimuli, "grouped", run)) == 5
        other = load_brain(study(brains=["pereira2018-average"], wording="dereferenced"), "pereira2018-average")
        pairs = zip(data.stimuli.sentences, other.stimuli.sentences, strict=True)
        assert sum(one != two for one, two in pairs) == 45
        by_default = load_brain(run.model_copy(update={"nuisance": None}), "pereira2018-average")
        assert by_default.stimuli.nuisance.shape == (627, 2)  # length and its log

    def test_tuckute(self, shared_data, monkeypatch):
        monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
        run = study(brains=["tuckute2024-average"], nuisance=None)
        data = load_brain(run, "tuckute2024-average")
        assert data.regions == ("AntTemp", "IFG", "IFGorb", "MFG", "PostTemp", "language")
        assert len(data.stimuli.sentences) == 1000
        shapes = {region: x.shape for region, x in data.load("average").items()}
        assert set(shapes.values()) == {(1000, 1), (1000, 5)} and shapes["language"] == (1000, 5)
        assert make_folds(data.stimuli, "grouped", run) is None
        assert data.stimuli.nuisance.shape == (1000, 1)  # six words each: characters
