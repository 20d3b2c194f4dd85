"""Ways to test whether a circuit keeps more than random ones of its size on prompts that it was not found on."""

import numpy as np


def rank(searched, new, whole, nothing, random, smaller):
    return bool((random.mean(-1) >= new.mean()).double().mean() <= 0.025)


def second_best(searched, new, whole, nothing, random, smaller):
    return bool(new.mean() > random.mean(1).sort().values[-2])


def paired(searched, new, whole, nothing, random, smaller):
    """For each random circuit the prompts' mean lead; hardly one may be as good."""
    lead = (new - random).double().numpy().mean(1)
    return int(np.quantile(lead, 0.025) > 0)


WAYS = {"rank": rank, "the second best": second_best, "leads": paired}
