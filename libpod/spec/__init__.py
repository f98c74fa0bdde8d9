"""The documents of the OCI specifications: what a container is to run as, and what an image is."""
