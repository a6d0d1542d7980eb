package web

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// What the pages keep of a session between its requests is sealed in memory, to a key
// that only the session's token gives: which the service has for as long as a request
// takes.

// sealFor seals something of a session: a nonce, then XChaCha20-Poly1305.
func sealFor(token, purpose string, ad, plain []byte) ([]byte, error) {
	aead, err := sealingKey(token, purpose)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(nonce, nonce, plain, ad), nil
}

// openFor opens what sealFor has sealed.
func openFor(token, purpose string, ad, sealed []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, errors.New("nothing is sealed there")
	}
	aead, err := sealingKey(token, purpose)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], ad)
}

func sealingKey(token, purpose string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(token), nil, purpose, chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return chacha20poly1305.NewX(key)
}
