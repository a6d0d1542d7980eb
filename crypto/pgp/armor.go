package pgp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

const (
	beginPrefix = "-----BEGIN "
	endPrefix   = "-----END "
	publicBlock = "PGP PUBLIC KEY BLOCK"
	// maxBlocks is how many are looked into for a secret key.
	maxBlocks = 16
)

// dearmor returns the packets of a file that is binary, or that is one armored public
// key block and nothing else.
//
// It is stricter than RFC 9580 §6, which asks readers to look past text around a block
// and past a wrong checksum: a second block, or one hidden behind the first, is what
// other software might read; and a certificate that arrived damaged is sent again.
func dearmor(input []byte) ([]byte, *Refusal) {
	text := decodeText(input)
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, refuse("empty", hintExport, "the file is empty")
	}
	if text[0]&0x80 != 0 { // RFC 9580 §4.2: every packet begins so, and no ASCII text does
		return text, nil
	}
	for _, label := range []string{"PRIVATE KEY BLOCK-----", "SECRET KEY BLOCK-----", "PRIVATE KEY-----"} {
		if bytes.Contains(text, []byte(label)) {
			return nil, errSecret()
		}
	}
	if !bytes.Contains(text, []byte(beginPrefix)) {
		if bytes.Contains(text, []byte(endPrefix)) {
			return nil, refuse("armor-incomplete", hintExport, "the beginning of the certificate is missing")
		}
		return nil, notOpenPGP()
	}
	var certificate []byte
	blocks := 0
	var first *Refusal
	note := func(r *Refusal) {
		if first == nil {
			first = r
		}
	}
	for line, rest := "", string(text); rest != "" && blocks < maxBlocks; {
		line, rest = cutLine(rest)
		if !strings.HasPrefix(line, beginPrefix) {
			if line != "" && first == nil {
				first = refuse("text-around", hintOnlyText, "there is text before or after the certificate")
			}
			continue
		}
		label := strings.TrimSuffix(strings.TrimPrefix(line, beginPrefix), "-----")
		switch label {
		case publicBlock:
		case "PGP MESSAGE", "PGP SIGNED MESSAGE":
			note(refuse("message", hintExport, "this is an OpenPGP message, not a certificate"))
		case "PGP SIGNATURE":
			note(refuse("signature", hintExport, "this is an OpenPGP signature, not a certificate"))
		default:
			note(refuse("other-block", hintExport, "this is a block of another kind, not an OpenPGP certificate"))
		}
		var body []byte
		var r *Refusal
		body, rest, r = block(rest, label)
		if blocks++; blocks == 1 {
			certificate = body
		}
		// A secret key may stand in a later block, under any label.
		if hasSecret(body) {
			return nil, errSecret()
		}
		if r != nil {
			note(r)
		}
	}
	if blocks > 1 && (first == nil || first.Code == "text-around") {
		first = refuse("several-blocks", hintOnlyOne, "there is more than one block in the file")
	}
	if first != nil {
		return nil, first
	}
	return certificate, nil
}

func notOpenPGP() *Refusal {
	return refuse("not-openpgp", hintExport, "this is not an OpenPGP certificate")
}

// decodeText drops a byte order mark, and reads the UTF-16 that PowerShell makes of
// what a program prints.
func decodeText(b []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return b[3:]
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return b
	}
	units := make([]uint16, 0, len(b)/2)
	for b = b[2:]; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return []byte(string(utf16.Decode(units)))
}

// cutLine returns the first line without the blanks around it.
func cutLine(text string) (line, rest string) {
	line, rest, _ = strings.Cut(text, "\n")
	return strings.TrimSpace(line), rest
}

// block decodes the lines of an armored block after its first one. It returns what it
// could decode also with a refusal.
func block(text, label string) (body []byte, rest string, r *Refusal) {
	// Headers, then an empty line.
	for {
		if text == "" {
			return nil, "", errIncomplete()
		}
		line, rest := cutLine(text)
		if key, _, ok := strings.Cut(line, ":"); line != "" && (!ok || key == "" || strings.HasPrefix(line, "-----")) {
			return nil, text, errIncomplete()
		}
		text = rest
		if line == "" {
			break
		}
	}
	var data []byte
	var sum string
	ended, damaged := false, false
	for text != "" && !ended {
		line, rest := cutLine(text)
		if strings.HasPrefix(line, beginPrefix) {
			break // another block begins within this one
		}
		text = rest
		switch {
		case strings.HasPrefix(line, endPrefix):
			ended = true
			damaged = damaged || line != endPrefix+label+"-----"
		case sum != "" && line != "":
			damaged = true // data after the checksum
		case len(line) == 5 && line[0] == '=':
			sum = line[1:]
		default:
			data = append(data, line...)
		}
	}
	body = make([]byte, base64.StdEncoding.DecodedLen(len(data)))
	n, err := base64.StdEncoding.Strict().Decode(body, data)
	body = body[:n]
	switch {
	case !ended:
		return body, text, errIncomplete()
	case damaged || err != nil || len(body) == 0:
		return body, text, errCorrupt()
	}
	if sum != "" {
		want, err := base64.StdEncoding.DecodeString(sum)
		if err != nil || len(want) != 3 || crc24(body) != uint32(want[0])<<16|uint32(want[1])<<8|uint32(want[2]) {
			return body, text, errCorrupt()
		}
	}
	return body, text, nil
}

func errIncomplete() *Refusal {
	return refuse("armor-incomplete", hintExport, "the certificate is cut short or its armor is incomplete")
}

func errCorrupt() *Refusal {
	return refuse("armor-corrupt", hintExport, "the certificate was damaged on its way")
}

// crcTable serves crc24, a byte at a time.
var crcTable = func() (table [256]uint32) {
	for i := range table {
		crc := uint32(i) << 16
		for range 8 {
			if crc <<= 1; crc&0x1000000 != 0 {
				crc ^= 0x1864cfb
			}
		}
		table[i] = crc
	}
	return table
}()

// crc24 is the checksum of RFC 9580 §6.1.1, against accidents only.
func crc24(b []byte) uint32 {
	crc := uint32(0xb704ce)
	for _, c := range b {
		crc = (crc<<8 ^ crcTable[byte(crc>>16)^c]) & 0xffffff
	}
	return crc
}
