#!/usr/bin/env python3
# verify_proof.py PROOF [KEY]: checks a proof of one entry with Python and openssl alone (see AUDIT.md).
import base64, hashlib, subprocess, sys, tempfile

def sha(b): return hashlib.sha256(b).digest()

def signed(text, sig, pub):  # Ed25519; the prefix makes a DER public key of 32 bytes (RFC 8410)
    with tempfile.TemporaryDirectory() as d:
        for name, b in ("m", text), ("s", sig), ("k", bytes.fromhex("302a300506032b6570032100") + pub):
            open(f"{d}/{name}", "wb").write(b)
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", d + "/k",
                               "-rawin", "-in", d + "/m", "-sigfile", d + "/s"], capture_output=True).returncode == 0

def root(h, n, size, path):  # RFC 9162 section 2.1.3.2
    last = size - 1
    for p in path:
        if last == 0: return b""
        if n & 1 or n == last:
            h = sha(b"\1" + p + h)
            while n & 1 == 0 and n: n, last = n >> 1, last >> 1
        else: h = sha(b"\1" + h + p)
        n, last = n >> 1, last >> 1
    return h if last == 0 else b""

head, text, sig = open(sys.argv[1]).read().split("\n\n")
form, extra, index, *path = head.split("\n")
key, entry = base64.b64decode(extra.removeprefix("extra ")).split(b"\n", 1)
key, n, (origin, size, top) = key.decode(), int(index.removeprefix("index ")), text.split("\n")
got = root(sha(b"\0" + entry), n, int(size), [base64.b64decode(p) for p in path])
if form != "c2sp.org/tlog-proof@v1" or sys.argv[2:] not in ([], [key]) or origin != key.split("+")[0]: sys.exit("no proof, or not under this key")
if not 0 <= n < int(size) or got != base64.b64decode(top): sys.exit("the log does not hold this entry there")
if not signed((text + "\n").encode(), base64.b64decode(sig.split(" ")[2])[4:], base64.b64decode(key.split("+", 2)[2])[1:]): sys.exit("the log key did not sign this")
scrypt = hashlib.scrypt(b"rallyvault/1 checkpoint code\n" + f"{key}\n{size}\n{top}\n".encode(), salt=b"rallyvault/1 checkpoint code\n", n=32768, r=8, p=1, maxmem=1 << 26, dklen=13)
code = "".join("0123456789abcdefghjkmnpqrstvwxyz"[int.from_bytes(scrypt, "big") >> 99 - 5 * i & 31] for i in range(20))
print(f"{entry.decode()}\nis entry {n} of {size}, key {key}, code {'-'.join(code[i:i + 4] for i in range(0, 20, 4))}: ok")
