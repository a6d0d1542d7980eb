// Package web serves the pages that people see in a browser: in this version
// the one on which a group sets its vault up. It also makes the recovery sheets
// that are printed, for that page and for the commands.
//
// # Terms
//
//   - set-up link: a path with 128 random bits that works once, for an hour. The
//     server keeps their SHA-256 in memory and nothing else of it.
//   - sheet: one recovery share with what to do with it, in every language, on
//     one piece of paper; as text, as a page of its own, or after the set-up.
//   - page: one typed struct and one template; templates parse at start.
//   - locale: the texts of one language, locales/*.json; a test holds them to
//     the same keys. The page begins in the browser's language, and the links on
//     it switch.
//
// Pages work without JavaScript and have none. Their content security policy
// allows style sheets and forms of this server, and nothing else; that of a sheet
// on its own allows its own style by its hash.
package web
