"""Programs and what runs them: ops, traces, the scheduler, the journal, and the two protocols."""
