"""Images: names, the local ones, and their ways in and out through skopeo.

Nothing here writes a layer: whatever becomes an image is laid out as an OCI layout in a private directory and copied
into the store by skopeo, which podman and buildah trust as much as we do. Reading, naming and removing go through
`libpod.storage`.
"""
