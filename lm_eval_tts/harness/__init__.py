"""What stands between lm_eval's command and our models: discovery, guard, responses, progress."""
