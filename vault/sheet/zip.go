package sheet

import (
	"archive/zip"
	"bytes"
	"io"
	"slices"
	"strings"
)

// A container is the zip file that a workbook is (ECMA-376 part 2), held in
// memory: its directory stands at its end.
type container struct {
	parts map[string]*zip.File
	names []string
}

func openContainer(file []byte) (*container, error) {
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, damagedWorkbook()
	}
	if len(z.File) > maxParts {
		return nil, workbookTooLarge()
	}
	c := &container{parts: make(map[string]*zip.File, len(z.File))}
	for _, f := range z.File {
		name := strings.TrimPrefix(strings.ReplaceAll(f.Name, "\\", "/"), "/")
		if c.parts[name] != nil {
			return nil, damagedWorkbook() // one of two, and nobody could tell which was read
		}
		if f.Flags&1 != 0 {
			return nil, notAWorkbook("a zip file with a password; " + takeOffWord)
		}
		c.parts[name] = f
		c.names = append(c.names, name)
	}
	return c, nil
}

// has reports whether some part's name is matched.
func (c *container) has(match func(string) bool) bool { return slices.ContainsFunc(c.names, match) }

// open returns a part, unzipped as it is read. What the file says of its size
// need not be so: behind most bytes the part is too large, and one whose checksum
// is wrong ends in an error.
func (c *container) open(name string, most int64) (io.ReadCloser, error) {
	f := c.parts[name]
	if f == nil {
		return nil, damagedWorkbook()
	}
	if f.UncompressedSize64 > uint64(most) {
		return nil, workbookTooLarge()
	}
	r, err := f.Open()
	if err != nil {
		return nil, damagedWorkbook()
	}
	return &boundedPart{r, most}, nil
}

type boundedPart struct {
	io.ReadCloser
	left int64
}

func (b *boundedPart) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, workbookTooLarge()
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		err = damagedWorkbook()
	}
	return n, err
}

// foreign names a zip file that is no .xlsx.
func (c *container) foreign() error {
	within := func(dir string) func(string) bool { return func(p string) bool { return strings.HasPrefix(p, dir) } }
	is := func(name string) func(string) bool { return func(p string) bool { return p == name } }
	ends := func(ends ...string) func(string) bool {
		return func(p string) bool {
			return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(strings.ToLower(p), end) })
		}
	}
	switch {
	case c.has(within("word/")):
		return notAWorkbook("a text document; " + copyTable)
	case c.has(within("ppt/")):
		return notAWorkbook("a presentation; " + copyTable)
	case c.has(is("xl/workbook.bin")):
		return notAWorkbook("a binary workbook (.xlsb); " + openAndSave)
	case c.has(is("content.xml")):
		return notAWorkbook("an OpenDocument file (.ods); " + openAndSave)
	case c.has(within("Index/")), c.has(is("Index.zip")):
		return notAWorkbook("a Numbers or Pages document; export it as .xlsx or CSV and import that")
	case c.has(ends(".csv", ".xlsx", ".xls", ".vcf", ".txt", ".tsv")):
		return notAWorkbook("a zip file with sheets in it; " + unpackIt)
	}
	return notAWorkbook("a zip file; " + unpackIt)
}
