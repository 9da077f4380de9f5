"""Many models in one process: those that a directory of documents names, each split between its own versions.

What may not happen here: one service's document, file, load or failure touching another service; a model under way
being put out of memory; credentials of the store anywhere but in `fetcher`, which is another process.
"""
