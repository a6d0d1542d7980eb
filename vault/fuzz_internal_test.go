package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/crypto/agebox"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// fuzzColumns are a column of each shape.
var fuzzColumns = []string{"email", "name", "q1", columnMeta}

// FuzzColumn gives any bytes as the body of a column to the codec, as if its
// binding line had been right. What is accepted has the rows it was asked for
// and no others, comes back from being stored again, and takes the memory of a
// segment at most.
func FuzzColumn(f *testing.F) {
	codec := newTestCodec(f)
	m := meta{id: [16]byte{1, 2, 3}, day: 20000, batch: 7, consent: sheet.Yes}
	for i, data := range [][]byte{[]byte("ana@example.org\n\nbo@example.org\n"), {}, []byte("yn-"), append(m.append(nil), (&meta{}).append(nil)...)} {
		name := fuzzColumns[i]
		rows := bytes.Count(data, []byte("\n"))
		if w := fixedWidth(name); w > 0 {
			rows = len(data) / w
		}
		f.Add(uint8(i), uint16(rows), codec.encode(nil, 80, name, data))
		f.Add(uint8(i), uint16(rows+1), codec.encode(nil, 80, name, data))
	}
	f.Add(uint8(0), uint16(1), codec.enc.EncodeAll([]byte("a\n"), codec.enc.EncodeAll(nil, nil)))                    // several frames
	f.Add(uint8(0), uint16(4096), codec.enc.EncodeAll(bytes.Repeat([]byte("\n"), MaxSegmentRows), nil))              // a frame of nothing
	f.Add(uint8(0), uint16(1), []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}) // a frame that says it is enormous
	f.Add(uint8(0), uint16(0), []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff})                               // padding without an end
	f.Fuzz(func(t *testing.T, kind uint8, rows uint16, body []byte) {
		name := fuzzColumns[int(kind)%len(fuzzColumns)]
		n := int(rows) % (MaxSegmentRows + 1)
		got, err := codec.decode(nil, name, n, body)
		if err != nil {
			if !errors.Is(err, agebox.ErrCannotOpen) || got != nil {
				t.Fatalf("got %d bytes and %v", len(got), err)
			}
			return
		}
		if fixedWidth(name) == 0 && cap(got) > 2*maxColumn || len(got) > maxColumn {
			t.Fatalf("%d bytes for a segment", cap(got))
		}
		split := splitRows(nil, name, got)
		if len(split) != n {
			t.Fatalf("got %d rows, want %d", len(split), n)
		}
		var again []byte
		for _, row := range split {
			switch name {
			case columnMeta:
				m := parseMeta(row)
				again = m.append(again)
			case "q1":
				again = append(again, answerByte(answerText(row[0])))
			default:
				again = appendRow(again, name, row)
			}
		}
		if !bytes.Equal(again, got) {
			t.Fatalf("reads as %q, is stored again as %q", got, again)
		}
		back, err := codec.decode(nil, name, n, codec.encode(nil, 80, name, again))
		if err != nil || !bytes.Equal(back, got) {
			t.Fatalf("stored again and not read: %v", err)
		}
	})
}

// FuzzTombstones: what parses is written as the same bytes.
func FuzzTombstones(f *testing.F) {
	stones := tombstones{key: bytes.Repeat([]byte{7}, tombstoneKey), tags: map[[tombstoneSize]byte]bool{}}
	f.Add(stones.encode())
	stones.bury(func(f sheet.Field) string {
		return map[sheet.Field]string{sheet.Name: "José Ángel Peña", sheet.Email: "jose@example.org", sheet.Phone: "+12125550101"}[f]
	}, sheet.Email)
	good := stones.encode()
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), good[len(good)-tombstoneSize:]...)) // a tag twice
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseTombstones(body)
		if err != nil {
			if got != nil {
				t.Error("refused, and something is there")
			}
			return
		}
		if again := got.encode(); !bytes.Equal(again, body) {
			t.Errorf("parses and encodes to something else:\n%x\n%x", body, again)
		}
	})
}

// FuzzCode reads any text as a session token and as an invitation code. A token
// has one spelling; a code may be typed in many ways, and the one it is read as
// reads as itself.
func FuzzCode(f *testing.F) {
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 32))
	c := code(codeText.EncodeToString(bytes.Repeat([]byte{0xfb}, codeSize)))
	for _, s := range []string{token, token + "\n", token + "=", tokenPrefix, "", string(c), c.String(), strings.ToUpper(c.String()), strings.ReplaceAll(c.String(), "-", "\u2013"), " " + string(c) + "\r\n",
		strings.Repeat("o", codeChars), strings.Repeat("Z", codeChars), strings.Repeat("l-", codeChars)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if secret, ok := tokenSecret(text); ok {
			if len(secret) != 32 || tokenPrefix+base64.RawURLEncoding.EncodeToString(secret) != text {
				t.Errorf("the token %q has another spelling", text)
			}
		} else if secret != nil {
			t.Error("the token is refused, and a secret is there")
		}
		if c, ok := parseCode(text); ok {
			if again, ok := parseCode(c.String()); !ok || again != c || len(c) != codeChars {
				t.Errorf("%q is read as %q, and that as %q", text, c, again)
			}
		} else if c != "" {
			t.Error("the code is refused, and something is there")
		}
	})
}
