//go:build !race

package vault

// Raced reports whether the tests run under the race detector.
const Raced = false
