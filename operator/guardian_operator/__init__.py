"""The operator (T7): the position guardian and the order monitor."""
