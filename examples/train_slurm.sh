#!/bin/bash
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
# One training run over all machines of a job:
#   sbatch examples/train_slurm.sh --config configs/wan2.1_t2v_1.3b.yaml --dataset_name my_clips --output_dir runs/mine
# output_dir and cache_dir must lie on a file system that all machines share. Five minutes before its time is up the run
# saves and ends; submitted again, with whatever number of machines, it goes on. ACCELERATE_CONFIG=FILE takes one of
# configs/accelerate (FSDP2, DeepSpeed) instead of plain copies; PROCESSES says how many processes a machine gets.
set -euo pipefail
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${hosts%%$'\n'*} # not a pipe into head, which may end before scontrol has written and so end the job
port=$((20000 + SLURM_JOB_ID % 20000))
processes=${PROCESSES:-${SLURM_GPUS_ON_NODE:-8}}
if [ -n "${ACCELERATE_CONFIG:-}" ]; then
    launch="accelerate launch --config_file $ACCELERATE_CONFIG --num_machines $SLURM_NNODES --machine_rank \$SLURM_NODEID"
    launch+=" --num_processes $((SLURM_NNODES * processes)) --main_process_ip $head --main_process_port $port"
else
    launch="torchrun --nnodes $SLURM_NNODES --node_rank \$SLURM_NODEID --nproc_per_node $processes"
    launch+=" --master_addr $head --master_port $port"
fi
srun --kill-on-bad-exit=1 bash -c "$launch train_lora.py --resume_from_checkpoint latest \"\$@\"" train "$@"
