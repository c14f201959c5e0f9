"""What a day came to, for people: one HTML page a day, model cards, an index of days."""
