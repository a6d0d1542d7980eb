package pgp

import (
	"bytes"
	stdcrypto "crypto"
	goerrors "errors"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// How the parts of a certificate are judged, each for itself.

const (
	// maxWork bounds the time that verifying one certificate takes, as its key kinds
	// have it (keyInfo.cost). It is three signatures of the slowest, Brainpool P-512:
	// a user id, an encryption subkey and a revocation. Ed25519 has about 350.
	maxWork = 40 * time.Millisecond
	// parseWork is what parsing a byte of a signature costs at worst, and bounds the
	// memory: subpackets of two bytes take twenty times that when parsed.
	parseWork = 120 * time.Nanosecond
)

// A part is a component of a certificate with the signatures after it. Those of parts
// that appear twice are put together, so that a revocation is not lost.
type part struct {
	body []byte
	sigs [][]byte
	own  []sigInfo // those of sigs that may be self-signatures, newest first
}

// date returns that of the newest of own, which is not verified.
func (p *part) date() time.Time {
	if len(p.own) == 0 {
		return time.Time{}
	}
	return p.own[0].created
}

// parts are what walk found, in order.
type parts struct {
	primary     part
	uids, subs  []*part
	revocations [][]byte // of the primary key, wherever they stand
}

func split(packets []rawPacket) (*parts, *Refusal) {
	if packets[0].tag != tagPublicKey {
		return nil, notOpenPGP()
	}
	p := &parts{primary: part{body: packets[0].body}}
	find := func(list *[]*part, known map[string]*part, body []byte) *part {
		if known[string(body)] == nil {
			known[string(body)] = &part{body: body}
			*list = append(*list, known[string(body)])
		}
		return known[string(body)]
	}
	uids, subs := map[string]*part{}, map[string]*part{}
	current := &p.primary
	for _, pkt := range packets[1:] {
		switch pkt.tag {
		case tagUserID:
			current = find(&p.uids, uids, pkt.body)
		case tagPublicSubkey:
			current = find(&p.subs, subs, pkt.body)
		case tagSignature:
			if len(pkt.body) > 1 && pkt.body[1] == byte(packet.SigTypeKeyRevocation) {
				p.revocations = append(p.revocations, pkt.body)
			} else if current != nil {
				current.sigs = append(current.sigs, pkt.body)
			}
		default: // user attributes and what is not known: with their signatures
			current = nil
		}
	}
	return p, nil
}

// A reading is the state of examine.
type reading struct {
	now     time.Time // zero: no judgement of time
	body    []byte    // of the primary key packet
	info    keyInfo   // of the primary key
	primary *packet.PublicKey
	work    time.Duration
	dropped []Warning
}

// A kept is a part that is going to be used.
type kept struct {
	body   []byte
	info   keyInfo
	key    *packet.PublicKey
	sig    *packet.Signature
	end    time.Time // of the key, by sig; zero: never
	sigEnd time.Time // of sig itself
}

// examine finds the parts of a binary certificate that are valid, and makes a
// certificate of them. With now zero, time is not judged.
func examine(binary []byte, now time.Time) (*Certificate, *Refusal) {
	packets, r := walk(binary)
	if r != nil {
		return nil, r
	}
	p, r := split(packets)
	if r != nil {
		return nil, r
	}
	rd := &reading{now: now, body: p.primary.body}
	if rd.info, r = inspectKey(p.primary.body); r != nil {
		return nil, r
	}
	if !rd.info.sign {
		return nil, refuse("malformed-key", hintNewKey, "the primary key is of a kind that cannot sign")
	}
	if rd.future(rd.info.created) {
		return nil, errNotYet(rd.info.created)
	}
	if rd.primary, r = parseKey(p.primary.body, false); r != nil {
		return nil, r
	}
	p.primary.own = rd.own(p.primary.sigs)
	for _, part := range slices.Concat(p.uids, p.subs) {
		part.own = rd.own(part.sigs)
	}
	if sig, r := rd.revocation(rd.own(p.revocations), packet.SigTypeKeyRevocation, rd.primary.VerifyRevocationSignature); r != nil {
		return nil, r
	} else if sig != nil {
		return nil, revoked("revoked", "the certificate", sig)
	}
	direct, fault := rd.newest(p.primary.own, rd.info, rd.primary.VerifyDirectKeySignature, packet.SigTypeDirectSignature)
	if fault != nil && fault.Code == "bloated" {
		return nil, fault
	}
	if direct == nil && rd.info.version == 6 {
		return nil, fault
	}
	uids, r := rd.userIDs(p.uids)
	if r != nil {
		return nil, r
	}
	end := lifetime(rd.info, direct)
	for _, u := range uids {
		end = earlier(end, earlier(u.end, u.sigEnd))
	}
	if rd.ended(end) {
		return nil, errExpired(end)
	}
	subs, why := rd.subkeys(p.subs)
	c := &Certificate{primary: rd.info, primaryEnd: end, from: rd.info.created}
	if r := c.choose(subs, uids, direct, why); r != nil {
		return nil, r
	}
	c.dropped = rd.dropped
	if r := c.assemble(rd.primary, direct, uids, subs); r != nil {
		return nil, r
	}
	return c, nil
}

// future reports whether t is too far ahead of our clock.
func (rd *reading) future(t time.Time) bool { return !rd.now.IsZero() && t.After(rd.now.Add(skew)) }

func (rd *reading) ended(end time.Time) bool { return !rd.now.IsZero() && ended(end, rd.now) }

// spend reports false when there is no time left for a verification.
func (rd *reading) spend(d time.Duration) bool {
	rd.work += d
	return rd.work <= maxWork
}

// drop notes that a part was left out for a fault, and not because its time was over.
func (rd *reading) drop(what string, why *Refusal) {
	switch why.Code {
	case "expired", "subkey-expired", "subkey-revoked", "user-id-revoked":
		return
	}
	// One of each is enough to go and look.
	w := dropped(what, why)
	if !slices.Contains(rd.dropped, w) {
		rd.dropped = append(rd.dropped, w)
	}
}

// parsePacket gives one packet to go-crypto, which then sees nothing else.
func parsePacket(tag byte, body []byte) (packet.Packet, error) {
	b := make([]byte, 0, len(body)+6)
	b = append(b, 0xc0|tag, 0xff, byte(len(body)>>24), byte(len(body)>>16), byte(len(body)>>8), byte(len(body)))
	return packet.Read(bytes.NewReader(append(b, body...)))
}

func parseKey(body []byte, sub bool) (*packet.PublicKey, *Refusal) {
	tag := byte(tagPublicKey)
	if sub {
		tag = tagPublicSubkey
	}
	p, err := parsePacket(tag, body)
	if key, ok := p.(*packet.PublicKey); ok && err == nil {
		return key, nil
	}
	return nil, errMalformed() // such as a point that is not on its curve
}

// parse returns a signature that go-crypto can read and that says it is the primary
// key's own. It may be nil without a fault, if it is somebody else's.
func (rd *reading) parse(s sigInfo) (*packet.Signature, *Refusal) {
	if !rd.spend(time.Duration(len(s.body)) * parseWork) {
		return nil, errBloated()
	}
	p, err := parsePacket(tagSignature, s.body)
	var unsupported errors.UnsupportedError
	switch sig, ok := p.(*packet.Signature); {
	case goerrors.As(err, &unsupported) && strings.Contains(err.Error(), "critical"):
		return nil, errCritical()
	case err != nil || !ok:
		return nil, errBadSignature()
	case !s.revokes() && !sig.CheckKeyIdOrFingerprint(rd.primary):
		return nil, nil
	case sig.CreationTime.Before(rd.info.created):
		return nil, errBadSignature() // GnuPG refuses such, too
	default:
		return sig, nil
	}
}

func errCritical() *Refusal {
	return refuse("unknown-critical", hintAsk, "a self-signature makes a condition that is not known here")
}

func errBadSignature() *Refusal {
	return refuse("bad-self-signature", hintAsk, "a self-signature does not hold")
}

func errNoSelfSignature() *Refusal {
	return refuse("no-self-signature", hintAsk, "a self-signature is missing")
}

func errWeakHash() *Refusal {
	return refuse("sha1-self-signature", hintResign, "all its self-signatures are made with SHA-1 or MD5, which can be forged")
}

// own returns the signatures that claim to be the primary key's, newest first.
func (rd *reading) own(bodies [][]byte) []sigInfo {
	var list []sigInfo
	for _, body := range slices.Backward(bodies) {
		if s, ok := inspectSignature(body, rd.primary); ok && s.version == rd.info.version {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b sigInfo) int { return b.created.Compare(a.created) })
	return list
}

// revocation returns the first one that verifies. A weak hash counts too: it is kinder to
// refuse a key by a forged revocation than to use one that was revoked long ago.
func (rd *reading) revocation(own []sigInfo, kind packet.SignatureType, verify func(*packet.Signature) error) (*packet.Signature, *Refusal) {
	for _, s := range own {
		if s.kind != kind {
			continue
		}
		sig, fault := rd.parse(s)
		if sig == nil {
			if fault != nil && fault.Code == "bloated" {
				return nil, fault
			}
			continue
		}
		if !rd.spend(rd.info.cost) {
			return nil, errBloated()
		}
		if verify(sig) == nil {
			return sig, nil
		}
	}
	return nil, nil
}

// newest returns the newest signature of these kinds that is valid now, or the fault of
// the newest that is not. subject is the key that a cross-signature is verified with.
func (rd *reading) newest(own []sigInfo, subject keyInfo, verify func(*packet.Signature) error, kinds ...packet.SignatureType) (*packet.Signature, *Refusal) {
	var first *Refusal
	note := func(r *Refusal) {
		if r != nil && (first == nil || first.Code == "sha1-self-signature") {
			first = r
		}
	}
	for _, s := range own {
		if !slices.Contains(kinds, s.kind) {
			continue
		}
		if s.weak {
			note(errWeakHash())
			continue
		}
		if rd.future(s.created) {
			note(errNotYet(s.created))
			continue
		}
		sig, fault := rd.parse(s)
		if sig == nil {
			if fault != nil && fault.Code == "bloated" {
				return nil, fault
			}
			note(fault)
			continue
		}
		if fault := rd.details(sig); fault != nil {
			note(fault)
			continue
		}
		cost := rd.info.cost
		if sig.FlagSign && sig.EmbeddedSignature != nil {
			cost += subject.cost
		}
		if !rd.spend(cost) {
			return nil, errBloated()
		}
		if err := verify(sig); err != nil {
			note(errBadSignature())
			continue
		}
		return sig, nil
	}
	if first == nil {
		first = errNoSelfSignature()
	}
	return nil, first
}

// details judges what verifying does not look at.
func (rd *reading) details(sig *packet.Signature) *Refusal {
	for _, n := range sig.Notations {
		if n.IsCritical {
			return errCritical()
		}
	}
	if end := signatureEnd(sig); rd.ended(end) {
		return errExpired(end)
	}
	if sig.SigType != packet.SigTypeSubkeyBinding || !sig.FlagSign {
		return nil
	}
	cross := sig.EmbeddedSignature
	switch {
	case cross == nil || cross.Version != rd.info.version || cross.SigType != packet.SigTypePrimaryKeyBinding:
		return errBadSignature()
	case cross.Hash == stdcrypto.SHA1 || cross.Hash == stdcrypto.MD5 || cross.Hash == stdcrypto.RIPEMD160:
		return errWeakHash()
	}
	for _, n := range cross.Notations {
		if n.IsCritical {
			return errCritical()
		}
	}
	return nil
}

// signatureEnd returns when a signature ends, or for a signing subkey the one in it;
// zero: never.
func signatureEnd(sig *packet.Signature) time.Time {
	if sig == nil {
		return time.Time{}
	}
	end := after(sig.CreationTime, sig.SigLifetimeSecs)
	if cross := sig.EmbeddedSignature; sig.FlagSign && cross != nil {
		end = earlier(end, after(cross.CreationTime, cross.SigLifetimeSecs))
	}
	return end
}

// lifetime returns when sig ends, or lets the key end; zero: never.
func lifetime(k keyInfo, sig *packet.Signature) time.Time {
	if sig == nil {
		return time.Time{}
	}
	return earlier(after(k.created, sig.KeyLifetimeSecs), signatureEnd(sig))
}

// after takes no seconds, and 0 of them, for never (RFC 9580 §5.2.3.13).
func after(t time.Time, seconds *uint32) time.Time {
	if seconds == nil || *seconds == 0 {
		return time.Time{}
	}
	return t.UTC().Add(time.Duration(*seconds) * time.Second)
}

// userIDs returns those that are valid and not revoked. There must be one, but for
// version 6 (RFC 9580 §10.1.1), where the direct-key signature says what is needed.
func (rd *reading) userIDs(list []*part) ([]kept, *Refusal) {
	var uids []kept
	var why *Refusal
	note := func(r *Refusal) {
		if why == nil || why.Code == "no-self-signature" || r.Code == "bloated" {
			why = r
		}
		rd.drop("a user id", r)
	}
	// The newest first: what there is no time for is what matters least.
	slices.SortStableFunc(list, func(a, b *part) int { return b.date().Compare(a.date()) })
	for _, u := range list {
		if len(u.body) > maxUserID {
			note(refuse("long-user-id", hintAsk, "a user id has more than %d bytes", maxUserID))
			continue
		}
		id := string(u.body)
		verify := func(sig *packet.Signature) error { return rd.primary.VerifyUserIdSignature(id, rd.primary, sig) }
		sig, fault := rd.newest(u.own, rd.info, verify, packet.SigTypeGenericCert, packet.SigTypePersonaCert, packet.SigTypeCasualCert, packet.SigTypePositiveCert)
		if sig == nil {
			note(fault)
			continue
		}
		revocation, fault := rd.revocation(u.own, packet.SigTypeCertificationRevocation, verify)
		switch {
		case fault != nil:
			note(fault)
			continue
		case revocation != nil && !revocation.CreationTime.Before(sig.CreationTime):
			note(revoked("user-id-revoked", "the only user id", revocation))
			continue
		}
		uids = append(uids, kept{body: u.body, sig: sig, end: after(rd.info.created, sig.KeyLifetimeSecs), sigEnd: signatureEnd(sig)})
	}
	if len(uids) == 0 && rd.info.version == 4 {
		if why == nil {
			why = refuse("no-user-id", hintAsk, "the certificate has no user id")
		}
		return nil, why
	}
	return rd.decide(uids)
}

// decide leaves out the user ids that say the key has expired, unless they are the ones
// to be believed: the newest, and the newest of those marked primary.
func (rd *reading) decide(uids []kept) ([]kept, *Refusal) {
	primary := func(u kept) bool { return u.sig.IsPrimaryId != nil && *u.sig.IsPrimaryId }
	var newest, newestPrimary time.Time
	for _, u := range uids {
		if u.sig.CreationTime.After(newest) {
			newest = u.sig.CreationTime
		}
		if primary(u) && u.sig.CreationTime.After(newestPrimary) {
			newestPrimary = u.sig.CreationTime
		}
	}
	var left []kept
	for _, u := range uids {
		if !rd.ended(u.end) {
			left = append(left, u)
			continue
		}
		if u.sig.CreationTime.Equal(newest) || primary(u) && u.sig.CreationTime.Equal(newestPrimary) {
			return nil, errExpired(u.end)
		}
	}
	return left, nil
}

// subkeys returns those that can encrypt or sign, and why the best of the others that
// could have encrypted does not.
func (rd *reading) subkeys(list []*part) (subs []kept, why *Refusal) {
	note := func(info keyInfo, r *Refusal) {
		if info.encrypt && (why == nil || r.Code == "bloated" || !r.Date.IsZero() && r.Date.After(why.Date)) {
			why = r
		}
		rd.drop("a subkey", r)
	}
	type candidate struct {
		*part
		info keyInfo
		r    *Refusal
	}
	var candidates []candidate
	for _, s := range list {
		info, r := inspectKey(s.body)
		candidates = append(candidates, candidate{s, info, r})
	}
	// What can encrypt first, and the newest of it: it is what is needed most.
	slices.SortStableFunc(candidates, func(a, b candidate) int {
		if a.info.encrypt != b.info.encrypt {
			if a.info.encrypt {
				return -1
			}
			return 1
		}
		return b.date().Compare(a.date())
	})
	for _, s := range candidates {
		info := s.info
		if s.r != nil {
			note(info, s.r)
			continue
		}
		if info.version != rd.info.version || bytes.Equal(s.body, rd.body) {
			note(info, errMalformed())
			continue
		}
		if rd.future(info.created) {
			note(info, errNotYet(info.created))
			continue
		}
		key, r := parseKey(s.body, true)
		if r != nil {
			note(info, r)
			continue
		}
		sig, fault := rd.newest(s.own, info, func(sig *packet.Signature) error { return rd.primary.VerifyKeySignature(key, sig) }, packet.SigTypeSubkeyBinding)
		if sig == nil {
			switch fault.Code {
			case "expired":
				fault = errSubkeyExpired(fault.Date)
			case "bad-self-signature", "no-self-signature":
				fault = refuse("bad-binding", hintAsk, "no valid signature binds the subkey to the certificate")
			}
			note(info, fault)
			continue
		}
		info.encrypt = info.encrypt && (sig.FlagEncryptCommunications || sig.FlagEncryptStorage)
		info.sign = info.sign && sig.FlagSign
		if !info.encrypt && !info.sign {
			continue // to authenticate or to certify: not a fault, and not needed
		}
		revocation, fault := rd.revocation(s.own, packet.SigTypeSubkeyRevocation, func(sig *packet.Signature) error { return rd.primary.VerifySubkeyRevocationSignature(sig, key) })
		if fault != nil {
			note(info, fault)
			continue
		}
		if revocation != nil {
			note(info, revoked("subkey-revoked", "the key to encrypt to", revocation))
			continue
		}
		end := lifetime(info, sig)
		if rd.ended(end) {
			note(info, errSubkeyExpired(end))
			continue
		}
		if info.encrypt && info.montgom {
			// go-crypto tells the points that make a secret everybody knows.
			if !rd.spend(info.cost) {
				note(info, errBloated())
				continue
			}
			if err := packet.SerializeEncryptedKey(new(bytes.Buffer), key, packet.CipherAES256, make([]byte, 32), nil); err != nil {
				note(info, refuse("weak-point", hintNewKey, "the key to encrypt to is one that keeps nothing secret"))
				continue
			}
		}
		subs = append(subs, kept{body: s.body, info: info, key: key, sig: sig, end: end})
	}
	return subs, why
}

func errSubkeyExpired(end time.Time) *Refusal {
	return refuseAt("subkey-expired", hintSubkey, end, "the key to encrypt to expired on")
}
