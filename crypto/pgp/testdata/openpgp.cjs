// What a partner does with OpenPGP.js. Keys and messages are files.
//
//	generate KIND KEY         writes a private key, prints its certificate
//	decrypt KEY SIGNER FILE   prints the contents, and on stderr who signed them
//	sign KEY FILE             prints a cleartext signature of the file
const fs = require('fs')
const openpgp = require('openpgp')

const kinds = {
  v4legacy: { type: 'ecc', curve: 'curve25519Legacy' },
  v4nistp256: { type: 'ecc', curve: 'nistP256' },
  v4: { type: 'curve25519' },
  v4aead: { type: 'curve25519', config: { aeadProtect: true } },
  v6: { type: 'curve25519', config: { v6Keys: true, aeadProtect: true } },
  v6x448: { type: 'curve448', config: { v6Keys: true } },
}
const text = (file) => fs.readFileSync(file, 'utf8')
const key = (file) => openpgp.readPrivateKey({ armoredKey: text(file) })

const commands = {
  async generate(kind, file) {
    const k = await openpgp.generateKey({ ...kinds[kind], userIDs: [{ name: 'Partner' }], format: 'armored' })
    fs.writeFileSync(file, k.privateKey, { mode: 0o600 })
    process.stdout.write(k.publicKey)
  },
  async decrypt(file, signer, message) {
    const r = await openpgp.decrypt({
      message: await openpgp.readMessage({ binaryMessage: fs.readFileSync(message) }),
      decryptionKeys: await key(file),
      verificationKeys: await openpgp.readKey({ armoredKey: text(signer) }),
      expectSigned: true,
      format: 'binary',
    })
    for (const s of r.signatures) {
      await s.verified
      process.stderr.write('verified ' + s.keyID.toHex() + '\n')
    }
    process.stdout.write(r.data)
  },
  async sign(file, message) {
    const m = await openpgp.createCleartextMessage({ text: text(message) })
    process.stdout.write(await openpgp.sign({ message: m, signingKeys: await key(file) }))
  },
}

const [name, ...args] = process.argv.slice(2)
commands[name](...args).catch((e) => {
  process.stderr.write(e.stack + '\n')
  process.exit(1)
})
