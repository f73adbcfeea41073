"""Blood-smear analysis at the bench.

Research use only: nothing here is a diagnosis.
"""

import os

__version__ = "0.2.0"

# onnxruntime 1.32 reports to its maker over the network, and leaves an identifier of the device among the user's files,
# unless this is set before it loads. Nothing leaves the machine, whatever the environment says.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
