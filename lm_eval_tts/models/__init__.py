"""The lm_eval model classes: thin, each an engine with lm_eval's arguments around it."""
