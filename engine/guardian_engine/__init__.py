"""The engine (T3): carries out alerts. Entries, exits, and MAJ, fire and forget."""
