"""The command line `libpod`: podman's verbs, flags, output and exit codes over the library's façade.

    parse ▶ options ▶ one library call ▶ print

Only the module of the verb that was asked for is loaded, and only its parser is built. Nothing here knows a rule about
containers: what may be done when is the library's business, and its errors become exit codes in one table (`errors`).
"""
