"""FIX for Python application code: fields as (tag, value) pairs."""
