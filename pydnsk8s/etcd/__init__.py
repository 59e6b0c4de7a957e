"""etcd: skydns values listed, watched and kept in memory as a tree of names."""
