"""BADGE against scikit-activeml's with the same draws, expected gradient length against autograd."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from adapter.core.strategies import State, Vectors, choose
from adapter.core.strategies.gradients import gradient_lengths, gradient_seeds, likeliest_error

N, D = 120, 6


@pytest.fixture(scope="module")
def pools() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skactiveml.classifier
        import skactiveml.pool

        return skactiveml


def data(k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float64), rng.integers(k, size=N)


def state_of(n: int, **more: Any) -> State:
    return State(**{"size": 20, "batch": 10, "seed": 0, "chance": np.random.default_rng(9).random(n), **more})


class TestBadge:
    @pytest.mark.parametrize("k", [2, 4])
    def test_with_the_same_draws_it_picks_what_scikit_activeml_picks(self, pools: Any, k: int) -> None:
        from sklearn.linear_model import LogisticRegression

        x, y = data(k)
        known = y.astype(float)
        known[40:] = np.nan
        model = pools.classifier.SklearnClassifier(LogisticRegression(), classes=list(range(k))).fit(x, known)
        query = pools.pool.RandomSampling(random_state=7)  # only to see which generator a query draws from
        query._validate_data(x, known, None, 1, False, reset=True)
        theirs = pools.pool.Badge(random_state=7).query(x, known, model, fit_clf=False, batch_size=25)
        random = query.random_state_
        p = model.predict_proba(x[40:])
        ours = gradient_seeds(
            likeliest_error(p, False),
            x[40:].astype(np.float32),
            25,
            lambda weights: int(random.choice(len(weights), 1, replace=False, p=weights / weights.sum())[0]),
        )
        assert (ours + 40).tolist() == [int(row) for row in theirs]

    def test_chances_are_squared_distances_of_the_gradients(self) -> None:
        x, _ = data(3)
        p = np.random.default_rng(1).dirichlet(np.ones(3), N)
        errors = likeliest_error(p, False)
        outer = (errors[:, :, None] * x[:, None, :]).reshape(N, -1)
        seen: list[np.ndarray] = []

        def draw(weights: np.ndarray) -> int:
            seen.append(weights.copy())
            return int(weights.argmax())

        picks = gradient_seeds(errors, x.astype(np.float32), 12, draw)
        for step, weights in enumerate(seen, start=1):
            away = ((outer[:, None, :] - outer[picks[:step]][None]) ** 2).sum(axis=2).min(axis=1)
            assert np.allclose(weights, np.minimum(away, (outer**2).sum(axis=1)), atol=2e-6)

    def test_several_labels_err_by_their_own_likeliest_set(self) -> None:
        assert likeliest_error(np.array([[0.9, 0.2, 0.5]]), True) == pytest.approx(np.array([[-0.1, 0.2, -0.5]]))

    def test_equal_gradients_are_picked_once(self) -> None:
        errors = np.tile([[0.5, -0.5]], (30, 1))
        vectors = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
        picks = gradient_seeds(errors, vectors, 30, lambda weights: int(weights.argmax()))
        assert sorted((picks // 10).tolist()) == [0, 1, 2]
        assert len(gradient_seeds(errors, np.zeros((30, 3), np.float32), 5, lambda weights: 0)) == 0
        assert len(gradient_seeds(np.zeros((30, 2)), vectors, 5, lambda weights: 0)) == 0

    def test_a_sure_model_leaves_it_to_what_is_doubtful(self) -> None:
        rng = np.random.default_rng(3)
        p = np.full((100, 2), [0.9999, 0.0001], np.float32)
        p[::10] = 0.5
        found = choose("badge", Vectors.of(rng.normal(size=(100, 16))), p, state_of(100, size=10))
        assert set((found.rows[:10] % 10).tolist()) == {0}

    def test_a_seed_gives_one_order_another_gives_another(self) -> None:
        rng = np.random.default_rng(3)
        vectors, p = rng.normal(size=(200, 16)), rng.dirichlet(np.ones(3), 200).astype(np.float32)
        one, same, other = (
            choose("badge", Vectors.of(vectors), p, state_of(200, seed=seed)).rows.tolist() for seed in (1, 1, 2)
        )
        assert one == same != other


class TestExpectedGradientLength:
    def test_it_is_what_autograd_gives(self) -> None:
        import torch

        rng = np.random.default_rng(0)
        k, d = 4, 5
        weights = torch.tensor(rng.normal(size=(k, d)), requires_grad=True)
        bias = torch.tensor(rng.normal(size=k), requires_grad=True)
        x = rng.normal(size=(6, d))
        expected = []
        for row in x:
            p = torch.softmax(weights @ torch.tensor(row) + bias, dim=0)
            total = 0.0
            for label in range(k):
                grads = torch.autograd.grad(-torch.log(p[label]), (weights, bias), retain_graph=True)
                total += p[label].item() * np.sqrt(sum((g**2).sum().item() for g in grads))
            expected.append(total)
        p = torch.softmax(torch.tensor(x) @ weights.T + bias, dim=1).detach().numpy()
        assert gradient_lengths(p, x) == pytest.approx(expected, rel=1e-9)

    def test_several_labels_each_have_a_head_of_their_own(self) -> None:
        p = np.array([[0.5, 0.1], [1.0, 0.0]])
        x = np.array([[3.0, 0.0], [1.0, 1.0]])
        expected = [(2 * 0.25 + 2 * 0.09) * np.sqrt(10), 0.0]
        assert gradient_lengths(p, x, multiple=True) == pytest.approx(expected)

    def test_for_unit_vectors_no_embedding_is_needed(self) -> None:
        x, _ = data(3)
        p = np.random.default_rng(1).dirichlet(np.ones(3), N)
        assert gradient_lengths(p, None) == pytest.approx(gradient_lengths(p, x))

    @pytest.mark.parametrize("k", [2, 3, 10])
    def test_scores_are_shares_of_the_greatest(self, k: int) -> None:
        p = np.concatenate([np.full((1, k), 1 / k), np.eye(k)[:1], np.random.default_rng(0).dirichlet(np.ones(k), 500)])
        scores = choose("egl", None, p.astype(np.float32), state_of(502)).scores
        assert scores[:2] == pytest.approx([1.0, 0.0], abs=1e-3)
        assert scores.max() <= 1.0

    def test_with_two_labels_it_is_margins_order(self) -> None:
        p = np.random.default_rng(0).dirichlet(np.ones(2), 300).astype(np.float32)
        state = state_of(300)
        assert choose("egl", None, p, state).rows.tolist() == choose("margin", None, p, state).rows.tolist()
