// Package web serves the pages that people see in a browser: in this version
// the one on which a group sets its vault up.
//
// # Terms
//
//   - set-up link: a path with 128 random bits that works once, for an hour. The
//     server keeps their SHA-256 in memory and nothing else of it.
//   - page: one typed struct and one template; templates parse at start.
//   - locale: the texts of one language, locales/*.json; a test holds them to
//     the same keys. The page begins in the browser's language, and the links on
//     it switch.
//
// Pages work without JavaScript and have none. Their content security policy
// allows one style sheet and forms to this server, and nothing else.
package web
