"""Fuzzing: thousands of damaged inputs of every kind that the program reads, each within its time and memory.

    python -m tests.fuzz --inputs 100000 --state DIR        the campaign; the same command again goes on after a kill
    python -m tests.fuzz --only tiff:1234 [--save FILE]     one input again, with the traceback of what went wrong

An input is made from its kind and its seed alone, so that both name it for good. A fault is an exception that is no
`EdgeleukError`, a crash, more than `worker.MOST_MB` of memory, more than `worker.MOST_S` seconds of processor time, an
input that never ends, a library's own text on standard error, or a message that steers a terminal. Each worker is a
process with a limit of its memory, watched by the one that started it: what kills it or never ends is found, and
blamed on the input that it had.

`pictures` and `records` make whole inputs, `bombs` small ones that ask for much. `places` finds the fields in them that say
sizes, counts and offsets; `mutations` and `documents` damage bytes and texts. `targets` reads the result as the program
does, `kinds` puts these together, `worker` and `campaign` run them, and `report` says what came of it.
"""
