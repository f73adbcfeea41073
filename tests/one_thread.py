"""Makes a test compute in one thread, so that two processes of tests take two cores. Imported before any library that reads this."""

from __future__ import annotations

import os

# NumPy's libraries and torch read it as they are loaded; programs that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2  # reads it too

cv2.setNumThreads(1)
