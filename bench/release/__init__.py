"""`make bench-release`: this release engine against the rules of those that users would pick instead.

Nothing is deployed: simulated hours of traffic and telemetry, the same for every engine, thousands for each cell.
The engine under test is `plimsoll.core.simulation`, which calls the functions that judge real releases; the peers'
rules are re-stated from their documentation and held against what the real programs did (`recorded/`).
"""
