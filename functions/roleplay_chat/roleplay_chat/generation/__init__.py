"""Chooses models, calls them one after another, and handles their failures.

`targets` reads rows into targets, `routing` and `workers` put them in order, and `failover` asks
one after another, each in the form of its `request_shape`, by a protocol of `providers`. `attempts`
records the calls. The modules of errors say what a failure is and what follows from it.
"""
