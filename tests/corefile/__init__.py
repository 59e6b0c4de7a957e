"""Tests of the Corefile's grammar, its error messages and the readers of its words."""
