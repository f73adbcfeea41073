"""Learning of one microscope: from corrected cells, or from unlabelled fields.

Both give a model folder with another head of the reader, which names its parent. numpy suffices.
"""
