"""PyTorch as a peer.

    python -m benchmarks.peer_torch WORK eager|compile

eager reads with nn.LSTM over packed sequences; torch.compile cannot follow these, and reads with nn.LSTMCell.
"""

import sys

import numpy as np
import torch
from torch.nn import functional

from benchmarks import work

AFTER_IMPORT = work.peak_memory()


class Model(torch.nn.Module):
    def __init__(self, weights, form):
        super().__init__()
        units = weights["forward_bias"].size // 4
        self.form = form
        self.embeddings = torch.nn.Embedding(work.VOCAB_SIZE, work.EMBEDDING_SIZE)
        self.embeddings.weight.data = torch.tensor(weights["embeddings"])
        if form == "eager":
            self.encoder = torch.nn.LSTM(work.EMBEDDING_SIZE, units, bidirectional=True)
            set_lstm(self.encoder, "_l0", weights, "forward")
            set_lstm(self.encoder, "_l0_reverse", weights, "backward")
        else:
            self.forward_cell = torch.nn.LSTMCell(work.EMBEDDING_SIZE, units)
            self.backward_cell = torch.nn.LSTMCell(work.EMBEDDING_SIZE, units)
            set_lstm(self.forward_cell, "", weights, "forward")
            set_lstm(self.backward_cell, "", weights, "backward")
        self.decoder = torch.nn.LSTMCell(work.EMBEDDING_SIZE, 2 * units)
        set_lstm(self.decoder, "", weights, "decoder")
        self.output = torch.nn.Linear(2 * units, work.VOCAB_SIZE)
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

    def forward(self, inputs, lengths, targets):
        h, c = (torch.cat(tuple(part), dim=1) for part in self.encode(self.embeddings(inputs), lengths))
        symbol, logits = torch.full_like(lengths, work.EOS), []
        for _ in range(len(targets)):
            h, c = self.decoder(self.embeddings(symbol), (h, c))
            logits.append(self.output(h))
            symbol = logits[-1].argmax(dim=1)
        logits = torch.stack(logits)
        cross_entropy = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        steps = torch.arange(len(targets))[:, None]
        mask = (steps < lengths + work.EXTRA_DECODER_STEPS).float()
        return (cross_entropy.view_as(mask) * mask).sum() / mask.sum()


def set_lstm(module, suffix, weights, name):
    """Sets an LSTM's weights: gates in PyTorch's order i, f, j, o, the 1 of the forget gate in the first bias.

    The second bias, which the model does not have, stays zero.
    """
    kernel, bias = weights[f"{name}_kernel"], weights[f"{name}_bias"]
    i, j, f, o = np.split(np.arange(bias.size), 4)
    order = np.concatenate([i, f, j, o])
    bias = bias.copy()
    bias[f] += 1
    input_weights, hidden_weights = np.split(kernel[:, order].T, [work.EMBEDDING_SIZE], axis=1)
    getattr(module, f"weight_ih{suffix}").data = torch.tensor(input_weights).contiguous()
    getattr(module, f"weight_hh{suffix}").data = torch.tensor(hidden_weights).contiguous()
    getattr(module, f"bias_ih{suffix}").data = torch.tensor(bias[order])
    unused = getattr(module, f"bias_hh{suffix}")
    unused.data.zero_()
    unused.requires_grad_(False)


def main(path, form):
    data = work.load(path)
    model = Model(data.weights, form)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    betas = (work.BETA1, work.BETA2)
    optimizer = torch.optim.Adam(parameters, work.LEARNING_RATE, betas, work.EPSILON, fused=True)
    loss = torch.compile(model) if form == "compile" else model
    batches = [[torch.from_numpy(array[index]).long() for array in data[1:]] for index in range(work.BATCHES)]

    def take_steps(first, count):
        losses = []
        for index in range(first, first + count):
            optimizer.zero_grad()
            value = loss(*batches[index % work.BATCHES])
            value.backward()
            torch.nn.utils.clip_grad_norm_(parameters, work.CLIP_NORM)
            (group,) = optimizer.param_groups
            group["lr"] = work.LEARNING_RATE * (1 - index / work.MAX_BATCHES)
            group["eps"] = work.EPSILON / (1 - work.BETA2 ** (index + 1)) ** 0.5  # where TensorFlow adds it
            optimizer.step()
            losses.append(value.item())
        return losses

    work.serve(take_steps, AFTER_IMPORT)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
