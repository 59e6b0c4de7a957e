"""Packets nobody should send: `python -m tests.fuzz` at a live server, `python -m tests.fuzz.targets` with atheris."""
