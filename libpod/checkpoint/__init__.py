"""The checkpoint archive and CRIU: a driver that knows no other driver.

members    names, order and kinds of what an archive holds
codec      compression by suffix when writing, by magic bytes when reading
tarformat  one tar header: written as podman writes it, read with suspicion
frozen     a directory tree turned into a list of entries whose tar has a known size
rootfs     the changes of a root file system as rootfs-diff.tar and deleted.files
writer     one archive file, whole or absent
reader     one pass over an archive: the two documents first, the rest into a staging directory
unpack     tars of the archive applied inside a root that they cannot leave
documents  config.dump and spec.dump as every podman wrote and reads them
criu       which criu, which version, what it can do on this kernel
explain    a CRIU log in a plain sentence
statistics CRIU's own numbers
"""
