// A transformer that learned regression in context, and two algorithms beside it.

// A matrix that the file has as [model, in, out]: the columns from `from` to `to`, as the engine wants them.
function turned(tensors, name, from = 0, to = Infinity) {
  const { shape: [, width, columns], values } = tensors[`${name}.weight`];
  const end = Math.min(to, columns);
  const weight = new Float32Array((end - from) * width);
  for (let column = from; column < end; column += 1) {
    for (let row = 0; row < width; row += 1) weight[(column - from) * width + row] = values[row * columns + column];
  }
  return { weight, width, bias: tensors[`${name}.bias`].values.subarray(from, end) };
}

function gained(tensors, name) {
  return { gain: tensors[`${name}.gain`].values, bias: tensors[`${name}.bias`].values };
}

function regressionModel({ d, d_model: width, n_layers: layers, n_heads: nHeads, n_points: nPoints }, buffer) {
  const tensors = readTensors(buffer);
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const part = (name) => `blocks.${layer}.${name}`;
    const [q, k, v] = [0, 1, 2].map((third) => turned(tensors, part("qkv"), third * width, (third + 1) * width));
    return {
      nHeads, dHead: width / nHeads, q, k, v, o: turned(tensors, part("out")), gelu: GELU.tanh,
      norm1: gained(tensors, part("norm1")), norm2: gained(tensors, part("norm2")),
      into: turned(tensors, part("mlp.0")), back: turned(tensors, part("mlp.2")),
    };
  });
  const [embed, read] = ["embed", "read"].map((name) => turned(tensors, name));
  return { d, nPoints, blocks, embed, read, positions: tensors.positions.values, finalNorm: gained(tensors, "norm") };
}

// What the model predicts at each of `queries` after the same examples `x [n][d]`, `y [n]`. Token k holds x_k and the
// example before it; only the last token of a prompt knows the query, so the others are run once.
function regressionPredictions(model, x, y, queries) {
  const width = model.embed.bias.length;
  const blank = Array.from({ length: model.d + 1 }, () => 0);
  const embedded = (k, point) => {
    const token = affine(Float32Array.from([...point, ...(k ? [...x[k - 1], y[k - 1]] : blank)]), model.embed);
    return token.map((value, i) => value + model.positions[k * width + i]);
  };
  const stream = new Float32Array(x.length * width);
  x.forEach((point, k) => stream.set(embedded(k, point), k * width));
  const past = x.length ? runBlocks(model.blocks, stream).present : [];
  return queries.map((query) => {
    const last = runBlocks(model.blocks, embedded(x.length, query), { past }).entries.at(-1);
    return affine(layerNorm(last, model.finalNorm), model.read)[0];
  });
}

// The slope through the origin that each algorithm finds for points on a line.
function slopes(points, { penalty, rate }) {
  const sum = (of) => points.reduce((total, point) => total + of(point), 0);
  const [xx, xy] = [sum(({ x }) => x * x), sum(({ x, y }) => x * y)];
  return { ridge: points.length ? xy / (xx + penalty) : 0, step: points.length ? (rate * xy) / points.length : 0 };
}
