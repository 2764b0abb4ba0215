"""T6: takes TradingView's alerts and commits each before it answers."""
