"""Each adapter with its fake venue, and what the shared tests must know of its wire."""
