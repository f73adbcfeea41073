"""Import of labelled data sets into this project's form.

Foreign files are read here; `evaluation.datasets` reads what is written.
"""
