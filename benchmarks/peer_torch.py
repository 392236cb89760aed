"""PyTorch as a peer.

    python -m benchmarks.peer_torch WORK eager|compile job|LOSSES

eager reads with nn.LSTM over packed sequences. compile reads with nn.LSTMCell, because torch.compile cannot follow
these. Both decode held-out sequences without torch.compile: compiling would take longer than decoding. LuongModel is
that of own_data.py.
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
        self.decoder = torch.nn.LSTMCell(len(weights["decoder_kernel"]) - 2 * units, 2 * units)
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

    def logits(self, inputs, lengths, targets):
        return self.decode(inputs, lengths, len(targets))

    def forward(self, inputs, lengths, targets):
        logits = self.logits(inputs, lengths, targets)
        cross_entropy = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        steps = torch.arange(len(targets))[:, None]
        mask = (steps < lengths + EXTRA_DECODER_STEPS).float()
        return (cross_entropy.view_as(mask) * mask).sum() / mask.sum()


class LuongModel(Model):
    """The model with Luong's attention, input feeding, teacher forcing and dropout; it only trains.

    Both directions of the encoder read the same inputs: nn.LSTM drops none that stay the same at all steps.
    """

    def __init__(self, weights, dropout):
        super().__init__(weights, "eager")
        self.dropout = dropout
        self.encoder_weights = torch.nn.Parameter(torch.tensor(weights["encoder_weights"]))
        self.combining_weights = torch.nn.Parameter(torch.tensor(weights["combining_weights"]))

    def kept(self, *shape):
        return functional.dropout(torch.ones(shape), self.dropout)

    def logits(self, inputs, lengths, targets):
        batch_size, units = lengths.numel(), self.decoder.hidden_size
        embedded = self.embeddings(inputs)
        embedded = embedded * self.kept(*embedded.shape[1:])
        packed = torch.nn.utils.rnn.pack_padded_sequence(embedded, lengths, enforce_sorted=False)
        outputs, states = self.encoder(packed)
        outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=len(inputs))
        h, c = (torch.cat(tuple(part), dim=1) for part in states)
        keys = outputs @ self.encoder_weights  # [batch, time, units]
        is_padding = torch.arange(len(inputs)) >= lengths[:, None]
        read = torch.cat([torch.full_like(targets[:1], EOS), targets[:-1]])
        attentional_state, attentional_states = torch.zeros_like(h), []
        kept = self.kept(batch_size, self.decoder.input_size)
        for symbol in self.embeddings(read):
            h, c = self.decoder(torch.cat([symbol, attentional_state], dim=1) * kept, (h, c))
            scores = torch.bmm(keys, h[:, :, None])[:, :, 0].masked_fill(is_padding, -torch.inf)
            context = torch.bmm(scores.softmax(dim=1)[:, None], outputs)[:, 0]
            attentional_state = torch.tanh(torch.cat([context, h], dim=1) @ self.combining_weights)
            attentional_states.append(attentional_state)
        return self.output(torch.stack(attentional_states) * self.kept(batch_size, units))


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
    config = data.config
    model = LuongModel(data.weights, config.dropout) if config.attention == "luong" else Model(data.weights, form)
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
