# `make demo` and `make test` set up everything they need in .venv, on a fresh machine too.
PYTHON ?= python3
BIN := .venv/bin
ALL := search,torch,plan,validation,notebooks,docs,dev
# A hundred processes import the same modules: bytecode is kept, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quick check kernels collected fix hunt mutants bench bench-record gpu gallery api explore lab notebooks docs site lock clean

# Profiled pass times of a 1.5B GPT on 8 A100s, in milliseconds: arXiv 2401.10241, behind its Table 5.
demo: .venv/core  ## what every schedule does with the measured pass times of a published run
	@mkdir -p out
	$(BIN)/python -m sim compare -p 8 -m 24 --forward 18.522 --backward 18.086 --weight 9.337 \
	  --send 0.601 --unit ms --html out/demo.html --note "Profiled pass times of a 1.5B GPT \
	on 8 A100s: Qi et al. 2024, arXiv 2401.10241, behind its Table 5."

test: .venv/all  ## style, types, layers, every test, doctest and notebook: what CI runs
	@$(MAKE) --no-print-directory --jobs=2 check kernels collected
	$(BIN)/python -m pytest -n 3 --dist worksteal --durations=15

quick: .venv/all check  ## a first answer in a minute or two: the schedule language, families, metrics
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow" \
	  tests/sim/base tests/sim/schedule tests/sim/families tests/sim/metrics

check: .venv/all  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

kernels: .venv/all  ## the machine code of the searches, which the first process would compile else
	$(BIN)/python tests/kernels.py

collected: .venv/all  ## the bytecode of all tests, which every process would write for itself else
	@$(BIN)/python -m pytest --collect-only > /dev/null

fix: .venv/all  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hunt: .venv/all  ## the property tests with new random cases, again and again until one fails
	while HYPOTHESIS_PROFILE=hunt $(BIN)/python -m pytest -n 2 --dist worksteal -m hypothesis; do :; done

mutants: .venv/all  ## do the tests notice wrong formulas? a random sample of changes, each against its tests
	$(BIN)/python tests/mutants.py

bench: .venv/all  ## speed, as ratios within one run
	@for file in tests/bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

bench-record: .venv/all  ## the same in one line of ratios, kept in tests/bench/history.jsonl
	$(BIN)/python tests/bench/bench_ratios.py --record

# Where there is a GPU, give a Python that has torch with CUDA: make gpu GPU_PYTHON=python3
GPU_PYTHON ?= $(BIN)/python
gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),.venv/all)  ## everything that only a GPU can say, in nine minutes
	@mkdir -p out
	$(GPU_PYTHON) -m validation gpu --html out/gpu.html -o out/gpu.json

gallery: .venv/core  ## docs/gallery.md, its pictures and the README's table, from the code
	$(BIN)/python docs/gallery.py
	$(BIN)/python docs/real_runs.py

api: .venv/all  ## docs/public.txt, what is public, from the code
	$(BIN)/python docs/public.py

THEME ?= light
explore: .venv/lab  ## what if? a page with every knob, in the browser (THEME=dark for a dark one)
	$(BIN)/voila notebooks/explore.ipynb --theme=$(THEME)

lab: .venv/lab  ## the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

notebooks: .venv/all  ## run all notebooks again, in place
	$(BIN)/python docs/notebooks.py

docs: site  ## the documentation in a browser: its search needs a server
	@echo "http://127.0.0.1:8000  (Ctrl-C ends it; the pages are files in site/)"
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory site 2>/dev/null

site: .venv/docs  ## site/: README, gallery, a page per public name
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lock: .venv/core  ## constraints.txt: the newest versions within the ranges of pyproject.toml
	$(BIN)/python .ci/lock.py $(ALL)

clean:
	rm -rf .venv out site

# What is imported is compiled to bytecode then; to compile all that is installed takes a minute.
.venv/core .venv/all .venv/lab .venv/docs: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e ".$(EXTRAS)"
	@touch $@

.venv/all: EXTRAS = [$(ALL)]
.venv/lab: EXTRAS = [notebooks,lab]
.venv/docs: EXTRAS = [docs]

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("pipebubble needs Python >= 3.11, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
