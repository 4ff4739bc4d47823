"""Tracks in a video: where a track is at which frame, overlap in space and time, fusion."""

from __future__ import annotations

import time
from typing import Any

import pytest

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.tracks import KIND
from adapter.vocabulary import Control

CONTROL = Control("box", "tracks", "video", "Video", "video", tag="VideoRectangle")


def key(frame: int, x: float, enabled: bool = True, y: float = 10, **more: Any) -> dict[str, Any]:
    return {"frame": frame, "time": frame / 10, "enabled": enabled, "x": x, "y": y, "width": 20, "height": 20, **more}


def track(*keyframes: Any, frames: int | None = 100, labels: tuple[str, ...] = ()) -> Region:
    value = {"sequence": list(keyframes), **({"framesCount": frames, "duration": 10.0} if frames else {})}
    region: Region = KIND.canonical(CONTROL, [{"labels": list(labels), "value": value}])[0]
    return region


def test_the_labels_that_the_page_merges_into_the_value_are_read_and_written() -> None:
    value = {"sequence": [key(1, 0)], "framesCount": 9, "duration": 1.0, "labels": ["Man"]}
    item = {"id": "a", "from_name": "box", "to_name": "video", "type": "videorectangle", "value": value}
    read = KIND.read(CONTROL, [item])
    assert read[0]["labels"] == ["Man"]
    assert "labels" not in read[0]["value"]
    assert KIND.write(CONTROL, read) == [item]


def test_keyframes_between_which_it_moves_evenly_change_nothing() -> None:
    coarse = track(key(1, 0), key(11, 50, False))
    fine = track(key(1, 0), key(6, 25), key(11, 50, False))
    assert KIND.overlap(coarse, fine) == pytest.approx(1)


def test_overlap_is_the_mean_over_the_frames_at_which_either_is_seen() -> None:
    whole = track(key(1, 0), key(10, 0, False))
    half = track(key(6, 0), key(10, 0, False))
    assert KIND.overlap(whole, half) == pytest.approx(0.5)
    beside = track(key(1, 10), key(10, 10, False))
    assert KIND.overlap(whole, beside) == pytest.approx(1 / 3)
    assert KIND.overlap(whole, track(key(11, 0), key(20, 0, False))) == 0


def test_it_is_gone_after_a_keyframe_that_is_not_enabled_and_stays_after_one_that_is() -> None:
    gap = track(key(1, 0), key(5, 0, False), key(8, 0), key(10, 0, False))
    through = track(key(1, 0), key(10, 0, False))
    assert KIND.overlap(gap, through) == pytest.approx(0.8)  # frames 6 and 7 are missing
    to_the_end = track(key(91, 0))
    assert KIND.overlap(to_the_end, track(key(91, 0), key(100, 0, False))) == pytest.approx(1)


def test_it_turns_the_short_way_round() -> None:
    over_north = track(key(1, 40, rotation=350), key(21, 40, False, rotation=10))
    through = track(key(1, 40, rotation=350), key(11, 40, rotation=0), key(21, 40, False, rotation=370))
    assert KIND.overlap(over_north, through) == pytest.approx(1, abs=1e-6)


def test_long_tracks_are_compared_in_little_time() -> None:
    a = track(*(key(n, n % 70) for n in range(1, 50_000, 5)), frames=1_000_000)
    b = track(*(key(n, n % 70) for n in range(2, 50_000, 5)), frames=1_000_000)
    started = time.perf_counter()
    assert 0 < KIND.overlap(a, b) <= 1
    assert time.perf_counter() - started < 5


def test_fusion_takes_the_median_where_most_see_it() -> None:
    drawn = [
        track(key(1, 10), key(20, 10, False)),
        track(key(1, 12), key(20, 12, False)),
        track(key(10, 60), key(20, 60, False)),
    ]
    fused = KIND.fuse(drawn, [1, 1, 1])
    at = {keyframe["frame"]: keyframe for keyframe in fused["sequence"]}
    assert at[1]["x"] == 11
    assert at[10]["x"] == 12
    assert at[20]["enabled"] is False
    assert at[10]["time"] == 1.0
    assert (fused["framesCount"], fused["duration"]) == (100, 10.0)


def test_a_lonely_tail_is_cut_off() -> None:
    short = [track(key(1, 10), key(20, 10, False)) for _ in range(2)]
    long = track(key(1, 10), key(60, 10, False))
    fused: Region = {**long, "value": KIND.fuse([*short, long], [1, 1, 1])}
    assert KIND.overlap(fused, short[0]) == pytest.approx(1)


def test_things_leave_the_picture_but_not_as_a_whole() -> None:
    assert track(key(1, -15))["value"]["sequence"][0]["x"] == -15
    for wrong in (key(1, -25), key(1, 101)):
        with pytest.raises(LabelError):
            track(wrong)


@pytest.mark.parametrize("sequence", [[], [key(1, 0), key(1, 5)], [{"frame": 1}], [5], [{**key(1, 0), "frame": 1.5}]])
def test_broken_sequences_are_refused(sequence: Any) -> None:
    with pytest.raises(LabelError) as refused:
        track(*sequence)
    assert refused.value.remedy


def test_words_say_when_and_where() -> None:
    described = KIND.describe(track(key(3, 5), key(9, 5, False), labels=("Man",)))
    assert described == "'Man' from frame 3 to frame 9, first at x 5.0 %, y 10.0 %"
