"""Measurements, each beside what one would otherwise write."""
