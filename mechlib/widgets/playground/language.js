// A language model of the book on tokens: what it predicts, what its entries read as, and who adds to a logit.

// A map of the file as the engine wants it.
function linear(tensors, name) {
  const { shape: [, width], values: weight } = tensors[`${name}.weight`];
  return { weight, width, bias: tensors[`${name}.bias`]?.values };
}

function norm(tensors, name) {
  return { gain: tensors[`${name}.weight`].values, bias: tensors[`${name}.bias`].values };
}

function decoderBlock(tensors, layer, shape) {
  const part = (name) => `layers.${layer}.${name}`;
  const [q, k, v, o] = ["q", "k", "v", "o"].map((name) => linear(tensors, part(`attn.${name}`)));
  const block = { nHeads: shape.n_heads, dHead: shape.d_head, norm1: norm(tensors, part("ln1")), q, k, v, o };
  if (!shape.d_mlp) return block;
  const [into, back] = ["mlp.fc_in", "mlp.fc_out"].map((name) => linear(tensors, part(name)));
  return { ...block, norm2: norm(tensors, part("ln2")), into, back, gelu: GELU.exact };
}

// The mean of the rows of a matrix.
function meanRow({ weight, width }) {
  const mean = new Float64Array(width);
  for (let i = 0; i < weight.length; i += 1) mean[i % width] += weight[i] / (weight.length / width);
  return mean;
}

function languageModel(shape, buffer) {
  const tensors = readTensors(buffer);
  const embed = linear(tensors, "tok_embed");
  const head = tensors["head.weight"] ? linear(tensors, "head") : embed;
  const blocks = Array.from({ length: shape.n_layers }, (_, layer) => decoderBlock(tensors, layer, shape));
  const positions = tensors["pos.weight"].values;
  return { shape, blocks, embed: embed.weight, positions, finalNorm: norm(tensors, "ln_out"), head, meanHead: meanRow(head) };
}

// Runs a model on tokens; `options` are those of `runBlocks`. With a `past`, tokens are those that follow it.
function readTokens(model, tokens, options = {}) {
  const width = model.shape.d_model;
  const start = options.past ? options.past[0].k.length / (model.blocks[0].nHeads * model.blocks[0].dHead) : 0;
  const stream = new Float32Array(tokens.length * width);
  tokens.forEach((token, t) => {
    for (let i = 0; i < width; i += 1) {
      stream[t * width + i] = model.embed[token * width + i] + model.positions[(start + t) * width + i];
    }
  });
  return { model, tokens, start, ...runBlocks(model.blocks, stream, options) };
}

// The probabilities that an entry reads as at one position: the last entry's are the model's own.
function probabilitiesAt({ model, entries }, position, entry = entries.length - 1) {
  const width = model.shape.d_model;
  const row = entries[entry].subarray(position * width, (position + 1) * width);
  return softmax(affine(layerNorm(row, model.finalNorm), model.head));
}

// The `k` largest places, the largest first.
function best(values, k) {
  const places = [];
  values.forEach((value, place) => {
    if (places.length === k && value <= values[places[k - 1]]) return;
    const at = places.findIndex((other) => values[other] < value);
    places.splice(at < 0 ? places.length : at, 0, place);
    places.length = Math.min(places.length, k);
  });
  return places;
}

// For every entry and position the first guess and its probability.
function firstGuesses(run) {
  return run.entries.map((_, entry) => run.tokens.map((_, position) => {
    const probabilities = probabilitiesAt(run, position, entry);
    const [id] = best(probabilities, 1);
    return { id, p: probabilities[id] };
  }));
}

// The nats by which `q` differs from `p`: the sum of p log(p / q).
function divergence(p, q) {
  return Math.max(0, p.reduce((sum, value, i) => (value > 0 ? sum + value * Math.log(value / q[i]) : sum), 0));
}

// What one head adds to the stream at a position: its columns of the output matrix times what it hands over.
function headWrites({ model, mixed }, layer, head, position) {
  const { o, dHead } = model.blocks[layer];
  const from = head * dHead;
  return Array.from({ length: model.shape.d_model }, (_, row) => {
    let sum = 0;
    for (let i = from; i < from + dHead; i += 1) sum += o.weight[row * o.width + i] * mixed[layer][position * o.width + i];
    return sum;
  });
}

// Everything that was added to the stream at a position, each with its name; together they are the last entry.
function parts(run, position) {
  const { model, tokens, mlps, moved } = run;
  const width = model.shape.d_model;
  const rowOf = (values, row) => values.subarray(row * width, (row + 1) * width);
  const found = [
    { name: "embedding", wrote: rowOf(model.embed, tokens[position]) },
    { name: "positions", wrote: rowOf(model.positions, run.start + position) },
  ];
  model.blocks.forEach((block, layer) => {
    for (let head = 0; head < block.nHeads; head += 1) {
      found.push({ name: `head ${layer}.${head}`, wrote: headWrites(run, layer, head, position) });
    }
    found.push({ name: `attention bias ${layer}`, wrote: block.o.bias });
    if (mlps[layer]) found.push({ name: `MLP ${layer}`, wrote: rowOf(mlps[layer], position) });
  });
  for (const patch of moved) if (patch.position === position) found.push({ name: "patch", wrote: patch.by });
  return found;
}

// By how many nats each part raises the logit of a token above the mean logit, under the final norm's own division.
// The shares sum to that difference (Elhage et al. 2021); what a part does through later layers is not in its share.
function attribution(run, position, token) {
  const { finalNorm: { gain, bias }, head: { weight }, meanHead, shape: { d_model: width } } = run.model;
  const direction = Array.from(meanHead, (mean, i) => weight[token * width + i] - mean);
  const { scale } = moments(run.entries.at(-1), position, width);
  const along = direction.map((value, i) => (value * gain[i]) / scale);
  const shares = parts(run, position).map(({ name, wrote }) => {
    let mean = 0;
    for (let i = 0; i < width; i += 1) mean += wrote[i] / width;
    return { name, share: along.reduce((sum, value, i) => sum + value * (wrote[i] - mean), 0) };
  });
  shares.push({ name: "final norm bias", share: direction.reduce((sum, value, i) => sum + value * bias[i], 0) });
  return shares;
}
