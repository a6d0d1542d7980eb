package vault

// SignedIn reports with an error what Session would refuse a token for, without
// opening any key. It is no use of the session. It costs a hundredth of that, so that a request can be refused
// before the server waits for its body.
func (v *Vault) SignedIn(token string) error {
	_, err := v.signedIn(token)
	return err
}

func (v *Vault) signedIn(token string) (sessionID, error) {
	if err := v.Available(); err != nil {
		return sessionID{}, err
	}
	secret, ok := tokenSecret(token)
	if !ok {
		return sessionID{}, errUnauthenticated()
	}
	defer clear(secret)
	id, key, err := sessionKeys(secret)
	if err != nil {
		return sessionID{}, err
	}
	clear(key)
	if v.live(id) == nil {
		return sessionID{}, errUnauthenticated()
	}
	return id, nil
}
