"""What people migrate from, as thin codecs over the path that every request takes.

What may not happen here: no batching, routing or counting of their own, no effect. An adaptor only reads a body into
the model's inputs and writes its outputs the way its clients expect them.
"""
