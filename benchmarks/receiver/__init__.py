"""The receiver's throughput and latency, beside a FastAPI endpoint and a Flask script."""
