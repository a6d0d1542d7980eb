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
	upper := bytes.ToUpper(text)
	if bytes.Contains(upper, []byte("PRIVATE KEY BLOCK-----")) || bytes.Contains(upper, []byte("SECRET KEY BLOCK-----")) ||
		bytes.Contains(upper, []byte("PRIVATE KEY-----")) {
		return nil, errSecret()
	}
	if !bytes.Contains(text, []byte(beginPrefix)) {
		if bytes.Contains(text, []byte(endPrefix)) {
			return nil, refuse("armor-incomplete", hintExport, "the beginning of the certificate is missing")
		}
		return nil, notOpenPGP()
	}
	var blocks [][]byte
	var first *Refusal
	note := func(r *Refusal) {
		if first == nil {
			first = r
		}
	}
	rest := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	for len(rest) > 0 {
		line := strings.TrimSpace(rest[0])
		if !strings.HasPrefix(line, beginPrefix) {
			if line != "" {
				note(refuse("text-around", hintOnlyText, "there is text before or after the certificate"))
			}
			rest = rest[1:]
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
		body, rest, r = block(rest[1:], label)
		blocks = append(blocks, body)
		// A secret key may stand in a later block, under any label.
		if hasSecret(body) {
			return nil, errSecret()
		}
		if r != nil {
			note(r)
		}
	}
	if len(blocks) > 1 {
		if first == nil || first.Code == "text-around" {
			first = refuse("several-blocks", hintOnlyOne, "there is more than one block in the file")
		}
	}
	if first != nil {
		return nil, first
	}
	return blocks[0], nil
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

// block decodes the lines of an armored block after its first one. It returns what it
// could decode also with a refusal.
func block(lines []string, label string) (body []byte, rest []string, r *Refusal) {
	// Headers, then an empty line.
	for ; ; lines = lines[1:] {
		if len(lines) == 0 {
			return nil, nil, errIncomplete()
		}
		line := strings.TrimSpace(lines[0])
		if line == "" {
			break
		}
		if key, _, ok := strings.Cut(line, ":"); !ok || key == "" || strings.HasPrefix(line, "-----") {
			return nil, lines, errIncomplete()
		}
	}
	var data strings.Builder
	var sum string
	ended := false
	for len(lines) > 0 && !ended {
		line := strings.TrimSpace(lines[0])
		if strings.HasPrefix(line, beginPrefix) {
			break // another block begins within this one
		}
		lines = lines[1:]
		switch {
		case strings.HasPrefix(line, endPrefix):
			ended = true
			if line != endPrefix+label+"-----" {
				r = errCorrupt()
			}
		case sum != "" && line != "":
			r = errCorrupt() // data after the checksum
		case len(line) == 5 && line[0] == '=':
			sum = line[1:]
		default:
			data.WriteString(line)
		}
	}
	body, err := base64.StdEncoding.Strict().DecodeString(data.String())
	switch {
	case !ended:
		return body, lines, errIncomplete()
	case r != nil:
		return body, lines, r
	case err != nil || len(body) == 0:
		return body, lines, errCorrupt()
	}
	if sum != "" {
		want, err := base64.StdEncoding.DecodeString(sum)
		if err != nil || len(want) != 3 || crc24(body) != uint32(want[0])<<16|uint32(want[1])<<8|uint32(want[2]) {
			return body, lines, errCorrupt()
		}
	}
	return body, lines, nil
}

func errIncomplete() *Refusal {
	return refuse("armor-incomplete", hintExport, "the certificate is cut short or its armor is incomplete")
}

func errCorrupt() *Refusal {
	return refuse("armor-corrupt", hintExport, "the certificate was damaged on its way")
}

// crc24 is the checksum of RFC 9580 §6.1.1, against accidents only.
func crc24(b []byte) uint32 {
	crc := uint32(0xb704ce)
	for _, c := range b {
		crc ^= uint32(c) << 16
		for range 8 {
			if crc <<= 1; crc&0x1000000 != 0 {
				crc ^= 0x1864cfb
			}
		}
	}
	return crc & 0xffffff
}
