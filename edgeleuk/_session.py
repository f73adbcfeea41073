"""The one place that imports onnxruntime. The finder and the reader open their networks here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgeleuk import _files, machine
from edgeleuk.errors import ModelError

_FAILURES: tuple[type[Exception], ...] = (
    MemoryError,
    RuntimeError,
    ValueError,
    *(
        each
        for each in vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
        if isinstance(each, type) and issubclass(each, Exception)
    ),
)
"""What its part in C++ raises; which of them it is depends on the version."""
MOST_BYTES = 256_000_000
"""Largest network that is opened; `zoo` reads no larger one either."""
MOST_LETTERS = 300
"""Of what the library says of a fault."""
FORBIDDEN = {
    b"\x0a\x08location\x12": "keeps its weights in another file, which cannot be trusted",
    b"\x22\x04Loop": "has a loop, which may never end",
    b"\x22\x04Scan": "has a loop, which may never end",
}
"""What no finder and no reader has, as protobuf writes it: the name of another file (StringStringEntryProto, field 1), and a
node's kind (NodeProto, field 4), of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Six bytes are found by chance
in one of ten million networks."""


class Session:
    """A network with one float32 input, on the CPU."""

    def __init__(
        self, path: Path, threads: int | None = None, arithmetic: machine.Arithmetic | None = None
    ) -> None:
        """`threads` and `arithmetic` where not given are those that `edgeleuk bench` found best on this machine."""
        setting = machine.setting_here()
        threads, arithmetic = threads or setting.threads, arithmetic or setting.arithmetic
        self._path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Fields differ in size from call to call: memory kept for the largest would never be given back.
        options.enable_cpu_mem_arena = False
        # Threads that spin while they wait for the next call take the cores from what runs between the calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # x86 processors without VNNI add pairs of 8-bit products in 16 bits, where they saturate: the 100x finder then
        # has an mAP50 of .92 instead of .96. With this the sums stay exact there. With VNNI they are exact in any case,
        # and the other kernels that it asks for would take 2.7 times as long.
        if not machine.flags() & machine.VNNI:
            options.add_session_config_entry("session.x64quantprecision", "1")
        if threads:
            options.intra_op_num_threads = threads
        if arithmetic == "float":  # the rounding stays, so that a reading does not depend on the machine
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        _refuse_forbidden(path)
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except _FAILURES as error:
            raise ModelError(
                f"onnxruntime cannot open {path}: {_first_line(error)}. Update onnxruntime or the model."
            ) from error
        inputs = self._session.get_inputs()
        if [each.type for each in inputs] != ["tensor(float)"]:
            raise ModelError(f"{path} is no network of this program: it has not one input of float numbers.")
        self._input = inputs[0].name

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the network gives, in its order."""
        return tuple(each.name for each in self._session.get_outputs())

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """All outputs for one input batch. Raises ModelError where it fails, or gives what is no number."""
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input: batch})
        except _FAILURES as error:
            raise ModelError(
                f"the network failed on an input of {batch.shape}: {_first_line(error)}."
            ) from error
        for output in outputs:
            if getattr(output, "dtype", None) != np.float32:
                raise ModelError(
                    f"{self._path} gives something else than float numbers. Publish the model again."
                )
            if not np.isfinite(output).all():
                raise ModelError(f"{self._path} gives what is no number. Publish the model again.")
        return outputs


def _refuse_forbidden(path: Path) -> None:
    """By its bytes, before the library looks at it. Raises ModelError."""
    try:
        content = _files.read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise ModelError(f"cannot open {path}: {error.strerror}. Install the model again.") from error
    for mark, what in FORBIDDEN.items():
        if mark in content:
            raise ModelError(f"{path} {what}. Use another model.")


def _first_line(error: Exception) -> str:
    """Without its full stop, and no longer than a person reads: the library tells where in its source it was."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:MOST_LETTERS]
