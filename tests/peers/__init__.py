"""Real resolvers forwarding to us and real clients asking us, from the distribution; `tests/run` installs them."""
