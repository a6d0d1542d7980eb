// Package client speaks Rallyvault's HTTP API. The commands use it, and so do
// the tests of package api.
//
// The structs in this package are the API's JSON: package api encodes and
// decodes the same ones, so the two ends cannot drift apart. Together with
// api/openapi.yaml they are the whole contract.
//
// # Terms
//
//   - token: what a sign-in returns; it opens the member's keys in the server's
//     memory until the session ends. A Client holds one at a time.
//   - problem: the body of every refusal, RFC 9457. Errors of this package are
//     *vault.Error, so vault.KindOf works on them; one that came from the server
//     wraps the *Problem with the exact bytes received.
//   - stream: an answer that is written while it is read. A stream that ends
//     early is an error, and whatever was written before it is incomplete.
//
// # What it refuses
//
// Passphrases and tokens travel in requests, so plain HTTP is accepted for
// loopback addresses only, redirects are not followed, and no proxy is used for
// a loopback address.
package client
