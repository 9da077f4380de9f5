"""The ONNX server: one model, one revision, answered over the Open Inference Protocol V2.

What may not happen here: no import of the operator or of the training package (they share contracts, not code),
no access to the Kubernetes API, no store credentials in the serving process, no write outside the model directory
and ``/tmp``, and no blocking call on the event loop: models run in worker threads.
"""

__version__ = "0.1.0"
