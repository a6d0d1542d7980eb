// Package api serves a vault over HTTP, and does nothing but HTTP: handlers
// parse, call package vault and answer. No rule about who may do what is here,
// and no handler picks the status of an error: problem.go holds the one table.
//
// # Terms
//
//   - route pattern: "/v1/lists/:list", what the log says instead of a URL
//   - problem: the body of every refusal, RFC 9457, application/problem+json
//   - token: a bearer token (RFC 6750 §2.1) that opens one member's session;
//     handlers hold the session's keys for the length of one request
//   - stream: an answer that is written while it is read; one that fails midway
//     ends in a broken connection, never in something that looks complete
//
// # What a request leaves behind
//
// One line in the log: id of the request, method, route pattern, status,
// duration. No address of the caller, user agent, query or body is written or
// kept anywhere, so that there are no visitor logs to ask for. Titles and
// addresses of people are sent in bodies and do not stand in URLs, which
// browsers and proxies keep.
//
// Bodies are read as they arrive and nothing is put into temporary files;
// in particular multipart forms are never parsed by net/http, which does that.
//
// The structs of bodies are those of package api/client; openapi.yaml describes
// every route, and a test walks the route table against it.
package api
