"""What can be searched over: spaces that compile to settings of the platform."""
