"""The device and the threads that torch uses."""

import torch
from threadpoolctl import threadpool_limits

from braintune.core.base import BraintuneError


def pick_device(setting: str, float64: bool = False) -> torch.device:
    """Return the torch device for a profile's setting; `auto` uses a GPU if there is one.

    Parameters
    ----------
    setting : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    float64 : bool
        Whether the work needs float64, which ``mps`` lacks; the CPU is then used instead.

    Raises
    ------
    BraintuneError
        If this machine does not have the named device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    here = [name for name, there in present.items() if there]
    chosen = here[0] if setting == "auto" else setting
    if chosen not in here:
        raise BraintuneError(f"device: this machine has no {setting!r}; set `auto`, or one it has: {', '.join(here)}")
    return torch.device("cpu" if float64 and chosen == "mps" else chosen)


def use_threads(count: int) -> None:
    """Use a fixed number of threads: with another number, sums differ in their last bits.

    Parameters
    ----------
    count : int
        Threads of torch and of every BLAS library in this process: `threads` of the profile.
    """
    torch.set_num_threads(count)
    threadpool_limits(count)
