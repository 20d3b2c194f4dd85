// The tokeniser of the language models: byte-level BPE with the splitting rule of GPT-2, equal to `mechlib.text`.

const BOS = 0;
const BOS_TEXT = "<|endoftext|>";

// White space as Unicode has it, which JavaScript's own class is not quite.
const BLANK = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const PIECE = new RegExp(
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+"
  + `| ?[^${BLANK}\\p{L}\\p{N}]+|[${BLANK}]+(?![^${BLANK}])|[${BLANK}]+`,
  "gu",
);

// Of `alphabet`, the bytes that have the ids from 1 on, and `merges`, pairs of ids one after the other: the pair of rank
// r becomes the id after the alphabet's plus r.
function buildTokenizer({ alphabet, merges }) {
  const bytes = [[], ...alphabet.map((byte) => [byte])];
  const byteIds = new Map(alphabet.map((byte, place) => [byte, place + 1]));
  const joins = new Map();
  for (let at = 0; at < merges.length; at += 2) {
    const [left, right] = [merges[at], merges[at + 1]];
    joins.set(left * 65536 + right, bytes.length);
    bytes.push([...bytes[left], ...bytes[right]]);
  }
  return { bytes, byteIds, joins };
}

// The pair that was learned first is joined first, the leftmost before others.
function joinPairs(ids, joins) {
  for (;;) {
    let best = Infinity;
    let place = -1;
    for (let at = 0; at + 1 < ids.length; at += 1) {
      const id = joins.get(ids[at] * 65536 + ids[at + 1]) ?? Infinity;
      if (id < best) [best, place] = [id, at];
    }
    if (place < 0) return ids;
    ids.splice(place, 2, best);
  }
}

// The token ids of a text, without a BOS before it.
function encode({ byteIds, joins }, text) {
  const utf8 = new TextEncoder();
  const ids = [];
  text.split(BOS_TEXT).forEach((part, index) => {
    if (index) ids.push(BOS);
    for (const [piece] of part.matchAll(PIECE)) {
      ids.push(...joinPairs([...utf8.encode(piece)].map((byte) => byteIds.get(byte)), joins));
    }
  });
  return ids;
}

// The text of token ids; BOS has none.
function decode({ bytes }, ids) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(ids.flatMap((id) => bytes[id])));
}

// One token as it is shown: `·` is a space, `⏎` a line break and `→` a tab.
function tokenText(tokenizer, id) {
  const text = id === BOS ? BOS_TEXT : decode(tokenizer, [id]);
  return text.replaceAll(" ", "·").replaceAll("\n", "⏎").replaceAll("\t", "→");
}
