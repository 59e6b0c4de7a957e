"""A cluster's objects as DNS sees them: where they come from, and where they are found again."""
