"""A transformer encoder with its tokenizer: where it comes from, how texts become states, how it lies on disk.

On disk it is what `transformers` writes (config.json, model.safetensors, tokenizer.json, tokenizer_config.json), so
`AutoModel.from_pretrained(folder)` reads it too. No pickle, and no code of a model's own is ever run.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from adapter.ports import Floats
from backends.embedding import folder_of
from backends.files import damaged
from backends.importing import import_transformers

FOLDER = "encoder"
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
LONGEST = 8192
Ids = npt.NDArray[np.int32]


class Encoder:
    """A transformer that turns token ids into states. Thread-safe as long as nobody trains it.

    model: the torch module, in evaluation mode. tokenizer: a `tokenizers.Tokenizer`. longest: tokens that it takes,
    special ones included. dimensions: of a state. files: name to content of the config and the tokenizer's files.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, pad: int, longest: int, dimensions: int, files: Mapping[str, bytes]
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.pad = pad
        self.longest = longest
        self.dimensions = dimensions
        self.files = dict(files)

    def to(self, device: str) -> Encoder:
        """Move the weights to a device; return self."""
        self.model.to(device)
        return self

    @property
    def device(self) -> Any:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def ids(self, texts: Sequence[str]) -> list[Ids]:
        """Return each text's token ids, cut at `longest`; a text without tokens is one padding token."""
        encoded = self.tokenizer.encode_batch(list(texts))
        return [np.asarray(one.ids or [self.pad], np.int32) for one in encoded]

    def states(self, rows: Sequence[Ids]) -> tuple[Any, Any]:
        """Return states (b, t, d) and mask (b, t) of padded rows, as tensors."""
        import torch

        longest = max(len(row) for row in rows)
        ids = np.full((len(rows), longest), self.pad, np.int64)
        mask = np.zeros((len(rows), longest), np.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        there = torch.from_numpy(mask).to(self.device)
        states = self.model(input_ids=torch.from_numpy(ids).to(self.device), attention_mask=there).last_hidden_state
        return states, there

    def pooled(self, rows: Sequence[Ids]) -> Any:
        """Return (b, d) the mean of each row's states, of length 1, as a tensor."""
        import torch

        states, mask = self.states(rows)
        share = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * share).sum(1) / share.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean.float(), dim=1)

    def vectors(self, rows: Sequence[Ids], batch_size: int) -> Floats:
        """Return (n, d) of length 1. Rows of like length share a batch, so little is spent on padding."""
        import torch

        out = np.zeros((len(rows), self.dimensions), np.float32)
        with torch.inference_mode():
            for batch in by_length(rows, batch_size):
                out[batch] = self.pooled([rows[row] for row in batch]).cpu().numpy()
        return out

    def save(self, folder: Path) -> dict[str, str]:
        """Write into a new folder; return each file's digest by name."""
        from safetensors.torch import save_file

        folder.mkdir()
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.model.state_dict().items()}
        save_file(_untied(weights), folder / WEIGHTS, metadata={"format": "pt"})
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return {name: _digest(folder / name) for name in sorted([WEIGHTS, *self.files])}

    def about(self) -> dict[str, int]:
        """Return what `saved_encoder` needs beside the files, as JSON."""
        return {"pad": self.pad, "longest": self.longest, "dimensions": self.dimensions}


def by_length(rows: Sequence[Ids], size: int) -> Iterator[list[int]]:
    """Yield row numbers in batches of like length."""
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def pretrained(model: str, max_tokens: int, *, download: bool, where: str) -> Encoder:
    """Return the encoder that a packaged name, a local folder or a hub name stands for. Raises BackendError.

    A hub name must be in the local hub cache already, unless `download`: then it is fetched, even where the
    environment says that the hub is off line, since whoever set the option wants it.
    """
    import torch

    folder = folder_of(model)
    local = not download or Path(folder).is_dir()
    try:
        with _on_line(not local), _quiet(), torch.random.fork_rng(devices=[]):
            import_transformers()
            from transformers import AutoModel, AutoTokenizer

            torch.manual_seed(0)  # of weights that the files lack, such as a pooler's, which nothing here reads
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=local, trust_remote_code=False)
            module = AutoModel.from_pretrained(
                folder, local_files_only=local, trust_remote_code=False, use_safetensors=True
            )
            if not tokenizer.is_fast:
                raise ValueError("its tokenizer is a slow one, without a tokenizer.json")
            return _encoder(module.float().eval(), tokenizer, max_tokens)
    except Exception as error:  # whatever a foreign folder makes the libraries raise
        raise BackendError(
            f"the model '{model}' cannot be loaded: {type(error).__name__}: {str(error)[:200]}",
            where=where,
            remedy="Name a folder with an encoder that `transformers` can load, with safetensors weights and a "
            "tokenizer.json, or a hub model that is already in the local hub cache; on a machine with a network, the "
            "option `download: true` fetches one.",
        ) from error


def saved_encoder(folder: Path, about: Mapping[str, Any], digests: Mapping[str, Any], where: str) -> Encoder:
    """Return the encoder that was saved in `folder`. Raises ModelError if a file is not what it was."""
    import torch

    names = {path.name for path in folder.glob("*")} if folder.is_dir() else set()
    for name in sorted({*digests, WEIGHTS, CONFIG, TOKENIZER}):
        if name not in digests or name not in names or _digest(folder / name) != digests[name]:
            raise damaged(folder, where, f"'{name}' is missing or changed")
    try:
        with _quiet(), torch.random.fork_rng(devices=[]):
            import_transformers()
            from tokenizers import Tokenizer
            from transformers import AutoModel

            torch.manual_seed(0)
            module = AutoModel.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
            files = {name: (folder / name).read_bytes() for name in digests if name != WEIGHTS}
            encoder = Encoder(
                module.float().eval(),
                Tokenizer.from_str(files[TOKENIZER].decode()),
                pad=int(about["pad"]),
                longest=int(about["longest"]),
                dimensions=int(about["dimensions"]),
                files=files,
            )
            _checked(encoder)
            if not all(bool(torch.isfinite(weight).all()) for weight in module.parameters()):
                raise ValueError("there are numbers that are not finite")
            return encoder
    except Exception as error:
        raise damaged(folder, where, f"{type(error).__name__}: {str(error)[:200]}") from error


def _encoder(module: Any, tokenizer: Any, max_tokens: int) -> Encoder:
    """Return the encoder of freshly loaded parts."""
    from tokenizers import Tokenizer

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        tokenizer.save_pretrained(place)
        module.config.save_pretrained(place)
        files = {path.name: path.read_bytes() for path in sorted(place.glob("*.json"))}
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
    rust = Tokenizer.from_str(files[TOKENIZER].decode())
    encoder = Encoder(
        module, rust, pad=int(pad), longest=min(max_tokens, _limit(module, tokenizer)), dimensions=0, files=files
    )
    _checked(encoder)
    return encoder


def _checked(encoder: Encoder) -> None:
    """Make the tokenizer safe to share between threads (it is never changed again) and see that the model answers."""
    import torch

    encoder.tokenizer.no_padding()
    encoder.tokenizer.enable_truncation(encoder.longest)
    with torch.inference_mode():
        states, _ = encoder.states(encoder.ids(["a text", ""]))
    if states.ndim != 3 or encoder.dimensions not in (0, states.shape[2]):
        raise ValueError(f"its states have shape {tuple(states.shape)}")
    encoder.dimensions = int(states.shape[2])


def _limit(module: Any, tokenizer: Any) -> int:
    """Return how many tokens a model takes. RoBERTa and its like count positions from behind the padding index."""
    limits = [LONGEST, int(tokenizer.model_max_length)]
    positions = getattr(module.config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        table = getattr(getattr(module, "embeddings", None), "position_embeddings", None)
        taken = getattr(table, "padding_idx", None)
        limits.append(positions - (taken + 1 if taken is not None else 0))
    return max(8, min(limits))


def _untied(weights: dict[str, Any]) -> dict[str, Any]:
    """Return weights in which none shares its memory with another, as safetensors wants them."""
    seen: set[int] = set()
    out = {}
    for name, tensor in weights.items():
        out[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return out


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep `transformers` from writing to the terminal: what matters is raised."""
    import_transformers()
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def _on_line(wanted: bool) -> Iterator[None]:
    """Let the hub be asked meanwhile, also in a process that was started with HF_HUB_OFFLINE=1."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before and not wanted
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
