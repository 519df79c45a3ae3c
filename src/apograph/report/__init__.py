"""A Report shown to a person or a program; renderers see nothing but the Report."""
