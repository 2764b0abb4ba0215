"""`guardian demo`: a real day of candles, and everything that may go wrong with its stops.

The demo runs the product as a user would (`guardian up` as a process of its own, in a folder of
its own), sends it alerts over HTTP, and looks for what came of them in the venue's own books and
in the database's rows, never in what the product says of itself.
"""
