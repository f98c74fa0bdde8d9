"""The layer and container store that podman, buildah, skopeo and CRI-O share, read and written in place.

`store.Store` is the way in. Below it: `layout` (paths), `locks` (who may do what at the same time), `records` (the
JSON files), `stored` (typed views of them), `driver` and `overlay` (layer directories and mounts), `changes` and `diff`
(what a container changed), `recovery` and `check` (what killed processes left).
"""
