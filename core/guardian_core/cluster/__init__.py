"""Positions and accounts as custom resources. The only part of core that knows Kubernetes."""
