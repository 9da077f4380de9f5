"""Benchmarks. Each measures this project and its peers in one run on one machine, and reports ratios.

No timing is ever asserted here: figures are for people, and for the page that is written from them.
"""
