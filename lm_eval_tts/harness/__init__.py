"""What stands between lm_eval's command and our models.

discovery    names, autoload, extensions: how a stock lm_eval finds and starts this package
the run      preflight before it; guard, signals, run_state around it
answers      response: what goes from a model to the task that grades it
what it says progress, summary; doctor looks at the installation"""
