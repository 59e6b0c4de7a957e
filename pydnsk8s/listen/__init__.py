"""Where queries come from: the addresses we are asked at, over UDP and TCP."""
