"""One adapter per venue. Each allows only the order shapes that it has proved."""
