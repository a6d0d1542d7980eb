package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/vault"
)

// crowd is a sheet of n made-up people.
func crowd(n int) string {
	var b strings.Builder
	b.WriteString("Name,Email,Phone\n")
	for i := range n {
		fmt.Fprintf(&b, "Person %c%c Nr%d,p%d@example.org,\n", 'A'+i%26, 'a'+i/26%26, i, i)
	}
	return b.String()
}

func (h *house) importSheet(t testing.TB, list vault.ListID, sheet string) *client.ImportReport {
	t.Helper()
	r, err := h.Import(t.Context(), list, client.ImportOptions{}, strings.NewReader(sheet), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (h *house) count(t testing.TB, list vault.ListID) int {
	t.Helper()
	d, err := h.List(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	return d.Contacts
}

// TestStreamThatFailsLooksFailed: the store breaks after the first segment has
// left.
func TestStreamThatFailsLooksFailed(t *testing.T) {
	store := &flakyStore{left: -1}
	h := founded(t, option{store: func(s vault.Store) vault.Store { store.Store = s; return store }})
	list, _ := h.list(t)
	h.importSheet(t, list, crowd(10_000))

	var whole bytes.Buffer
	if err := h.Contacts(t.Context(), list, client.ContactsQuery{Format: client.JSON}, &whole); err != nil {
		t.Fatal(err)
	}
	var people []map[string]string
	if err := json.Unmarshal(whole.Bytes(), &people); err != nil || len(people) != 10_001 {
		t.Fatalf("got %d people, %v", len(people), err)
	}

	broken := 0
	for _, f := range []client.Format{client.CSV, client.JSON, client.VCard} {
		for reads := range 9 {
			store.allow(reads)
			var got bytes.Buffer
			err := h.Contacts(t.Context(), list, client.ContactsQuery{Format: f}, &got)
			var e *vault.Error
			switch {
			case err == nil && reads >= 6:
				// Every segment was read once to verify it and once to send it.
			case err == nil:
				t.Errorf("%s, %d reads: %d bytes and no error", f, reads, got.Len())
			case got.Len() > 0:
				broken++
				if !errors.As(err, &e) || e.Code != "cut-short" || e.Kind != vault.Unavailable {
					t.Errorf("%s, %d reads: got %v after %d bytes, want cut-short", f, reads, err, got.Len())
				}
				if f == client.JSON && json.Valid(got.Bytes()) {
					t.Errorf("%d reads: half the contacts are valid JSON", reads)
				}
			case vault.KindOf(err) == vault.Unavailable && errors.As(err, &e) && e.Code == "cut-short":
				t.Errorf("%s, %d reads: nothing was sent, and it was no problem: %v", f, reads, err)
			}
		}
	}
	if broken == 0 {
		t.Error("no stream broke midway: the test shows nothing")
	}
	store.allow(-1)
	h.log.waitFor(t, "route=/v1/lists/:list/contacts", "aborted=true")
}

func TestImport(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	const sheet = "Name,Email,Phone,Date of birth\n" +
		"Bo,bo@example.org,,1990-01-01\n" +
		"Ana Quillfeather,ana@quillfeather.example,212-555-0147,\n" +
		"Nobody,,,\n" +
		"Half,half@example,212 555 0199,\n"
	for _, preview := range []bool{true, false} {
		r, err := h.Import(t.Context(), list, client.ImportOptions{Preview: preview}, strings.NewReader(sheet), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Rows != 4 || r.Stored != 2 || r.Merged != 1 || r.Refused != 1 || r.Encoding != "utf-8" {
			t.Errorf("preview %v: got %+v", preview, r)
		}
		if len(r.Kept) != 3 || len(r.Dropped) != 1 || r.Dropped[0].Header != "Date of birth" || r.Dropped[0].Reason == "" || r.Dropped[0].Code == "" {
			t.Errorf("preview %v: got kept %+v, dropped %+v", preview, r.Kept, r.Dropped)
		}
		if len(r.Refusals) != 1 || r.Refusals[0].Line != 4 || r.Refusals[0].Code == "" {
			t.Errorf("preview %v: got refusals %+v", preview, r.Refusals)
		}
		if len(r.LeftOut) != 1 || r.LeftOut[0].Line != 5 || r.LeftOut[0].Field != "email" {
			t.Errorf("preview %v: got left out %+v", preview, r.LeftOut)
		}
		if (r.Batch == nil) != preview {
			t.Errorf("preview %v: got batch %v", preview, r.Batch)
		}
		want := 3
		if preview {
			want = 1
		}
		if got := h.count(t, list); got != want {
			t.Errorf("preview %v: got %d contacts, want %d", preview, got, want)
		}
	}
}

// form is the body of an import by hand.
func form(parts ...string) (body, contentType string) {
	var b strings.Builder
	for i := 0; i < len(parts); i += 2 {
		fmt.Fprintf(&b, "--edge\r\nContent-Disposition: form-data; name=%q; filename=\"x\"\r\n\r\n%s\r\n", parts[i], parts[i+1])
	}
	return b.String() + "--edge--\r\n", "multipart/form-data; boundary=edge"
}

func TestImportRefusals(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	big := crowd(200_000) // more than the sockets of both ends hold
	for _, tt := range []struct {
		name   string
		list   string
		parts  []string
		status int
		code   string
	}{
		{"no parts", string(list), nil, 400, "form"},
		{"file first", string(list), []string{"file", big, "options", "{}"}, 400, "form"},
		{"no file", string(list), []string{"options", "{}"}, 400, "form"},
		{"options that are no JSON", string(list), []string{"options", "Quillfeather", "file", big}, 400, "body"},
		{"unknown option", string(list), []string{"options", `{"Quillfeather":1}`, "file", big}, 400, "body"},
		{"options beyond the limit", string(list), []string{"options", strings.Repeat(" ", 64<<10) + "{}", "file", big}, 413, "body-too-large"},
		{"sheet of no workbook", string(list), []string{"options", `{"sheet":"Quillfeather"}`, "file", big}, 422, "sheet-bad-options"},
		{"no such list", absent, []string{"options", "{}", "file", big}, 404, ""},
		{"no header", string(list), []string{"options", "{}", "file", "1,2\n3,4\n"}, 422, ""},
		{"empty file", string(list), []string{"options", "{}", "file", ""}, 422, ""},
		{"consent without its words", string(list), []string{"options", `{"shareable":"yes"}`, "file", big}, 422, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body, contentType := form(tt.parts...)
			a := h.do(t, "POST", "/v1/lists/"+tt.list+"/imports", body, "Content-Type", contentType)
			if a.problem == nil || a.status != tt.status || tt.code != "" && a.problem.Code != tt.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, tt.status, tt.code)
			}
			if got := h.count(t, list); got != 1 {
				t.Errorf("got %d contacts, want the one from before", got)
			}
		})
	}
	t.Run("too large", func(t *testing.T) {
		h.server.LimitImports(1<<20, time.Minute)
		defer h.server.LimitImports(1<<30, time.Minute)
		_, err := h.Import(t.Context(), list, client.ImportOptions{}, strings.NewReader(big), nil)
		var e *vault.Error
		if !errors.As(err, &e) || e.Kind != vault.TooLarge || !strings.Contains(e.Msg, "1 MiB") {
			t.Errorf("got %v, want TooLarge", err)
		}
	})
	t.Run("refused before it is sent", func(t *testing.T) {
		sent := int64(0)
		_, err := h.Import(t.Context(), absent, client.ImportOptions{}, strings.NewReader(big), func(n int64) { sent = n })
		if vault.KindOf(err) != vault.NotFound {
			t.Errorf("got %v, want NotFound", err)
		}
		h.SetToken("ended")
		defer h.SetToken(h.token)
		sent = 0
		_, err = h.Import(t.Context(), list, client.ImportOptions{}, strings.NewReader(big), func(n int64) { sent = n })
		if vault.KindOf(err) != vault.Unauthenticated || sent > 0 {
			t.Errorf("got %v after %d bytes, want Unauthenticated after none", err, sent)
		}
	})
	if got := h.count(t, list); got != 1 {
		t.Errorf("got %d contacts, want the one from before", got)
	}
}

// TestImportCutShort: an upload that ends early, at any byte, leaves nothing.
func TestImportCutShort(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	body, contentType := form("options", "{}", "file", crowd(6000))
	for _, cut := range []int{0, 10, 90, 200, len(body) / 2, len(body) - 20, len(body) - 9, len(body) - 4} {
		for _, chunked := range []bool{false, true} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST /v1/lists/%s/imports HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n", list, h.token, contentType)
			if chunked {
				fmt.Fprintf(conn, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", max(cut, 1), body[:max(cut, 1)])
			} else {
				fmt.Fprintf(conn, "Content-Length: %d\r\n\r\n%s", len(body), body[:cut])
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(conn) // to its end: the server is done with it then
			conn.Close()
			if !bytes.HasPrefix(answer, []byte("HTTP/1.1 4")) && len(answer) > 0 {
				t.Errorf("cut at %d of %d: got %.200s", cut, len(body), answer)
			}
			if got := h.count(t, list); got != 1 {
				t.Fatalf("cut at %d of %d: got %d contacts, want the one from before", cut, len(body), got)
			}
		}
	}
	clean(t, "log", h.log.String())
	if strings.Contains(h.log.String(), "127.0.0.1") {
		t.Errorf("the log holds an address:\n%s", h.log.String())
	}
}

// TestImportRefusalWaitsToBeRead: a program that sends everything before it
// reads is told why it was refused, and not cut off.
func TestImportRefusalWaitsToBeRead(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	body, contentType := form("file", crowd(400_000)) // options are missing
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /v1/lists/%s/imports HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
		list, h.token, contentType); err != nil {
		t.Fatal(err)
	}
	for len(body) > 0 {
		n := min(len(body), 256<<10)
		if _, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", n, body[:n]); err != nil {
			t.Fatalf("cut off with %d bytes to go: %v", len(body), err)
		}
		body = body[n:]
		time.Sleep(15 * time.Millisecond) // a line of 17 MB/s
	}
	io.WriteString(conn, "0\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400 ")) || !bytes.Contains(answer, []byte(`"code":"form"`)) {
		t.Errorf("got %.200q, %v", answer, err)
	}
}

// TestImportStalls: a connection that sends nothing more is given up, and one
// that is slow is not.
func TestImportStalls(t *testing.T) {
	h := founded(t, option{})
	list, _ := h.list(t)
	h.server.LimitImports(1<<30, 900*time.Millisecond)
	body, contentType := form("options", "{}", "file", crowd(20))
	send := func(pauses int, end bool) *http.Response {
		t.Helper()
		pr, pw := io.Pipe()
		t.Cleanup(func() { pr.Close() })
		go func() {
			step := len(body) / (pauses + 1)
			for i := range pauses {
				if _, err := io.WriteString(pw, body[i*step:(i+1)*step]); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			if end {
				io.WriteString(pw, body[pauses*step:])
				pw.Close()
			}
		}()
		r, err := http.NewRequestWithContext(t.Context(), "POST", h.url+"/v1/lists/"+string(list)+"/imports", pr)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", "Bearer "+h.token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	stalled := send(2, false).StatusCode
	checkDocumented(t, h.ops, "POST", "/v1/lists/"+string(list)+"/imports", stalled)
	if got := stalled; got != http.StatusRequestTimeout {
		t.Errorf("stalled: got %d, want 408", got)
	}
	if got := h.count(t, list); got != 1 {
		t.Errorf("stalled: got %d contacts, want the one from before", got)
	}
	if got := send(6, true).StatusCode; got != http.StatusOK {
		t.Errorf("slow: got %d, want 200", got)
	}
	if got := h.count(t, list); got != 21 {
		t.Errorf("slow: got %d contacts, want 21", got)
	}
}
