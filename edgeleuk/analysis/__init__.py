"""One frame to one field; morphometry."""
