"""The words of the microworld, read from ``lexicon.yml``: names, topics, kinds of things, senses, feelings."""

from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import yaml

#: The file of words: a change in it changes what is generated.
DATA = Path(__file__).with_name("lexicon.yml")


class Topic(NamedTuple):
    """One topic: its broad domain, who is there, where, and what they do (verb → objects)."""

    domain: str
    people: list[str]
    places: list[str]
    events: dict[str, list[str]]


def _read() -> SimpleNamespace:
    """Read the file, and add the lists that are derived from others."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is eight times faster
    words = SimpleNamespace(**yaml.load(DATA.read_text(encoding="utf-8"), Loader=loader))
    words.topics = {name: Topic(**topic) for name, topic in words.topics.items()}
    words.ambiguous = {tuple(word.split("/")): senses for word, senses in words.ambiguous.items()}
    words.social = [*words.caused_by_patient, *words.caused_by_agent, *words.other_social]
    words.job_names = list(words.jobs)
    words.days = [time for time in words.times if time.startswith(("last", "on ", "yester"))]
    # Half of the verdicts are plain, as in reviews; the others negate the word or weigh two.
    words.plain_verdicts = [v for v in words.verdicts if v["holds"] and "{v}" not in v["frame"]]
    return words


LEXICON = _read()
