"""One pass over one object: gather → decide → act. No decisions here but which port to ask; no kopf."""
