"""Running container processes: conmon watches, runc or crun creates.

`base` holds the vocabulary and the contract, `conmon` the driver, one module each subject of it; `discovery` finds the
runtime of this host, `attach` and `copying` carry streams, `logfile` reads what conmon logged.
"""
