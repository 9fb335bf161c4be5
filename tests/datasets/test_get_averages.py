"""Converting public tables of average responses, on small tables of the same layout."""

import sys
from importlib import import_module

import pandas as pd
import pytest

from braintune.core.base import REPOSITORY, BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain

sys.path.insert(0, str(REPOSITORY / "data" / "get"))
tuckute, pereira = import_module("tuckute2024_average"), import_module("pereira2018_average")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    folder = tmp_path / "public"
    folder.mkdir()
    return folder


def load(name):
    return load_brain(Study.make({"brains": [name], "nuisance": []}), name)


class TestTuckute:
    def write(self, source, **columns):
        made = {"item_id": [f"B.{n}" for n in range(10)], "sentence": [f"Lamp {n} is on the table." for n in range(10)]}
        made |= {column: [0.1234567 * n * (i + 1) for n in range(10)] for i, column in enumerate(tuckute.COLUMNS)}
        pd.DataFrame(made | columns).to_csv(source / tuckute.FILE, index=False)

    def test_columns_are_renamed(self, source, capsys):
        self.write(source)
        tuckute.main(["--from", str(source)])
        assert "sentences.csv: 10 sentences" in capsys.readouterr().out
        table = pd.read_csv(source.parent / "brain" / "tuckute2024_average" / "sentences.csv")
        assert list(table) == ["sentence", "AntTemp", "IFG", "IFGorb", "MFG", "PostTemp", "language"]
        assert table["IFG"][3] == 0.74074
        assert load("tuckute2024-average").regions == tuple(table)[1:]

    def test_faults(self, source):
        with pytest.raises(BraintuneError, match=r"cannot read .*bold_response_LH\.csv"):
            list(tuckute.convert(source))
        self.write(source, lang_LH_IFG=["x"] * 10)
        with pytest.raises(
            BraintuneError, match=r"line 2, column 'lang_LH_IFG': 'x' is not allowed; .*get the file again"
        ):
            list(tuckute.convert(source))


class TestPereira:
    def write(self, source, responses=None):
        """Twelve sentences of two experiments; one has its pronoun replaced in the list."""
        first = [f"FRUIT  Plum {n} is a round fruit." for n in range(8)]
        second = [*(f"OWLS  Owl {n} sleeps by day." for n in range(3)), "OWLS  The owl then eats the mouse."]
        (source / pereira.LISTS[2]).write_text("\n".join(first), encoding="utf-8")
        (source / pereira.LISTS[3]).write_text("\n".join(second) + "\n", encoding="utf-8")
        listed = [line.split("  ")[1] for line in first + second]
        presented = [*listed[:-1], "She then eats the mouse. "]
        made = {sentence: n + 0.00004 for n, sentence in enumerate(presented)} if responses is None else responses
        table = pd.DataFrame({"Sentence": list(made), "EffectSize": list(made.values())})
        table.sort_values("Sentence", ignore_index=True).to_csv(source / pereira.RESPONSES)

    def test_responses_are_brought_into_the_order_of_the_lists(self, source, capsys):
        self.write(source)
        pereira.main(["--from", str(source)])
        assert "  She then eats the mouse.\n    The owl then eats the mouse.\n" in capsys.readouterr().out
        path = source.parent / "brain" / "pereira2018_average" / "sentences.csv"
        table = pd.read_csv(path, keep_default_na=False)
        assert table["language"].tolist() == list(range(12))
        assert table["experiment"].tolist() == [2] * 8 + [3] * 4
        assert table["passage"].tolist() == [*"00001111", *[""] * 4]
        assert load("pereira2018-average").stimuli.topic.tolist() == [0] * 8 + [1] * 4

    def test_faults(self, source):
        self.write(source, {"One sentence.": 1.0})
        with pytest.raises(BraintuneError, match=r"1 rows \(1 sentences\) in pereira_averaged\.csv for 12 lines"):
            list(pereira.convert(source))
        self.write(source)
        text = (source / pereira.RESPONSES).read_text(encoding="utf-8")
        (source / pereira.RESPONSES).write_text(text.replace("She then eats the mouse", "Red"), encoding="utf-8")
        with pytest.raises(BraintuneError, match=r"no response for the sentence 'The owl then .*left is 'Red\.'"):
            list(pereira.convert(source))
        (source / pereira.LISTS[3]).write_text("OWLS\n", encoding="utf-8")
        with pytest.raises(BraintuneError, match=r"243_category\.txt, line 1: 'OWLS' has no sentence"):
            list(pereira.convert(source))
