#!/bin/bash
#SBATCH --array=1-16
#SBATCH --cpus-per-task=8
#SBATCH --time=02:00:00
# Sixteen machines share one output folder on a network file system, each a sixteenth of the work:
#   sbatch examples/curation_array.sh FILMS OUT
# Scenes wait for all of ingest, and attributes for all of scenes, so run the script once a stage:
#   STAGE=ingest sbatch --wait ...; STAGE=scenes sbatch --wait ...; STAGE=attributes sbatch --wait ...
# Then one machine: emogen data join OUT
set -euo pipefail
films=$1 out=$2 stage=${STAGE:-ingest}
shard="${SLURM_ARRAY_TASK_ID}/${SLURM_ARRAY_TASK_COUNT}"
workers=${SLURM_CPUS_PER_TASK:-8}
if [ "$stage" = ingest ]; then
    emogen data ingest "$films" --output_dir "$out" --shard "$shard" --workers "$workers" --quiet
else
    emogen data "$stage" "$out" --shard "$shard" --workers "$workers" --quiet
fi
