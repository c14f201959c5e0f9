"""What Feast serves."""
