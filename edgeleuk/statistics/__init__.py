"""Exact intervals, correction for confusion, bounds: functions of counts."""
