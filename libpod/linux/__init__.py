"""The kernel and child processes: thin functions, honest errors, no policy.

The only folder that imports subprocess and ctypes. Functions raise OSError with the path or process named, or
CommandError for a program that failed; they never retry, never log an error and never decide.
"""
