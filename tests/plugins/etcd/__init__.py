"""Tests of the etcd plugin."""
