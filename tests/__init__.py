"""The tests: rooms as in the package, scenarios, real peers, fuzzing and the bench."""
