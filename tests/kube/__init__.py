"""The kube room: objects, their sources, and the index."""
