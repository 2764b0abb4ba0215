"""The pure core: no I/O, no clock, no randomness; the standard library only.

`decide` is the heart: a plan (what should be) and a lane's snapshot (what is) go in,
a decision comes out. Everything else here is its vocabulary.
"""
