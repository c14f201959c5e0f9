"""Active search: find as many positives of a finite pool as a budget of looks allows."""
