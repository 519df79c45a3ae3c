"""The measurement: what examinations conclude about pairs whose truth is known, and how often they err."""
