"""Two more tasks: which sentence comes next, and filling in masked words of text in the style of the stimuli.

Their examples come from passages of the microworld, written as those of the simulated study but with other seeds, or
from `nlu/next_sentence` and `nlu/language` in the data folder.
"""

from braintune.datasets.microworld.grammar import Rng
from braintune.datasets.microworld.languages import Language
from braintune.datasets.microworld.lexicon import LEXICON
from braintune.datasets.microworld.passages import passage
from braintune.datasets.microworld.tasks import READERS, Reader, Row
from braintune.datasets.tasks import TASKS, Task

#: Sentences of a passage that is written for these tasks.
LENGTH = 4


def write(rng: Rng, topic: str, spoken: Language) -> list[str]:
    """Return the sentences of a new passage."""
    return [spoken.say(phrase).text() for phrase in passage(rng, LEXICON.topics[topic], LENGTH)]


def next_sentence(rng: Rng, label: str, spoken: Language) -> Row:
    """Return a sentence, and the next one of its passage or of a passage on another topic."""
    one, other = (write(rng, topic, spoken) for topic in rng.sample(list(LEXICON.topics), 2))
    place = rng.choice(range(1, LENGTH))
    second = (one if label == "next" else other)[place]
    return {"sentence1": one[place - 1], "sentence2": second, "label": label}


def language(rng: Rng, label: str, spoken: Language) -> Row:
    """Return one sentence of a passage."""
    return {"sentence": rng.choice(write(rng, rng.choice(list(LEXICON.topics)), spoken))}


READERS["next_sentence"] = Reader(next_sentence, {"next": 0.5, "not_next": 0.5})
READERS["language"] = Reader(language, {"": 1})
TASKS["next_sentence"] = Task(
    name="next_sentence",
    title="next-sentence plausibility",
    kind="pair",
    level="sentence",
    metric="accuracy",
    question="Does the second sentence come next?",
    fields={"sentence1": "text", "sentence2": "text", "label": "text"},
)
TASKS["language"] = Task(
    name="language",
    title="masked language modelling",
    kind="language",
    level="",
    metric="accuracy",
    question="Which words are masked?",
    fields={"sentence": "text"},
)
