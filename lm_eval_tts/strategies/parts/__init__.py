"""What several strategies are built from."""
