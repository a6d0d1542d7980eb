// Package web is the pages that browsers show. They come from templates of this
// program, load nothing from anywhere else, and work without their scripts, but for
// what only a browser can do.
//
// # Terms
//
//   - page: a typed struct and a template of its own; it embeds the frame, which
//     every page has
//   - texts: what pages say, one file of locales for each language; a test holds the
//     files to the same keys, and every use of a key to what the text takes
//   - note: what an act did, said once by the page that the browser is sent on to
//   - trouble: why a form was not taken, in the reader's words; the form comes back
//     with all that was typed, but for passphrases
//   - once: what a form does that does harm if it is done twice
//   - sheet: one recovery share as it is printed, in every language at once
//
// # Sessions
//
// A browser holds the token of its session in a cookie that no script can read and no
// other site can have sent (HttpOnly, SameSite=Strict; with https Secure, and named so
// that no other host of the domain can set it). The session ends 15 minutes after its
// last use; the page counts down, asks the service before it locks, as another tab may
// have been used, and leaves nothing of itself on the screen. Signing out clears what
// the browser has kept (Clear-Site-Data): which is style sheets and scripts alone, as
// pages are never kept.
//
// # What a page may do
//
// Its policy allows the files of this service and nothing that stands in the page
// itself: no inline script or style, no picture or font from elsewhere, no frame.
// Trusted Types are on and no policy is allowed, so a script cannot make text into
// markup. Writes from other sites are refused by package api before a handler runs.
// Nothing that is about a person stands in a URL: who is looked for, and what is
// typed, goes in the body of a form. What somebody typed stands in a bdi element, which
// it does not get out of (bidi.go), or fills a block of its own.
//
// TestEveryPage has every page in every state it can be in, and fails for a route or a
// template that it has not: a new page is one line of its table.
//
// Handlers call package vault as those of the API do, and never pick the status of an
// error: package api has the one table, and asks Fail for the page. Which routes there
// are, and what each may take, is in api/pages.go.
package web
