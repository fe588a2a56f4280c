# The verbs of this project: `make help` lists them. Plain sh and GNU make 3.81, which is macOS's own, will do.

PYTHON = python3
EMACS = emacs
ARGS =
N =
PROCESSES = 2

python = .venv/bin/python
another = say which Python to use, 3.10 or newer: make PYTHON=/path/to/python3

# Nothing that a user has set for Python matters, such as PYTHONPATH or PYTHONSAFEPATH.
unexport $(filter-out PYTHON,$(filter PYTHON%,$(.VARIABLES)))

# What a user writes is handed to the shell as a value, and never read by it as a command.
export N FROM PROCESSES

# A verb for which any Python will do.
plain = if [ -x $(python) ]; then $(python) -m literate $(1); \
	else $(MAKE) --no-print-directory .python && "$(PYTHON)" -m literate $(1); fi

.PHONY: all test tangle detangle images exercise check watch lint notebook markdown fold html distributed bench help clean .ready .venv .install .python
.NOTPARALLEL:

all: images ## what plain `make` does: set up, then make images

test: .ready ## set up, then run every test; ARGS="-k name" goes to pytest
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(python) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

# Emacs compares its version itself: one that is too old, or that gives no answer, counts as not installed.
tangle: ## write micrograd.py: with Emacs where it is installed, else with literate
	@answer='(princ (if (version<= "28.2" emacs-version) "new enough" "too old"))'; \
	if [ "$$("$(EMACS)" -Q --batch --eval "$$answer" 2>/dev/null </dev/null)" = "new enough" ]; then \
		echo "Tangling with Emacs" && \
		"$(EMACS)" -Q --batch -l tangle.el -f literate-tangle-batch; \
	else \
		echo "Tangling with literate, since there is no Emacs from 28.2 on" && \
		$(call plain,tangle); \
	fi

detangle: ## take edits of micrograd.py back into README.org
	@$(call plain,detangle)

images: .ready ## run README.org: tangle it, draw every figure, refresh every result
	@$(python) -m literate run

exercise: .ready ## check your answer to an exercise, as in make exercise N=4.2; list them all
	@$(python) -m literate exercise $${N:+"$$N"}

check: .ready ## change nothing; say what is not what README.org makes
	@$(python) -m literate check

watch: .ready ## as you save: fold or tangle, run from the first change on, show the page
	@$(python) -m literate watch

lint: .ready ## what GitHub asks of the code's form: ruff, and the types that mypy checks
	@$(python) -m ruff check . && $(python) -m ruff format --check . && \
		$(python) -m mypy *.py literate benchmarks examples tests

# localhost, since a machine's own name may lead nowhere; one thread each, since there are several processes.
distributed: .ready ## train the moons in PROCESSES=2 processes; ARGS="--steps 200" goes to the script
	@case "$$PROCESSES" in ""|0|-*) echo "PROCESSES must be 1 or more" >&2; exit 2;; esac
	@OMP_NUM_THREADS=1 $(python) -m torch.distributed.run --standalone --local-addr localhost \
		--nproc-per-node "$$PROCESSES" examples/distributed.py $(ARGS)

notebook: .ready ## write micrograd.ipynb, with every result, for Jupyter
	@$(python) -m literate notebook

markdown: .ready ## write micrograd.md, for any Markdown editor
	@$(python) -m literate markdown

fold: .ready ## bring your edits in FROM=micrograd.md (or .ipynb) back into README.org
	@[ -n "$$FROM" ] || { echo "make: say which copy: make fold FROM=micrograd.md" >&2; exit 1; }
	@$(python) -m literate fold "$$FROM"

html: .ready ## write micrograd.html: the document as one page, to read offline and to play with
	@$(python) -m literate html

bench: .python ## this engine against its peers, side by side: the table of speeds (takes minutes)
	@benchmarks/.venv/bin/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear benchmarks/.venv
	@benchmarks/.venv/bin/python benchmarks/bench.py $(ARGS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "PYTHON=/path/to/python3 chooses the Python that .venv is made from (make clean first)."
	@echo "EMACS=/path/to/emacs chooses the Emacs that tangles."

clean: ## remove .venv, micrograd.html and every cache; committed files stay
	rm -rf .venv .venv.lock benchmarks/.venv .literate.stamp .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf build micrograd.egg-info micrograd.html __pycache__ tests/__pycache__ benchmarks/__pycache__ literate/__pycache__

# .venv keeps a copy of the requirements.txt that it was made from, put there last: it is made again when the two
# differ, or when an interruption left no copy. Content decides: a fresh clone has arbitrary file times.
# Two at once take turns: the second one finds .venv ready. A lock ends with the process that holds it.
ready = [ -x $(python) ] && cmp -s requirements.txt .venv/requirements.txt
.ready:
	@{ $(ready); } || { $(MAKE) --no-print-directory .python && \
		"$(PYTHON)" -m literate.alone .venv.lock $(MAKE) --no-print-directory .venv; }

.venv: .python
	@{ $(ready); } || $(MAKE) --no-print-directory .install

.install:
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: $(PYTHON) -m venv is not installed: install the package python3-venv" \
			"(apt-get install python3-venv), or $(another)" >&2; exit 1; }
	@echo "Setting up .venv from requirements.txt; the first time takes some minutes"
	@"$(PYTHON)" -m venv --clear .venv
	@cp requirements.txt .venv/installing.txt
	@$(python) -m pip install --disable-pip-version-check -r .venv/installing.txt
	@if [ -x .venv/bin/graphviz-pure ]; then ln -sf graphviz-pure .venv/bin/dot; \
		else command -v dot >/dev/null || \
			echo "make: no dot: install Graphviz (apt-get install graphviz) before drawing" >&2; fi
	@mv .venv/installing.txt .venv/requirements.txt

.python:
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "make: $(PYTHON) is not installed: install it, or $(another)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(v < (3, 10) and \
		"make: $(PYTHON) is Python %d.%d, which is too old: $(another)" % v)'
