"""What runs inside the Jobs of a TrainingJob or a ModelVersion: fetch, train, upload, publish, verify.

May not happen here: imports of the operator or of the server (they share contracts, not code), calls to the
Kubernetes API, imports or unpickling of anything a user or a store names, and credentials in logs or errors.
"""

import os

# ONNX Runtime 1.29 and later report models and machines to their maker, and keep a database in the home directory
# for it, unless this is set before the library is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
