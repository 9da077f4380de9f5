"""The JSON form of the Open Inference Protocol V2: requests to numpy arrays and back.

What may not happen here: no I/O, no clock, no event loop. Every error is a RequestError that names the field.
"""
