"""PyTorch as a peer.

    python -m benchmarks.peer_torch WORK eager|compile steps|job

eager reads with nn.LSTM over packed sequences. compile reads with nn.LSTMCell, because torch.compile cannot follow
these. Both decode held-out sequences without torch.compile: compiling would take longer than decoding.
"""

import itertools

import numpy as np
import torch
from torch.nn import functional

from benchmarks import work
from helpers import EOS, EXTRA_DECODER_STEPS


class Model(torch.nn.Module):
    def __init__(self, weights, form):
        super().__init__()
        vocab_size, embedding_size = weights["embeddings"].shape
        units = weights["forward_bias"].size // 4
        self.form = form
        self.embeddings = torch.nn.Embedding(vocab_size, embedding_size)
        self.embeddings.weight.data = torch.tensor(weights["embeddings"])
        if form == "eager":
            self.encoder = torch.nn.LSTM(embedding_size, units, bidirectional=True)
            set_lstm(self.encoder, "_l0", weights, "forward")
            set_lstm(self.encoder, "_l0_reverse", weights, "backward")
        else:
            self.forward_cell = torch.nn.LSTMCell(embedding_size, units)
            self.backward_cell = torch.nn.LSTMCell(embedding_size, units)
            set_lstm(self.forward_cell, "", weights, "forward")
            set_lstm(self.backward_cell, "", weights, "backward")
        self.decoder = torch.nn.LSTMCell(embedding_size, 2 * units)
        set_lstm(self.decoder, "", weights, "decoder")
        self.output = torch.nn.Linear(2 * units, vocab_size)
        self.output.weight.data = torch.tensor(weights["output_weights"].T)
        self.output.bias.data = torch.tensor(weights["output_bias"])

    def encode(self, embedded, lengths):
        if self.form == "eager":
            packed = torch.nn.utils.rnn.pack_padded_sequence(embedded, lengths, enforce_sorted=False)
            return self.encoder(packed)[1]
        states = []
        for cell, times in (
            (self.forward_cell, range(len(embedded))),
            (self.backward_cell, range(len(embedded))[::-1]),
        ):
            h = c = embedded.new_zeros(embedded.shape[1], cell.hidden_size)
            for time in times:
                real = (time < lengths)[:, None]
                new_h, new_c = cell(embedded[time], (h, c))
                h, c = torch.where(real, new_h, h), torch.where(real, new_c, c)
            states.append((h, c))
        return tuple(torch.stack(parts) for parts in zip(*states))

    def decode(self, inputs, lengths, steps):
        """Returns the logits [steps, batch, vocab_size]."""
        h, c = (torch.cat(tuple(part), dim=1) for part in self.encode(self.embeddings(inputs), lengths))
        symbol, logits = torch.full_like(lengths, EOS), []
        for _ in range(steps):
            h, c = self.decoder(self.embeddings(symbol), (h, c))
            logits.append(self.output(h))
            symbol = logits[-1].argmax(dim=1)
        return torch.stack(logits)

    def forward(self, inputs, lengths, targets):
        logits = self.decode(inputs, lengths, len(targets))
        cross_entropy = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        steps = torch.arange(len(targets))[:, None]
        mask = (steps < lengths + EXTRA_DECODER_STEPS).float()
        return (cross_entropy.view_as(mask) * mask).sum() / mask.sum()


def set_lstm(module, suffix, weights, name):
    """Sets an LSTM's weights: gates in PyTorch's order i, f, j, o. The model has one bias, so the second stays zero."""
    kernel, bias = weights[f"{name}_kernel"], weights[f"{name}_bias"]
    i, j, f, o = np.split(np.arange(bias.size), 4)
    order = np.concatenate([i, f, j, o])
    input_weights, hidden_weights = np.split(kernel[:, order].T, [len(kernel) - bias.size // 4], axis=1)
    getattr(module, f"weight_ih{suffix}").data = torch.tensor(input_weights).contiguous()
    getattr(module, f"weight_hh{suffix}").data = torch.tensor(hidden_weights).contiguous()
    getattr(module, f"bias_ih{suffix}").data = torch.tensor(bias[order])
    unused = getattr(module, f"bias_hh{suffix}")
    unused.data.zero_()
    unused.requires_grad_(False)


def prepare(data, form):
    """Returns take_steps and decode for work.run()."""
    model, config = Model(data.weights, form), data.config
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    betas = (work.BETA1, config.adam_beta2)
    optimizer = torch.optim.Adam(parameters, config.learning_rate, betas, work.EPSILON, fused=True)
    loss = torch.compile(model) if form == "compile" else model
    indices = itertools.count()

    def take_step(batch, index):
        optimizer.zero_grad()
        value = loss(*tensors(batch))
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        (group,) = optimizer.param_groups
        rise = min(1, (index + 1) / (config.warm_up * config.max_batches))
        group["lr"] = config.learning_rate * rise * (1 - index / config.max_batches)
        group["eps"] = work.EPSILON / (1 - config.adam_beta2 ** (index + 1)) ** 0.5  # as TensorFlow adds it
        optimizer.step()
        return value.item()

    def take_steps(batches):
        return [take_step(batch, next(indices)) for batch in batches]

    @torch.no_grad()
    def decode(batch):
        inputs, lengths, targets = tensors(batch)
        return model.decode(inputs, lengths, len(targets)).argmax(dim=2).numpy()

    return take_steps, decode


def tensors(batch):
    return [torch.from_numpy(array).long() for array in (batch.inputs, batch.lengths, batch.targets)]


if __name__ == "__main__":
    work.run(prepare)
