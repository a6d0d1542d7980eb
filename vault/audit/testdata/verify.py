#!/usr/bin/env python3
# verify.py EXPORT [KEY]: checks an audit export with Python and openssl alone (see AUDIT.md).
import base64, hashlib, json, subprocess, sys, tempfile

def sha(b): return hashlib.sha256(b).digest()

def signed(text, sig, pub):  # Ed25519; the prefix makes a DER public key of 32 bytes (RFC 8410)
    with tempfile.TemporaryDirectory() as d:
        for name, b in ("m", text), ("s", sig), ("k", bytes.fromhex("302a300506032b6570032100") + pub):
            open(f"{d}/{name}", "wb").write(b)
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", d + "/k",
                               "-rawin", "-in", d + "/m", "-sigfile", d + "/s"], capture_output=True).returncode == 0

lines = open(sys.argv[1], "rb").read().split(b"\n")
head = json.loads(lines[0])
pub = base64.b64decode(head["key"].split("+", 2)[2])[1:]
ok = lines.pop() == b"" and head["rallyvault"] == "audit/1" and sys.argv[2:] in ([], [head["key"]])
size, stack, covered = 0, [], 0  # stack: (leaves, hash) of the full subtrees, large to small
for line in lines[1:]:
    if not line.startswith(b'{"checkpoint":'):
        size, n, h = size + 1, 1, sha(b"\0" + line)
        while stack and stack[-1][0] == n:
            n, h = 2 * n, sha(b"\1" + stack.pop()[1] + h)
        stack.append((n, h))
        continue
    text, sig = json.loads(line)["checkpoint"].split("\n\n")
    root = stack[-1][1] if stack else b""
    for _, h in stack[-2::-1]: root = sha(b"\1" + h + root)
    says = f"{head['origin']}\n{size}\n{base64.b64encode(root).decode()}"
    if text != says or not signed((text + "\n").encode(), base64.b64decode(sig.split(" ")[2])[4:], pub):
        sys.exit(f"entries {covered} to {size - 1} are not what the checkpoint after them was signed for")
    covered = size
if not ok or covered != size: sys.exit(f"entries from {covered} on are covered by no checkpoint, or the file is cut or not under this key")
print(f"{size} entries, root {base64.b64encode(root).decode() if size else '-'}, key {head['key']}: ok")
