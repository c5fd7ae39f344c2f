// Compares `chorus tokenize | detokenize` with Hugging Face's tokenizers (Rust, through npm) and with tiktoken, on
// random texts and ids, over the tokenizers given and over random small pipelines. Run by compare.sh.
//   node compare.mjs --chorus PROGRAM [--seconds 60] [--seed N] [MODEL_FOLDER ...]
import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const require = createRequire(path.join(process.cwd(), "x.js"));
const { Tokenizer } = require("tokenizers");

const options = { seconds: 60, seed: Date.now() % 1000000, chorus: "chorus" };
const folders = [];
for (let i = 2; i < process.argv.length; ++i) {
  const name = process.argv[i].replace(/^--/, "");
  if (name in options) options[name] = process.argv[++i];
  else folders.push(process.argv[i]);
}
console.log(`seed ${options.seed}`);

// ---- random numbers, texts
let state = Number(options.seed) >>> 0;
function random(n) {  // mulberry32
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % n;
}
const pick = (list) => list[random(list.length)];

const words = ["the", "Hello", "World", "don't", "I'LL", "it's", "ſ", "'ſ", "snake_case", "camelCase", "HTTPServer", "naïve",
  "Straße", "İstanbul", "über", "日本語", "你好世界", "한국어", "привет", "мир", "שלום", "مرحبا", "नमस्ते", "ไทย", "e\u0301", "\u0301",
  "ﬁ", "①", "½", "Ⅷ", "٣", "123", "4567890", "3.14", "1,000", "😀", "👨‍👩‍👧", "🇩🇪", "❤️", "\u200d", "\u200b", "\ufeff", "\u180e",
  "\u00a0", "\u3000", "\u2028", "\u0085", "\u001c", "\r\n", "\n", "\n\n", "\t", " ", "  ", "    ", ".", ",", "!", "?", "...", "/", "//", "-", "_", "'", "\"",
  "(", ")", "{", "}", "=>", "!=", "<", "<|", "|>", "<s>", "</s>", "<unk>", "▁", "▁▁", "Ġ", "##", "ab", "abc", "aaaa", "zzz", "\ufffd", "\u0000", "ǅ", "ʰ", "ª", "ß", "ẞ",
  "K", "Å", "ﷺ", "ｶﾞ", "가", "각", "\u1100\u1161", "𝔘𝔫𝔦", "𐐷", "$", "€", "+", "©", "™", "´", "^", "`", "~"];
function randomChar() {
  const kind = random(6);
  if (kind < 2) return String.fromCharCode(32 + random(95));
  if (kind === 2) return String.fromCodePoint(0xa0 + random(0x500));
  if (kind === 3) return String.fromCodePoint(pick([0x900, 0xe00, 0x1e00, 0x2000, 0x3000, 0x4e00, 0xac00, 0xff00, 0x1f300]) + random(256));
  if (kind === 4) return String.fromCharCode(random(32));
  return pick(words);
}
function randomText(vocabulary) {
  let text = "";
  for (let n = random(24); n >= 0; --n) {
    const kind = random(8);
    if (kind === 0) text += randomChar();
    else if (kind === 1 && vocabulary.length) text += pick(vocabulary);
    else if (kind === 2) text += pick(words).repeat(1 + random(6));
    else if (kind < 5) text += " ";
    else text += pick(words);
  }
  return Buffer.from(text.toWellFormed ? text.toWellFormed() : text, "utf8").toString("utf8");
}

// ---- the two sides
function chorus(command, folder, rows) {
  const input = rows.map((row) => JSON.stringify(row)).join("\n") + "\n";
  const out = execFileSync(options.chorus, [command, "--model", folder], { input, maxBuffer: 1 << 30, stdio: ["pipe", "pipe", "pipe"] });
  return out.toString("utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
}

let checked = 0, different = 0, refused = 0;
function report(what, folder, input, expected, actual) {
  different += 1;
  if (different > 25) return;
  console.log(`DIFFERENT ${what} ${folder}\n  input:    ${JSON.stringify(input)}\n  expected: ${JSON.stringify(expected)}\n  chorus:   ${JSON.stringify(actual)}`);
}

async function compare(folder, tokenizer, count, tiktoken) {
  const vocabulary = Object.keys(tokenizer.getVocab(true)).slice(0, 400);
  const limit = tokenizer.getVocabSize(true) + 3;
  const texts = Array.from({ length: count }, () => randomText(vocabulary));
  const ids = Array.from({ length: count }, () => Array.from({ length: 1 + random(12) }, () => random(random(2) ? limit : Math.min(limit, 300))));
  let encoded, decoded, plain;
  try {
    encoded = chorus("tokenize", folder, texts.map((text) => ({ text, special: true })));
    if (tiktoken) plain = chorus("tokenize", folder, texts.map((text) => ({ text, special: false })));
    decoded = chorus("detokenize", folder, ids.map((one) => ({ ids: one })));
  } catch (error) {
    refused += 1;
    if (refused <= 10) console.log(`REFUSED ${folder}: ${String(error.stderr ?? error)}`);
    return;
  }
  for (let i = 0; i < count; ++i) {
    let expected;
    try {
      expected = (await tokenizer.encode(texts[i], null, { addSpecialTokens: false })).getIds();
    } catch {
      continue;  // no unknown token: an error on both sides
    }
    ++checked;
    if (JSON.stringify(expected) !== JSON.stringify(encoded[i].ids)) report("encode", folder, texts[i], expected, encoded[i]);
    if (plain) {
      const ordinary = [...tiktoken.encode_ordinary(texts[i])];
      ++checked;
      if (JSON.stringify(ordinary) !== JSON.stringify(plain[i].ids)) report("encode without special (tiktoken)", folder, texts[i], ordinary, plain[i]);
    }
    const text = await tokenizer.decode(ids[i], false);
    ++checked;
    if (text !== decoded[i].text) report("decode", folder, ids[i], text, decoded[i].text);
  }
}

// ---- random pipelines
const behaviors = ["Removed", "Isolated", "Contiguous", "MergedWithPrevious", "MergedWithNext"];
const bool = () => random(2) === 0;
const pattern = () => pick([{ String: " " }, { String: "a" }, { String: "▁" }, { String: "--" }, { Regex: "\\d+" }, { Regex: "\\s+" },
  { Regex: "[a-z]+" }, { Regex: "\\p{Lu}" }, { Regex: "\\w+|[^\\w\\s]" }, { Regex: "(?i)hello| ?\\p{L}+" }, { Regex: "[\\s,.]" }]);
function normalizer() {
  return pick([
    () => ({ type: "NFC" }), () => ({ type: "NFD" }), () => ({ type: "NFKC" }), () => ({ type: "NFKD" }),
    () => ({ type: "Lowercase" }), () => ({ type: "StripAccents" }), () => ({ type: "Nmt" }),
    () => ({ type: "Strip", strip_left: bool(), strip_right: bool() }), () => ({ type: "Prepend", prepend: pick(["▁", "x"]) }),
    () => ({ type: "Replace", pattern: pattern(), content: pick(["▁", "", "a b"]) }),
    () => ({ type: "BertNormalizer", clean_text: bool(), handle_chinese_chars: bool(), strip_accents: pick([null, true, false]), lowercase: bool() }),
  ])();
}
// "first" asks where a piece lay before normalization, of which chorus keeps only whether it began the text.
let schemes = ["always", "first", "never"];
function preTokenizer() {
  return pick([
    () => ({ type: "Split", pattern: pattern(), behavior: pick(behaviors), invert: bool() }),
    () => ({ type: "Metaspace", replacement: "▁", prepend_scheme: pick(schemes), split: bool() }),
    () => ({ type: "Digits", individual_digits: bool() }), () => ({ type: "Whitespace" }), () => ({ type: "WhitespaceSplit" }),
    () => ({ type: "Punctuation", behavior: pick(behaviors) }), () => ({ type: "BertPreTokenizer" }),
    () => ({ type: "CharDelimiterSplit", delimiter: pick([" ", "a", "▁"]) }),
    () => ({ type: "ByteLevel", add_prefix_space: bool(), trim_offsets: true, use_regex: bool() }),
  ])();
}
function decoder() {
  return pick([
    () => ({ type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true }),
    () => ({ type: "WordPiece", prefix: "##", cleanup: bool() }), () => ({ type: "BPEDecoder", suffix: "</w>" }),
    () => ({ type: "Metaspace", replacement: "▁", prepend_scheme: pick(["always", "first", "never"]), split: bool() }),
    () => ({ type: "Sequence", decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" },
      { type: "Strip", content: " ", start: random(3), stop: 0 }] }),
    () => ({ type: "Sequence", decoders: [{ type: "Fuse" }, { type: "Replace", pattern: pick([{ String: "ab" }, { String: "▁▁" }, { String: "aa" }]), content: pick(["", "-"]) }] }),
    () => null,
  ])();
}
function sequence(kind, field, make) {
  const n = random(4);
  if (n === 0) return null;
  return n === 1 ? make() : { type: "Sequence", [field]: Array.from({ length: n }, make) };
}
function letters() {
  const all = new Set("abcdefghijklmnopqrstuvwxyzHWLSI0123456789 .,!?'-_▁ĠĊé日本語你好#<>/|");
  for (const word of words) for (const c of word) if (random(3)) all.add(c);
  return [...all];
}
function bpe(byteFallback) {
  const vocab = {}, merges = [];
  const add = (token) => (vocab[token] ??= Object.keys(vocab).length);
  add("<unk>");
  if (byteFallback) for (let b = 0; b < 256; ++b) add(`<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`);
  const parts = letters();
  parts.forEach(add);
  for (let i = 0; i < 200; ++i) {
    const left = pick(parts), right = pick(parts);
    if ((left + right).length > 8 || left.includes(" ") || right.includes(" ") || vocab[left + right] !== undefined) continue;
    add(left + right);
    merges.push([left, right]);
    parts.push(left + right, left + right);
  }
  return { type: "BPE", dropout: null, unk_token: pick(["<unk>", null]), continuing_subword_prefix: null, end_of_word_suffix: null,
    fuse_unk: bool(), byte_fallback: byteFallback, ignore_merges: bool(), vocab, merges };
}
function unigram() {
  const vocab = [["<unk>", 0]], seen = new Set(["<unk>"]);
  for (const token of [...letters(), ...words, "▁the", "▁Hello", "lo", "he", "ll", "or"]) {
    if (seen.has(token) || token.length === 0) continue;
    seen.add(token);
    vocab.push([token, -(1 + random(1000) / 64)]);
  }
  return { type: "Unigram", unk_id: 0, vocab, byte_fallback: false };
}
function wordPiece() {
  const vocab = {};
  const add = (token) => (vocab[token] ??= Object.keys(vocab).length);
  add("[UNK]");
  for (const c of letters()) { add(c); if (random(3)) add("##" + c); }
  for (const word of words) if (random(2)) add(word);
  for (const part of ["he", "lo", "llo", "orld", "the", "abc"]) { add(part); add("##" + part); }
  return { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: pick([100, 5]), vocab };
}
// As Hugging Face numbers them: a word of the vocabulary keeps its id. Normalized ones only where there is no
// normalizer: the Rust library aborts on some of the others.
function addedTokens(model, normalizes) {
  const list = Array.isArray(model.vocab);
  const known = (token) => (list ? model.vocab.findIndex(([t]) => t === token) : model.vocab[token] ?? -1);
  let next = list ? model.vocab.length : Object.keys(model.vocab).length;
  const contents = ["<|im_start|>", "<|im_end|>", "<s>x", "swtok", "Hello W", "\n\n", "  ", "don't"].filter(() => bool());
  return contents.map((content) => ({ id: known(content) >= 0 ? known(content) : next++, content, single_word: random(4) === 0, lstrip: random(4) === 0 && content.trim() !== "",
    rstrip: random(4) === 0 && content.trim() !== "", normalized: !normalizes && random(3) === 0, special: bool() }));
}

async function randomPipeline(folder) {
  const model = pick([() => bpe(false), () => bpe(true), unigram, wordPiece])();
  const normalizers = sequence("normalizer", "normalizers", normalizer);
  schemes = normalizers === null ? ["always", "first", "never"] : ["always", "never"];
  const json = { version: "1.0", truncation: null, padding: null, added_tokens: addedTokens(model, normalizers !== null),
    normalizer: normalizers, pre_tokenizer: sequence("pre_tokenizer", "pretokenizers", preTokenizer),
    post_processor: null, decoder: decoder(), model };
  const file = path.join(folder, "tokenizer.json");
  fs.writeFileSync(file, JSON.stringify(json));
  let tokenizer;
  try {
    tokenizer = Tokenizer.fromFile(file);
  } catch {
    return;
  }
  const before = different;
  await compare(folder, tokenizer, 40);
  if (different > before && different <= 25) {
    const { model: m, ...rest } = json;
    console.log(`  pipeline: ${m.type} ${JSON.stringify({ ...rest, fuse_unk: m.fuse_unk, byte_fallback: m.byte_fallback, unk: m.unk_token })}`);
  }
}

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "chorus-tokenizer-"));
const end = Date.now() + 1000 * Number(options.seconds);
const given = folders.map((folder) => {
  const tokenizer = Tokenizer.fromFile(path.join(folder, "tokenizer.json"));
  const o200k = tokenizer.tokenToId("<|return|>") === 200002 && tokenizer.getVocabSize(true) > 200000;
  return { folder, tokenizer, tiktoken: o200k ? require("tiktoken").get_encoding("o200k_base") : null };
});
for (let round = 0; Date.now() < end; ++round) {
  if (given.length && round % 4 === 0) {
    const { folder, tokenizer, tiktoken } = given[(round / 4) % given.length];
    await compare(folder, tokenizer, 300, tiktoken);
  } else {
    await randomPipeline(temporary);
  }
}
fs.rmSync(temporary, { recursive: true });
console.log(`${checked} comparisons, ${different} different, ${refused} pipelines refused`);
process.exit(different > 0 ? 1 : 0);
