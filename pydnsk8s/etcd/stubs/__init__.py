"""etcd's messages, generated once from etcd.proto and committed.

In the root of the checkout, with grpcio-tools 1.62.3 and no newer one: what its protoc writes runs on every protobuf
since 3.20, what newer ones write does not.

    python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. pydnsk8s/etcd/stubs/etcd.proto
"""
