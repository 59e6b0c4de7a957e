"""The bench: what a query costs here and in Knot DNS, in one run on one machine."""
