# `make demo` and `make test` are all there is to know; both set up what they need.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/demo

.PHONY: setup demo test lint unit clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	# ultralytics asks for opencv-python, which needs a display's libraries and lies over the headless one's files
	# OpenVINO runs without the telemetry it asks for, and then has nothing to send
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python openvino-telemetry
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps \
		--force-reinstall opencv-python-headless
	touch $@

demo: setup
	$(BIN)/dicom-node demo --out $(OUT)

test: lint unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A file's tests stay in one process, since they share what takes long to make. One process more than cores: they wait,
# for peers and for disks, as long as they compute
unit: setup
	$(BIN)/python -m pytest --numprocesses=$$(( $$(nproc) + 1 )) --maxprocesses=5 --dist=loadfile

clean:
	rm -rf $(VENV) out
