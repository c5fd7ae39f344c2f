#!/usr/bin/env python3
"""chorus, tiktoken and tokenizers (the native Python packages) encode the same text with the same vocabulary.

    native_compare.py pack TOKENIZER_BENCH TOKENIZER_JSON TEXT FOLDER    where chorus is built: all that a run needs
    native_compare.py run FOLDER [--seconds N]                          where Python has tiktoken and tokenizers

The text goes in as documents of some 4,000 bytes. `run` says whether all give the same ids, then MB/s (1e6 bytes) on
one thread and on all cores: for each the best of rounds in which all take their turn. Needs no network: tiktoken's
encoding is made from tokenizer.json's own vocabulary and pattern."""
import argparse
import array
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time


def pack(bench, tokenizer_json, text, folder):
    (folder / "lib").mkdir(parents=True, exist_ok=True)
    shutil.copy2(bench, folder / "tokenizer_bench")
    for line in subprocess.run(["ldd", bench], stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines():
        for word in line.split():
            if word.startswith("/"):
                shutil.copy2(word, folder / "lib" / os.path.basename(line.split()[0]))
    with open(tokenizer_json, "rb") as source, gzip.open(folder / "tokenizer.json.gz", "wb") as packed:
        shutil.copyfileobj(source, packed)
    shutil.copy2(text, folder / "text.txt")
    shutil.copy2(__file__, folder / "native_compare.py")
    print(f"{sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) / 1e6:.1f} MB in {folder}")


def documents(text):
    """Pieces that end with the first line after 4,000 bytes, as tokenizer_bench cuts them."""
    at, pieces = 0, []
    while at < len(text):
        end = text.find(b"\n", at + 4000) + 1 or len(text)
        pieces.append(text[at:end].decode())
        at = end
    return pieces


def bytes_of_characters():
    """The byte-level alphabet of tokenizer.json: which character stands for which byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {**{chr(b): b for b in printable}, **{chr(256 + i): b for i, b in enumerate(others)}}


def tiktoken_encoding(path):
    import tiktoken
    spec = json.loads(path.read_bytes())
    alphabet = bytes_of_characters()
    ranks = {bytes(alphabet[c] for c in token): i for token, i in spec["model"]["vocab"].items()}
    steps = spec["pre_tokenizer"].get("pretokenizers", [spec["pre_tokenizer"]])
    pattern = next(step["pattern"]["Regex"] for step in steps if step["type"] == "Split")
    special = {t["content"]: t["id"] for t in spec["added_tokens"]}
    return tiktoken.Encoding("o200k", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


class Chorus:
    """tokenizer_bench, started with the loader and the libraries that came along."""
    names = {"encode_documents/real_time": "one", "encode_batch/real_time": "all"}

    def __init__(self, folder, model):
        lib = folder / "lib"
        loader = next(lib.glob("*ld-linux*"))
        loader.chmod(0o755)
        (folder / "tokenizer_bench").chmod(0o755)
        self.command = [loader, "--library-path", lib, folder / "tokenizer_bench", model, folder / "text.txt"]

    def ids(self):
        with tempfile.NamedTemporaryFile() as file:
            subprocess.run([*self.command, "--ids", file.name], check=True)
            ids = array.array("i")
            ids.frombytes(pathlib.Path(file.name).read_bytes())
        return list(ids)

    def times(self):
        run = subprocess.run([*self.command, "--benchmark_filter=^encode_(documents|batch)/", "--benchmark_format=json",
                              "--benchmark_min_time=0.5"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        return {self.names[b["name"]]: b["real_time"] / 1e3 for b in json.loads(run.stdout)["benchmarks"]}


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


class Tiktoken:
    def __init__(self, path, texts):
        self.encoding, self.texts = tiktoken_encoding(path), texts

    def ids(self):
        return [i for text in self.texts for i in self.encoding.encode_ordinary(text)]

    def times(self):
        encode, batch = self.encoding.encode_ordinary, self.encoding.encode_ordinary_batch
        return {"one": timed(lambda: [encode(text) for text in self.texts]),
                "all": timed(lambda: batch(self.texts, num_threads=os.cpu_count()))}


class HuggingFace:
    def __init__(self, path, texts):
        import tokenizers
        self.tokenizer, self.texts = tokenizers.Tokenizer.from_file(str(path)), texts
        # Without offsets, where this version can.
        self.batch = getattr(self.tokenizer, "encode_batch_fast", self.tokenizer.encode_batch)

    def ids(self):
        return [i for e in self.batch(self.texts, add_special_tokens=False) for i in e.ids]

    def times(self):
        times = {}
        for name, parallel in (("one", "false"), ("all", "true")):
            os.environ["TOKENIZERS_PARALLELISM"] = parallel
            times[name] = timed(lambda: [e.ids for e in self.batch(self.texts, add_special_tokens=False)])
        return times


def run(folder, seconds):
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        model = pathlib.Path(work)
        path = model / "tokenizer.json"
        path.write_bytes(gzip.decompress((folder / "tokenizer.json.gz").read_bytes()))
        text = (folder / "text.txt").read_bytes()
        texts = documents(text)
        print(f"{len(text):,} bytes in {len(texts)} documents, {os.cpu_count()} cores", flush=True)
        peers = {"chorus": Chorus(folder, model), "tiktoken": Tiktoken(path, texts), "tokenizers": HuggingFace(path, texts)}
        ids = {name: peer.ids() for name, peer in peers.items()}
        for name, theirs in ids.items():
            print(f"{name}: {len(theirs):,} ids, {'equal' if theirs == ids['chorus'] else 'NOT EQUAL'} to chorus's", flush=True)
        best = {}
        while not best or time.perf_counter() - begin < seconds:
            for name, peer in peers.items():
                for threads, spent in peer.times().items():
                    best[name, threads] = min(spent, best.get((name, threads), spent))
        print(f"{'':12}{'one thread':>12}{'ratio':>8}{'all cores':>12}{'ratio':>8}")
        for name in peers:
            columns = "".join(f"{len(text) / best[name, t] / 1e6:12.1f}{best[name, t] / best['chorus', t]:8.2f}" for t in ("one", "all"))
            print(f"{name:12}{columns}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    for name in ("bench", "tokenizer_json", "text", "folder"):
        packing.add_argument(name, type=pathlib.Path)
    running = commands.add_parser("run")
    running.add_argument("folder", type=pathlib.Path)
    running.add_argument("--seconds", type=float, default=25)
    options = parser.parse_args()
    if options.command == "pack":
        pack(options.bench, options.tokenizer_json, options.text, options.folder)
    else:
        run(options.folder.resolve(), options.seconds)


if __name__ == "__main__":
    main()
