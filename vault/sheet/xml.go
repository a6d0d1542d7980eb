package sheet

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"unicode/utf8"
)

// An xmlReader reads the XML of a part of a workbook, strictly: elements have to
// match, tags and depths have bounds, and there are no declarations of types or
// entities (ECMA-376 part 2 §6.1.2.2 forbids them).
type xmlReader struct {
	d     *xml.Decoder
	depth int
}

func newXMLReader(r io.Reader) *xmlReader {
	d := xml.NewDecoder(&tagBound{r: r})
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("not UTF-8") }
	return &xmlReader{d: d}
}

// next returns the next element's start or end, or text. io.EOF is the end of a
// part that is whole.
func (x *xmlReader) next() (xml.Token, error) {
	for {
		t, err := x.d.Token()
		if err == io.EOF {
			return nil, io.EOF
		}
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				return nil, e
			}
			return nil, damagedWorkbook()
		}
		switch t.(type) {
		case xml.StartElement:
			if x.depth++; x.depth > maxDepth {
				return nil, damagedWorkbook()
			}
			return t, nil
		case xml.EndElement:
			x.depth--
			return t, nil
		case xml.Directive:
			return nil, damagedWorkbook()
		case xml.CharData:
			return t, nil
		}
	}
}

// skip reads to the end of the element that began last.
func (x *xmlReader) skip() error {
	for depth := x.depth; x.depth >= depth; {
		if _, err := x.next(); err == io.EOF {
			return damagedWorkbook()
		} else if err != nil {
			return err
		}
	}
	return nil
}

// plainText appends the text of the element that began last, without that of
// phonetic runs: readings, which stand beside what they are of.
func (x *xmlReader) plainText(dst []byte) ([]byte, error) {
	from, phonetic := len(dst), 0
	for depth := x.depth; x.depth >= depth; {
		t, err := x.next()
		if err == io.EOF {
			return nil, damagedWorkbook()
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if t.Name.Local == "rPh" && phonetic == 0 {
				phonetic = x.depth
			}
		case xml.EndElement:
			if phonetic > 0 && x.depth < phonetic {
				phonetic = 0
			}
		case xml.CharData:
			if phonetic == 0 && len(dst)-from <= maxCellText {
				dst = append(dst, t...)
			}
		}
	}
	return append(dst[:from], unescape(dst[from:])...), nil
}

// unescape reads _x000D_ and the like, by which text in workbooks has characters
// that XML has not (ECMA-376 part 1 §22.9.2.19).
func unescape(b []byte) []byte {
	if !bytes.Contains(b, []byte("_x")) {
		return b
	}
	out := b[:0]
	for i := 0; i < len(b); {
		if i+7 <= len(b) && b[i] == '_' && b[i+1] == 'x' && b[i+6] == '_' {
			r, ok := rune(0), true
			for _, c := range b[i+2 : i+6] {
				d := bytes.IndexByte([]byte("0123456789abcdef"), c|0x20)
				if c >= '0' && c <= '9' {
					d = int(c - '0')
				}
				ok = ok && d >= 0
				r = 16*r + rune(d)
			}
			if ok && utf8.ValidRune(r) {
				out = utf8.AppendRune(out, r)
				i += 7
				continue
			}
		}
		out = append(out, b[i])
		i++
	}
	return out
}

// attribute returns an attribute without a namespace, "" if there is none.
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// A tagBound refuses XML with a tag longer than maxTag before the decoder makes
// something of it. Quotation marks do not matter: a > within them ends a tag too
// early, which only counts less.
type tagBound struct {
	r      io.Reader
	within int // bytes of the tag that goes on, 0 outside
}

func (b *tagBound) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if b.within == 0 {
			i := bytes.IndexByte(rest, '<')
			if i < 0 {
				break
			}
			b.within, rest = 1, rest[i+1:]
			continue
		}
		i := bytes.IndexByte(rest, '>')
		if i < 0 {
			b.within += len(rest)
			rest = nil
		} else {
			b.within += i
			rest = rest[i+1:]
		}
		if b.within > maxTag {
			return 0, workbookTooLarge()
		}
		if i >= 0 {
			b.within = 0
		}
	}
	return n, err
}

// eachTag calls use with what stands between < and > of every tag of r, which it
// must not keep.
func eachTag(r io.Reader, use func(tag []byte)) error {
	buf := make([]byte, 0, 2*sourceChunk)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		rest := buf
		for {
			i := bytes.IndexByte(rest, '<')
			if i < 0 {
				rest = rest[len(rest):]
				break
			}
			rest = rest[i:]
			end := bytes.IndexByte(rest, '>')
			if end < 0 {
				break
			}
			use(rest[1:end])
			rest = rest[end+1:]
		}
		if len(rest) > maxTag {
			return workbookTooLarge()
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
