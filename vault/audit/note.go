package audit

import (
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// SignNote signs a text that is no checkpoint, such as a certificate of destruction, with K, as
// a C2SP signed note (c2sp.org/signed-note). The text ends in a line end. One that begins with
// the log's origin is refused: no statement of anything else may be taken for a checkpoint.
func (l *Log) SignNote(text string) ([]byte, error) {
	if strings.HasPrefix(text, l.origin+"\n") {
		return nil, errors.New("sign note: a checkpoint is signed by sealing a group")
	}
	return note.Sign(&note.Note{Text: text}, l.signer)
}

// OpenNote returns the text of a note that SignNote made with the key vkey. As with checkpoints
// there is one spelling: a signature of anybody else, a repeated one, or other bytes that
// decode to the same signature are refused.
func OpenNote(signed []byte, vkey string) (string, error) {
	v, err := newVerifier(vkey)
	if err != nil {
		return "", err
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(n.Text, v.Name()+"\n") {
		return "", errors.New("open note: this is a checkpoint")
	}
	if !oneSpelling(signed, n) {
		return "", errors.New("open note: not in the form this vault signs")
	}
	return n.Text, nil
}

// oneSpelling reports whether a note that opened has one signature and is written as Sign writes
// it: base64 decoding ignores the unused bits of the last digit, and Open ignores repeated
// signatures.
func oneSpelling(signed []byte, n *note.Note) bool {
	sig, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
	return err == nil && n.Text+"\n— "+n.Sigs[0].Name+" "+base64.StdEncoding.EncodeToString(sig)+"\n" == string(signed)
}
