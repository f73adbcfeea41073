"""Renderers: data in, text or image out.

They count nothing.
"""
