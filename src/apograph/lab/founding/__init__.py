"""The founding case in small, made from nothing: a reference, a renamed copy, a cousin and a stranger."""
