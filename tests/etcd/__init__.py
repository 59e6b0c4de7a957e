"""Tests of the etcd room."""
