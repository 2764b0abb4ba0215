"""What adapters of real exchanges share: a client on ccxt, keys, errors, and careful reading.

Adapters call a venue's own endpoints by ccxt's names for them, with every parameter spelled out;
ccxt signs, sends and names errors. Its unified order calls are not used: for protective orders
they differ from venue to venue, and some turn a stop into a market order.
"""
