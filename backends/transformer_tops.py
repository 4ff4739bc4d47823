"""The layer on top of a transformer while it is trained, and the head that it becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from backends.head import Head
from backends.temperature import temperature_of

MOST_PULL = 20.0
"""Most that a rare label's examples are multiplied by."""
FROZEN_C = 3.0
"""Inverse strength of regularisation of the linear layer on the frozen states, as in `backends.embedding`."""
START_C = 0.03
"""That of the layer from which training starts. A weak one, which errs a little everywhere, so that the transformer
learns from all examples and not only from the few that the best frozen layer gets wrong."""
Doubles = npt.NDArray[Any]


class Top:
    """A linear layer that starts as a head. k: the labels that have examples.

    frozen: the best head on the states of the frozen model; start: the one to start from, with the same labels.
    totals (k,): weight of each label's examples, of `whole` in all. balanced: give rare labels as much pull as frequent
    ones. Weighted so, the best logits are higher by the pull's logarithm (Elkan 2001, "The Foundations of
    Cost-Sensitive Learning", section 3): training starts there, and at the end it is taken off, so probabilities stay
    honest.
    """

    def __init__(self, frozen: Head, start: Head, totals: Doubles, whole: float, balanced: bool, device: Any) -> None:
        import torch

        self._torch: Any = torch
        self._frozen = frozen
        self.seen = ~start.unseen
        self.pull = np.ones(int(self.seen.sum()))
        if balanced:
            even = whole - totals if start.multiple else np.full(len(totals), whole / max(len(totals), 1))
            self.pull = np.clip(even / np.maximum(totals, 1e-9), 1.0 / MOST_PULL, MOST_PULL)
        self.layer: Any = torch.nn.utils.skip_init(torch.nn.Linear, start.coef.shape[0], len(self.pull))
        with torch.no_grad():
            self.layer.weight.copy_(torch.from_numpy(start.coef[:, self.seen].T.copy()))
            self.layer.bias.copy_(torch.from_numpy(start.bias[self.seen] + np.log(self.pull)))
        self.layer.to(device)

    def loss(self, features: Any, targets: Doubles, weights: Doubles) -> Any:
        """Return the sum of the weighted losses, a tensor. features (n, d): a tensor; targets (n, k); weights (n,)."""
        torch = self._torch
        logits = self.layer(features).float()
        goal, mass, pull = (
            torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(logits.device)
            for array in (targets, weights, self.pull)
        )
        if self._frozen.multiple:
            each = torch.nn.functional.binary_cross_entropy_with_logits(logits, goal, reduction="none", pos_weight=pull)
            return (each.sum(dim=1) * mass).sum()
        return (-(goal * pull * torch.log_softmax(logits, dim=1)).sum(dim=1) * mass).sum()

    def held_loss(self, features: Doubles, targets: Doubles, weights: Doubles, *, frozen: bool = False) -> float:
        """Return the loss of held-out examples, in nats an example, at the temperature that suits them best: how sure
        to be is set at the end, so it is no reason to stop. frozen: of the frozen head, on states of that model."""
        coef, bias = self._parts(frozen)
        logits = features @ coef + bias
        scaled = logits / temperature_of(logits, targets, weights, self._frozen.multiple)
        return float(weights @ _log_loss(scaled, targets, self._frozen.multiple) / max(float(weights.sum()), 1e-9))

    def head(self, features: Doubles, targets: Doubles, weights: Doubles, *, frozen: bool = False) -> Head:
        """Return the head that this layer has become, with the temperature that suits held-out examples best. Their
        features (n, d), targets (n, k) and weights (n,); n may be 0. frozen: return the frozen one so."""
        coef, bias = self._parts(frozen)
        temperature = temperature_of(features @ coef + bias, targets, weights, self._frozen.multiple)
        all_coef, all_bias = self._frozen.coef.copy(), self._frozen.bias.copy()
        all_coef[:, self.seen], all_bias[self.seen] = coef / temperature, bias / temperature
        return replace(self._frozen, coef=all_coef, bias=all_bias, temperature=temperature)

    def _parts(self, frozen: bool) -> tuple[Doubles, Doubles]:
        """Return coefficients (d, k) and intercepts (k,), the pull taken off."""
        if frozen:
            return self._frozen.coef[:, self.seen].astype(np.float64), self._frozen.bias[self.seen].astype(np.float64)
        coef = self.layer.weight.detach().cpu().numpy().T.astype(np.float64)
        return coef, self.layer.bias.detach().cpu().numpy().astype(np.float64) - np.log(self.pull)


def _log_loss(logits: Doubles, targets: Doubles, multiple: bool) -> Doubles:
    """Return (n,) the loss of logits (n, k) in nats."""
    from scipy.special import logsumexp

    if multiple:
        return np.asarray((np.logaddexp(0.0, logits) - targets * logits).sum(axis=1))
    return np.asarray(targets.sum(axis=1) * logsumexp(logits, axis=1) - (targets * logits).sum(axis=1))
