"""Networks of containers: definitions, bridges, addresses, published ports, names.

Drivers under one interface (`base`): `bridge` speaks netlink through pyroute2 and loads one nft transaction,
`netavark` drives podman's binary. Everything else here is pure text and arithmetic.

Importing this package or any module of it does not import pyroute2; that happens inside the functions that
touch links, so that a command without a network never pays for it.
"""
