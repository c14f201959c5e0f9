"""What several data sources need to read their original files: fetching, checking, replaying."""
