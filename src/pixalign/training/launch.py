"""The processes that `accelerate launch --cpu --num_processes N` was asked for.

Without an MPI host file Accelerate (1.15 still) starts a single process then and says nothing. It leaves a trace: an
address for processes to meet at, and no number of them: that stands in the launcher's command line and nowhere else,
which is why it is read there.
"""

import os
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence

from pixalign.errors import InputError, Stopped

_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def processes_to_start(environment: Mapping[str, str], launcher: Sequence[str]) -> int:
    """How many processes a CPU launch was asked for and did not start; 1 if there is nothing to do.

    Args:
        environment: of this process.
        launcher: command line of its parent.

    Raises:
        InputError: several were asked for, but how many is not to be found.
    """
    asked = environment.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true") and "MASTER_ADDR" in environment
    if not asked or any(name in environment for name in _SIZES):
        return 1
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--num_processes", "--num-processes", type=int)
    count = parser.parse_known_args(list(launcher))[0].num_processes
    if count is not None:
        return count
    raise InputError(
        "accelerate launch --cpu started one process in place of several: "
        "use torchrun --nproc_per_node N -m pixalign train ... --device cpu"
    )


def start_missing_processes(arguments: Sequence[str]) -> bool:
    """Run ``pixalign ARGUMENTS`` in as many processes as `accelerate launch --cpu` was asked for; False if that is one.

    Raises:
        InputError: as `processes_to_start`, or when one of them failed; what it said is on the terminal.
        Stopped: a signal ended this process, which passed it on to the others.
    """
    if "MASTER_ADDR" not in os.environ:
        return False
    import psutil

    parent = psutil.Process().parent()
    count = processes_to_start(os.environ, parent.cmdline() if parent else [])
    if count == 1:
        return False
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    address = [f"--master_addr={os.environ['MASTER_ADDR']}", f"--master_port={os.environ.get('MASTER_PORT', '29500')}"]
    try:
        main([f"--nproc_per_node={count}", *address, "-m", "pixalign", *arguments])
    except SignalException as error:
        raise Stopped(error.sigval) from error
    except ChildFailedError as error:
        raise InputError("a process failed and the others were stopped: see its message above") from error
    return True
