"""What a served vertical model needs; no foundation-model code."""
