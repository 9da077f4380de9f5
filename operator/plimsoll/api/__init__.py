"""The kinds, one module each: frozen pydantic models that are the single source of the CRDs. No behaviour in here."""
