"""k8s_crd and the DNSEndpoints it serves."""
