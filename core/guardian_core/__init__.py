"""What every service of Position Guardian shares: the domain, storage, guarding and the ports."""
