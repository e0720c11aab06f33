"""Engines answer `Generate` ops; heavy imports live only here.

`tokenizer` and `stopping` are the text rules that all engines share, `requests` what they have
under way; `scripted` is a public engine without a model. `hf`, `vllm` and `server` run models;
`reliable` is an engine around another."""
