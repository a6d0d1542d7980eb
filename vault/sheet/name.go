package sheet

import "unicode/utf8"

// AppendNameKey appends to dst the key by which names are compared: NFKC, case
// folded, without accents and invisible characters, every run of blanks and
// punctuation one blank, apostrophes nothing. "GARCÍA,  María" and "garcia maria"
// have one key; the order of given and family name is kept, for only the person
// knows which is which. A name of punctuation alone is its own key, so that it
// equals no other. Keys of plain ASCII names cost no allocation beyond dst.
func AppendNameKey(dst []byte, name string) []byte {
	from := len(dst)
	gap := false
	for i := 0; i < len(name); i++ {
		ch := name[i]
		switch k := byteKinds[ch]; {
		case ch >= utf8.RuneSelf:
			return appendFolded(dst[:from], name)
		case k&(letterByte|digitByte) != 0:
			if gap {
				dst = append(dst, ' ')
				gap = false
			}
			if k&upperByte != 0 {
				ch |= 0x20
			}
			dst = append(dst, ch)
		case ch == '\'':
		default:
			gap = len(dst) > from
		}
	}
	if len(dst) == from {
		return append(dst, name...)
	}
	return dst
}

func appendFolded(dst []byte, name string) []byte {
	if key := foldWords(name); key != "" {
		return append(dst, key...)
	}
	return append(dst, name...)
}

// NameKey returns the key of a name, see [AppendNameKey].
func NameKey(name string) string { return string(AppendNameKey(nil, name)) }
