package sheet

import "fmt"

// FileReason is the stable short name of why a file as a whole was refused.
type FileReason string

// Why a file is refused as a whole.
const (
	Empty          FileReason = "empty"
	NotASheet      FileReason = "not-a-sheet"      // binary, or a format that is read by other programs
	BadEncoding    FileReason = "bad-encoding"     // none that is read, or not what Options.Encoding says
	NoHeader       FileReason = "no-header"        // no row with a recognised heading
	NothingToKeep  FileReason = "nothing-to-keep"  // a header, but no column of it is a field of the list
	TooManyColumns FileReason = "too-many-columns" // more than MaxColumns
	RecordTooLong  FileReason = "record-too-long"  // more than MaxRecord
	BadMap         FileReason = "bad-map"          // Options.Map names something that is not there
	RefusedMap     FileReason = "refused-map"      // Options.Map asks for a refused kind
	BadOptions     FileReason = "bad-options"      // a field or region there is no such thing as
	NoSuchSheet    FileReason = "no-such-sheet"    // the workbook has none of the name in Options.Sheet

	TooLargeWorkbook FileReason = "too-large-workbook" // maxWorkbook, maxUnzipped, maxParts
)

// An Error refuses a file as a whole. It is what [Open] and [Sheet.Next] return
// for everything but the failure of the reader, which they return wrapped.
type Error struct {
	Reason   FileReason
	Line     int    // 1-based; 0 where no line is to blame
	TooLarge bool   // a limit of size, not of form
	Msg      string // for people; may name headers and options, never a cell
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
	}
	return e.Msg
}
