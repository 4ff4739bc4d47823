"""Where a torch model of the backends here runs."""

from __future__ import annotations

from adapter.errors import BackendError, nearest


def device_of(backend: str, option: object) -> str:
    """Return `cpu` or `cuda` for the option `device`: `auto`, `cpu` or `cuda`. Raises BackendError for anything else,
    and for `cuda` where there is none."""
    import torch

    if option not in ("auto", "cpu", "cuda"):
        raise BackendError(
            f"option 'device' of {backend} is {option!r}",
            where="backend.options",
            remedy=nearest(str(option), ("auto", "cpu", "cuda")),
        )
    there = torch.cuda.is_available()
    if option == "cuda" and not there:
        raise BackendError(
            "there is no CUDA device that torch can use",
            where="backend.options",
            remedy="Set `device: auto`, or install a torch with CUDA and a driver for it.",
        )
    return "cuda" if option != "cpu" and there else "cpu"


def set_threads(threads: int) -> None:
    """Let torch use so many threads in this process; 0 leaves them as they are."""
    import torch

    if threads and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
