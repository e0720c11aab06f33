"""Engines answer `Generate` ops; heavy imports live only here.

`base` is the protocol, `tokenizer` and `stopping` the text rules that all engines share,
`scripted` a public model-free engine, `hf` runs transformers models.
"""
