"""Which model arguments decide what is answered: those of lm-eval's models and our own.

An argument that says where a model runs, how fast, or what to do after a failure does not decide:
runs that differ in it alone are runs of one setup. What only rounds otherwise, such as another
batch size, kernel or number of devices, does not decide either; another type of numbers does.
An argument that is not listed decides."""

_DECIDING = (
    # The checkpoint and its prompt. Results have pretrained, model, path, peft, lora_local_path and
    # revision in columns of their own.
    *("pretrained", "model", "path", "peft", "lora_local_path", "revision", "subfolder"),
    *("backend", "delta", "autogptq", "gptqmodel", "gguf_file", "quantization", "dtype"),
    *("softmax_dtype", "mixed_precision_dtype", "tokenizer_mode", "tokenizer_revision"),
    *("tokenizer_backend", "tokenized_requests", "use_fast_tokenizer", "add_bos_token"),
    *("prefix_token_id", "custom_prefix_token_id", "eos_string", "truncation", "truncate"),
    *("truncation_side", "max_length", "max_model_len", "max_gen_toks", "max_images", "seed"),
    *("think_end_token", "enable_thinking", "chat_template_args", "reasoning_effort"),
    *("reward_model", "reward_model_type", "reward_model_dtype", "reward_model_separator"),
    "reward_model_revision",
)
_NOT_DECIDING = (
    # Devices, memory and speed, of transformers and of vLLM.
    *("device", "device_map", "parallelize", "tp_plan", "max_memory_per_gpu", "max_cpu_memory"),
    *("offload_folder", "low_cpu_mem_usage", "batch_size", "max_batch_size", "logits_cache"),
    *("attn_implementation", "merge_peft", "tensor_parallel_size", "data_parallel_size"),
    *("pipeline_parallel_size", "enable_expert_parallel", "distributed_executor_backend"),
    *("gpu_memory_utilization", "kv_cache_memory_bytes", "swap_space", "cpu_offload_gb"),
    *("block_size", "max_num_seqs", "max_num_batched_tokens", "enforce_eager"),
    *("enable_prefix_caching", "enable_chunked_prefill", "disable_custom_all_reduce"),
    *("disable_log_stats", "enable_lora", "max_loras", "max_lora_rank"),
    # Where files are and how they are loaded; a tokenizer is the checkpoint's own, elsewhere.
    *("tokenizer", "trust_remote_code", "cache_dir", "download_dir", "load_format"),
    "response_column",
    # Servers.
    *("base_url", "num_concurrent", "max_retries", "timeout", "verify_certificate"),
    *("ca_cert_path", "header", "session_header", "api_key", "auth_token"),
    # Journals and failures.
    *("journal", "max_failures"),
    # The reward model's devices and speed.
    *("reward_model_backend", "reward_model_device", "reward_model_batch_size"),
    "reward_model_gpu_memory_utilization",
)
DECIDES = {**dict.fromkeys(_DECIDING, True), **dict.fromkeys(_NOT_DECIDING, False)}


def decides(name: str) -> bool:
    """Say whether a model argument decides what is answered; one that is not known does."""
    return DECIDES.get(name, True)


# Settings of which more adds to what a journal has: samples, the points of a curve. Each request is
# known by all that decides it, so what is the same in both runs is taken over, and nothing else.
ADDING = frozenset({"n", "max_thinking_tokens", "max_tries"})
