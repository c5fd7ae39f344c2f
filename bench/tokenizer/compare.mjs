// compare.mjs TOKENIZER_BENCH MODEL_FOLDER TEXT_FILE IDS_FILE: run by compare.sh.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { Tokenizer as JavaScript } from "@huggingface/tokenizers";
import tiktoken from "tiktoken";
import rust from "tokenizers";

const [bench, model, file, idsFile] = process.argv.slice(2);
const text = readFileSync(file);
const documents = [];  // pieces that end with the first line after 4,000 bytes, as tokenizer_bench cuts them
for (let at = 0; at < text.length;) {
  const end = text.indexOf("\n", at + 4000) + 1 || text.length;
  documents.push(text.subarray(at, end).toString("utf8"));
  at = end;
}
const raw = readFileSync(idsFile);
const chorusIds = new Int32Array(raw.buffer, raw.byteOffset, raw.length / 4);

const json = (name) => JSON.parse(readFileSync(join(model, name), "utf8"));
const o200k = tiktoken.get_encoding("o200k_base");
const javaScript = new JavaScript(json("tokenizer.json"), json("tokenizer_config.json"));
const rustTokenizer = rust.Tokenizer.fromFile(join(model, "tokenizer.json"));
const peers = {
  "tiktoken, WebAssembly": (d) => o200k.encode_ordinary(d),
  "tokenizers, JavaScript": (d) => javaScript.encode(d, { add_special_tokens: false }).ids,
  "tokenizers, Rust": async (d) => (await rustTokenizer.encode(d, null, { addSpecialTokens: false })).getIds(),
};

for (const [name, encode] of Object.entries(peers)) {
  let at = 0, different = 0;
  for (const d of documents) for (const id of await encode(d)) different += id !== chorusIds[at++];
  console.log(`${name}: ${at} ids, ${different === 0 && at === chorusIds.length ? "equal to chorus's" : `${different} different from chorus's ${chorusIds.length}`}`);
}

const best = {};
const seconds = (name, spent) => (best[name] = Math.min(spent, best[name] ?? Infinity));
for (let round = 0; round < 3; ++round) {
  const out = execFileSync(bench, [model, file, "--benchmark_filter=^encode_documents", "--benchmark_format=json", "--benchmark_min_time=0.5"],
    { stdio: ["ignore", "pipe", "ignore"] });
  seconds("chorus", JSON.parse(out).benchmarks[0].real_time / 1e3);
  for (const [name, encode] of Object.entries(peers)) {
    const begin = performance.now();
    for (const d of documents) await encode(d);
    seconds(name, (performance.now() - begin) / 1e3);
  }
}
console.log(`\n${"".padEnd(24)}${"MB/s".padStart(8)}${"ratio".padStart(8)}`);
for (const [name, spent] of Object.entries(best))
  console.log(`${name.padEnd(24)}${(text.length / spent / 1e6).toFixed(1).padStart(8)}${(spent / best.chorus).toFixed(1).padStart(8)}`);
