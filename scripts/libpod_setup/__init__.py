"""The set-up of a machine and a checkout for libpod; standard library only, since it runs before all else.

    main          the order of the steps, and what a failure looks like
    layout        where everything is put
    commands      child processes and the one error
    packages      the distribution's packages
    venv          .venv: interpreter, dependencies, our own packages by their installed names
    criu          decides which CRIU is good enough, installs one if none is
    criu_probe    freezes and thaws a real process
    criu_prefix   a CRIU with libraries of its own under a private prefix
    peers         podman 5 and checkpointctl of a newer release, for the tests only
    apt_sources   reads the system's apt configuration (pure)
    private_apt   an apt that shares nothing with the system's but the mirror
    releases      which newer releases are worth a look (pure)

Every result appears whole or not at all, so that a set-up that was interrupted is repaired by the next one.
"""
