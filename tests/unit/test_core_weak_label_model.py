from __future__ import annotations

import csv
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adapter.core.weak.base import Labels, WeakVotes
from adapter.core.weak.label_model import FittedLabelModel, LabelModel, Settings, trusting
from adapter.core.weak.majority import majority
from adapter.core.weak.snorkel import SnorkelLabelModel


def planted(
    n: int, m: int, k: int, *, seed: int, style: str = "mixed", accuracy: tuple[float, ...] = ()
) -> tuple[WeakVotes, np.ndarray]:
    """Votes of independent functions on unbalanced labels, and the truth. style: `mixed` (any label, any coverage),
    `one-sided` (each function knows one label), `noise` (votes know nothing of the truth)."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(k, n, p=rng.dirichlet(np.full(k, 5.0)))
    votes = np.full((n, m), -1, np.int16)
    for j in range(m):
        right = rng.random(n) < (accuracy[j] if accuracy else rng.uniform(0.4, 0.97))
        said = np.where(right & (style != "noise"), truth, rng.integers(0, k, n))
        voting = rng.random(n) < rng.uniform(0.1, 0.9)
        if style == "one-sided":
            voting &= said == j % k
        votes[:, j] = np.where(voting, said, -1)
    return WeakVotes(votes, k), truth


def answer(votes: WeakVotes, settings: Settings | None = None, seed: int = 0) -> np.ndarray:
    model = LabelModel(settings or Settings())
    return model.fit(votes, Labels.none(votes.k), balance=None, seed=seed).predict(votes)


def snorkels(votes: WeakVotes, settings: Settings | None = None, seed: int = 0) -> np.ndarray:
    model = SnorkelLabelModel(settings or Settings())
    return model.fit(votes, Labels.none(votes.k), balance=None, seed=seed).predict(votes)


@pytest.mark.parametrize("epochs", [100, 500])
@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("style", ["mixed", "one-sided", "noise"])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_probabilities_are_snorkels(k: int, style: str, balanced: bool, epochs: int) -> None:
    for seed in range(2):
        votes, truth = planted(300 * 9**seed, 3 + 8 * seed, k, seed=seed + k, style=style)
        shares = np.bincount(truth, minlength=k) / len(truth)
        settings = Settings(None if balanced else tuple(shares.tolist()), n_epochs=epochs)
        np.testing.assert_allclose(answer(votes, settings, seed), snorkels(votes, settings, seed), atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(lr=0.003),
        Settings(lr=0.05),
        Settings(l2=0.1, n_epochs=300),
        Settings(prec_init=0.9),
        Settings(prec_init=(0.6, 0.7, 0.8, 0.9, 0.95)),
        Settings(mu_eps=0.02),
        Settings(n_epochs=0),
        Settings(class_balance=(0.2, 0.2, 0.6)),
    ],
    ids=str,
)
def test_every_setting_means_what_it_means_in_snorkel(settings: Settings) -> None:
    votes, _ = planted(2000, 5, 3, seed=11)
    expected = snorkels(votes, settings, seed=7)
    np.testing.assert_allclose(answer(votes, settings, seed=7), expected, atol=1e-4)
    if settings.n_epochs:
        assert np.nanmax(np.abs(expected - snorkels(votes, Settings(), seed=7))) > 1e-3  # so it had an effect


def test_equals_snorkel_used_directly() -> None:
    from snorkel.labeling.model import LabelModel as Plain

    votes, _ = planted(300, 4, 2, seed=3)
    state, python = np.random.get_state(), random.getstate()
    plain = Plain(cardinality=2, verbose=False)
    plain.fit(votes.votes.astype(int), n_epochs=100, seed=5, progress_bar=False)
    expected = plain.predict_proba(votes.votes.astype(int))
    np.random.set_state(state)
    random.setstate(python)
    covered = votes.covered
    np.testing.assert_allclose(answer(votes, seed=5)[covered], expected[covered], atol=1e-5)
    np.testing.assert_allclose(snorkels(votes, seed=5)[covered], expected[covered], atol=1e-7)


@pytest.mark.parametrize("used", [1, 2, 3])
def test_labels_that_nobody_votes_for_and_identical_functions_are_as_in_snorkel(used: int) -> None:
    rng = np.random.default_rng(used)
    scattered = WeakVotes(rng.integers(-2, used, (30, 5)).astype(np.int16), 4)
    identical = WeakVotes(np.repeat(rng.integers(-1, used, (30, 1)), 4, axis=1).astype(np.int16), 4)
    for votes in (scattered, identical):
        np.testing.assert_allclose(answer(votes, seed=1), snorkels(votes, seed=1), atol=1e-4)


@pytest.mark.parametrize("balance", [None, (0.2, 0.3, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4), (0.2, 0.2, 0.2, 0.4)])
def test_exchanged_labels_are_put_back_as_snorkel_does(balance: tuple[float, ...] | None) -> None:
    import torch

    votes, _ = planted(200, 5, 4, seed=4)
    model = SnorkelLabelModel(Settings(balance, n_epochs=1)).fit(votes, Labels.none(4)).model
    prior = np.full(4, 0.25) if balance is None else np.array(balance)
    changed = 0
    for seed in range(30):
        mu = np.random.default_rng(seed).random((20, 4)).astype(np.float32)
        model.mu = torch.nn.Parameter(torch.from_numpy(mu.copy()))
        model._break_col_permutation_symmetry()
        ours = trusting(mu, prior)
        np.testing.assert_allclose(ours, model.mu.detach().numpy(), atol=1e-6)
        changed += not np.array_equal(ours, mu)
    assert changed == 0 if balance == (0.1, 0.2, 0.3, 0.4) else changed > 10


def test_functions_that_never_vote_are_left_out() -> None:
    votes, _ = planted(500, 4, 3, seed=5)
    wider = np.insert(votes.votes, 2, -2, axis=1)
    settings = Settings(prec_init=(0.6, 0.7, 0.5, 0.8, 0.9))
    without = Settings(prec_init=(0.6, 0.7, 0.8, 0.9))
    np.testing.assert_array_equal(answer(WeakVotes(wider, 3), settings), answer(votes, without))
    np.testing.assert_allclose(snorkels(WeakVotes(wider, 3), settings), snorkels(votes, without), atol=1e-6)


def test_function_that_first_votes_after_the_fit_says_nothing() -> None:
    votes, _ = planted(500, 4, 2, seed=6)
    wider = np.insert(votes.votes, 0, -1, axis=1)
    fitted = LabelModel().fit(WeakVotes(wider, 2), Labels.none(2))
    later = wider.copy()
    later[:, 0] = 1
    covered = votes.covered
    expected = fitted.predict(WeakVotes(wider, 2))[covered]
    np.testing.assert_array_equal(fitted.predict(WeakVotes(later, 2))[covered], expected)


def test_faults_are_no_votes_and_uncovered_rows_are_nan() -> None:
    votes, _ = planted(400, 4, 2, seed=7)
    faulty = votes.votes.copy()
    faulty[faulty == -1] = -2
    uncovered = ~votes.covered
    assert uncovered.any()
    one = answer(votes)
    np.testing.assert_array_equal(one, answer(WeakVotes(faulty, 2)))
    assert np.isnan(one[uncovered]).all()
    np.testing.assert_allclose(one[~uncovered].sum(axis=1), 1.0, rtol=1e-6)


def test_row_order_never_changes_a_label() -> None:
    votes, _ = planted(70_000, 5, 3, seed=8)
    order = np.random.default_rng(0).permutation(len(votes.votes))
    np.testing.assert_array_equal(answer(votes.at(order), seed=2), answer(votes, seed=2)[order])


def test_beats_majority_when_functions_differ_in_accuracy() -> None:
    votes, truth = planted(5000, 5, 2, seed=1, accuracy=(0.95, 0.3, 0.3, 0.3, 0.3))
    covered = votes.covered
    right = (answer(votes)[covered].argmax(axis=1) == truth[covered]).mean()
    plain = (majority(votes.votes, 2)[covered].argmax(axis=1) == truth[covered]).mean()
    assert right > plain + 0.03


def test_many_functions_do_not_underflow() -> None:
    votes = WeakVotes(np.zeros((50, 400), np.int16), 2)
    votes.votes[::2] = 1
    probabilities = answer(votes, Settings(lr=1e-4))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)


def test_global_randomness_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    votes, _ = planted(200, 4, 2, seed=0)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    answer(votes, seed=1)
    snorkels(votes, seed=1)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert list(tmp_path.iterdir()) == []


def test_fitting_imports_neither_torch_nor_snorkel() -> None:
    code = (
        "import sys, numpy as np\n"
        "from adapter.core.weak.base import Labels, WeakVotes\n"
        "from adapter.core.weak.label_model import LabelModel\n"
        "votes = WeakVotes(np.random.default_rng(0).integers(-1, 2, (50, 4)).astype(np.int16), 2)\n"
        "LabelModel().fit(votes, Labels.none(2)).predict(votes)\n"
        "print(sorted(m for m in ('torch', 'snorkel', 'pandas') if m in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_says_why_it_cannot_work() -> None:
    votes, _ = planted(50, 4, 2, seed=0)
    two = votes.votes.copy()
    two[:, 2:] = -1
    none = Labels.none(2)
    with pytest.raises(ValueError, match="at least 3 functions that vote, there are 2"):
        LabelModel().fit(WeakVotes(two, 2), none)
    with pytest.raises(ValueError, match="at least 2 labels, there are 1"):
        LabelModel().fit(WeakVotes(np.zeros((9, 3), np.int16), 1), Labels.none(1))
    with pytest.raises(ValueError, match="several may hold at once"):
        LabelModel().fit(WeakVotes(votes.votes, 2, multiple=True), none)
    for balance in ((1.0,), (0.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="2 positive shares"):
            LabelModel(Settings(class_balance=balance)).fit(votes, none)
    with pytest.raises(ValueError, match="prec_init needs one number, or 4"):
        LabelModel(Settings(prec_init=(0.7, 0.7))).fit(votes, none)
    with pytest.raises(ValueError, match="limited to 4096"):
        LabelModel().fit(WeakVotes(np.zeros((2, 100), np.int16), 100), Labels.none(100))
    with pytest.raises(ValueError, match="at least 3 functions"):
        LabelModel().fit(WeakVotes(np.zeros((0, 5), np.int16), 2), none)


@pytest.mark.parametrize("model", [LabelModel, SnorkelLabelModel])
def test_divergence_is_an_error_not_nan(model: type[LabelModel] | type[SnorkelLabelModel]) -> None:
    votes, _ = planted(300, 5, 2, seed=0)
    with pytest.raises(ValueError, match="could not be fitted"):
        model(Settings(lr=1000.0)).fit(votes, Labels.none(2))


def test_fitted_model_refuses_votes_of_other_functions() -> None:
    votes, _ = planted(100, 4, 2, seed=0)
    fitted: FittedLabelModel = LabelModel().fit(votes, Labels.none(2))
    with pytest.raises(ValueError, match="fitted to 4 functions and 2 labels, asked 3 and 2"):
        fitted.predict(WeakVotes(votes.votes[:, :3], 2))


def test_balance_told_to_fit_has_no_effect() -> None:
    votes, _ = planted(300, 4, 2, seed=9)
    told = LabelModel().fit(votes, Labels.none(2), balance=np.array([0.9, 0.1], np.float32), seed=0).predict(votes)
    np.testing.assert_array_equal(told, answer(votes))


@pytest.mark.data
def test_youtube_spam_gives_the_published_figures(data_folder: Path) -> None:
    with (data_folder / "youtube_spam" / "youtube_clean.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    votes = WeakVotes(np.array([[int(float(row[f"LF{i}"])) for i in range(1, 11)] for row in rows], np.int16), 2)
    truth = np.array([int(float(row["label"])) for row in rows])
    covered = votes.covered
    for epochs, published in ((100, 0.853), (500, 0.759)):
        settings = Settings(n_epochs=epochs)
        ours = answer(votes, settings)
        np.testing.assert_allclose(ours, snorkels(votes, settings), atol=1e-4)
        assert (ours[covered].argmax(axis=1) == truth[covered]).mean() == pytest.approx(published, abs=0.005)
