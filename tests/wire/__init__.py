"""The wire: what we send is read back by three parsers, and nothing we are sent can do harm."""
