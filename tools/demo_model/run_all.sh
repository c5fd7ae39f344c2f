#!/bin/bash
# The demo model from nothing: data, tokenizer, training, export, evaluation.  run_all.sh WORK_FOLDER CHORUS_PROGRAM [options of train.py]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mkdir -p "$1" && cd "$1" && pwd)
program=$(realpath "$2")
shift 2
cd "$here"
model=../../models/demo
export PYTHONUNBUFFERED=1
python3 data.py --out $model
python3 tokenizer.py --out $model
python3 test_data.py
python3 test_fast.py
python3 train.py --out "$work" "$@"
python3 export.py --master "$work/master.pt" --out $model
python3 evaluate.py --model $model --master "$work/master.pt" --program "$program" --out "$work"
