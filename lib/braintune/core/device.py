"""Where torch computes."""

import torch
from threadpoolctl import threadpool_limits

from braintune.core.base import BraintuneError


def pick_device(setting: str, float64: bool = False) -> torch.device:
    """Return the torch device of a profile's setting; `auto` takes a GPU where there is one.

    Parameters
    ----------
    setting : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    float64 : bool
        The work needs float64, which ``mps`` lacks: the CPU serves in its place.

    Raises
    ------
    BraintuneError
        If the named device is not on this machine.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    here = [name for name, there in present.items() if there]
    chosen = here[0] if setting == "auto" else setting
    if chosen not in here:
        raise BraintuneError(f"device: this machine has no {setting!r}; it has {', '.join(here)}; or set `auto`")
    return torch.device("cpu" if float64 and chosen == "mps" else chosen)


def use_threads(count: int) -> None:
    """Compute on as many threads as a batch job does: sums of another number of threads differ in their last bits.

    Parameters
    ----------
    count : int
        Threads of torch and of every BLAS library of this process; `threads` of a profile.
    """
    torch.set_num_threads(count)
    threadpool_limits(count)
