"""kubernetes: names of a cluster, each subject in a file of its own."""
