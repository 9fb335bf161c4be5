"""Fit the coefficients of tuning in lib/braintune/cost.py to recorded jobs: python tests/fit_cost.py

The jobs of seed 0 of data/reference/real; the other seed, and every other record, stay apart for the check on the page
"How long will it take, and where?". The loss is that of the logarithm, so a short job counts as much as a long one, and
it is bent, so that a job which was held up by other work on the machine counts less. What starting a notebook takes is
not fitted: all these jobs are long beside it.
"""

import numpy as np
from scipy.optimize import least_squares

from braintune.core.study import Study
from braintune.workflow import cost, plan

NAMES = ("tokens", "weights", "steps")


def main():
    facts = plan.recorded()["reference"]
    run = Study.make(facts["profile"])
    jobs = {cost.read_label(label): seconds for label, seconds in facts["seconds"].items()}
    jobs = {job: s for job, s in jobs.items() if job.step == "tuning" and dict(job.parameters)["seed"] == 0}
    work = np.array([[cost.amounts(run, job)[name] for name in NAMES] for job in jobs])
    measured = np.array(list(jobs.values()))
    start = cost.COEFFICIENTS["tuning"].seconds

    def off(logs):
        return np.log((start + work @ np.exp(logs)) / measured)

    found = least_squares(off, np.log([20.0, 1.0, 50.0]), loss="soft_l1", f_scale=0.15)
    for name, value in zip(NAMES, np.exp(found.x), strict=True):
        print(f"{name:<8} {value:8.3f} s   (in use: {cost.COEFFICIENTS[name].seconds:g})")
    print("predicted over measured:", np.exp(off(found.x)).round(2))


if __name__ == "__main__":
    main()
