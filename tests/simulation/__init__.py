"""The simulator: the real services in virtual time, with everything around them failing.

python -m tests.simulation --seeds 100            many seeds
python -m tests.simulation --seed 7 --verbose     one, with its whole log
"""
