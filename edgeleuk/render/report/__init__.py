"""Forms of a report.

They are HTML, PDF, CSV, JSON and FHIR, all from one `reports.Report`.
"""
