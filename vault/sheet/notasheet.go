package sheet

import (
	"bytes"
	"strings"
)

// What to do about a file that is no sheet.
const (
	openAndSave  = `open it in the spreadsheet program, save the sheet as "CSV UTF-8" or .xlsx and import that`
	typeIt       = `type the sheet into a spreadsheet, save it as "CSV UTF-8" or .xlsx and import that`
	exportIt     = `export the sheet from the program that it came from as "CSV UTF-8" or .xlsx and import that`
	copyTable    = `copy its table into a spreadsheet, save it as "CSV UTF-8" or .xlsx and import that`
	unpackIt     = "unpack it and import each sheet inside by itself"
	takeOffWord  = "open it with its password, save it without one, import that, and delete it again"
	decryptFirst = "decrypt it and import what is inside"
)

// signatures are the beginnings of files that people take for sheets.
var signatures = []struct{ magic, what string }{
	{"%PDF", "a PDF; " + exportIt},
	{"\x89PNG", "a picture; " + typeIt},
	{"\xff\xd8\xff", "a photo; " + typeIt},
	{"GIF8", "a picture; " + typeIt},
	{"II*\x00", "a picture; " + typeIt},
	{"MM\x00*", "a picture; " + typeIt},
	{"\x1f\x8b", "a compressed file; unpack it and import the sheet inside"},
	{"Rar!", "a compressed file; " + unpackIt},
	{"7z\xbc\xaf", "a compressed file; " + unpackIt},
	{"BZh", "a compressed file; unpack it and import the sheet inside"},
	{"\xfd7zXZ", "a compressed file; unpack it and import the sheet inside"},
	{"(\xb5/\xfd", "a compressed file; unpack it and import the sheet inside"},
	{"{\\rtf", "a text document; " + copyTable},
	{"SQLite format 3", "a database; export its table as CSV and import that"},
	{"age-encryption.org/", "an encrypted file; " + decryptFirst},
	{"-----BEGIN ", "an encrypted or signed file; " + decryptFirst},
	{"From ", "a mailbox; save the sheet that is attached and import that"},
}

// markups are the same for text, compared without case behind blanks.
var markups = []struct{ begins, what string }{
	{"<!doctype html", "a web page, whatever its name says; " + openAndSave},
	{"<html", "a web page, whatever its name says; " + openAndSave},
	{"<table", "a web page, whatever its name says; " + openAndSave},
	{"<meta", "a web page, whatever its name says; " + openAndSave},
	{"<!doctype", "an XML file; " + openAndSave},
	{"<?xml", "an XML file; " + openAndSave},
	{"mime-version:", "a web page or a mail, whatever its name says; " + openAndSave},
	{"[{", "JSON; " + exportIt},
	{"{\"", "JSON; " + exportIt},
}

// compound is the signature of Microsoft's compound files: workbooks of before
// 2007, and those of today that have a password.
const compound = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

// notText names a file that is none of those that are read, by its first bytes.
func notText(head []byte) error {
	notA := func(what string) error { return &Error{Reason: NotASheet, Msg: "this is " + what} }
	switch {
	case bytes.HasPrefix(head, []byte(compound)):
		// The names of its streams are UTF-16, in a directory that may lie anywhere.
		if bytes.Contains(head, wide("EncryptedPackage")) || bytes.Contains(head, wide("EncryptionInfo")) {
			return notA("a workbook with a password; " + takeOffWord)
		}
		if bytes.Contains(head, wide("WordDocument")) {
			return notA("a text document; " + copyTable)
		}
		return notA("an old Excel workbook, or one with a password; " + openAndSave)
	case len(head) > 12 && string(head[4:8]) == "ftyp" && (string(head[8:10]) == "he" || string(head[8:10]) == "mi" || string(head[8:10]) == "av"):
		return notA("a photo; " + typeIt)
	case len(head) > 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP":
		return notA("a picture; " + typeIt)
	case len(head) > 14 && string(head[:2]) == "BM" && bytes.IndexByte(head[:14], 0) >= 0:
		return notA("a picture; " + typeIt)
	}
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.magic)) {
			return notA(s.what)
		}
	}
	return nil
}

// notDelimited names a text that is no sheet.
func notDelimited(head []byte) error {
	text := bytes.TrimLeft(head, " \t\r\n")
	for _, m := range markups {
		if len(text) >= len(m.begins) && strings.EqualFold(string(text[:len(m.begins)]), m.begins) {
			return &Error{Reason: NotASheet, Msg: "this is " + m.what}
		}
	}
	return nil
}

// wide returns ASCII in UTF-16, little-endian.
func wide(s string) []byte {
	b := make([]byte, 2*len(s))
	for i := range len(s) {
		b[2*i] = s[i]
	}
	return b
}
