"""Development tool: writes the CRDs, their chart templates and the API reference from `plimsoll.api`. Never imported by the operator."""
