"""The layer and container store that podman, buildah, skopeo and CRI-O share, read and written in place.

`store.Store` is the way in. Below it:

    layout, options, parts      where things are, how they are used, what an open store consists of
    locks, records, stored      who may do what at the same time; the JSON files; typed views of them
    layers, containers, images  creating, changing and removing, one kind each
    mounting                    mounts and the counts that all programs share
    driver                      what is asked of a layer driver: overlay (with short_links, overlay_mount), vfs
    content                     changes, diffs and sizes: upper, changes, diff, merged, sizes
    creator, recovery, check    what killed processes left, and who may collect it
"""
