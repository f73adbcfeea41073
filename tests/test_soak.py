"""A long live count in small: the camera and the count in processes of their own, as `soak.py` runs them for half an hour."""

from __future__ import annotations

from soak import soak


def test_a_stream_is_counted_within_its_memory() -> None:
    """Over HTTP, with the view on a terminal and a session kept: fields are counted, in less than 350 MB."""
    done = soak(3, fps=3.0, interval_s=6.0)
    assert len(done.resident_mb) == 3
    assert 60 < max(done.resident_mb) <= done.peak_mb < 350
    assert done.fields >= 1
