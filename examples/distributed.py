"""Train the network of the moons in several processes, each with a share of the points.

From the folder of micrograd.py:

    torchrun --standalone --nproc-per-node 2 examples/distributed.py --checkpoint moons.pt

Chapter 12 of README.org explains it, and quotes some of its functions.
tests/test_distributed.py fails if a quotation is not what stands here.
"""

import argparse
import hashlib
import os
import random
import sys
import uuid
import warnings

import numpy as np
import torch
from sklearn.datasets import make_moons
from torch import distributed

sys.path.insert(0, os.getcwd())  # where micrograd.py is, if it is not installed

import micrograd


def moons():
    """The points, of shape (100, 2), their labels, -1 or 1, and the network, untrained."""
    np.random.seed(1337)
    random.seed(1337)
    points, labels = make_moons(n_samples=100, noise=0.1)
    network = micrograd.to_torch(micrograd.nn.MLP(2, [16, 16, 1]))
    return torch.tensor(points), torch.tensor(labels * 2.0 - 1), network


def share_of_loss(network, points, labels, rank, world):
    """What process rank of world processes adds: the average of all shares is the loss."""
    scores = network(points[rank::world])[:, 0]
    costs = torch.relu(1 - labels[rank::world] * scores)
    penalty = 1e-4 * sum((p * p).sum() for p in network.parameters())
    return costs.sum() * world / len(points) + penalty


def train_together(network, points, labels, steps, losses, done):
    """Go on from losses to as many as steps; after each step, note its loss and call done()."""
    rank, world = distributed.get_rank(), distributed.get_world_size()
    model = torch.nn.parallel.DistributedDataParallel(network)
    sgd = torch.optim.SGD(network.parameters())
    for k in range(len(losses), steps):
        loss = share_of_loss(model, points, labels, rank, world)
        sgd.zero_grad()
        loss.backward()
        sgd.param_groups[0]["lr"] = 1.0 - 0.9 * k / steps
        sgd.step()
        total = loss.detach()
        distributed.all_reduce(total)
        losses.append(total.item() / world)
        done()


def same_everywhere(network):
    """Whether every process has the same weights, to the last bit."""
    mine = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
    everyones = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
    distributed.all_gather(everyones, mine)
    return all(torch.equal(mine, theirs) for theirs in everyones)


def checksum(weights, losses, steps):
    """A digest of the content of a checkpoint, which changes if one bit of a number does."""
    content = [(name, weight.tolist()) for name, weight in weights.items()], losses, steps
    return hashlib.sha256(repr(content).encode()).hexdigest()


def write_checkpoint(path, network, losses, steps):
    """Write the weights, the losses so far and the planned steps to path, all or nothing."""
    state = {"weights": network.state_dict(), "losses": losses, "steps": steps}
    state["checksum"] = checksum(**state)
    new = f"{path}.{uuid.uuid4().hex}.new"  # another job may be writing to the same path
    try:
        with open(new, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # wait until the disk has it
        os.replace(new, path)
    except BaseException:
        if os.path.exists(new):
            os.remove(new)
        raise


def read_checkpoint(path, network, steps):
    """The losses in the checkpoint at path, whose weights go into network; [] if none is there.

    Exits with one line that says what is wrong and what to do, if the file is damaged, or is
    no checkpoint of this network and this number of steps.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a refusal says enough
            state = torch.load(path, weights_only=True)  # True: run no code that is in the file
    except FileNotFoundError:
        return []
    except Exception:  # of many kinds, depending on what is there instead
        sys.exit(f"{path} cannot be read as a checkpoint: remove it, or name another file")
    if wrong := fault(state, network, steps):
        sys.exit(f"{path} {wrong}")
    network.load_state_dict(state["weights"])
    return state["losses"]


def fault(state, network, steps):
    """What is wrong with the content of a checkpoint, and what to do; "" if all is well."""
    instead = "remove it, or name another file"
    try:
        weights, losses, planned = state["weights"], state["losses"], state["steps"]
        known, found = state["checksum"], checksum(weights, losses, planned)
        numbers = isinstance(losses, list) and all(isinstance(loss, float) for loss in losses)
    except Exception:  # of many kinds, too
        return f"is no checkpoint of this script: {instead}"
    if known != found:
        return f"is damaged, for its checksum is not that of its content: {instead}"
    if planned != steps:
        return f"is of a run of {planned} steps: give --steps {planned}, or {instead}"
    if not numbers or len(losses) > steps:
        return f"does not hold one loss for each of at most {steps} steps: {instead}"
    mine, its = forms(network.state_dict()), forms(weights)
    for name in [*mine, *its]:
        is_, should = its.get(name, "missing"), mine.get(name, "missing")
        if is_ != should:
            return f"is of another network, whose {name} is {is_} and not {should}: {instead}"
    if not all(weight.isfinite().all() for weight in weights.values()):
        return f"holds weights that are infinite or nan, and leads nowhere: {instead}"
    return ""


def forms(weights):
    """The shape and the type of each weight, in words, by its name."""
    return {name: f"{list(w.shape)} of {w.dtype}" for name, w in weights.items()}


def arguments():
    """The command line's. Exits with a message if they, or how this was started, are wrong."""
    parser = argparse.ArgumentParser(description="Train the moons in several processes.")
    parser.add_argument("--steps", type=int, default=100, help="how many steps (default 100)")
    parser.add_argument("--checkpoint", help="a file to save to, and to go on from")
    given = parser.parse_args()
    if given.steps < 1:
        parser.error("--steps: at least 1 is needed")
    folder = os.path.dirname(os.path.abspath(given.checkpoint or "."))
    if given.checkpoint and not os.access(folder, os.W_OK):
        parser.error(f"--checkpoint: {folder} is no folder that can be written to")
    if not distributed.is_torchelastic_launched():
        command = "torchrun --standalone --nproc-per-node 2 examples/distributed.py"
        parser.error(f"torchrun has to start this: {command}")
    return given


def meet(rank, world):
    """Connect this process, rank of world, with all others that torchrun has started.

    Each leaves its address in a table that torchrun keeps, the store. Each restart gets a part
    of it to itself, so that no process finds the address of one that is dead. For machines
    that count their restarts separately, see chapter 12.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    everything = distributed.TCPStore(address, port, is_master=False)
    store = distributed.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], everything)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)


def main():
    given = arguments()
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    points, labels, network = moons()
    if world > len(points):
        sys.exit(f"{world} processes for {len(points)} points: start {len(points)} at most")
    # Process 0 reads, writes and speaks for all. The others get its losses and weights below.
    saves = given.checkpoint and rank == 0
    losses = read_checkpoint(given.checkpoint, network, given.steps) if saves else []
    say = print if rank == 0 else lambda text: None
    say(f"processes {world}, points {len(points)}, steps to go {given.steps - len(losses)}")

    def done():
        if len(losses) % 10 == 0 or len(losses) == given.steps:
            say(f"step {len(losses) - 1:2}  loss {losses[-1]:.9f}")
        if saves:
            write_checkpoint(given.checkpoint, network, losses, given.steps)

    meet(rank, world)
    agreed = [losses]
    distributed.broadcast_object_list(agreed)
    losses = agreed[0]
    train_together(network, points, labels, given.steps, losses, done)
    say(f"the same weights everywhere: {same_everywhere(network)}")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # at once: Python's own end may abort while gloo's threads let go of tensors
