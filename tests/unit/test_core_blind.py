from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.blind import blind_mask, blind_order, double_mask, draw, draws, is_blind, is_double
from adapter.policies import BlindPolicy

IDS = [f"task-{i}" for i in range(20_000)]


def test_draw_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"blind:7:a").digest()
    assert draw("a", 7, "blind") == (int.from_bytes(digest[:8], "big") >> 11) / 2**53


@given(st.lists(st.text(), max_size=20), st.integers(0, 2**31))
def test_many_draws_equal_single_draws(ids: list[str], seed: int) -> None:
    assert draws(ids, seed, "rank").tolist() == [draw(i, seed, "rank") for i in ids]


def test_mask_equals_membership() -> None:
    policy = BlindPolicy(share=0.3, double_share=0.4, seed=5)
    assert blind_mask(IDS[:500], policy).tolist() == [is_blind(i, policy) for i in IDS[:500]]
    assert double_mask(IDS[:500], policy).tolist() == [is_double(i, policy) for i in IDS[:500]]


def test_shares_are_met_and_draws_are_independent() -> None:
    policy = BlindPolicy(share=0.1, double_share=0.2)
    blind, double = blind_mask(IDS, policy), double_mask(IDS, policy)
    assert abs(blind.mean() - 0.1) < 4 * (0.1 * 0.9 / len(IDS)) ** 0.5
    assert abs(double[blind].mean() - 0.2) < 4 * (0.2 * 0.8 / blind.sum()) ** 0.5
    order = blind_order(IDS, policy)
    assert abs(order[blind].mean() - 0.5) < 4 * (1 / 12 / blind.sum()) ** 0.5


def test_a_larger_share_keeps_every_member() -> None:
    small, large = blind_mask(IDS, BlindPolicy(share=0.1)), blind_mask(IDS, BlindPolicy(share=0.2))
    assert not (small & ~large).any()


def test_share_of_zero_and_one() -> None:
    assert not blind_mask(IDS, BlindPolicy(share=0.0)).any()
    assert blind_mask(IDS, BlindPolicy(share=1.0)).all()


def test_another_seed_is_another_sample() -> None:
    a, b = blind_mask(IDS, BlindPolicy(seed=1)), blind_mask(IDS, BlindPolicy(seed=2))
    assert 100 < np.count_nonzero(a & b) < 320  # 1 % of 20,000 by chance
