package sharing

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
)

// A Letter is a mail to a partner that has a sealed message with it.
type Letter struct {
	mail    pgp.Mail
	to      *pgp.Certificate
	signer  *pgp.Signer
	now     time.Time
	message *vault.Message
}

// WriteLetter makes a mail (RFC 3156) of an export that is for one partner: a letter
// that only the partner reads, and the sealed message as an attachment of it, so that
// what the ledger has the hash of stays the same whichever way it goes. from may be
// empty: the program that sends it fills it in.
func WriteLetter(ctx context.Context, s *vault.Session, id vault.ExportID, from, to string) (*Letter, error) {
	e, err := handOver(ctx, s, id)
	if err != nil {
		return nil, err
	}
	if len(e.Partners) != 1 {
		return nil, &vault.Error{Kind: vault.Invalid, Op: "sharing.WriteLetter", Code: "mail-several", Msg: "this export is for several partners, and a mail is for one", Hint: "hand over the file, or a link to it"}
	}
	l := &Letter{now: s.Now()}
	if l.to, err = usable(e.Partners[0].Certificate, l.now); err != nil {
		return nil, err
	}
	if l.signer, err = openSigner(ctx, s); err != nil {
		return nil, err
	}
	organisation, err := s.Organisation(ctx)
	if err != nil {
		return nil, err
	}
	l.mail = pgp.Mail{From: from, To: to, Date: l.now, Subject: subject(organisation), Text: letterText(organisation, e)}
	l.mail.Attachments = []pgp.Attachment{{Name: MessageName(id), Open: func() (io.ReadCloser, error) { return io.NopCloser(l.message), nil }}}
	if err := l.mail.Check(); err != nil {
		return nil, &vault.Error{Kind: vault.Invalid, Op: "sharing.WriteLetter", Code: "mail-address", Fields: []vault.FieldError{{Field: "to", Reason: "not one mail address"}}, Msg: err.Error()}
	}
	l.message, err = s.OpenMessage(ctx, id)
	return l, err
}

// Write writes the letter, an .eml file.
func (l *Letter) Write(w io.Writer) error { return pgp.WriteMail(w, l.mail, l.to, l.signer, l.now) }

// MessageName is a neutral name for the file of a sealed message: it says nothing
// but which one it is.
func MessageName(id vault.ExportID) string { return "export-" + string(id)[:8] + ".pgp" }

func subject(organisation string) string {
	const most = 150 // bytes; a subject may have twice as many
	organisation = format.Printable(organisation)
	if r := []rune(organisation); len(organisation) > most {
		for len(string(r)) > most {
			r = r[:len(r)-1]
		}
		organisation = string(r)
	}
	return "Confidential list from / Lista confidencial de " + organisation
}

func letterText(organisation string, e *vault.Export) string {
	by := e.DeleteBy.UTC().Format(time.DateOnly)
	return fmt.Sprintf(`Confidential. This letter comes from %[1]s. The file with it is sealed to your
key once more: save it, and decrypt it with Thunderbird, Kleopatra or
  gpg --decrypt %[2]s
It has %[3]d people who agreed to be shared with you, for this purpose only:
  %[4]s
Do not pass it on. Delete it by %[5]s, also from your downloads, the trash and
backups. Then sign this line, in the clear, and send it to us:
  %[6]s

Confidencial. Esta carta es de %[1]s. El archivo adjunto está cifrado otra vez
con su clave: guárdelo y descífrelo con Thunderbird, Kleopatra o
  gpg --decrypt %[2]s
Contiene a %[3]d personas que aceptaron que se compartiera con ustedes, solo para
este fin:
  %[4]s
No lo pase a nadie. Bórrelo antes del %[5]s, también de las descargas, la papelera
y las copias de seguridad. Después firme esta línea, en texto claro, y envíenosla:
  %[6]s
`, format.Printable(organisation), MessageName(e.ID), e.Contacts, format.Printable(e.Purpose), by, ReceiptLine(e))
}
