"""Lets ``python -m pydnsk8s`` be the command."""

from pydnsk8s.cli import main

main()
