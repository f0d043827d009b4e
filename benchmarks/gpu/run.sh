#!/usr/bin/env bash
# The checks on a GPU as one command on a machine without a network: install what benchmarks/gpu/bring.py
# brought, then run within ten minutes in all. Options go to benchmarks.gpu_check; OUT is where the report goes.
set -euo pipefail
began=$(date +%s)
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
site=${SITE:-/tmp/gagrad-gpu-site}
out=${OUT:-gpu-out}
mkdir -p "$out"

if [ -d .gpu-pieces ] && [ ! -e "$site/.complete" ]; then
    (cd .gpu-pieces && sha256sum --check --quiet SHA256SUMS)
    wheels=$(mktemp -d)
    cat .gpu-pieces/wheels.tar.[0-9]* | tar x -C "$wheels"
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$wheels"/*.whl
    rm -r "$wheels"
    touch "$site/.complete"
fi
# The packages brought come before those of the same name that are there: onnxruntime for the CPU.
export PYTHONPATH="$site:$PWD:$PWD/export:$PWD/runtime${PYTHONPATH:+:$PYTHONPATH}"
# ONNX Runtime finds pip's CUDA and cuDNN by itself; for a layout of folders that it does not know, the loader does.
libraries=$("$python" -m benchmarks.gpu.libraries)
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export ORT_DISABLE_TELEMETRY=1 PYTHONUNBUFFERED=1
"$python" -m benchmarks.gpu.libraries --check
echo "set-up took $(($(date +%s) - began)) s"
exec "$python" -m benchmarks.gpu_check --began "$began" --budget "${BUDGET:-570}" --out "$out" "$@"
