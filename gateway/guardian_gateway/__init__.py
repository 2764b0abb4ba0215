"""T5: the only holder of exchange keys; carries out decisions at a venue."""
