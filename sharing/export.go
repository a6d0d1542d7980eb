package sharing

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/sharing/format"
	"github.com/rallyvault/rallyvault/vault"
)

// tries is how often an export is begun anew because the list was changed meanwhile.
const tries = 4

// Export seals those of a list who agreed to be shared to partners whose fingerprint
// was compared, signed by the group: the profile is that of pgp.Encrypt, the shape
// that of format.Export. What it returns may wait for a second person; the message is
// taken out by OpenMessage.
func Export(ctx context.Context, s *vault.Session, list vault.ListID, o vault.NewExport) (out *vault.Export, err error) {
	for range tries {
		out, err = export(ctx, s, list, o)
		var e *vault.Error
		if !errors.As(err, &e) || e.Code != vault.CodeExportOvertaken {
			break
		}
	}
	return out, err
}

func export(ctx context.Context, s *vault.Session, list vault.ListID, o vault.NewExport) (*vault.Export, error) {
	if _, err := format.House(o.Format); err != nil {
		return nil, err
	}
	if o.Format == "" {
		o.Format = "csv"
	}
	e, err := s.BeginExport(ctx, list, o)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	now := s.Now()
	var to []*pgp.Certificate
	for _, p := range e.Partners() {
		c, err := usable(p.Certificate, now)
		if err != nil {
			return nil, err
		}
		to = append(to, c)
	}
	signer, err := openSigner(ctx, s)
	if err != nil {
		return nil, err
	}
	notice := format.Notice{Purpose: o.Purpose, DeleteBy: o.DeleteBy, Export: string(e.ID())}
	if len(e.Partners()) == 1 {
		notice.Partner = e.Partners()[0].Name
	}
	if notice.Organisation, err = s.Organisation(ctx); err != nil {
		return nil, err
	}
	if notice.Questions, err = e.Questions(ctx); err != nil {
		return nil, err
	}
	f, err := format.Export(o.Format, notice)
	if err != nil {
		return nil, err
	}
	message, err := pgp.Encrypt(e, to, signer, now)
	if err != nil {
		return nil, err
	}
	if err := write(ctx, message, e, f); err != nil {
		return nil, err
	}
	waits, err := e.Waits(ctx)
	if err != nil {
		return nil, err
	}
	if waits { // a day at least
		for _, c := range to {
			if err := c.Usable(now.Add(24 * time.Hour)); err != nil {
				return nil, beforeHandOver(err)
			}
		}
	}
	return e.Commit(ctx)
}

// write writes everybody who is exported, and ends the message: one goroutine reads,
// one seals.
func write(ctx context.Context, message io.WriteCloser, e *vault.Exporting, f format.Writer) error {
	g, ctx := errgroup.WithContext(ctx)
	read := make(chan []vault.Contact)
	g.Go(func() error {
		defer close(read)
		for {
			contacts, err := e.Next(ctx)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			select {
			case read <- contacts:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	g.Go(func() error {
		buf := f.Begin(nil, e.Fields())
		defer func() { clear(buf[:cap(buf)]) }()
		for contacts := range read {
			for i := range contacts {
				buf = f.Contact(buf, &contacts[i])
			}
			if _, err := message.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		if ctx.Err() != nil { // reading failed, and says why
			return nil
		}
		if _, err := message.Write(f.End(buf)); err != nil {
			return err
		}
		return message.Close()
	})
	return g.Wait()
}

func openSigner(ctx context.Context, s *vault.Session) (*pgp.Signer, error) {
	key, err := s.SigningKey(ctx)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	return pgp.OpenSigner(key)
}

// usable reads a certificate that is kept, to which something is to be encrypted.
func usable(certificate []byte, now time.Time) (*pgp.Certificate, error) {
	c, err := pgp.ParseCertificate(certificate)
	if err == nil {
		err = c.Usable(now)
	}
	if err != nil {
		return nil, certificateError(err)
	}
	return c, nil
}

func beforeHandOver(err error) error {
	var r *pgp.Refusal
	if !errors.As(err, &r) {
		return err
	}
	return &vault.Error{Kind: vault.Invalid, Op: "sharing.Export", Code: "certificate-too-short", Params: map[string]string{"reason": r.Code, "date": r.Date.UTC().Format(time.DateOnly)},
		Fields: []vault.FieldError{{Field: "partner", Reason: "its certificate ends too soon"}},
		Msg:    "so many people wait for a day or for another organiser, and by then the partner's certificate cannot be used: " + r.Msg,
		Hint:   "ask the partner to extend the key, then: rallyvault partner update"}
}

// OpenMessage takes out the sealed message of an export. It is refused when a
// partner's certificate cannot be used any more: nothing should be on its way to a key
// that was revoked, or that the partner may have thrown away.
func OpenMessage(ctx context.Context, s *vault.Session, id vault.ExportID) (*vault.Message, error) {
	if _, err := handOver(ctx, s, id); err != nil {
		return nil, err
	}
	return s.OpenMessage(ctx, id)
}

// Link makes a link with which the message can be taken out once.
func Link(ctx context.Context, s *vault.Session, id vault.ExportID) (*vault.Link, error) {
	if _, err := handOver(ctx, s, id); err != nil {
		return nil, err
	}
	return s.LinkExport(ctx, id)
}

// handOver looks whether an export can reach its partners still.
func handOver(ctx context.Context, s *vault.Session, id vault.ExportID) (*vault.Export, error) {
	e, err := s.Export(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, p := range e.Partners {
		if _, err := usable(p.Certificate, s.Now()); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// RecordReceipt checks what a partner signed to say that an export is deleted, and
// keeps it. It has to be the line of ReceiptLine, of this export, signed by one of its
// partners with the certificate that it was sent to.
func RecordReceipt(ctx context.Context, s *vault.Session, id vault.ExportID, signed []byte) (*vault.Export, error) {
	e, err := s.Export(ctx, id)
	if err != nil {
		return nil, err
	}
	if e.Status != vault.ExportDone {
		return nil, &vault.Error{Kind: vault.Conflict, Op: "sharing.RecordReceipt", Code: "receipt-early", Params: map[string]string{"status": e.Status}, Msg: "this export was never handed over: it is " + e.Status}
	}
	var refused error
	for _, p := range e.Partners {
		c, err := pgp.ParseCertificate(p.Certificate)
		if err != nil {
			return nil, certificateError(err)
		}
		at, err := pgp.VerifyReceipt(c, signed, ReceiptLine(e), s.Now())
		if err == nil {
			return s.RecordReceipt(ctx, id, p.ID, signed, at)
		}
		// Of several partners, what is wrong with the receipt of the one who signed it
		// is worth more than that another one did not.
		var r *pgp.ReceiptError
		if errors.As(err, &r) && (refused == nil || r.Code != "other-key") {
			refused = &vault.Error{Kind: vault.Invalid, Op: "sharing.RecordReceipt", Code: "receipt-" + r.Code, Msg: r.Msg, Fields: []vault.FieldError{{Field: "receipt", Reason: r.Msg}},
				Hint: "ask for it again: the line that rallyvault export receipt " + string(id) + " --text prints, signed in the clear with the key that the export was sealed to"}
		} else if refused == nil {
			refused = err
		}
	}
	return nil, refused
}

// ReceiptLine is what a partner signs.
func ReceiptLine(e *vault.Export) string { return pgp.ReceiptLine(string(e.ID), e.SHA256) }

// Overdue are the exports whose partners should have signed a receipt by now, the
// longest first.
func Overdue(all []vault.Export) []vault.Export {
	out := slices.DeleteFunc(slices.Clone(all), func(e vault.Export) bool { return !e.Overdue })
	slices.SortFunc(out, func(a, b vault.Export) int { return a.DeleteBy.Compare(b.DeleteBy) })
	return out
}
