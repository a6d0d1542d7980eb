package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rallyvault/rallyvault/api/client"
	"github.com/rallyvault/rallyvault/crypto/pgp"
	"github.com/rallyvault/rallyvault/vault"
)

// What is sent to whom in the demo.
const (
	demoPartner     = "Pier Legal Aid"
	demoSendPurpose = "lawyers for the bail hearing"
)

// A demoKey is the made-up partner's own key, which never is in the vault.
type demoKey struct {
	entity      *openpgp.Entity
	certificate []byte
	fingerprint string
}

func newDemoKey(name string) (*demoKey, error) {
	private, certificate, err := pgp.NewSigning(name, time.Now())
	if err != nil {
		return nil, err
	}
	defer private.Wipe()
	ring, err := openpgp.ReadKeyRing(bytes.NewReader(private.Bytes()))
	if err != nil {
		return nil, err
	}
	fingerprint, err := pgp.Fingerprint(certificate)
	return &demoKey{ring[0], certificate, fingerprint}, err
}

// open decrypts a message, and wants it signed with the armored certificate.
func (k *demoKey) open(message, signer []byte) ([]byte, error) {
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(signer))
	if err != nil {
		return nil, err
	}
	m, err := openpgp.ReadMessage(bytes.NewReader(message), append(ring, k.entity), nil, nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(m.UnverifiedBody)
	if err == nil && (!m.IsVerified || m.SignatureError != nil) {
		err = errors.New("the signature is not the group's")
	}
	return body, err
}

// sign signs a line in the clear.
func (k *demoKey) sign(line string) ([]byte, error) {
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, k.entity.PrivateKey, nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, line+"\n"); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// send tells how some people of a list reach another organisation.
func (d *demoRun) send(ctx context.Context) error {
	theirs, err := newDemoKey(demoPartner)
	if err != nil {
		return err
	}
	other, err := newDemoKey(demoPartner)
	if err != nil {
		return err
	}
	agreed := []map[string]string{{"name": "Rosalba Ficticia", "email": "rosalba.ficticia@example.org"}, {"name": "Casimiro Imaginario", "phone": "+12125550166"}}
	for _, who := range agreed {
		added, err := d.client.AddContact(ctx, d.list, who)
		if err != nil {
			return err
		}
		if err := d.client.CorrectContact(ctx, d.list, added.ID, client.Correction{Shareable: "yes"}); err != nil {
			return err
		}
	}
	export := client.NewExport{Fields: []string{"name", "email", "phone"}, Purpose: demoSendPurpose, DeleteBy: time.Now().AddDate(0, 1, 0), Format: "json"}
	err = d.tell("lawyers send their OpenPGP certificate; nothing goes to them before she has compared its fingerprint by phone", func() ([]string, error) {
		p, err := d.client.AddPartner(ctx, client.NewPartner{Name: demoPartner, Certificate: theirs.certificate})
		if err != nil {
			return nil, err
		}
		export.Partners = []vault.PartnerID{p.ID}
		_, err = d.client.Export(ctx, d.list, export)
		if err := wants(err, vault.Invalid); err != nil {
			return nil, err
		}
		const how = "by phone, with somebody she knows"
		_, err = d.client.VerifyPartner(ctx, p.ID, client.Comparison{Fingerprint: other.fingerprint, How: how})
		if err := wants(err, vault.Invalid); err != nil {
			return nil, err
		}
		_, err = d.client.VerifyPartner(ctx, p.ID, client.Comparison{Fingerprint: strings.ToLower(theirs.fingerprint), How: how})
		return []string{"compared: " + pgp.GroupFingerprint(theirs.fingerprint)}, err
	})
	if err != nil {
		return err
	}
	var e *client.Export
	var message bytes.Buffer
	err = d.tell("she seals those who agreed to be shared to them: their key opens it, no other does, and nobody else is in it", func() ([]string, error) {
		var err error
		if e, err = d.client.Export(ctx, d.list, export); err != nil {
			return nil, err
		}
		if err := d.client.Message(ctx, e.ID, &message); err != nil {
			return nil, err
		}
		if sum := sha256.Sum256(message.Bytes()); hex.EncodeToString(sum[:]) != e.SHA256 {
			return nil, errors.New("the message is not the one in the ledger")
		}
		signer, _, err := d.client.SigningKey(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := other.open(message.Bytes(), signer); err == nil {
			return nil, errors.New("a key that it is not for opens it")
		}
		plain, err := theirs.open(message.Bytes(), signer)
		if err != nil {
			return nil, err
		}
		return []string{counted(e.Contacts, "person", "people") + " in it; left out " + counted(e.Withheld, "who was", "who were") + " not asked"}, samePeople(plain, agreed)
	})
	if err != nil {
		return err
	}
	err = d.tell("the lawyers get a link: opening it shows a button, and the button works once", func() ([]string, error) {
		l, err := d.client.LinkExport(ctx, e.ID)
		if err != nil {
			return nil, err
		}
		if status, _, err := visit(ctx, http.MethodGet, l.URL); err != nil || status != http.StatusOK {
			return nil, errors.Join(err, errors.New("the link shows no page"))
		}
		status, got, err := visit(ctx, http.MethodPost, l.URL)
		if err == nil && (status != http.StatusOK || !bytes.Equal(got, message.Bytes())) {
			err = errors.New("the button did not give the message")
		}
		if err != nil {
			return nil, err
		}
		if status, _, err = visit(ctx, http.MethodPost, l.URL); err == nil && status != http.StatusNotFound {
			err = errors.New("the button worked twice")
		}
		return nil, err
	})
	if err != nil {
		return err
	}
	err = d.tell("they delete it and sign that they have; a receipt that somebody else signed is refused", func() ([]string, error) {
		line := pgp.ReceiptLine(string(e.ID), e.SHA256)
		forged, err := other.sign(line)
		if err != nil {
			return nil, err
		}
		_, err = d.client.RecordReceipt(ctx, e.ID, client.Receipt{Receipt: forged})
		if err := wants(err, vault.Invalid); err != nil {
			return nil, err
		}
		signed, err := theirs.sign(line)
		if err != nil {
			return nil, err
		}
		done, err := d.client.RecordReceipt(ctx, e.ID, client.Receipt{Receipt: signed})
		if err == nil && done.Recipients[0].Deleted == nil {
			err = errors.New("the receipt is not in the ledger")
		}
		return []string{line}, err
	})
	if err != nil {
		return err
	}
	return d.tell("who was sent wants to be forgotten: erased here, and the partners who have to know are named", func() ([]string, error) {
		for _, r := range []client.ErasureRequest{{Email: agreed[0]["email"]}, {Phone: agreed[1]["phone"]}} {
			erased, err := d.client.EraseByAddress(ctx, r)
			if err != nil {
				return nil, err
			}
			if erased.Erased != 1 || !slices.Equal(erased.PartnersToNotify, []string{demoPartner}) {
				return nil, errors.New("the partner was not named")
			}
		}
		err := d.client.Message(ctx, e.ID, io.Discard)
		return []string{"to be told: " + demoPartner + "; what is kept of the message can be taken out by nobody any more"}, wants(err, vault.Gone)
	})
}

// samePeople compares what a partner reads with who agreed, record by record.
func samePeople(plain []byte, agreed []map[string]string) error {
	var got struct{ Contacts []map[string]string }
	if err := json.Unmarshal(plain, &got); err != nil {
		return err
	}
	if len(got.Contacts) != len(agreed) {
		return errors.New("there are not as many people in it as agreed")
	}
	for _, want := range agreed {
		if !slices.ContainsFunc(got.Contacts, func(c map[string]string) bool {
			return c["name"] == want["name"] && c["email"] == want["email"] && c["phone"] == want["phone"]
		}) {
			return errors.New("somebody who agreed is not in it as on the list")
		}
	}
	return nil
}

// visit does what a browser does with a link.
func visit(ctx context.Context, method, url string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}
