package web_test

import (
	"bytes"
	"context"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// takePictures takes the README's pictures anew: go test ./api/web -run TestPictures -update
var takePictures = flag.Bool("update", false, "take the pictures of the README anew")

// mostOfPicture is what a picture in the README may weigh.
const mostOfPicture = 150_000

// TestPictures holds the README's pictures to the pages: beside each is what the page
// said when it was taken, as pixels differ from one Chromium to the next.
func TestPictures(t *testing.T) {
	s := founded(t)
	m := s.session(t, "heron")
	list := rally(t, m, "Know your rights evening", false)
	s.clock.advance(20 * 24 * time.Hour) // lists that end on one day come in no order
	m = s.session(t, "heron")
	handed := shared(t, m, 2, 1, 3)
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	b := s.open(t, "en")
	b.signIn("heron")

	b.visit("/lists/" + string(list))
	b.upload("#consent-ask", written(t, "mixed.csv", mixed))
	b.depict(t, string(readme), "upload", 1000, 1, "section[aria-labelledby=left-out]")
	b.press("button[value=add]")
	b.visit("/lists/" + string(list) + "/people")
	b.depict(t, string(readme), "people", 390, 2, "main table")
	b.visit("/")
	b.depict(t, string(readme), "home", 390, 2, "main > :last-child")

	ally(t, m, "Quillfeather Aid", newAllyKey(t, 0))
	b.visit("/lists/" + string(handed) + "/export")
	b.click("input[name=partner]")
	b.press("button[name=to][value='2']")
	b.click("#field-name")
	b.press("button[name=to][value='3']")
	b.fill("#purpose", "Accompany people to hearings")
	b.click("#when-30")
	b.press("button[name=to][value='4']")
	b.depict(t, string(readme), "export", 1000, 1, "main > :last-child")
}

// depict compares what the browser shows with the picture of that name, or takes it, from
// the top of the page to the end of an element.
func (b *tab) depict(t *testing.T, readme, name string, width int64, scale float64, last string) {
	t.Helper()
	b.do(emulation.SetDeviceMetricsOverride(width, 640, scale, false))
	var said string
	b.eval(`[...document.querySelectorAll("h1,h2,h3,th,dt,label,legend,button,.button,summary")].map(e => e.innerText.trim()).filter(s => s).join("\n") + "\n"`, &said)
	said = regexp.MustCompile(`[0-9]+`).ReplaceAllString(said, "#") // dates and minutes
	picture, text := filepath.Join("pictures", name+".png"), filepath.Join("pictures", name+".txt")
	if *takePictures {
		var bottom float64
		b.eval("document.querySelector("+quoted(last)+").getBoundingClientRect().bottom + scrollY + 16", &bottom)
		var shot []byte
		b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
			shot, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).
				WithClip(&page.Viewport{Width: float64(width), Height: bottom, Scale: 1}).Do(ctx)
			return err
		}))
		if err := os.MkdirAll("pictures", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(picture, small(t, shot), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(text, []byte(said), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if i, err := os.Stat(picture); err != nil || i.Size() > mostOfPicture {
		t.Errorf("%s: over %d bytes, or %v", picture, mostOfPicture, err)
	}
	if was, err := os.ReadFile(text); err != nil || string(was) != said {
		t.Errorf("%s is of another page (take it with -update): %v\nwas\n%s\nis\n%s", picture, err, was, said)
	}
	if !regexp.MustCompile(`!\[[^\]]{10,}\]\(api/web/pictures/` + name + `\.png\)`).MatchString(strings.ReplaceAll(readme, "\n", " ")) {
		t.Errorf("the README does not show %s with what is on it", picture)
	}
}

// small is a picture in its 64 most frequent colours: pages have few.
func small(t *testing.T, shot []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	area := full.Bounds()
	count := map[color.Color]int{}
	var colours color.Palette
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c := full.At(x, y)
			if count[c]++; count[c] == 1 {
				colours = append(colours, c)
			}
		}
	}
	slices.SortStableFunc(colours, func(a, b color.Color) int { return count[b] - count[a] })
	few := image.NewPaletted(area, colours[:min(64, len(colours))])
	draw.Draw(few, area, full, area.Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
