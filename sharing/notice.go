package sharing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
	"github.com/rallyvault/rallyvault/vault/sheet"
)

// SealNotice writes what a partner has to be told, whom to delete, as an OpenPGP
// message that only the partner reads, signed by the group.
func SealNotice(ctx context.Context, s *vault.Session, id vault.NoticeID, w io.Writer) error {
	n, p, err := s.OpenNotice(ctx, id)
	if err != nil {
		return err
	}
	to, err := usable(p.Certificate, s.Now())
	if err != nil {
		return err
	}
	signer, err := openSigner(ctx, s)
	if err != nil {
		return err
	}
	organisation, err := s.Organisation(ctx)
	if err != nil {
		return err
	}
	text := noticeText(organisation, n, s.Now())
	defer clear(text)
	message, err := pgp.Encrypt(w, []*pgp.Certificate{to}, signer, s.Now())
	if err != nil {
		return err
	}
	if _, err := message.Write(text); err != nil {
		return err
	}
	return message.Close()
}

// NoticeName is a neutral name for the file of a sealed notice.
func NoticeName(id vault.NoticeID) string { return "notice-" + string(id)[:8] + ".pgp" }

// noticeText is what the partner reads.
func noticeText(organisation string, n *vault.Notice, now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `Confidential / Confidencial

From %[1]s, %[2]s. These people asked to be erased. You had them from us.
Please delete each of them from every copy of what we sent, today, and pass it
on to nobody. Then delete this message, too.

De %[1]s, %[2]s. Estas personas pidieron que se las borre. Ustedes las
recibieron de nosotros. Por favor bórrenlas hoy de todas las copias de lo que
enviamos, y no se lo pasen a nadie. Después borren también este mensaje.

`, format.Printable(organisation), now.UTC().Format(time.DateOnly))
	for _, person := range n.People {
		if len(person.Values) == 0 {
			b.WriteString("somebody whose details we have changed since: please call us / alguien cuyos datos cambiamos después: por favor llámennos\n")
		}
		for _, f := range append(sheet.Catalogue(), sheet.Question1, sheet.Question2, sheet.Question3) {
			if v := person.Values[f]; v != "" {
				fmt.Fprintf(&b, "%s: %s\n", f, format.Printable(v))
			}
		}
		ids := make([]string, len(person.Exports))
		for i, id := range person.Exports {
			ids[i] = string(id)
		}
		fmt.Fprintf(&b, "export: %s\n\n", strings.Join(ids, ", "))
	}
	return b.Bytes()
}
