"""What a sample of somebody's log tells before anything is configured: guesses, and the entry made of them."""
