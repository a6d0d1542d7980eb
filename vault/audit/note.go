package audit

import (
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

// OpenNote returns the text of a note that SignNote made with the key vkey.
func OpenNote(signed []byte, vkey string) (string, error) {
	v, err := note.NewVerifier(vkey)
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
	return n.Text, nil
}
