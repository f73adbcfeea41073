"""Forms of a report: HTML, PDF, CSV, JSON and FHIR, all from one `reports.Report`."""
