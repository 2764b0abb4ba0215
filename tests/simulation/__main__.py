"""`python -m tests.simulation`: see the package."""

import argparse
import sys

from tests.simulation.mutants import MUTANTS
from tests.simulation.run import main
from tests.simulation.shapes import SHAPES


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, counted upwards")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--verbose", action="store_true", help="print every event")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--shape", choices=sorted(SHAPES), default="plain", help="what it is about")
    shape.add_argument(
        "--harsh",
        action="store_const",
        dest="shape",
        const="harsh",
        help="more of everything that goes wrong",
    )
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="plant this bug")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    seeds = list(range(given.seed, given.seed + given.seeds))
    sys.exit(main(seeds, verbose=given.verbose, shape=given.shape, mutant=given.mutant))
