// A transformer that runs where it is shown: tensors from a file, affine maps, norms, attention, and blocks of them.
// Numbers are stored in single precision and summed in double; matrices are stored [out, in], one row after the other.

const EPSILON = 1e-5;

// IEEE half precision, from its 16 bits.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * 2 ** -24 * fraction;
}

// What a file of safetensors holds in half precision, by name: `shape`, and `values` in single precision.
function readTensors(buffer) {
  const bytes = buffer instanceof ArrayBuffer ? new DataView(buffer) : buffer;
  const length = Number(bytes.getBigUint64(0, true));
  const text = new TextDecoder().decode(new Uint8Array(bytes.buffer, bytes.byteOffset + 8, length));
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(JSON.parse(text))) {
    if (name === "__metadata__") continue;
    if (dtype !== "F16") throw new Error(`${name} is stored as ${dtype}, not in half precision`);
    const values = new Float32Array((end - start) / 2);
    for (let i = 0; i < values.length; i += 1) values[i] = half(bytes.getUint16(8 + length + start + 2 * i, true));
    tensors[name] = { shape, values };
  }
  return tensors;
}

// Rows `x [n, in]` times a matrix `[out, in]`, plus a bias if there is one: `[n, out]`. Four sums run side by side, since
// one alone waits for its own last addition.
function affine(x, { weight, bias, width }) {
  const n = x.length / width;
  const out = weight.length / width;
  const y = new Float32Array(n * out);
  const fours = out - (out % 4);
  for (let row = 0; row < n; row += 1) {
    const start = row * width;
    const to = row * out;
    for (let o = 0; o < fours; o += 4) {
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let i = 0, a = start, b = o * width; i < width; i += 1, a += 1, b += 1) {
        const value = x[a];
        s0 += value * weight[b];
        s1 += value * weight[b + width];
        s2 += value * weight[b + 2 * width];
        s3 += value * weight[b + 3 * width];
      }
      y[to + o] = s0;
      y[to + o + 1] = s1;
      y[to + o + 2] = s2;
      y[to + o + 3] = s3;
    }
    for (let o = fours; o < out; o += 1) {
      for (let i = 0; i < width; i += 1) y[to + o] += x[start + i] * weight[o * width + i];
    }
    if (bias) for (let o = 0; o < out; o += 1) y[to + o] += bias[o];
  }
  return y;
}

// The root of the variance of one row, which a LayerNorm divides by, and its mean.
function moments(x, row, width) {
  let mean = 0;
  let square = 0;
  for (let i = 0; i < width; i += 1) mean += x[row * width + i] / width;
  for (let i = 0; i < width; i += 1) square += (x[row * width + i] - mean) ** 2 / width;
  return { mean, scale: Math.sqrt(square + EPSILON) };
}

function layerNorm(x, { gain, bias }) {
  const width = gain.length;
  const y = new Float32Array(x.length);
  for (let row = 0; row < x.length / width; row += 1) {
    const { mean, scale } = moments(x, row, width);
    for (let i = 0; i < width; i += 1) y[row * width + i] = ((x[row * width + i] - mean) / scale) * gain[i] + bias[i];
  }
  return y;
}

// The error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26).
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

const GELU = {
  exact: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

function joined(first, second) {
  const both = new Float32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function added(x, y) {
  return x.map((value, i) => value + y[i]);
}

// Makes a softmax of `values` in place.
function softmax(values) {
  let top = -Infinity;
  let sum = 0;
  for (const value of values) top = Math.max(top, value);
  for (let i = 0; i < values.length; i += 1) {
    values[i] = Math.exp(values[i] - top);
    sum += values[i];
  }
  for (let i = 0; i < values.length; i += 1) values[i] /= sum;
  return values;
}

// One head: a row of shares for each new token, over all tokens up to itself, and the values mixed by them, which it
// writes into its columns of `mixed`.
function attend({ q, k, v, width, dHead }, head, mixed) {
  const before = (k.length - q.length) / width;
  const rows = [];
  for (let t = 0; t < q.length / width; t += 1) {
    const from = t * width + head * dHead;
    const row = new Float32Array(before + t + 1);
    for (let s = 0; s < row.length; s += 1) {
      let score = 0;
      for (let i = 0; i < dHead; i += 1) score += q[from + i] * k[s * width + head * dHead + i];
      row[s] = score / Math.sqrt(dHead);
    }
    softmax(row);
    for (let i = 0; i < dHead; i += 1) {
      let sum = 0;
      for (let s = 0; s < row.length; s += 1) sum += row[s] * v[s * width + head * dHead + i];
      mixed[from + i] = sum;
    }
    rows.push(row);
  }
  return rows;
}

// The attention of one block: what it adds, the patterns, what the heads hand to the output matrix, and the keys and
// values of all tokens so far. Heads in `ablated` hand over zeros.
function attention(block, x, past, ablated) {
  const normed = block.norm1 ? layerNorm(x, block.norm1) : x;
  const [q, newKeys, newValues] = [block.q, block.k, block.v].map((map) => affine(normed, map));
  const [k, v] = past ? [joined(past.k, newKeys), joined(past.v, newValues)] : [newKeys, newValues];
  const mixed = new Float32Array(q.length);
  const width = block.nHeads * block.dHead;
  const heads = Array.from({ length: block.nHeads }, (_, head) => attend({ q, k, v, width, dHead: block.dHead }, head, mixed));
  for (const head of ablated) {
    for (let at = head * block.dHead; at < mixed.length; at += width) mixed.fill(0, at, at + block.dHead);
  }
  return { wrote: affine(mixed, block.o), heads, mixed, present: { k, v } };
}

function feedForward(block, x) {
  const inner = affine(block.norm2 ? layerNorm(x, block.norm2) : x, block.into);
  return affine(inner.map(block.gelu), block.back);
}

// The stream with some of its rows replaced, and by how much each was moved.
function patched(stream, width, patches) {
  const edited = stream.slice();
  const moved = patches.map(({ position, row }) => {
    const there = edited.subarray(position * width, (position + 1) * width);
    const by = row.map((value, i) => value - there[i]);
    there.set(row);
    return { position, by };
  });
  return { edited, moved };
}

// Runs blocks on the stream `x [n, width]` of new tokens.
// - `past`: what an earlier run calls `present`: the keys and values of the tokens before these.
// - `ablated`: for each layer the heads that add nothing.
// - `patches`: rows `{ entry, position, row }` that are put in the place of what the stream has there.
// Gives `entries`, the stream before the first block and after every one; for each layer `patterns`, `mixed` (what heads
// hand to the output matrix) and `mlps`; and `moved`, what patches added.
function runBlocks(blocks, x, { past = [], ablated = [], patches = [] } = {}) {
  const width = blocks[0].q.width;
  const run = { entries: [], patterns: [], mixed: [], mlps: [], present: [], moved: [] };
  let stream = x;
  const enter = (entry) => {
    const { edited, moved } = patched(stream, width, patches.filter((patch) => patch.entry === entry));
    stream = edited;
    run.entries.push(edited);
    run.moved.push(...moved);
  };
  enter(0);
  blocks.forEach((block, layer) => {
    const { wrote, heads, mixed, present } = attention(block, stream, past[layer], ablated[layer] ?? []);
    stream = added(stream, wrote);
    run.patterns.push(heads);
    run.mixed.push(mixed);
    run.present.push(present);
    if (block.into) {
      run.mlps.push(feedForward(block, stream));
      stream = added(stream, run.mlps[layer]);
    }
    enter(layer + 1);
  });
  return run;
}
