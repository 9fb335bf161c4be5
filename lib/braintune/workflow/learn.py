"""Learn the tasks of one sequence: what the notebook of continual learning would train, as a job beside others."""

from braintune.core.base import BraintuneError
from braintune.core.device import use_threads
from braintune.core.study import Study
from braintune.models import continual, sequences
from braintune.workflow.processes import end_with_parent


def main(words: list[str]) -> None:
    """Run the command ``PROFILE ORDER METHOD SEED``; stages that are stored are not trained again."""
    match words:
        case [profile, order, method, seed] if order.isdecimal() and seed.isdecimal():
            end_with_parent()
            study = Study.load(profile)
            use_threads(study.threads)
            sequence = sequences.sequence_of(study, int(order), method, int(seed))
            continual.learn(study, sequence)
            print(f"          {sequence.name}: all {len(sequence.tasks)} stages are stored", flush=True)
        case _:
            raise BraintuneError("which sequence? python -m braintune learn PROFILE ORDER METHOD SEED")
