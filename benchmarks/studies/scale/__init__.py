"""What a day costs at 10⁹ users: every step measured here, small, and calculated there."""
