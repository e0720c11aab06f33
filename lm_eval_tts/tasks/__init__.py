"""What the task YAML files call: loading benchmarks, grading responses, counting metrics."""
