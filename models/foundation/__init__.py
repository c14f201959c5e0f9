"""The foundation model: embedding tables, an architecture or an ensemble of some, a head, the compressor of codes."""
