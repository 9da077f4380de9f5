"""What runs inside the Jobs of a TrainingJob or a ModelVersion: fetch, train, upload, publish, verify.

May not happen here: imports of the operator or of the server (they share contracts, not code), calls to the
Kubernetes API, imports or unpickling of anything a user or a store names, and credentials in logs or errors.
"""
