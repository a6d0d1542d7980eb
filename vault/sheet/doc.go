// Package sheet reads sign-in sheets: exports of the tools people use, and
// paper that somebody typed up late at night.
//
// [Open] finds out the format (delimited text, workbook, vCards), the encoding,
// the delimiter and the header, decides for every column which [Field] of the list
// it fills, and names the columns it drops with the reason. [Sheet.Next] returns
// one record at a time, cleaned; what could not be kept is named by field and
// [Reason]. RULES.md says all of it in an organiser's words. The rules that hold
// for the whole package:
//
//   - Nothing is guessed silently. A column that no table of words recognises
//     stays unread and is named. Cells decide what a column means only where it
//     holds nothing but addresses or numbers, and the answer says so; never that
//     it holds names.
//   - Refused kinds (birth dates, identity numbers, immigration status, ...)
//     never leave the package, also not by a mapping that the caller asks for.
//   - Every record that is not blank comes back, either with cells or with the
//     reason why it has none, so that callers can account for all of them.
//   - No error, reason or message repeats a cell. Headers are repeated, since
//     the person who imports has to recognise them.
//
// [Sheet.SetAside] and [OpenAside] let a sheet be read again with another mapping when
// the file is not there any more; [Sheet.Views] shows its columns to whoever chooses.
//
// The package knows nothing of lists as they are stored, of keys or of HTTP.
// Its cleaning ([Clean], [Cleaner]), its name keys ([AppendNameKey]) and its
// search terms ([ParseQuery]) also serve contacts that are typed in by hand, so
// that one person written in two ways is still found to be one person. How a cell
// is written out again, by whoever does, is here too ([AppendCSV], [AppendJSON]).
package sheet
