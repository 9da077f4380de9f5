"""The ONNX server: one model, one revision, answered over the Open Inference Protocol V2.

What may not happen here: no import of the operator or of the training package (they share contracts, not code),
no access to the Kubernetes API, no store credentials in the serving process, no write outside the model directory
and ``/tmp``, and no blocking call on the event loop: models run in worker threads.
"""

import os

__version__ = "0.1.0"

# ONNX Runtime 1.29 and later report models and machines to their maker, and keep a database in the home directory
# for it, unless this is set before the library is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
