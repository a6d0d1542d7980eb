package cryptotest

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestRedacted prints, logs and marshals v, alone and in a struct, pointer, slice,
// map and error, and fails where any form of a secret shows.
func TestRedacted(t *testing.T, v any, secrets ...[]byte) {
	t.Helper()
	var out bytes.Buffer
	// %p is not among them: it asks no methods, and vet refuses it for values.
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%t", "%08.3f"} {
		for _, w := range around(v) {
			fmt.Fprintf(&out, verb+"\n", w)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		for _, w := range around(v) {
			slog.New(h).Info("logged", "value", w, slog.Group("group", "value", w))
		}
	}
	for _, w := range around(v) {
		j, err := json.Marshal(w)
		if err != nil {
			j = []byte(err.Error())
		}
		out.Write(j)
	}
	x, err := xml.Marshal(v)
	if err != nil {
		x = []byte(err.Error())
	}
	out.Write(x)

	all := out.String()
	for _, s := range secrets {
		for form, text := range forms(s) {
			if strings.Contains(all, text) {
				t.Errorf("%T shows a secret as %s", v, form)
			}
		}
	}
	if !strings.Contains(all, "[redacted]") {
		t.Errorf("%T does not say that it is redacted", v)
	}
}

func around(v any) []any {
	return []any{
		v, &v, []any{v}, map[string]any{"k": v}, struct{ V any }{v},
		fmt.Errorf("wrapped: %v", v),
	}
}

// forms are the spellings in which eight bytes of a secret would give it away.
func forms(s []byte) map[string]string {
	short := s[:min(len(s), 8)]
	decimal := make([]string, len(short))
	goHex := make([]string, len(short))
	for i, c := range short {
		decimal[i] = fmt.Sprint(c)
		goHex[i] = fmt.Sprintf("0x%x", c)
	}
	return map[string]string{
		"text":       string(short),
		"quoted":     strings.Trim(fmt.Sprintf("%q", short), `"`),
		"hex":        hex.EncodeToString(short),
		"upper hex":  strings.ToUpper(hex.EncodeToString(short)),
		"spaced hex": fmt.Sprintf("% x", short),
		"decimal":    strings.Join(decimal, " "),
		"go syntax":  strings.Join(goHex, ", "),
		"json array": strings.Join(decimal, ","),
		"base64":     base64.RawStdEncoding.EncodeToString(short[:len(short)/3*3]),
		"base32":     base32.StdEncoding.EncodeToString(short[:len(short)/5*5]),
	}
}
